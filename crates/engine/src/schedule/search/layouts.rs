//! Layouts and fusion over the whole graph: a choice for each layer, so that the measured times of the layers and of the
//! changes of layout between them are least in sum.
//!
//! A step is a node of a [`Pbqp`] problem, and so is each value. The states of a step are the ways to run its layers: one
//! for each pair of layouts that measured choices read and write; of a depthwise and a pointwise convolution also both
//! in one (`ways.rs`). The states of a value are where it is made and whether it exists in the other layout, too, at the
//! cost of one change however many read it. An edge forbids what does not go together.

use std::collections::{BTreeMap, BTreeSet};

use tilewise_graph::{Graph, ValueId};
use tilewise_kernels::Cpu;
use tilewise_kernels::movement::Reorder;

use super::super::{Question, Store};
use super::pbqp::Pbqp;
use super::ways::{Way, ways};
use super::{Measure, recall};
use crate::lower::Layout;
use crate::plan::NetworkPart;
use crate::{PlanError, Schedule};

/// The schedule with the least measured time, as far as a store knows times. Layers that are best as the choosers have them
/// are not named.
pub(super) fn assemble(
    part: &NetworkPart<'_>,
    questions: &[Question],
    measure: &mut dyn Measure,
    store: &Store,
) -> Result<Schedule, PlanError> {
    let steps = ways(part, questions, store)?;
    let mut problem = Pbqp::default();
    let nodes: Vec<usize> =
        steps.iter().map(|ways| problem.node(ways.iter().map(|way| way.seconds).collect())).collect();
    let open: BTreeSet<ValueId> = steps.iter().filter(|ways| ways.len() > 1).flat_map(|ways| touched(ways)).collect();
    let mut changes = Changes { graph: part.graph, cpu: &part.cpu, measure, known: BTreeMap::new() };
    let mut values: BTreeMap<ValueId, usize> = BTreeMap::new();
    for (ways, &node) in steps.iter().zip(&nodes) {
        for value in touched(ways) {
            let state = *values.entry(value).or_insert_with(|| {
                let change = changes.of(value, open.contains(&value));
                problem.node(STATES.map(|state| state.cost(change)).to_vec())
            });
            let allowed = |way: usize, state: usize| {
                let mut wants = ways[way].wants.iter().filter(|want| want.value() == value);
                wants.all(|want| want.allows(STATES[state]))
            };
            problem.edge([node, state], |way, state| if allowed(way, state) { 0.0 } else { f64::INFINITY });
        }
    }
    let Some(solution) = problem.solve() else { return Ok(recall(questions, &part.cpu, store)) };
    let mut schedule = Schedule::default();
    for (ways, &node) in steps.iter().zip(&nodes) {
        let named = &ways[solution.states[node]].choices;
        named.iter().for_each(|(layer, choice)| schedule.set(layer, *choice));
    }
    Ok(schedule)
}

/// The values that some way to run a step wants something of.
fn touched(ways: &[Way]) -> BTreeSet<ValueId> {
    ways.iter().flat_map(|way| &way.wants).map(|want| want.value()).collect()
}

/// Where a value is made, and whether it exists in the other layout, too.
#[derive(Clone, Copy)]
struct Standing {
    made: Layout,
    both: bool,
}

const STATES: [Standing; 4] = [
    Standing { made: Layout::Plain, both: false },
    Standing { made: Layout::Plain, both: true },
    Standing { made: Layout::Blocked, both: false },
    Standing { made: Layout::Blocked, both: true },
];

impl Standing {
    /// The seconds of a change of layout, where it takes one; endless for a value that has one layout only.
    fn cost(self, change: Option<f64>) -> f64 {
        match (change, self) {
            (None, Standing { made: Layout::Plain, both: false }) => 0.0,
            (None, _) => f64::INFINITY,
            (Some(change), _) => {
                if self.both {
                    change
                } else {
                    0.0
                }
            }
        }
    }
}

/// What a way to run a step wants of a value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Want {
    /// That it is there to read.
    Read(ValueId, Layout),
    /// That it is made so, by the step or by one before.
    Made(ValueId, Layout),
}

impl Want {
    pub(super) fn value(self) -> ValueId {
        match self {
            Want::Read(value, _) | Want::Made(value, _) => value,
        }
    }

    fn allows(self, standing: Standing) -> bool {
        match self {
            Want::Read(_, layout) => standing.both || standing.made == layout,
            Want::Made(_, layout) => standing.made == layout,
        }
    }
}

/// The seconds of changes of layout, each measured once.
struct Changes<'a> {
    graph: &'a Graph,
    cpu: &'a Cpu,
    measure: &'a mut dyn Measure,
    known: BTreeMap<[usize; 3], f64>,
}

impl Changes<'_> {
    /// The seconds for a value, measured where something depends on it; `None` where it is no image.
    fn of(&mut self, value: ValueId, open: bool) -> Option<f64> {
        let &[n, c, h, w] = &*self.graph.value(value).ty.known_shape()? else { return None };
        // One pixel of whole vectors is the same in both.
        if !open || (h * w == 1 && c.is_multiple_of(self.cpu.tier.lanes())) {
            return Some(0.0);
        }
        let problem = Reorder { n, c, pixels: h * w };
        Some(*self.known.entry([n, c, h * w]).or_insert_with(|| self.measure.reorder(&problem)))
    }
}
