//! The ceilings of a machine, measured: multiply-adds, and reads from each level of memory.

use std::time::Duration;

use serde::Serialize;
use tilewise_engine::schedule::{self, Machine, Store};
use tilewise_kernels::measure::{fma_peak, read_rate, working_sets};
use tilewise_kernels::{Cpu, Pool};

use crate::Options;

/// A level of memory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum Level {
    /// First-level data caches of the cores in use.
    L1,
    /// Second-level caches of the cores in use.
    L2,
    /// The last-level cache.
    L3,
    /// Main memory.
    #[serde(rename = "DRAM")]
    Dram,
}

impl Level {
    /// All levels, the nearest first.
    pub const ALL: [Level; 4] = [Level::L1, Level::L2, Level::L3, Level::Dram];

    /// `L1`, `L2`, `L3` or `DRAM`.
    pub const fn name(self) -> &'static str {
        match self {
            Level::L1 => "L1",
            Level::L2 => "L2",
            Level::L3 => "L3",
            Level::Dram => "DRAM",
        }
    }

    /// Bytes that the level holds: of caches that each core has, those of all cores in use together.
    pub fn capacity(self, cpu: &Cpu) -> u64 {
        let bytes = match self {
            Level::L1 => cpu.l1d.size * cpu.cores,
            Level::L2 => cpu.l2.size * cpu.cores,
            Level::L3 => cpu.l3.size,
            Level::Dram => cpu.memory,
        };
        bytes as u64
    }
}

/// How fast a level of memory is read.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct ReadRate {
    /// The level.
    pub level: Level,
    /// Bytes of the working set that it was measured with.
    pub working_set: usize,
    /// 10^9 bytes a second, of all threads together.
    pub gb_per_s: f64,
}

impl ReadRate {
    /// Measures every level, the nearest first, for `each` long.
    pub fn measure(cpu: &Cpu, pool: &Pool, each: Duration) -> Vec<ReadRate> {
        let measure = |(level, working_set): (Level, usize)| ReadRate {
            level,
            working_set,
            gb_per_s: read_rate(cpu.tier, pool, working_set, each),
        };
        Level::ALL.into_iter().zip(working_sets(cpu)).map(measure).collect()
    }
}

/// The ceilings of the threads and the instruction set in use.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Ceilings {
    /// 10^9 operations a second, two for each multiply-add.
    pub fma_gflops: f64,
    /// Each level of memory, the nearest first.
    pub reads: Vec<ReadRate>,
}

impl Ceilings {
    /// Measures each ceiling for `each` long.
    pub fn measure(cpu: &Cpu, pool: &Pool, each: Duration) -> Self {
        Ceilings { fma_gflops: fma_peak(cpu.tier, pool, each), reads: ReadRate::measure(cpu, pool, each) }
    }
}

/// The constants of the machine as the options let it be seen: those of their store, else measured now.
pub(crate) fn constants(options: &Options) -> Machine {
    let cpu = options.cpu();
    let mut store = options.store.as_ref().map_or_else(|| Store::in_memory(&cpu), |folder| Store::open(folder, &cpu));
    // A pool of its own is idle but for this.
    store.machine(|| schedule::machine(&cpu, &Pool::new(cpu.cores)))
}
