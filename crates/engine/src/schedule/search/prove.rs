//! The proof of a schedule: it runs by turns with the default, and what is not faster in its place goes back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tilewise_graph::Graph;
use tilewise_kernels::{Cpu, Pool};

use super::super::measure::in_place;
use super::super::{Choice, Problem, Question};
use super::Changed;
use crate::{Plan, PlanError, Schedule, Weights, plan};

/// By how much a choice has to be faster in its place to stay.
const GAIN: f64 = 0.99;

/// Proofs at most: what goes back may change the rest, but seldom does so twice.
const ROUNDS: usize = 3;

pub(super) struct Proof<'a> {
    pub(super) graph: &'a Graph,
    pub(super) cpu: &'a Cpu,
    pub(super) pool: &'a Arc<Pool>,
    pub(super) weights: &'a Weights,
    pub(super) time: Duration,
}

/// The schedule that holds, what it changes, and the seconds of the network before and after.
type Proven = (Schedule, Vec<Changed>, [f64; 2]);

impl Proof<'_> {
    /// Proves a schedule for some questions; what does not hold goes back to the default.
    pub(super) fn run(&self, questions: &[Question], mut schedule: Schedule) -> Result<Proven, PlanError> {
        let usual = plan::compile(self.graph, &Schedule::default(), self.cpu, self.weights)?;
        let mut seconds = [0.0; 2];
        for round in 1..=ROUNDS {
            let tuned = plan::compile(self.graph, &schedule, self.cpu, self.weights)?;
            let [before, after] = in_place([&usual, &tuned], self.pool, self.time / ROUNDS as u32)?;
            seconds = [before.iter().sum(), after.iter().sum()];
            let changes = changes(questions, [&Side::new(&usual, before), &Side::new(&tuned, after)]);
            if changes.is_empty() {
                seconds[1] = seconds[0];
            }
            let (faster, last) = (seconds[1] < seconds[0], round == ROUNDS);
            let holds = |change: &Change| change.seconds(1) <= GAIN * change.seconds(0);
            if changes.is_empty() || (faster && (last || changes.iter().all(holds))) {
                return Ok((schedule, changes.into_iter().flat_map(|change| change.layers).collect(), seconds));
            }
            // At last, all of it: what was faster layer by layer is not in sum.
            let back = changes.iter().filter(|change| last || !holds(change));
            back.flat_map(|change| &change.layers)
                .flat_map(|changed| &changed.layers)
                .for_each(|layer| schedule.unset(layer));
            if schedule.is_empty() {
                break;
            }
        }
        // Nothing differs from the default any more.
        Ok((schedule, Vec::new(), [seconds[0]; 2]))
    }
}

/// One of two plans with the seconds that its layers took.
struct Side<'a> {
    plan: &'a Plan,
    seconds: BTreeMap<&'a str, f64>,
}

impl<'a> Side<'a> {
    fn new(plan: &'a Plan, steps: Vec<f64>) -> Self {
        let mut seconds = BTreeMap::new();
        for (step, time) in plan.steps().zip(steps) {
            *seconds.entry(step.layer.as_str()).or_default() += time;
        }
        Side { plan, seconds }
    }

    /// How some layers run and the seconds that they take.
    fn of(&self, layers: &[String]) -> (Vec<Choice>, f64) {
        let choices = layers.iter().filter_map(|layer| self.plan.schedule().get(layer).copied());
        (choices.collect(), layers.iter().filter_map(|layer| self.seconds.get(layer.as_str())).sum())
    }
}

/// The layers of one problem that run otherwise.
struct Change {
    problem: Problem,
    layers: Vec<Changed>,
}

impl Change {
    /// The seconds of all of them, before (0) or after (1).
    fn seconds(&self, side: usize) -> f64 {
        self.layers.iter().map(|layer| [layer.before.1, layer.after.1][side]).sum()
    }
}

/// What runs otherwise on the second side, by problem. Layers that are fused on either side are seen together.
fn changes(questions: &[Question], [before, after]: [&Side<'_>; 2]) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    let mut paired: BTreeSet<&str> = BTreeSet::new();
    let (pairs, singles): (Vec<&Question>, Vec<&Question>) = questions.iter().partition(|q| q.first.is_some());
    for Question { layer, first, problem } in pairs.into_iter().chain(singles) {
        let layers: Vec<String> = first.iter().chain([layer]).cloned().collect();
        let changed = Changed { before: before.of(&layers), after: after.of(&layers), layers };
        let fused = [&changed.before, &changed.after].iter().any(|side| matches!(side.0[..], [Choice::Fused(..)]));
        if first.is_some() != fused || (first.is_none() && paired.contains(layer.as_str())) {
            continue;
        }
        paired.extend(first.iter().map(String::as_str).chain([layer.as_str()]).filter(|_| fused));
        if changed.before.0 == changed.after.0 {
            continue;
        }
        match changes.iter_mut().find(|change| change.problem == *problem) {
            Some(change) => change.layers.push(changed),
            None => changes.push(Change { problem: *problem, layers: vec![changed] }),
        }
    }
    changes
}
