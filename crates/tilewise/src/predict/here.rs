//! This machine: its ceilings and its kernels measured, and what they make of a plan.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use tilewise_engine::{PlanError, StepInfo};
use tilewise_graph::ValueType;
use tilewise_kernels::conv::{self, ConvKernel, fused};
use tilewise_kernels::measure::{fma_peak, read_rate, working_sets};
use tilewise_kernels::{Conv2d, Cpu};
use tilewise_tensor::{Tensor, TensorError, View};

use super::cost::{Bound, Prediction};
use super::layer::{self, Layer};
use super::machine::{Compute, Efficiency, Level, Machine};
use super::{calibration, stats};
use crate::{Error, Model, Options, Session};

/// Energies of one multiply-add and of one byte of L1, L2, L3 and DRAM, in picojoules, at 45 nm: Horowitz, ISSCC 2014
/// (fp32 3.7 + 0.9; 64 bits from 32 KiB 20, from 1 MiB 100; DRAM 1300 as the lower of two). L2 is between L1 and L3.
const PJ: [f64; 5] = [4.6, 2.5, 6.0, 12.5, 162.5];

/// Runs of a network whose fastest count, at least.
const RUNS: usize = 5;

/// This machine, measured.
pub struct Here {
    /// As a machine file would have it.
    pub machine: Machine,
    cpu: Cpu,
    /// Vector steps a second.
    clock: f64,
    /// Measured over counted time, by family of kernels.
    factors: BTreeMap<String, f64>,
}

impl Here {
    /// Measures ceilings, and layers of every family of kernels on an artificial network: two to three seconds.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn measure(options: &Options) -> Result<Self, Error> {
        let cpu = options.cpu();
        let (pool, moment) = (crate::options::pool(cpu.cores), Duration::from_millis(100));
        let peak = fma_peak(cpu.tier, &pool, moment) * 1e9;
        let sets = working_sets(&cpu);
        let sets = [
            ("L1", sets[0], cpu.l1d.size * cpu.cores),
            ("L2", sets[1], cpu.l2.size * cpu.cores),
            ("L3", sets[2], cpu.l3.size),
            ("DRAM", sets[3], usize::MAX),
        ];
        let level = |((name, set, bytes), pj_per_byte): (_, f64)| Level {
            name: String::from(name),
            bytes: bytes as f64,
            gb_per_s: read_rate(cpu.tier, &pool, set, moment),
            pj_per_byte,
        };
        let levels = sets.into_iter().zip(PJ.into_iter().skip(1)).map(level).collect();
        let machine = Machine {
            name: "this".to_owned(),
            about: cpu.to_string(),
            source: "measured here; energies at 45 nm: Horowitz, ISSCC 2014".to_owned(),
            precision: "f32".to_owned(),
            compute: Compute::Cpu { efficiency: Efficiency { dense: 1.0, depthwise: 1.0 } },
            peaks_gops: [("f32".to_owned(), peak / 1e9)].into(),
            pj_per_mac: [("f32".to_owned(), PJ[0])].into(),
            levels,
            weights_stay: true,
            // What a step takes beside its work is part of what was measured for its family.
            dispatch_us: 0.0,
        };
        let clock = peak / (2 * cpu.tier.lanes() * cpu.fma_per_cycle) as f64;
        let mut here = Here { machine, cpu, clock, factors: BTreeMap::new() };
        here.calibrate(options)?;
        Ok(here)
    }

    fn calibrate(&mut self, options: &Options) -> Result<(), Error> {
        let model = Model::from_graph(calibration::network().parse()?)?;
        let inputs = zeros(&model)?;
        let views: Vec<View<'_>> = inputs.iter().map(Tensor::view).collect();
        let mut session = model.session(options.clone());
        let times = times(&mut session, &views, Duration::from_secs(1))?;
        let counted = self.count(&model, &mut session, &views)?;
        let mut ratios: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for ((family, prediction), measured) in counted.into_iter().zip(times) {
            ratios.entry(family).or_default().push(measured / prediction.expected);
        }
        self.factors = ratios.into_iter().map(|(family, ratios)| (family, stats::quantile(&ratios, 0.5))).collect();
        Ok(())
    }

    /// Predicts each step of a session's plan.
    ///
    /// # Errors
    /// As [`Session::prepare`].
    pub fn predict(&self, model: &Model, session: &mut Session, inputs: &[View<'_>]) -> Result<Vec<Prediction>, Error> {
        let counted = self.count(model, session, inputs)?;
        Ok(counted.into_iter().map(|(_, prediction)| prediction).collect())
    }

    /// Each step with the family of its kernel.
    fn count(
        &self,
        model: &Model,
        session: &mut Session,
        inputs: &[View<'_>],
    ) -> Result<Vec<(String, Prediction)>, Error> {
        let shapes: Vec<&[usize]> = inputs.iter().map(View::shape).collect();
        let named: Vec<(&str, &[usize])> = model.inputs().map(|(name, _)| name).zip(shapes.iter().copied()).collect();
        let layers = layer::layers(&model.specialized(&named)?)?;
        let mut by_name: HashMap<&str, &Layer> = HashMap::new();
        for layer in &layers {
            by_name.insert(&layer.output_name, layer);
        }
        for layer in &layers {
            by_name.insert(&layer.name, layer);
        }
        let all = layers.iter().map(|layer| layer.weights).sum::<f64>() * size_of::<f32>() as f64;
        let (plan, _) = session.prepare(&shapes)?;
        Ok(plan.steps().map(|step| (family(step.kernel).to_owned(), self.step(step, &by_name, all))).collect())
    }

    fn step(&self, step: &StepInfo, layers: &HashMap<&str, &Layer>, all_weights: f64) -> Prediction {
        let mine = [&step.layer].into_iter().chain(&step.merged).filter_map(|name| layers.get(name.as_str()));
        let mine: Vec<&&Layer> = if step.op == "Reorder" { Vec::new() } else { mine.collect() };
        let weights: f64 = mine.iter().map(|layer| layer.weights).sum::<f64>() * size_of::<f32>() as f64;
        let others = (step.bytes as f64 - weights).max(0.0);
        let seconds = |bytes: f64, set: f64| bytes / self.machine.levels[self.machine.home(set)].gb_per_s / 1e9;
        // A layer's values come from the layer before it, which has pushed the nearest levels on.
        let (from_weights, from_others) = (seconds(weights, all_weights), seconds(others, 2.0 * others));
        let traffic = from_weights + from_others;
        let ideal = 2.0 * step.macs as f64 / self.machine.peak();
        let convs: Vec<Conv2d> = mine.iter().filter_map(|layer| layer.conv).collect();
        let compute =
            self.cycles(step.kernel, &convs).map_or(ideal, |cycles| cycles / self.clock / self.cpu.cores as f64);
        let factor = self.factors.get(family(step.kernel)).copied().unwrap_or(1.0);
        let bound = match () {
            () if compute >= traffic && ideal < compute / 2.0 => Bound::Shape,
            () if compute >= traffic => Bound::Compute,
            () if from_weights >= from_others => Bound::Weights,
            () => Bound::Activations,
        };
        let path = |set: f64| self.machine.levels[..=self.machine.home(set)].iter().map(|l| l.pj_per_byte).sum::<f64>();
        let picojoules = step.macs as f64 * PJ[0] + weights * path(all_weights) + others * path(others);
        Prediction {
            layer: step.layer.clone(),
            op: step.op,
            macs: step.macs as f64,
            bytes: step.bytes as f64,
            products: mine.first().and_then(|layer| layer.products),
            floor: (ideal / fewer(step.kernel)).max(traffic),
            expected: compute.max(traffic) * factor,
            bound,
            joules: picojoules * 1e-12,
            steps: 0.0,
        }
    }

    /// Cycles of a convolution kernel as its chooser counts them; `None` for other kernels.
    fn cycles(&self, kernel: &str, convs: &[Conv2d]) -> Option<f64> {
        let one = self.cpu.clone().with_cores(1);
        let of = |p: &Conv2d, row: &ConvKernel| conv::cycles(p, row, &one) as f64;
        if let Some(pair) = fused::ROWS.iter().find(|row| row.id.name == kernel) {
            let (depthwise, pointwise): (Vec<&Conv2d>, Vec<&Conv2d>) = convs.iter().partition(|p| p.is_depthwise());
            return Some(of(depthwise.first()?, pair.depthwise) + of(pointwise.first()?, pair.pointwise));
        }
        let row = conv::ROWS.iter().find(|row| row.id.name == kernel)?;
        Some(of(convs.first()?, row))
    }
}

/// The first part of a kernel's name.
fn family(kernel: &str) -> &str {
    kernel.split('_').next().unwrap_or(kernel)
}

/// How many times fewer multiply-adds a method may need: `(m r / (m + r - 1))^2` of a Winograd kernel. Transforms
/// by Fourier have no such bound here.
fn fewer(kernel: &str) -> f64 {
    match family(kernel) {
        "conv-winograd2" => 2.25,
        "conv-winograd4" => 4.0,
        "conv-winograd6" => 5.0625,
        "conv-winograd2r5" => 25.0 / 9.0,
        "conv-winograd4r5" => 6.25,
        name if name.starts_with("conv-fft") => f64::INFINITY,
        _ => 1.0,
    }
}

/// Inputs of a model with fixed shapes: kernels take the same time for any numbers.
fn zeros(model: &Model) -> Result<Vec<Tensor>, Error> {
    let shapes = model.shapes(&[], 1)?;
    let zeros = |((_, ty), shape): ((_, &ValueType), &Vec<usize>)| Tensor::zeros(ty.dtype, shape);
    let all: Result<Vec<Tensor>, TensorError> = model.inputs().zip(&shapes).map(zeros).collect();
    Ok(all.map_err(PlanError::from)?)
}

/// The fastest time of each step, in seconds, of the runs that fit in `time`.
///
/// # Errors
/// As [`Session::run_views`].
pub fn times(session: &mut Session, inputs: &[View<'_>], time: Duration) -> Result<Vec<f64>, Error> {
    let shapes: Vec<&[usize]> = inputs.iter().map(View::shape).collect();
    let (plan, arena) = session.prepare(&shapes)?;
    let mut best = vec![f64::INFINITY; plan.steps().len()];
    let (until, mut runs) = (Instant::now() + time, 0);
    while runs < RUNS || Instant::now() < until {
        tilewise_engine::schedule::run_timed(plan, inputs, arena, &mut best)?;
        runs += 1;
    }
    Ok(best)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn every_step_of_a_plan_is_predicted() {
        let here = Here::measure(&Options { threads: Some(1), ..Options::default() }).unwrap();
        let model = Model::zoo("lenet-5", 7).unwrap();
        let inputs = zeros(&model).unwrap();
        let views: Vec<View<'_>> = inputs.iter().map(Tensor::view).collect();
        let mut session = model.session(Options { threads: Some(1), ..Options::default() });
        let predicted = here.predict(&model, &mut session, &views).unwrap();
        let measured = times(&mut session, &views, Duration::ZERO).unwrap();
        assert_eq!(predicted.len(), measured.len());
        let bad: Vec<_> = predicted.iter().filter(|p| !(p.expected > 0.0 && p.floor > 0.0 && p.joules > 0.0)).collect();
        assert!(bad.is_empty(), "{bad:#?}");
        assert!(here.factors.len() > 8, "{:?}", here.factors);
    }
}
