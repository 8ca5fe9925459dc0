//! Search: from the choices that a network leaves open to a schedule that is faster, or to none.
//!
//! 1. **Predict** all choices of each distinct problem (`cost`).
//! 2. **Measure** the few best, problems that take most of the time first, until the budget is spent (`explore.rs`).
//! 3. **Assemble** the best of each into a schedule for the whole graph, changes of layout counted (`layouts.rs`, by
//!    `pbqp`).
//! 4. **Prove** it where it runs: the network as the choosers have it and as the search has it, by turns. What is not
//!    faster in its place goes back (`prove.rs`).
//!
//! Each result goes to the store at once: what was measured when the budget ends, or the process, is used. What was proven is
//! kept for the network that it was proven in: in another the same choice may hold.

mod explore;
mod layouts;
mod pbqp;
mod prove;
mod recall;
mod ways;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tilewise_kernels::Pool;
use tilewise_kernels::movement::Reorder;

use prove::{Proof, Proven};
pub use recall::recall;

use super::{Bench, Choice, Machine, Problem, Store};
use crate::plan::NetworkPart;
use crate::{PlanError, Schedule, Weights};

/// How much a search may take.
#[derive(Clone, Copy)]
pub struct Budget<'a> {
    /// Time, within the turn that is under way.
    pub time: Duration,
    /// Choices that are measured of a problem, those with the least predicted times; all of them for `usize::MAX`.
    pub choices: usize,
    /// Told how many of how many problems are done.
    pub progress: &'a dyn Fn(usize, usize),
}

/// Who tells how long something takes.
pub trait Measure {
    /// The constants of the machine.
    fn machine(&mut self) -> Machine;

    /// Seconds of each of some choices for a problem.
    fn times(&mut self, problem: &Problem, choices: &[Choice]) -> Vec<f64>;

    /// Seconds of a change of layout.
    fn reorder(&mut self, reorder: &Reorder) -> f64;
}

/// A layer that runs otherwise than the choosers have it.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The layers: one, or two that share a step before or after.
    pub layers: Vec<String>,
    /// How they ran, as a schedule's text has it, and the seconds that they took in their place.
    pub before: (Vec<String>, f64),
    /// How they run, and the seconds that they take there.
    pub after: (Vec<String>, f64),
}

/// What a search found.
#[derive(Default, Debug)]
pub struct Tuned {
    /// The choices that differ from the choosers', and those that go with them.
    pub schedule: Schedule,
    /// All choices of the network, and which layers take turns: what can be carried to another place.
    pub full: Schedule,
    /// The layers that run otherwise.
    pub changed: Vec<Changed>,
    /// Seconds of the network before and after.
    pub seconds: [f64; 2],
    /// Distinct problems of the network, and how many of them were measured now.
    pub problems: [usize; 2],
    /// Choices that were predicted, and measured.
    pub choices: [usize; 2],
}

impl Tuned {
    /// Adds what was found for another part of the network, which runs so many times.
    pub fn add(&mut self, part: Tuned, rounds: f64) {
        self.schedule.extend(&part.schedule);
        self.full.extend(&part.full);
        self.changed.extend(part.changed);
        self.seconds.iter_mut().zip(part.seconds).for_each(|(sum, seconds)| *sum += rounds * seconds);
        let counts = self.problems.iter_mut().chain(&mut self.choices);
        counts.zip(part.problems.into_iter().chain(part.choices)).for_each(|(sum, count)| *sum += count);
    }
}

/// Searches for a schedule of a graph whose input shapes are all known. `weights` are packed for the proof; the pool
/// has the machine's number of threads.
///
/// The result is never slower than the default within what a few runs can tell: a choice that is not faster in its place is
/// given up, and all of them where the network is not.
///
/// # Errors
/// [`PlanError`].
pub fn search(
    part: &NetworkPart<'_>,
    pool: &Arc<Pool>,
    weights: &Weights,
    budget: &Budget<'_>,
    store: &mut Store,
) -> Result<Tuned, PlanError> {
    let until = Instant::now() + budget.time.mul_f64(EXPLORING);
    let questions = part.survey(&Schedule::default())?.questions;
    let cpu = &part.cpu;
    let mut bench = Bench::new(cpu, Arc::clone(pool));
    let machine = store.machine(|| bench.machine());
    let found = explore::explore(&questions, (cpu, &machine), &mut bench, budget, until, store);
    if found.is_off() {
        store.renew(bench.machine());
    }
    let schedule = layouts::assemble(part, &questions, &mut bench, store)?;
    // The room of the bench goes before the plans come.
    drop(bench);
    let proof = Proof { part, pool, weights, time: budget.time.mul_f64(1.0 - EXPLORING) };
    let Proven { schedule, full, changed, seconds } = proof.run(&questions, schedule)?;
    store.prove(&questions, &schedule);
    Ok(Tuned { schedule, full, changed, seconds, problems: found.problems, choices: found.choices })
}

/// By how much a choice has to be faster than the chooser's, measured by itself: less is noise.
const GAIN: f64 = 0.98;

/// The part of a budget for measuring problems; the rest is for the proof.
const EXPLORING: f64 = 0.75;

#[cfg(test)]
mod tests;
