//! Times of steps: the one loop that every verb measures layers with.

use std::time::{Duration, Instant};

use tilewise_engine::schedule::run_timed;
use tilewise_kernels::measure::turns;
use tilewise_tensor::View;

use crate::{Error, Session};

/// Runs whatever the duration: the first finds cold caches and sleeping workers.
const LEAST_RUNS: usize = 3;

/// What a session's runs took.
pub(crate) struct Timing {
    /// The fastest time of each step, in seconds.
    pub(crate) steps: Vec<f64>,
    /// The time of each run, in seconds, in order.
    pub(crate) runs: Vec<f64>,
}

/// Runs a session on `inputs` for `duration`, at least three times, and calls `between` after each run.
///
/// # Errors
/// As [`Session::run_views`].
pub(crate) fn time_steps(
    session: &mut Session,
    inputs: &[View<'_>],
    duration: Duration,
    mut between: impl FnMut(),
) -> Result<Timing, Error> {
    let shapes: Vec<&[usize]> = inputs.iter().map(View::shape).collect();
    let (plan, arena) = session.prepare(&shapes)?;
    let mut timing = Timing { steps: vec![f64::INFINITY; plan.steps().len()], runs: Vec::new() };
    for _ in turns(LEAST_RUNS, duration) {
        let start = Instant::now();
        run_timed(plan, inputs, arena, &mut timing.steps)?;
        timing.runs.push(start.elapsed().as_secs_f64());
        between();
    }
    Ok(timing)
}
