//! The proof of a schedule: it runs by turns with the default, and what is not faster in its place goes back.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tilewise_kernels::Pool;

use super::super::measure::in_place;
use super::super::{Choice, Group, Problem, Question};
use super::Changed;
use crate::plan::NetworkPart;
use crate::{Plan, PlanError, Schedule, Weights};

/// By how much a choice has to be faster in its place to stay.
const GAIN: f64 = 0.99;

/// Other ways for a chain of steps that take turns: whole, and with half and twice the rows.
const TURNS: [fn(Group) -> Group; 3] = [
    |_| Group::Whole,
    |group| group.scaled(|rows| rows.div_ceil(2)),
    |group| group.scaled(|rows| rows.saturating_mul(2)),
];

/// Proofs at most: what goes back may change the rest, but seldom does so twice.
const ROUNDS: usize = 3;

pub(super) struct Proof<'a> {
    pub(super) part: &'a NetworkPart<'a>,
    pub(super) pool: &'a Arc<Pool>,
    pub(super) weights: &'a Weights,
    pub(super) time: Duration,
}

/// What holds.
pub(super) struct Proven {
    /// What differs from the default.
    pub(super) schedule: Schedule,
    /// The plan's whole schedule.
    pub(super) full: Schedule,
    pub(super) changed: Vec<Changed>,
    /// Seconds of the network before and after.
    pub(super) seconds: [f64; 2],
}

impl Proof<'_> {
    /// Proves a schedule for some questions, and then other turns for the chains of its steps; what does not hold goes back
    /// to the default.
    pub(super) fn run(&self, questions: &[Question], schedule: Schedule) -> Result<Proven, PlanError> {
        let usual = self.part.compile(&Schedule::default(), self.weights)?;
        let (proven, plan) = self.choices(questions, schedule, &usual)?;
        self.turns(proven, plan.as_ref().unwrap_or(&usual))
    }

    fn compile(&self, schedule: &Schedule) -> Result<Plan, PlanError> {
        self.part.compile(schedule, self.weights)
    }

    /// Proves choices; the plan is none where nothing differs from the default.
    fn choices(
        &self,
        questions: &[Question],
        mut schedule: Schedule,
        usual: &Plan,
    ) -> Result<(Proven, Option<Plan>), PlanError> {
        let mut seconds = [0.0; 2];
        for round in 1..=ROUNDS {
            let tuned = self.compile(&schedule)?;
            let [before, after] = self.timed([usual, &tuned])?;
            seconds = [&before, &after].map(|steps| steps.iter().sum());
            let changes = changes(questions, [&Side::new(usual, before), &Side::new(&tuned, after)]);
            if changes.is_empty() {
                seconds[1] = seconds[0];
            }
            let (faster, last) = (seconds[1] < seconds[0], round == ROUNDS);
            let holds = |change: &Change| change.seconds(1) <= GAIN * change.seconds(0);
            if changes.is_empty() || (faster && (last || changes.iter().all(holds))) {
                let (full, changed) = (tuned.schedule().clone(), changes.into_iter().flat_map(|change| change.layers));
                return Ok((Proven { schedule, full, changed: changed.collect(), seconds }, Some(tuned)));
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
        let (full, changed, seconds) = (usual.schedule().clone(), Vec::new(), [seconds[0]; 2]);
        Ok((Proven { schedule, full, changed, seconds }, None))
    }

    /// Tries each chain of a plan whole, and with half and twice the rows in a turn.
    fn turns(&self, mut proven: Proven, plan: &Plan) -> Result<Proven, PlanError> {
        let chains = plan.chains();
        if chains.is_empty() {
            return Ok(proven);
        }
        let name = |step: usize| plan.steps[step].info.layer.as_str();
        let ways = TURNS.map(|way| {
            let mut schedule = proven.schedule.clone();
            for step in chains.iter().flat_map(|chain| chain.start..chain.end - 1) {
                let rows = plan.schedule().group(name(step));
                schedule.set_group(name(step), rows.map_or(Group::Whole, way));
            }
            schedule
        });
        let plans = [self.compile(&ways[0])?, self.compile(&ways[1])?, self.compile(&ways[2])?];
        let [usual, others @ ..] = self.timed([plan, &plans[0], &plans[1], &plans[2]])?;
        let sum = |seconds: &[f64], chain: &Range<usize>| seconds[chain.clone()].iter().sum::<f64>();
        let mut schedule = proven.schedule.clone();
        let mut changed = Vec::new();
        for chain in &chains {
            let times = others.iter().map(|seconds| sum(seconds, chain)).zip(&ways);
            let Some((after, way)) = times.min_by(|a, b| a.0.total_cmp(&b.0)) else { continue };
            let before = sum(&usual, chain);
            if after > GAIN * before {
                continue;
            }
            let side = |of: &Schedule, seconds: f64| {
                let groups = (chain.start..chain.end - 1).filter_map(|step| of.group(name(step)));
                (groups.map(|group| group.to_string()).collect(), seconds)
            };
            let (before, after) = (side(plan.schedule(), before), side(way, after));
            changed.push(Changed { layers: chain.clone().map(|step| name(step).to_owned()).collect(), before, after });
            for layer in (chain.start..chain.end - 1).map(name) {
                way.group(layer).into_iter().for_each(|group| schedule.set_group(layer, group));
            }
        }
        if changed.is_empty() {
            return Ok(proven);
        }
        let tuned = self.compile(&schedule)?;
        let [before, after] = self.timed([plan, &tuned])?.map(|steps| steps.iter().sum::<f64>());
        if after < before {
            proven.changed.extend(changed);
            let seconds = [proven.seconds[0], proven.seconds[1] * after / before];
            proven = Proven { schedule, full: tuned.schedule().clone(), seconds, ..proven };
        }
        Ok(proven)
    }

    /// The least seconds of each step of some plans.
    fn timed<const N: usize>(&self, plans: [&Plan; N]) -> Result<[Vec<f64>; N], PlanError> {
        in_place(plans, self.pool, self.time / ROUNDS as u32)
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
        let sides = [before.of(&layers), after.of(&layers)];
        let fused = sides.iter().any(|side| matches!(side.0[..], [Choice::Fused(..)]));
        if first.is_some() != fused || (first.is_none() && paired.contains(layer.as_str())) {
            continue;
        }
        paired.extend(first.iter().map(String::as_str).chain([layer.as_str()]).filter(|_| fused));
        if sides[0].0 == sides[1].0 {
            continue;
        }
        let [before, after] =
            sides.map(|(choices, seconds)| (choices.iter().map(ToString::to_string).collect(), seconds));
        let changed = Changed { layers, before, after };
        match changes.iter_mut().find(|change| change.problem == *problem) {
            Some(change) => change.layers.push(changed),
            None => changes.push(Change { problem: *problem, layers: vec![changed] }),
        }
    }
    changes
}
