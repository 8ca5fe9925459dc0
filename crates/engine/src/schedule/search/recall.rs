//! What a store says of a network without any search.

use std::collections::BTreeMap;

use tilewise_kernels::Cpu;

use super::super::{Problem, Question, Record, Store, default};
use super::GAIN;
use crate::Schedule;

/// The schedule that a store gives for some questions: a pure function of both. A network that was searched runs as it
/// was proven. Of others, the layers whose problems were measured run as is fastest in the usual layout; the rest is not
/// named, and runs as the choosers have it.
pub fn recall(questions: &[Question], cpu: &Cpu, store: &Store) -> Schedule {
    if let Some(schedule) = store.proven(questions) {
        return schedule.clone();
    }
    let known = |problem: &Problem| -> Option<Record> {
        let usual = default(problem, cpu)?.layouts();
        store.get(problem).iter().find(|record| record.choice.layouts() == usual).copied()
    };
    let mut schedule = Schedule::default();
    // Layers whose pair decides for them, and whether each then runs by itself.
    let mut apart: BTreeMap<&str, bool> = BTreeMap::new();
    for question in questions {
        let Question { layer, first: Some(first), problem: problem @ Problem::Pair(pair) } = question else { continue };
        let usual = default(problem, cpu).is_some();
        let parts = [pair.depthwise, pair.pointwise].map(|p| known(&Problem::Conv(p)));
        let fused = match (store.get(problem).first(), parts) {
            (Some(fused), [Some(a), Some(b)]) => {
                let together = if usual { GAIN * fused.seconds } else { fused.seconds / GAIN };
                (together < a.seconds + b.seconds).then_some(fused.choice)
            }
            // What is not known leaves the two to the chooser.
            _ if usual => default(problem, cpu),
            _ => continue,
        };
        if let Some(choice) = fused.filter(|choice| Some(*choice) != default(problem, cpu)) {
            schedule.set(layer, choice);
        }
        if usual || fused.is_some() {
            [first, layer].into_iter().for_each(|layer| _ = apart.insert(layer, fused.is_none()));
        }
    }
    for Question { layer, problem, .. } in questions.iter().filter(|question| question.first.is_none()) {
        let usual = default(problem, cpu);
        let choice = known(problem).map(|record| record.choice).or(usual);
        let named = match apart.get(layer.as_str()) {
            Some(&by_itself) => by_itself,
            None => choice != usual,
        };
        if let Some(choice) = choice.filter(|_| named) {
            schedule.set(layer, choice);
        }
    }
    schedule
}
