//! A step of a profile, held against the ceilings of the machine; and kinds of steps.

use serde::{Serialize, Serializer};
use tilewise_engine::{Role, StepInfo};
use tilewise_kernels::Cpu;

use crate::{Ceilings, Energy, EnergyTable, Level, Traffic};

/// What limits a step from below.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// Multiply-adds at the measured peak.
    Compute,
    /// Bytes at the measured rate of a level of memory.
    Memory(Level),
}

impl Limit {
    /// `compute`, `L1`, `L2`, `L3` or `DRAM`.
    pub const fn name(self) -> &'static str {
        match self {
            Limit::Compute => "compute",
            Limit::Memory(level) => level.name(),
        }
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Bytes of a step's operands, each counted once.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
pub struct LayerBytes {
    /// Packed weights and other constants.
    pub weights: u64,
    /// Values read.
    pub inputs: u64,
    /// Values written.
    pub outputs: u64,
    /// Room for what lies between, which is no traffic of the layer as such.
    pub scratch: u64,
}

impl LayerBytes {
    fn of(info: &StepInfo) -> Self {
        let bytes = |role: Role| info.operands.iter().filter(|o| o.role == role).map(|o| o.bytes).sum();
        LayerBytes {
            weights: bytes(Role::Weights),
            inputs: bytes(Role::Input),
            outputs: bytes(Role::Output),
            scratch: bytes(Role::Scratch),
        }
    }

    /// Bytes that the layer must move: all but scratch.
    pub fn moved(&self) -> u64 {
        self.weights + self.inputs + self.outputs
    }
}

/// One step: a layer, or several that run as one.
#[derive(Clone, Debug, Serialize)]
pub struct LayerProfile {
    /// Name of the layer in the model.
    pub layer: String,
    /// Names of the model's nodes that run with it: merged by passes, or sharing the step.
    pub merged: Vec<String>,
    /// Name of the operator, or `Reorder` for a change of layout.
    pub op: &'static str,
    /// What it is, in the words that [`Profile::kinds`](crate::Profile::kinds) groups by.
    pub kind: String,
    /// Name of the kernel, or `interpreted`.
    pub kernel: &'static str,
    /// The choice that was made for it, as schedules write it; empty where there is none.
    pub choice: String,
    /// Type of the first output.
    pub output: String,
    /// The fastest time, in milliseconds.
    pub ms: f64,
    /// Its part of the time of all layers, from 0 to 1.
    pub share: f64,
    /// Multiply-adds of the layer as it is defined: kernels that save some (Winograd) are credited with all.
    pub macs: u64,
    /// 10^9 operations a second, two for each multiply-add.
    pub gflops: f64,
    /// Bytes of its operands.
    pub bytes: LayerBytes,
    /// 10^9 bytes a second, of all operands but scratch.
    pub gb_per_s: f64,
    /// Arithmetic intensity: operations for each byte that the layer must move.
    pub intensity: f64,
    /// The least time that the machine allows, in milliseconds.
    pub floor_ms: f64,
    /// The least time over the time: the part of the roof that is reached, 1 at the roof.
    pub roof: f64,
    /// What the least time follows from.
    pub bound: Limit,
    /// Bytes of the arena in use while it runs.
    pub live_bytes: u64,
    /// Where its operands come from and go to, by the model of [`Traffic`].
    pub traffic: Traffic,
    /// What it takes by the table, in millijoules.
    pub energy_mj: Energy,
}

/// All steps of a kind.
#[derive(Clone, Debug, Serialize)]
pub struct KindProfile {
    /// What they are.
    pub kind: String,
    /// How many.
    pub steps: usize,
    /// Their time, in milliseconds.
    pub ms: f64,
    /// Their part of the time of all layers, from 0 to 1.
    pub share: f64,
    /// Their multiply-adds.
    pub macs: u64,
    /// 10^9 operations a second.
    pub gflops: f64,
    /// 10^9 bytes a second, of all operands but scratch.
    pub gb_per_s: f64,
    /// The least time that the machine allows over the time.
    pub roof: f64,
    /// What they take by the table, in millijoules.
    pub energy_mj: Energy,
}

/// What steps are held against.
pub(super) struct Judge<'a> {
    pub(super) cpu: &'a Cpu,
    pub(super) ceilings: &'a Ceilings,
    pub(super) energy: &'a EnergyTable,
    /// The time of all layers together, in milliseconds.
    pub(super) ms: f64,
}

impl Judge<'_> {
    pub(super) fn layer(&self, info: &StepInfo, traffic: Traffic, ms: f64, live_bytes: u64) -> LayerProfile {
        let bytes = LayerBytes::of(info);
        let (flops, moved) = (2.0 * info.macs as f64, bytes.moved() as f64);
        let (floor_ms, bound) = self.floor(info.macs, &traffic);
        LayerProfile {
            layer: info.layer.clone(),
            merged: info.merged.clone(),
            op: info.op,
            kind: info.kind.clone(),
            kernel: info.kernel,
            choice: info.decision.as_ref().map(|decision| decision.choice.to_string()).unwrap_or_default(),
            output: info.output.clone(),
            ms,
            share: over(ms, self.ms),
            macs: info.macs,
            gflops: over(flops, ms * 1e6),
            bytes,
            gb_per_s: over(moved, ms * 1e6),
            intensity: over(flops, moved),
            floor_ms,
            roof: over(floor_ms, ms),
            bound,
            live_bytes,
            traffic,
            energy_mj: self.energy.step(info.macs, &traffic, self.cpu),
        }
    }

    /// The least time in milliseconds, and what decides it: multiply-adds, or the most loaded level of memory.
    fn floor(&self, macs: u64, traffic: &Traffic) -> (f64, Limit) {
        let compute = (over(2.0 * macs as f64, self.ceilings.fma_gflops * 1e6), Limit::Compute);
        let levels = self
            .ceilings
            .reads
            .iter()
            .map(|rate| (over(traffic.through(rate.level) as f64, rate.gb_per_s * 1e6), Limit::Memory(rate.level)));
        levels.fold(compute, |most, other| if other.0 > most.0 { other } else { most })
    }
}

/// The kinds of some layers, what takes longest first.
pub(super) fn kinds(layers: &[LayerProfile]) -> Vec<KindProfile> {
    let mut names: Vec<&str> = Vec::new();
    for layer in layers {
        if !names.contains(&layer.kind.as_str()) {
            names.push(&layer.kind);
        }
    }
    let mut kinds: Vec<KindProfile> = names.into_iter().map(|name| kind(name, layers)).collect();
    kinds.sort_by(|a, b| b.ms.total_cmp(&a.ms));
    kinds
}

fn kind(name: &str, layers: &[LayerProfile]) -> KindProfile {
    let of_kind = || layers.iter().filter(|layer| layer.kind == name);
    let ms: f64 = of_kind().map(|layer| layer.ms).sum();
    let macs: u64 = of_kind().map(|layer| layer.macs).sum();
    let moved: u64 = of_kind().map(|layer| layer.bytes.moved()).sum();
    KindProfile {
        kind: name.to_owned(),
        steps: of_kind().count(),
        ms,
        share: of_kind().map(|layer| layer.share).sum(),
        macs,
        gflops: over(2.0 * macs as f64, ms * 1e6),
        gb_per_s: over(moved as f64, ms * 1e6),
        roof: over(of_kind().map(|layer| layer.floor_ms).sum(), ms),
        energy_mj: of_kind().map(|layer| layer.energy_mj).sum(),
    }
}

/// A ratio; 0 where there is nothing to divide by, as for steps that take no time the clock could tell.
fn over(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReadRate;

    #[test]
    fn the_slowest_of_multiply_adds_and_levels_bounds_a_layer() {
        let rate = |level, gb_per_s| ReadRate { level, working_set: 0, gb_per_s };
        let reads = [(Level::L1, 400.0), (Level::L2, 200.0), (Level::L3, 100.0), (Level::Dram, 20.0)];
        let ceilings = Ceilings { fma_gflops: 100.0, reads: reads.map(|(level, gb)| rate(level, gb)).to_vec() };
        let (cpu, energy) = (Cpu::zen5(), EnergyTable::default());
        let judge = Judge { cpu: &cpu, ceilings: &ceilings, energy: &energy, ms: 1.0 };
        let traffic = |activations: [u64; 4]| Traffic { weights: [0; 4], activations };
        for (macs, bytes, ms, bound) in [
            (50_000_000, [0; 4], 1.0, Limit::Compute),
            (50_000_000, [600_000_000, 0, 0, 0], 1.5, Limit::Memory(Level::L1)),
            // What comes from memory crosses the caches too: 400 MB through L2.
            (0, [0, 200_000_000, 180_000_000, 20_000_000], 2.0, Limit::Memory(Level::L2)),
            (0, [0, 0, 0, 60_000_000], 3.0, Limit::Memory(Level::Dram)),
        ] {
            let (floor, limit) = judge.floor(macs, &traffic(bytes));
            assert!((floor - ms).abs() < 1e-9 && limit == bound, "{macs} {bytes:?}: {floor} ms by {limit:?}");
        }
    }
}
