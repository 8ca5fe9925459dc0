//! Predicted time: the largest of what multiply-adds and each level of the memory take, and what comes on top of that.
//!
//! A choice's work is counted from its loops (`work.rs`): register tiles and their edges, vector loads, and the bytes
//! that each level hands over. The measured constants of the machine turn counts into seconds.

mod fixed;
mod work;

use std::fmt;

use serde::{Deserialize, Serialize};
use tilewise_kernels::Cpu;

use super::Decision;
pub use fixed::predict_fixed;
pub(super) use work::{Level, cold, last_level};

use work::Work;

/// The measured constants of a machine, all of its threads together.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// FLOP/s of full vectors of the tier, in registers.
    pub fma: f64,
    /// FLOP/s of the register tile of a convolution whose operands are near: what is left of `fma` where each multiply-add
    /// has its share of loads.
    pub tile: f64,
    /// Seconds from the input of a multiply-add to its result.
    pub latency: f64,
    /// Bytes a second read from L1, L2, L3 and memory.
    pub read: [f64; 4],
    /// Seconds to hand tasks to all threads and to know that they are done.
    pub dispatch: f64,
}

/// Bytes a cycle and core from L2, for each from L1: 235 GB/s of 460 on Zen 5, and less than a tenth off on others.
const L2_RATE: f64 = 0.5;

/// Cycles to hand tasks to threads that spin, and to know that they are done: 0.8 us at 3.7 GHz.
const DISPATCH: f64 = 3000.0;

impl Machine {
    /// The machine that a description promises, with a cycle for a second: what is decided before anything is measured,
    /// and holds on every machine of that description, needs ratios only.
    pub(crate) fn promised(cpu: &Cpu) -> Self {
        let cores = cpu.cores.max(1) as f64;
        let fma = (2 * cpu.tier.lanes() * cpu.fma_per_cycle) as f64 * cores;
        let l1 = 2.0 * work::bytes(cpu.tier.lanes()) as f64;
        let read = [l1, L2_RATE * l1, cpu.read_rates.l3 as f64, cpu.read_rates.memory as f64].map(|rate| rate * cores);
        Machine { fma, tile: fma, latency: cpu.fma_latency as f64, read, dispatch: DISPATCH }
    }

    /// What one of its `cores` has while the others are as busy.
    pub(crate) fn one_of(&self, cores: usize) -> Self {
        let share = |all: f64| all / cores.max(1) as f64;
        Machine { fma: share(self.fma), tile: share(self.tile), read: self.read.map(share), dispatch: 0.0, ..*self }
    }

    /// The machine as a network that touches `bytes` in a run sees it: what lies beyond the level that keeps all of them
    /// from one run to the next is never read.
    pub(crate) fn seen_by(mut self, bytes: usize, cpu: &Cpu) -> Self {
        let cores = cpu.cores.max(1);
        let held = [cpu.l1d.size * cores, cpu.l2.size * cores, last_level(cpu)].iter().position(|&size| bytes <= size);
        if let Some(level) = held.map(|level| level.max(1)) {
            let rate = self.read[level];
            self.read[level..].fill(rate);
        }
        self
    }

    /// Seconds of a cycle of a core while it multiplies.
    fn cycle(&self, cpu: &Cpu) -> f64 {
        self.latency / cpu.fma_latency as f64
    }

    /// Vector multiply-adds a cycle and core in a tile: what the pipes really do, whatever their number is said to be.
    fn fma_per_cycle(&self, cpu: &Cpu) -> f64 {
        self.tile * self.cycle(cpu) / (2 * cpu.tier.lanes() * cpu.cores.max(1)) as f64
    }
}

/// What limits a step from below.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Bound {
    /// Multiply-adds.
    Fma,
    /// Vector loads from the first level of the cache.
    L1,
    /// Bytes from the second.
    L2,
    /// Bytes from the third.
    L3,
    /// Bytes from memory.
    Dram,
}

impl Bound {
    /// All of them, from the core outwards.
    pub const ALL: [Bound; 5] = [Bound::Fma, Bound::L1, Bound::L2, Bound::L3, Bound::Dram];

    /// As tables and JSON name it.
    pub fn name(self) -> &'static str {
        match self {
            Bound::Fma => "FMA",
            Bound::L1 => "L1",
            Bound::L2 => "L2",
            Bound::L3 => "L3",
            Bound::Dram => "DRAM",
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How long a choice should take.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Predicted {
    /// Seconds of each [`Bound`] alone, in the order of [`Bound::ALL`].
    pub terms: [f64; 5],
    /// Seconds that come on top: dispatch, edges of tiles, copies.
    pub overhead: f64,
}

/// One after the other.
impl std::ops::AddAssign for Predicted {
    fn add_assign(&mut self, other: Self) {
        self.terms.iter_mut().zip(other.terms).for_each(|(term, other)| *term += other);
        self.overhead += other.overhead;
    }
}

/// A part of it, or several times as much.
impl std::ops::MulAssign<f64> for Predicted {
    fn mul_assign(&mut self, times: f64) {
        self.terms.iter_mut().for_each(|term| *term *= times);
        self.overhead *= times;
    }
}

impl Predicted {
    /// What limits it.
    pub fn bound(&self) -> Bound {
        let largest = Bound::ALL.into_iter().zip(self.terms).max_by(|a, b| a.1.total_cmp(&b.1));
        largest.map_or(Bound::Fma, |(bound, _)| bound)
    }

    /// The least time that the machine allows for what is to be done, in seconds.
    pub fn floor(&self) -> f64 {
        self.terms.into_iter().fold(0.0, f64::max)
    }

    /// The predicted time, in seconds.
    pub fn seconds(&self) -> f64 {
        self.floor() + self.overhead
    }
}

/// The predicted time of a decision.
pub fn predict(decision: &Decision, cpu: &Cpu, machine: &Machine) -> Predicted {
    Work::of(decision, cpu, machine).time(cpu, machine)
}

#[cfg(test)]
mod tests;
