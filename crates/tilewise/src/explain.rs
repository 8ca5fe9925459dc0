//! Why each layer costs what it costs: its steps with measured times, held against what the machine allows.

use std::time::{Duration, Instant};

use tilewise_engine::StepInfo;
use tilewise_engine::schedule::{self, Bench, Choice, Constants, Decision, Group, Measure, Predicted, predict};
use tilewise_tensor::View;

use crate::timing::{Timing, time_steps};
use crate::{Error, Options, Session, ceilings, options};

/// A step with its times.
#[derive(Clone, Debug)]
pub struct Explained {
    /// What the step is.
    pub info: StepInfo,
    /// Turns that it takes in a run, as [`tilewise_engine::Plan::turns`] says.
    pub turns: usize,
    /// How it stands with its neighbours, where it takes turns with the step behind it or was said to be whole.
    pub group: Option<Group>,
    /// True where it runs on one core beside others, as [`tilewise_engine::Plan::beside`] says: its times are then parts of
    /// those that they take together.
    pub beside: bool,
    /// What it should take, and why.
    pub predicted: Predicted,
    /// The fastest of the measured runs, in milliseconds.
    pub measured_ms: f64,
}

/// How often the constants of the machine are measured between the runs, and the runs from one time to the next: what was
/// near before it is so again after the first.
const EVERY: Duration = Duration::from_millis(30);
const FEWEST_BETWEEN: usize = 2;

/// Measures every step of a session's plan over `time` and holds it against the constants of the machine, which are
/// measured by turns with its runs, on the same threads.
///
/// # Errors
/// As [`Session::run_views`].
pub fn explain(session: &mut Session, inputs: &[View<'_>], time: Duration) -> Result<Vec<Explained>, Error> {
    let cpu = session.options().cpu();
    let pool = options::pool(cpu.cores);
    let mut constants = Constants::new(&cpu, &pool);
    constants.moment();
    let (mut runs, mut last) = (0, Instant::now());
    let between = || {
        runs += 1;
        if runs >= FEWEST_BETWEEN && last.elapsed() >= EVERY {
            constants.moment();
            (runs, last) = (0, Instant::now());
        }
    };
    let shapes: Vec<&[usize]> = inputs.iter().map(View::shape).collect();
    let Timing { steps, .. } = time_steps(session, inputs, time, between)?;
    let (plan, _) = session.prepare(&shapes)?;
    let predicted = plan.predicted(&cpu, &constants.machine());
    let steps = plan.steps().zip(plan.turns()).zip(plan.beside()).zip(predicted).zip(steps);
    let explained = steps.map(|((((info, turns), beside), predicted), seconds)| Explained {
        info: info.clone(),
        turns,
        group: plan.schedule().group(&info.layer),
        beside,
        predicted,
        measured_ms: seconds * 1e3,
    });
    Ok(explained.collect())
}

/// A way to run a layer.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The way.
    pub choice: Choice,
    /// What it should take, and why.
    pub predicted: Predicted,
    /// What it takes by itself, in milliseconds; none where others are so much faster that it was not tried.
    pub measured_ms: Option<f64>,
}

/// Every way to run the layer of a step, the fastest first: measured are the step's own and the `most` that should be
/// fastest. None where there is no choice.
pub fn candidates(step: &StepInfo, options: &Options, most: usize) -> Vec<Candidate> {
    let Some(decision) = step.decision else { return Vec::new() };
    // Images that go one by one have a core each.
    let options = &Options { threads: Some(step.cpu(&options.cpu()).cores), ..options.clone() };
    let (cpu, machine) = (options.cpu(), ceilings::constants(options));
    let problem = decision.problem;
    let predicted = |choice| predict(&Decision { problem, choice }, &cpu, &machine);
    let mut choices = schedule::candidates(&problem, &cpu);
    if !choices.contains(&decision.choice) {
        choices.push(decision.choice);
    }
    let way = |choice| Candidate { choice, predicted: predicted(choice), measured_ms: None };
    let mut all: Vec<Candidate> = choices.into_iter().map(way).collect();
    all.sort_by(|a, b| a.predicted.seconds().total_cmp(&b.predicted.seconds()));
    let tried: Vec<usize> = (0..all.len()).filter(|&i| i < most || all[i].choice == decision.choice).collect();
    let choices: Vec<Choice> = tried.iter().map(|&i| all[i].choice).collect();
    let times = Bench::new(&cpu, options::pool(cpu.cores)).times(&problem, &choices);
    tried.into_iter().zip(times).for_each(|(i, seconds)| all[i].measured_ms = Some(seconds * 1e3));
    all.sort_by(|a, b| a.measured_ms.unwrap_or(f64::INFINITY).total_cmp(&b.measured_ms.unwrap_or(f64::INFINITY)));
    all
}
