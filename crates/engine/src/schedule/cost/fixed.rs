//! Steps that leave nothing to choose: what their kernels take beside moving their values.

use tilewise_kernels::Cpu;

use super::work::{self, Level, Work};
use super::{Machine, Predicted};

/// Cycles of a step beside its values: the call, the tasks, the first lines of its operands.
const STEP: f64 = 700.0;

/// Cycles for each vector of values read or written, by the operator of the kernel's name: medians over the steps of the
/// networks of the zoo of up to 6 10^9 multiply-adds that stand in the second level of the cache (one Granite Rapids
/// core with AVX-512, November 2026); those that no such network has are taken from their like. Loads, stores and arithmetic
/// of a vector hardly differ between instruction sets.
pub(super) const CYCLES: [(&str, f64); 15] = [
    ("affine", 3.4),
    ("binary", 3.7),
    ("channels", 1.6),
    ("conv-transposed", 3.0),
    ("copy", 4.5),
    ("image", 4.5),
    ("lrn", 37.0),
    ("norm-rows", 12.0),
    ("pool-average", 3.8),
    ("pool-max", 3.2),
    ("reduce", 4.9),
    ("reorder", 3.7),
    ("resize", 6.0),
    ("softmax", 16.5),
    ("unary", 2.8),
];

/// The same of what is interpreted, value by value through its indices: about twenty cycles for each of sixteen.
const INTERPRETED: f64 = 300.0;

/// The predicted time of a step that leaves nothing to choose: `macs` multiply-adds of the kernel of this name, and each
/// of `bytes` read or written once.
pub fn predict_fixed(kernel: &str, [macs, bytes]: [u64; 2], cpu: &Cpu, machine: &Machine) -> Predicted {
    let mut work = Work::new(cpu.cores, machine.fma_per_cycle(cpu));
    work.multiplies(macs as f64 / cpu.tier.lanes() as f64);
    // Half of the second level is sure to hold what the step before has written; the rest comes from beyond.
    let near = bytes.min(cpu.l2.size as u64 / 2);
    work.moves(Level::L2, near as f64);
    work.moves(work::home(cpu, bytes as usize).max(Level::L3), (bytes - near) as f64);
    let mut predicted = work.time(cpu, machine);
    let operator = kernel.split('_').next().unwrap_or(kernel);
    let each = CYCLES.iter().find(|(name, _)| *name == operator).map_or(INTERPRETED, |(_, cycles)| *cycles);
    let vectors = bytes as f64 / work::bytes(cpu.tier.lanes()) as f64;
    let cycle = machine.cycle(cpu);
    let busy = vectors * each * cycle / cpu.cores.max(1) as f64;
    // The values of the second level arrive while others are computed with; those from beyond are waited for.
    let [fma, _, l2, l3, dram] = predicted.terms;
    let whole = fma + l2.max(busy) + l3 + dram + STEP * cycle;
    predicted.overhead += whole - predicted.floor();
    predicted
}
