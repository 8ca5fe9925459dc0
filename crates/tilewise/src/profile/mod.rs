//! Where the time, the traffic and the energy of a network go: layer by layer, and by kind of layer.

mod layer;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use tilewise_tensor::View;

use crate::powercap::{Joules, Meter, POWERCAP, Unavailable};
use crate::timing::time_steps;
use crate::{Ceilings, EnergyTable, Error, Session, Traffic, options};

pub use layer::{KindProfile, LayerBytes, LayerProfile, Limit};

/// How long each ceiling is measured for.
const CEILING_TIME: Duration = Duration::from_millis(100);
/// The time between two looks at the energy counters: none that they could come round in, nor one that is felt.
const SAMPLE_TIME: Duration = Duration::from_millis(100);

/// How a profile is made.
#[derive(Clone, Debug)]
pub struct ProfileOptions {
    /// How long to measure for.
    pub duration: Duration,
    /// What operations and accesses take in energy.
    pub energy: EnergyTable,
    /// Where the machine's energy counters are.
    pub powercap: PathBuf,
}

impl Default for ProfileOptions {
    /// One second, the table for 45 nm, and the counters of this machine.
    fn default() -> Self {
        let energy = EnergyTable::default();
        ProfileOptions { duration: Duration::from_secs(1), energy, powercap: POWERCAP.into() }
    }
}

/// A profile of a plan.
#[derive(Clone, Debug, Serialize)]
pub struct Profile {
    /// The machine, as its kernels were chosen for.
    pub machine: Host,
    /// What the machine allows, measured in the same process with the same threads.
    pub ceilings: Ceilings,
    /// The table of the modelled energies.
    pub energy_table: EnergyTable,
    /// Energy of one run, measured while the layers were timed.
    pub measured: MeasuredEnergy,
    /// Runs that were measured.
    pub runs: usize,
    /// The fastest run, in milliseconds.
    pub fastest_ms: f64,
    /// The median run, in milliseconds.
    pub median_ms: f64,
    /// The sum of the fastest times of the layers, in milliseconds: what shares are of.
    pub ms: f64,
    /// Multiply-adds of one run.
    pub macs: u64,
    /// Bytes of packed weights and other constants.
    pub weight_bytes: u64,
    /// Bytes of the arena: activations and scratch at their highest.
    pub arena_bytes: u64,
    /// Kinds of layers, what takes longest first.
    pub kinds: Vec<KindProfile>,
    /// The steps in order.
    pub layers: Vec<LayerProfile>,
}

/// The machine of a profile.
#[derive(Clone, Debug, Serialize)]
pub struct Host {
    /// Vendor, family, model and stepping.
    pub cpu: String,
    /// The instruction set.
    pub isa: &'static str,
    /// Threads.
    pub threads: usize,
}

/// Energy that the machine measured for one run, or why it did not.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MeasuredEnergy {
    /// Millijoules of all processor packages; none where the machine does not tell.
    pub package_mj: Option<f64>,
    /// Millijoules of main memory; none where the machine does not tell.
    pub dram_mj: Option<f64>,
    /// Why there are none.
    pub unavailable: Option<String>,
}

/// Measures every step of a session's plan, and holds it against the ceilings of the machine and a model of energy.
///
/// # Errors
/// As [`Session::run_views`].
pub fn profile(session: &mut Session, inputs: &[View<'_>], options: &ProfileOptions) -> Result<Profile, Error> {
    let cpu = session.options().cpu();
    let ceilings = Ceilings::measure(&cpu, &options::pool(cpu.cores), CEILING_TIME);
    let mut meter = Meter::open(&options.powercap);
    let mut sampled = Instant::now();
    let mut timing = time_steps(session, inputs, options.duration, || {
        if sampled.elapsed() >= SAMPLE_TIME {
            sample(&mut meter);
            sampled = Instant::now();
        }
    })?;
    sample(&mut meter);
    let runs = timing.runs.len();
    let measured = MeasuredEnergy::of_run(meter.and_then(|meter| meter.spent()), runs);

    let shapes: Vec<&[usize]> = inputs.iter().map(View::shape).collect();
    let (plan, _) = session.prepare(&shapes)?;
    let traffic = Traffic::of_plan(plan, &cpu);
    let ms = 1e3 * timing.steps.iter().sum::<f64>();
    let judge = layer::Judge { cpu: &cpu, ceilings: &ceilings, energy: &options.energy, ms };
    let steps = plan.steps().zip(plan.live_bytes()).zip(traffic).zip(&timing.steps);
    let layers: Vec<LayerProfile> = steps
        .map(|(((info, live_bytes), traffic), seconds)| judge.layer(info, traffic, 1e3 * seconds, live_bytes as u64))
        .collect();
    timing.runs.sort_by(f64::total_cmp);
    Ok(Profile {
        machine: Host { cpu: cpu.name.clone(), isa: cpu.tier.name(), threads: cpu.cores },
        energy_table: options.energy.clone(),
        measured,
        runs,
        fastest_ms: 1e3 * timing.runs[0],
        median_ms: 1e3 * timing.runs[runs / 2],
        ms,
        macs: layers.iter().map(|layer| layer.macs).sum(),
        weight_bytes: plan.constant_bytes() as u64,
        arena_bytes: plan.arena_bytes() as u64,
        kinds: layer::kinds(&layers),
        layers,
        ceilings,
    })
}

/// Reads the counters; one that fails ends the metering.
fn sample(meter: &mut Result<Meter, Unavailable>) {
    if let Ok(open) = meter
        && let Err(error) = open.sample()
    {
        *meter = Err(error);
    }
}

impl MeasuredEnergy {
    fn of_run(spent: Result<Joules, Unavailable>, runs: usize) -> Self {
        let of_run = |joules: f64| 1e3 * joules / runs as f64;
        match spent {
            Ok(Joules { package, dram }) => {
                MeasuredEnergy { package_mj: Some(of_run(package)), dram_mj: dram.map(of_run), unavailable: None }
            }
            Err(error) => MeasuredEnergy { unavailable: Some(error.to_string()), ..MeasuredEnergy::default() },
        }
    }
}
