//! Why each layer costs what it costs: its steps with measured times, held against what the machine allows.

use std::time::Duration;

use tilewise_engine::StepInfo;
use tilewise_kernels::measure::{fma_peak, read_rate};
use tilewise_tensor::View;

use crate::timing::{Timing, time_steps};
use crate::{Error, Session};

/// What limits a step from below.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    /// Multiply-adds at the measured peak.
    Compute,
    /// Bytes at the measured rate of the last-level cache or, where they do not fit there, of memory.
    Memory,
}

/// A step with its times.
#[derive(Clone, Debug)]
pub struct Explained {
    /// What the step is.
    pub info: StepInfo,
    /// The least time that the machine allows, in milliseconds.
    pub floor_ms: f64,
    /// What decides it.
    pub bound: Bound,
    /// The fastest of the measured runs, in milliseconds.
    pub measured_ms: f64,
}

/// Measures every step of a session's plan over `time` and holds it against the ceilings of the machine, measured in
/// the same process with the same threads.
///
/// # Errors
/// As [`Session::run_views`].
pub fn explain(session: &mut Session, inputs: &[View<'_>], time: Duration) -> Result<Vec<Explained>, Error> {
    let cpu = session.options().cpu();
    let pool = crate::options::pool(cpu.cores);
    let moment = Duration::from_millis(100);
    let flops = fma_peak(cpu.tier, &pool, moment) * 1e9;
    let cached = read_rate(cpu.tier, &pool, cpu.l3.size / 2, moment) * 1e9;
    let memory = read_rate(cpu.tier, &pool, cpu.l3.size * 4, moment) * 1e9;

    let Timing { steps, .. } = time_steps(session, inputs, time, || ())?;
    let shapes: Vec<&[usize]> = inputs.iter().map(View::shape).collect();
    let (plan, _) = session.prepare(&shapes)?;
    let explained = plan.steps().zip(steps).map(|(info, seconds)| {
        let compute = 2.0 * info.macs as f64 / flops;
        let rate = if info.bytes as usize <= cpu.l3.size { cached } else { memory };
        let traffic = info.bytes as f64 / rate;
        let bound = if compute >= traffic { Bound::Compute } else { Bound::Memory };
        Explained { info: info.clone(), floor_ms: compute.max(traffic) * 1e3, bound, measured_ms: seconds * 1e3 }
    });
    Ok(explained.collect())
}
