//! Predicting all choices of each problem and measuring the few best.

use std::collections::BTreeMap;
use std::time::Instant;

use tilewise_kernels::Cpu;

use super::super::{Choice, Decision, Machine, Problem, Question, Record, Store, candidates, default, predict};
use super::{Budget, GAIN, Measure};

/// Choices of one kernel that are measured: its blocks differ less than methods and tiles do.
const OF_A_KERNEL: usize = 3;

/// How much slower than the fastest a choice may be predicted and still be measured. Predictions are off by a fifth.
const PLAUSIBLE: f64 = 1.6;

/// How near the floor of all choices of a problem the default is where no other is tried: what is left is less than what
/// the floor is known to.
const AT_FLOOR: f64 = 0.93;

/// The share of the network's predicted time that is not looked at: what its problems could win is less than noise.
const REST: f64 = 0.01;

/// How many times as long as predicted, or as short, the median problem may take until the constants of the machine are
/// doubted: it was busy when they were measured, or is now.
const OFF: f64 = 1.5;

/// What an exploration did beside what it stored.
#[derive(Default)]
pub(super) struct Found {
    /// Measured over predicted time of the best choice of each problem.
    ratios: Vec<f64>,
    /// As in [`super::Tuned`].
    pub(super) problems: [usize; 2],
    pub(super) choices: [usize; 2],
}

impl Found {
    /// True where the predictions were off, and all the same way.
    pub(super) fn is_off(&self) -> bool {
        let mut ratios = self.ratios.clone();
        ratios.sort_by(f64::total_cmp);
        let middle = ratios.get(ratios.len() / 2);
        middle.is_some_and(|&ratio| ratios.len() > 2 && !(1.0 / OFF..OFF).contains(&ratio))
    }
}

/// Measures the problems of some questions that the store does not know, those that take most of the network's
/// predicted time first, and pairs after the two that they are made of.
pub(super) fn explore(
    questions: &[Question],
    (cpu, machine): (&Cpu, &Machine),
    measure: &mut dyn Measure,
    budget: &Budget<'_>,
    until: Instant,
    store: &mut Store,
) -> Found {
    let mut found = Found::default();
    let jobs = jobs(questions, cpu, machine);
    let least = least_worth(&jobs);
    found.problems[0] = jobs.len();
    for (done, job) in jobs.iter().enumerate() {
        (budget.progress)(done, jobs.len());
        let problem = &job.problem;
        if !store.get(problem).is_empty() || job.worth < least || Instant::now() >= until {
            continue;
        }
        let predicted = predictions(problem, store.hints(problem), cpu, machine);
        let worth_it = shortlist(&predicted, default(problem, cpu), store.hints(problem), budget.choices);
        found.problems[1] += 1;
        let (worth_it, times) = timed(problem, worth_it, (cpu, machine), measure);
        found.choices = [found.choices[0] + predicted.len(), found.choices[1] + worth_it.len()];
        let times: Vec<Record> =
            worth_it.into_iter().zip(times).map(|(choice, seconds)| Record { choice, seconds }).collect();
        let expected =
            |of: &Record| predicted.iter().find(|(choice, _)| *choice == of.choice).map(|(_, s)| of.seconds / s);
        found.ratios.extend(times.iter().min_by(|a, b| a.seconds.total_cmp(&b.seconds)).and_then(expected));
        verdicts(&times, default(problem, cpu)).into_iter().for_each(|record| store.set(problem, record));
    }
    (budget.progress)(jobs.len(), jobs.len());
    found
}

/// Choices of a problem that were measured, and their seconds: the default alone, where that is about as fast as the
/// machine allows for any of them.
fn timed(
    problem: &Problem,
    choices: Vec<Choice>,
    (cpu, machine): (&Cpu, &Machine),
    measure: &mut dyn Measure,
) -> (Vec<Choice>, Vec<f64>) {
    let predicted = |choice: Choice| predict(&Decision { problem: *problem, choice }, cpu, machine);
    let floor = choices.iter().map(|&choice| predicted(choice).floor()).fold(f64::INFINITY, f64::min);
    if let Some(usual) = default(problem, cpu).filter(|&usual| AT_FLOOR * predicted(usual).seconds() <= floor) {
        let time = measure.times(problem, &[usual]);
        if time.iter().all(|time| AT_FLOOR * time <= floor) {
            return (vec![usual], time);
        }
    }
    let times = measure.times(problem, &choices);
    (choices, times)
}

/// A distinct problem and the predicted seconds of all its layers.
struct Job {
    problem: Problem,
    worth: f64,
}

fn jobs(questions: &[Question], cpu: &Cpu, machine: &Machine) -> Vec<Job> {
    let mut jobs: BTreeMap<String, Job> = BTreeMap::new();
    for Question { problem, .. } in questions {
        let first = || candidates(problem, cpu).into_iter().next();
        let choice = default(problem, cpu).or_else(first);
        let seconds =
            choice.map_or(0.0, |choice| predict(&Decision { problem: *problem, choice }, cpu, machine).seconds());
        let job = jobs.entry(problem.to_string()).or_insert(Job { problem: *problem, worth: 0.0 });
        job.worth += seconds;
    }
    let mut jobs: Vec<Job> = jobs.into_values().collect();
    let is_pair = |job: &Job| matches!(job.problem, Problem::Pair(_));
    jobs.sort_by(|a, b| is_pair(a).cmp(&is_pair(b)).then(b.worth.total_cmp(&a.worth)));
    jobs
}

/// All choices of a problem with their predicted seconds, the fastest first.
fn predictions(problem: &Problem, hints: &[Choice], cpu: &Cpu, machine: &Machine) -> Vec<(Choice, f64)> {
    let mut all = candidates(problem, cpu);
    let hints = hints.iter().filter(|hint| super::super::fits(hint, problem, cpu).is_ok());
    hints.for_each(|hint| {
        if !all.contains(hint) {
            all.push(*hint)
        }
    });
    let seconds = |choice: Choice| (choice, predict(&Decision { problem: *problem, choice }, cpu, machine).seconds());
    let mut all: Vec<(Choice, f64)> = all.into_iter().map(seconds).collect();
    all.sort_by(|a, b| a.1.total_cmp(&b.1));
    all
}

/// The choices to measure: the default, what runs elsewhere, and those with the least predicted times, few of a kernel.
fn shortlist(predicted: &[(Choice, f64)], default: Option<Choice>, hints: &[Choice], most: usize) -> Vec<Choice> {
    if most == usize::MAX {
        return predicted.iter().map(|(choice, _)| *choice).collect();
    }
    let least = predicted.first().map_or(0.0, |(_, seconds)| *seconds);
    let known = |choice: &Choice| Some(*choice) == default || hints.contains(choice);
    let mut list: Vec<Choice> = predicted.iter().map(|(choice, _)| *choice).filter(known).collect();
    let plausible = predicted.iter().take_while(|(_, seconds)| *seconds <= PLAUSIBLE * least);
    for (choice, _) in plausible {
        let of_kernel = list.iter().filter(|other| other.kernel() == choice.kernel()).count();
        if list.len() < most && of_kernel < OF_A_KERNEL && !list.contains(choice) {
            list.push(*choice);
        }
    }
    list
}

/// The worth of a problem below which all others together are the rest.
fn least_worth(jobs: &[Job]) -> f64 {
    let mut worths: Vec<f64> = jobs.iter().map(|job| job.worth).collect();
    worths.sort_by(f64::total_cmp);
    let mut left = REST * worths.iter().sum::<f64>();
    let rest = |worth: &&f64| {
        left -= **worth;
        left > 0.0
    };
    let skipped = worths.iter().take_while(rest).count();
    worths.get(skipped).copied().unwrap_or_default()
}

/// What to keep of the measured choices of a problem: of each pair of layouts the fastest, where it is faster than the default
/// with these by more than noise.
fn verdicts(times: &[Record], default: Option<Choice>) -> Vec<Record> {
    let mut kept: Vec<Record> = Vec::new();
    let mut sorted = times.to_vec();
    sorted.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    for best in sorted {
        let layouts = best.choice.layouts();
        if kept.iter().all(|record| record.choice.layouts() != layouts) {
            let usual = times.iter().find(|usual| Some(usual.choice) == default && usual.choice.layouts() == layouts);
            kept.push(*usual.filter(|usual| best.seconds > GAIN * usual.seconds).unwrap_or(&best));
        }
    }
    kept.retain(|record| record.seconds.is_finite());
    kept
}
