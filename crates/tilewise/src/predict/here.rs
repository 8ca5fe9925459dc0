//! This machine: its constants measured, and what they make of a plan.

use tilewise_engine::schedule::{self, Predicted, Problem};
use tilewise_engine::{Role, StepInfo};
use tilewise_kernels::Cpu;

use super::cost::{Bound, Prediction};
use super::layer::Products;
use super::machine::{Compute, Efficiency, Level, Machine};
use crate::{EnergyTable, Error, Options, Session, Traffic, ceilings};

/// This machine, measured.
pub struct Here {
    /// As a machine file would have it.
    pub machine: Machine,
    cpu: Cpu,
    constants: schedule::Machine,
    energy: EnergyTable,
}

impl Here {
    /// Takes the constants of the machine from the store of the options, or measures them in 0.3 seconds.
    pub fn measure(options: &Options) -> Self {
        let (cpu, energy) = (options.cpu(), EnergyTable::default());
        let constants = ceilings::constants(options);
        // A gigabyte in millijoules is a byte in picojoules; 10^9 multiply-adds likewise.
        let billion = 1_000_000_000;
        let level = |(level, rate): (crate::Level, f64)| Level {
            name: level.name().to_owned(),
            bytes: level.capacity(&cpu) as f64,
            gb_per_s: rate / 1e9,
            pj_per_byte: energy.access(level, billion, &cpu),
        };
        let machine = Machine {
            name: "this".to_owned(),
            about: cpu.to_string(),
            source: format!("measured here; energies: {}", energy.name),
            precision: "f32".to_owned(),
            // The kernels of each step are predicted one by one: what share of the peak they reach is the result.
            compute: Compute::Cpu { efficiency: Efficiency { dense: 1.0, depthwise: 1.0 } },
            peaks_gops: [("f32".to_owned(), constants.fma / 1e9)].into(),
            pj_per_mac: [("f32".to_owned(), energy.arithmetic(billion))].into(),
            levels: crate::Level::ALL.into_iter().zip(constants.read).map(level).collect(),
            weights_stay: true,
            dispatch_us: constants.dispatch * 1e6,
        };
        Here { machine, cpu, constants, energy }
    }

    /// Predicts each step of a session's plan for inputs of these shapes.
    ///
    /// # Errors
    /// As [`Session::prepare`].
    pub fn predict(&self, session: &mut Session, shapes: &[&[usize]]) -> Result<Vec<Prediction>, Error> {
        let (plan, _) = session.prepare(shapes)?;
        let predicted = plan.predicted(&self.cpu, &self.constants);
        let traffic = Traffic::of_plan(plan, &self.cpu);
        let steps = plan.steps().zip(predicted).zip(traffic);
        Ok(steps.map(|((step, predicted), traffic)| self.step(step, &predicted, &traffic)).collect())
    }

    fn step(&self, step: &StepInfo, predicted: &Predicted, traffic: &Traffic) -> Prediction {
        let energy = self.energy.step(step.macs, traffic, &self.cpu);
        Prediction {
            layer: step.layer.clone(),
            op: step.op,
            macs: step.macs as f64,
            bytes: step.bytes as f64,
            products: step.decision.as_ref().and_then(|decision| products(&decision.problem)),
            floor: predicted.floor(),
            expected: predicted.seconds(),
            bound: self.bound(step, predicted),
            joules: energy.total() * 1e-3,
            steps: 0.0,
        }
    }

    fn bound(&self, step: &StepInfo, predicted: &Predicted) -> Bound {
        let ideal = 2.0 * step.macs as f64 / self.constants.fma;
        let bytes = |role: Role| step.operands.iter().filter(|o| o.role == role).map(|o| o.bytes).sum::<u64>();
        let heavy = bytes(Role::Weights) > bytes(Role::Input) + bytes(Role::Output);
        match predicted.bound() {
            schedule::Bound::Fma | schedule::Bound::L1 if ideal < predicted.seconds() / 2.0 => Bound::Shape,
            schedule::Bound::Fma | schedule::Bound::L1 => Bound::Compute,
            schedule::Bound::L2 | schedule::Bound::L3 | schedule::Bound::Dram if heavy => Bound::Weights,
            schedule::Bound::L2 | schedule::Bound::L3 | schedule::Bound::Dram => Bound::Activations,
        }
    }
}

/// The matrix products of a problem; `None` for two layers in one.
fn products(problem: &Problem) -> Option<Products> {
    match problem {
        Problem::Conv(p) | Problem::FlatConv(p) => Some(Products::of_conv(p)),
        Problem::Gemm { problem, count, .. } => {
            Some(Products { count: *count, m: problem.m, n: problem.n, k: problem.k })
        }
        Problem::Pair(_) => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::Model;

    #[test]
    fn every_step_of_a_plan_is_predicted() {
        let options = Options { threads: Some(1), ..Options::default() };
        let here = Here::measure(&options);
        let model = Model::zoo("lenet-5", 7).unwrap();
        let mut session = model.session(options);
        let predicted = here.predict(&mut session, &[&[1, 1, 28, 28]]).unwrap();
        let (plan, _) = session.prepare(&[&[1, 1, 28, 28]]).unwrap();
        assert_eq!(predicted.len(), plan.steps().len());
        let bad: Vec<_> =
            predicted.iter().filter(|p| !(p.expected >= p.floor && p.floor > 0.0 && p.joules > 0.0)).collect();
        assert!(bad.is_empty(), "{bad:#?}");
        let products: Vec<_> = predicted.iter().filter_map(|p| p.products).map(|p| [p.m, p.n, p.k]).collect();
        assert_eq!(products, [[576, 20, 25], [64, 50, 500], [1, 500, 800], [1, 10, 500]]);
    }

    #[test]
    fn energy_is_the_same_as_that_of_a_profile() {
        let options = Options { threads: Some(1), ..Options::default() };
        let model = Model::zoo("lenet-5", 7).unwrap();
        let mut session = model.session(options.clone());
        let predicted = Here::measure(&options).predict(&mut session, &[&[1, 1, 28, 28]]).unwrap();
        let (plan, _) = session.prepare(&[&[1, 1, 28, 28]]).unwrap();
        let traffic = Traffic::of_plan(plan, &options.cpu());
        let table = EnergyTable::default();
        let of_profile: f64 =
            plan.steps().zip(&traffic).map(|(s, t)| table.step(s.macs, t, &options.cpu()).total()).sum();
        let of_prediction: f64 = predicted.iter().map(|p| 1e3 * p.joules).sum();
        assert!((of_prediction / of_profile - 1.0).abs() < 1e-9, "{of_prediction} mJ, {of_profile} mJ");
    }
}
