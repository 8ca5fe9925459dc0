//! Predicting all choices of each problem and measuring the few best.

use std::collections::BTreeMap;
use std::time::Instant;

use tilewise_kernels::Cpu;
use tilewise_kernels::conv::Layout;

use super::super::{Choice, Decision, Machine, Problem, Question, Record, Store, candidates, default, predict};
use super::{Budget, Measure};

/// Choices of one kernel that are measured: its blocks differ less than methods and tiles do.
const OF_A_KERNEL: usize = 3;

/// How much slower than the fastest a choice may be predicted and still be measured. Predictions are off by a fifth.
const PLAUSIBLE: f64 = 1.6;

/// The share of the network's predicted time below which a problem is not worth measuring.
const WORTH: f64 = 1e-3;

/// By how much a choice has to be faster than the chooser's: less is noise.
const GAIN: f64 = 0.98;

/// What an exploration found beside what it stored.
#[derive(Default)]
pub(super) struct Found {
    /// The measured times of each problem's choices, by its text.
    pub(super) times: BTreeMap<String, Vec<(Choice, f64)>>,
    /// As in [`super::Tuned`].
    pub(super) problems: [usize; 2],
    pub(super) choices: [usize; 2],
}

impl Found {
    /// The fastest measured choice of a problem among those that `class` holds for.
    pub(super) fn best(&self, problem: &Problem, class: impl Fn(&Choice) -> bool) -> Option<(Choice, f64)> {
        let times = self.times.get(&problem.to_string())?;
        times.iter().filter(|(choice, _)| class(choice)).copied().min_by(|a, b| a.1.total_cmp(&b.1))
    }
}

/// True for a choice that reads or writes images row by row where it could have blocks.
pub(super) fn is_planar(choice: &Choice) -> bool {
    matches!(choice, Choice::Conv(kernel, _) if kernel.y == Layout::Nchw)
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
    let total: f64 = jobs.iter().map(|job| job.worth).sum();
    found.problems[0] = jobs.len();
    for (done, job) in jobs.iter().enumerate() {
        (budget.progress)(done, jobs.len());
        let problem = &job.problem;
        if store.get(problem).is_some() || job.worth < WORTH * total || Instant::now() >= until {
            continue;
        }
        let predicted = predictions(problem, store.hints(problem), cpu, machine);
        let worth_it = shortlist(&predicted, default(problem, cpu), store.hints(problem), budget.choices);
        found.choices = [found.choices[0] + predicted.len(), found.choices[1] + worth_it.len()];
        found.problems[1] += 1;
        let times = measure.times(problem, &worth_it);
        found.times.insert(problem.to_string(), worth_it.into_iter().zip(times).collect());
        if let Some(record) = verdict(problem, &found, cpu, store) {
            store.set(problem, record);
        }
    }
    (budget.progress)(jobs.len(), jobs.len());
    found
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

/// What to take of the measured choices of a problem: the fastest, where it is faster than the default by more than
/// noise; of a pair, none where its two layers are faster apart. `None` where nothing can be said.
fn verdict(problem: &Problem, found: &Found, cpu: &Cpu, store: &Store) -> Option<Record> {
    let (mut choice, mut seconds) =
        found.best(problem, |choice| !is_planar(choice)).or(found.best(problem, |_| true))?;
    let default = default(problem, cpu);
    if let Some((usual, time)) = default.and_then(|usual| found.best(problem, |choice| *choice == usual))
        && seconds > GAIN * time
    {
        (choice, seconds) = (usual, time);
    }
    let Problem::Pair(pair) = problem else { return Some(Record { choice: Some(choice), seconds }) };
    let apart = [pair.depthwise, pair.pointwise].map(|p| store.get(&Problem::Conv(p)).map(|record| record.seconds));
    let [Some(first), Some(second)] = apart else { return None };
    let together = if default.is_some() { GAIN * seconds } else { seconds / GAIN };
    let choice = (together < first + second).then_some(choice);
    Some(Record { choice, seconds: seconds.min(first + second) })
}
