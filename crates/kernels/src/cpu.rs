//! The machine as the choice of kernels sees it: probed once, or built by hand in tests.

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
    /// Fused multiply-adds of full vectors a cycle and core.
    pub fma_per_cycle: usize,
    /// Cycles from the input of a multiply-add to its result.
    pub fma_latency: usize,
}
