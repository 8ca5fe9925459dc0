//! The machine as the choice of kernels sees it: probed once, or built by hand in tests.

mod cores;
mod cpuid;

use std::fmt;

use crate::Tier;

/// One level of cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cache {
    /// Bytes.
    pub size: usize,
    /// Ways.
    pub ways: usize,
    /// Bytes of a line.
    pub line: usize,
}

impl Cache {
    /// A cache of `kib` KiB with lines of 64 bytes.
    pub const fn kib(kib: usize, ways: usize) -> Self {
        Cache { size: kib << 10, ways, line: 64 }
    }

    /// Bytes of one way: the number of sets times the line.
    pub const fn way(&self) -> usize {
        self.size / self.ways
    }
}

/// A machine: what a choice may depend on, and nothing else.
#[derive(Clone, PartialEq, Debug)]
pub struct Cpu {
    /// Vendor, family, model and stepping, or the name given by hand.
    pub name: String,
    /// The most capable tier that kernels may use.
    pub tier: Tier,
    /// First-level data cache of a core.
    pub l1d: Cache,
    /// Second-level cache of a core.
    pub l2: Cache,
    /// Last-level cache, shared by the cores.
    pub l3: Cache,
    /// Cores that this process may use: the smallest of affinity mask, cgroup quota and physical cores.
    pub cores: usize,
    /// Bytes of main memory: what asks for more cannot run here.
    pub memory: usize,
    /// Fused multiply-adds of full vectors of the tier a cycle and core.
    pub fma_per_cycle: usize,
    /// Cycles from the input of a multiply-add to its result.
    pub fma_latency: usize,
    /// Bytes a cycle that one core reads from the last-level cache and from memory, one address after the other.
    pub read_rates: ReadRates,
}

/// Bytes a cycle and core, one address after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadRates {
    /// From the last-level cache.
    pub l3: usize,
    /// From memory.
    pub memory: usize,
    /// Of weights that were last read a run before, while the products wait for them: from the last-level cache and from
    /// memory.
    pub weights: [usize; 2],
}

impl ReadRates {
    /// A last level that a few cores share. Zen 4 does this, Zen 5 more; memory is shared: 6 bytes at 3.7 GHz are
    /// 22 GB/s, half of what two channels of DDR5 give.
    const RING: Self = ReadRates { l3: 16, memory: 6, weights: [21, 7] };
    /// A last level that is spread over a mesh of many cores. Granite Rapids at 3.9 GHz: 29 GB/s and 15 GB/s; what is
    /// read again after a run comes no faster than from memory.
    const MESH: Self = ReadRates { l3: 8, memory: 4, weights: [4, 4] };
}

/// The part of the last level that a process can count on: larger ones are shared with cores that it does not see.
/// Granite Rapids with 480 MiB: 64 MiB are read at the rate of the last level, 128 MiB are not.
const L3_SHARE: usize = 32 << 20;

/// Cores from Haswell and Zen 2 on have two pipes that multiply and add, whatever the width of the vectors.
const PIPES: usize = 2;

impl Cpu {
    /// The machine this process runs on, from `cpuid`, `/proc` and `/sys`; what they do not tell is assumed to be as
    /// on a common server core.
    pub fn probe() -> Self {
        let tier = Tier::ALL.into_iter().rev().find(|tier| tier.available()).unwrap_or(Tier::Scalar);
        let id = cpuid::identity();
        let [l1d, l2, l3] = cpuid::caches();
        let l2 = l2.unwrap_or(Cache::kib(1024, 16));
        let fma_per_cycle = match tier {
            Tier::Scalar | Tier::Avx2 => PIPES,
            Tier::Avx512 => id.fma512(),
        };
        Cpu {
            name: id.to_string(),
            tier,
            l1d: l1d.unwrap_or(Cache::kib(32, 8)),
            l2,
            // Without a third level the second is the last.
            l3: l3.unwrap_or(l2),
            cores: cores::usable(),
            memory: memory(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default()),
            fma_per_cycle,
            fma_latency: 4,
            read_rates: if id.has_mesh() { ReadRates::MESH } else { ReadRates::RING },
        }
    }

    /// Bytes of the last level that the process can count on.
    pub(crate) fn l3_share(&self) -> usize {
        self.l3.size.min(L3_SHARE)
    }

    /// A core of AMD Zen 5 with full-width vector pipes, in a machine of two.
    pub fn zen5() -> Self {
        Cpu {
            name: "zen5".to_owned(),
            tier: Tier::Avx512,
            l1d: Cache::kib(48, 12),
            l2: Cache::kib(1024, 16),
            l3: Cache::kib(32 << 10, 16),
            cores: 2,
            memory: 16 << 30,
            fma_per_cycle: 2,
            fma_latency: 4,
            read_rates: ReadRates::RING,
        }
    }

    /// A core of AMD Zen 4: a 512-bit operation takes both halves of its pipes.
    pub fn zen4() -> Self {
        Cpu {
            name: "zen4".to_owned(),
            l1d: Cache::kib(32, 8),
            l2: Cache::kib(1024, 8),
            fma_per_cycle: 1,
            ..Self::zen5()
        }
    }

    /// A core of Intel Haswell.
    pub fn haswell() -> Self {
        Cpu {
            name: "haswell".to_owned(),
            tier: Tier::Avx2,
            l1d: Cache::kib(32, 8),
            l2: Cache::kib(256, 8),
            l3: Cache::kib(8 << 10, 16),
            cores: 4,
            memory: 16 << 30,
            fma_per_cycle: 2,
            fma_latency: 5,
            read_rates: ReadRates::RING,
        }
    }

    /// A core of Intel Skylake-X with two 512-bit pipes.
    pub fn skylake_x() -> Self {
        Cpu {
            name: "skylake-x".to_owned(),
            tier: Tier::Avx512,
            l1d: Cache::kib(32, 8),
            l2: Cache::kib(1024, 16),
            l3: Cache::kib(11 << 10, 11),
            cores: 8,
            memory: 16 << 30,
            fma_per_cycle: 2,
            fma_latency: 4,
            read_rates: ReadRates::MESH,
        }
    }

    /// A core of Intel Granite Rapids, in a machine of two.
    pub fn granite_rapids() -> Self {
        Cpu {
            name: "granite-rapids".to_owned(),
            l1d: Cache::kib(48, 12),
            l2: Cache::kib(2048, 16),
            l3: Cache::kib(480 << 10, 16),
            cores: 2,
            ..Self::skylake_x()
        }
    }

    /// A core without any vector instruction set of ours.
    pub fn scalar() -> Self {
        Cpu { name: "scalar".to_owned(), ..Self::haswell().with_tier(Tier::Scalar) }
    }

    /// The same machine with kernels limited to `cap` and below.
    ///
    /// A pipe that a narrower tier splits does two narrow operations a cycle (Zen 4), but a core never has more than
    /// two pipes.
    #[must_use]
    pub fn with_tier(mut self, cap: Tier) -> Self {
        if cap < self.tier {
            self.fma_per_cycle = (self.fma_per_cycle * self.tier.lanes() / cap.lanes()).min(PIPES);
            self.tier = cap;
        }
        self
    }

    /// The same machine with `cores` cores, at least one.
    #[must_use]
    pub fn with_cores(mut self, cores: usize) -> Self {
        self.cores = cores.max(1);
        self
    }
}

/// `zen5: avx512, 2 cores, 2 FMA a cycle, L1d 48 KiB, L2 1024 KiB, L3 32768 KiB`, on one line.
impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cpu { name, tier, l1d, l2, l3, cores, memory: _, fma_per_cycle, fma_latency: _, read_rates: _ } = self;
        let [l1d, l2, l3] = [l1d, l2, l3].map(|cache| cache.size >> 10);
        write!(f, "{name}: {tier}, {cores} core{}, ", if *cores == 1 { "" } else { "s" })?;
        write!(f, "{fma_per_cycle} FMA a cycle, L1d {l1d} KiB, L2 {l2} KiB, L3 {l3} KiB")
    }
}

/// The bytes of main memory from the text of `/proc/meminfo`; without one, all that can be addressed.
fn memory(meminfo: &str) -> usize {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok());
    kib.map_or(usize::MAX, |kib| kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probed_machine_is_complete() {
        let cpu = Cpu::probe();
        assert!(cpu.tier.available() && cpu.cores > 0 && cpu.fma_per_cycle > 0 && !cpu.name.is_empty(), "{cpu}");
        for cache in [cpu.l1d, cpu.l2, cpu.l3] {
            assert!(cache.way() >= cache.line && cache.line.is_power_of_two(), "{cpu}");
        }
        assert!(!cpu.to_string().contains('\n'));
    }

    #[test]
    fn a_narrower_tier_fills_both_pipes() {
        let rate = |cpu: Cpu, tier| cpu.with_tier(tier).fma_per_cycle;
        assert_eq!(rate(Cpu::zen4(), Tier::Avx512), 1);
        assert_eq!(rate(Cpu::zen4(), Tier::Avx2), 2);
        assert_eq!(rate(Cpu::zen5(), Tier::Avx2), 2);
        assert_eq!(rate(Cpu::haswell(), Tier::Avx512), 2);
        assert_eq!(Cpu::haswell().with_tier(Tier::Avx512).tier, Tier::Avx2);
        assert_eq!(Cpu::scalar().tier, Tier::Scalar);
        assert_eq!(Cpu::zen5().with_cores(0).cores, 1);
    }

    #[test]
    fn a_machine_prints_on_one_line() {
        let line = "zen5: avx512, 2 cores, 2 FMA a cycle, L1d 48 KiB, L2 1024 KiB, L3 32768 KiB";
        assert_eq!(Cpu::zen5().to_string(), line);
    }
}
