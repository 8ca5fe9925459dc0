//! From what is known of each problem to a schedule of a whole network.

use std::collections::BTreeMap;

use tilewise_graph::Graph;
use tilewise_kernels::Cpu;
use tilewise_kernels::movement::Reorder;

use super::super::{Choice, Problem, Question, Record, Store, default};
use super::Measure;
use super::explore::{Found, is_planar};
use crate::plan::survey;
use crate::{PlanError, Schedule};

/// The schedule that a store gives for some questions: a pure function of both. Layers that the store does not know are
/// not named, and run as the choosers have it.
pub fn recall(questions: &[Question], cpu: &Cpu, store: &Store) -> Schedule {
    let mut schedule = Schedule::default();
    // Layers whose pair decides for them, and whether each then runs by itself.
    let mut apart: BTreeMap<&str, bool> = BTreeMap::new();
    for question in questions {
        let Question { layer, first: Some(first), problem } = question else { continue };
        let record = store.get(problem);
        let fused = record.map_or(default(problem, cpu).is_some(), |record| record.choice.is_some());
        if let Some(choice) = record.and_then(|record| record.choice) {
            schedule.set(layer, choice);
        }
        // What is not known leaves the two alone, and with them the chooser's word on the pair.
        if fused || record.is_some() {
            [first, layer].into_iter().for_each(|layer| _ = apart.insert(layer, !fused));
        }
    }
    for Question { layer, problem, .. } in questions.iter().filter(|question| question.first.is_none()) {
        let known = store.get(problem).and_then(|record| record.choice);
        let choice = match apart.get(layer.as_str()) {
            Some(true) => known.or_else(|| default(problem, cpu)),
            Some(false) => None,
            None => known,
        };
        if let Some(choice) = choice {
            schedule.set(layer, choice);
        }
    }
    schedule
}

/// Layers whose layout is open at most, for which all combinations are tried.
const ENUMERATED: usize = 8;

/// Decides which convolutions work on rows and which on blocks of channels, and stores what changes.
///
/// A layer is open where a kernel for rows, measured, could win: its time is less than that of the best for blocks plus
/// a change of layout on either side. The total of a combination is that of the measured kernels and of the measured
/// changes of layout that lowering then makes, whatever joins and branches the graph has. All combinations are tried for up
/// to eight open layers, which is exact; the layers beyond that, taken from the one with most to win, are decided one after the
/// other.
pub(super) fn layouts(
    graph: &Graph,
    cpu: &Cpu,
    questions: &[Question],
    found: &Found,
    measure: &mut dyn Measure,
    store: &mut Store,
) -> Result<(), PlanError> {
    let mut costs = Costs { measure, known: BTreeMap::new() };
    let mut open: Vec<Open> = Vec::new();
    for problem in questions.iter().map(|question| question.problem) {
        if open.iter().all(|open| open.problem != problem) {
            open.extend(Open::of(problem, found, &mut costs));
        }
    }
    open.sort_by(|a, b| b.margin().total_cmp(&a.margin()));
    let (all, rest) = open.split_at(open.len().min(ENUMERATED));
    let mut best = (f64::INFINITY, 0);
    for combination in 0..1usize << all.len() {
        all.iter()
            .enumerate()
            .for_each(|(i, open)| store.suppose(&open.problem, open.record(combination >> i & 1 == 1)));
        let total = total(graph, cpu, questions, found, &mut costs, store)?;
        if total < best.0 && !all.is_empty() {
            best = (total, combination);
        }
    }
    all.iter().enumerate().for_each(|(i, open)| store.set(&open.problem, open.record(best.1 >> i & 1 == 1)));
    for open in rest {
        let mut totals = [0.0; 2];
        for (planar, of) in [false, true].into_iter().zip(&mut totals) {
            store.suppose(&open.problem, open.record(planar));
            *of = total(graph, cpu, questions, found, &mut costs, store)?;
        }
        store.set(&open.problem, open.record(totals[1] < totals[0]));
    }
    Ok(())
}

/// A problem whose layout is open, with the best choice and its seconds in either.
struct Open {
    problem: Problem,
    blocked: (Choice, f64),
    planar: (Choice, f64),
}

impl Open {
    fn of(problem: Problem, found: &Found, costs: &mut Costs<'_>) -> Option<Self> {
        let Problem::Conv(p) = problem else { return None };
        let blocked = found.best(&problem, |choice| !is_planar(choice))?;
        let planar = found.best(&problem, is_planar)?;
        let sides =
            [Reorder { n: p.n, c: p.ic, pixels: p.ih * p.iw }, Reorder { n: p.n, c: p.oc, pixels: p.oh() * p.ow() }];
        let around: f64 = sides.iter().map(|side| costs.of(side)).sum();
        (planar.1 < blocked.1 + around).then_some(Open { problem, blocked, planar })
    }

    /// What rows win over blocks, changes of layout aside.
    fn margin(&self) -> f64 {
        self.blocked.1 - self.planar.1
    }

    fn record(&self, planar: bool) -> Record {
        let (choice, seconds) = if planar { self.planar } else { self.blocked };
        Record { choice: Some(choice), seconds }
    }
}

/// The measured seconds of changes of layout, each measured once.
struct Costs<'a> {
    measure: &'a mut dyn Measure,
    known: BTreeMap<[usize; 3], f64>,
}

impl Costs<'_> {
    fn of(&mut self, reorder: &Reorder) -> f64 {
        let key = [reorder.n, reorder.c, reorder.pixels];
        *self.known.entry(key).or_insert_with(|| self.measure.reorder(reorder))
    }
}

/// The measured seconds of what differs between combinations: the convolutions whose times are known, and all changes
/// of layout.
fn total(
    graph: &Graph,
    cpu: &Cpu,
    questions: &[Question],
    found: &Found,
    costs: &mut Costs<'_>,
    store: &Store,
) -> Result<f64, PlanError> {
    let survey = survey(graph, &recall(questions, cpu, store), cpu)?;
    let single = questions.iter().filter(|question| question.first.is_none());
    let kernels = single.filter_map(|Question { layer, problem, .. }| {
        let chosen = survey.schedule.get(layer)?;
        found.best(problem, |choice| choice == chosen).map(|(_, seconds)| seconds)
    });
    Ok(kernels.sum::<f64>() + survey.reorders.iter().map(|reorder| costs.of(reorder)).sum::<f64>())
}
