//! The choice of a kernel for a matrix product, from problem and machine alone.

use super::{Gemm, GemmBlocks, GemmKernel, ROWS};
use crate::Cpu;

/// The kernel of the machine's tier that needs the fewest cycles for the problem, and its blocks. Of equals the one
/// that loads least wins, then the first of the table.
pub fn choose(p: &Gemm, cpu: &Cpu) -> (&'static GemmKernel, GemmBlocks) {
    let mine = ROWS.iter().filter(|row| row.id.tier == cpu.tier);
    let row = mine.min_by_key(|row| cost(row.id.tile, p.m, p.n, cpu)).unwrap_or(&ROWS[ROWS.len() - 1]);
    (row, (row.blocks)(p, cpu))
}

/// Half cycles and loads for one step of the depth over the whole of C.
///
/// A tile of `h x v` vectors does `h * v` multiply-adds and `h + v` loads, two of which a core does in a cycle; and
/// as each of its sums waits for the one before, it takes no less than one latency.
fn cost([mr, nr]: [usize; 2], m: usize, n: usize, cpu: &Cpu) -> (u128, u128) {
    let vectors = nr / cpu.tier.lanes();
    let tile = |height: usize| {
        let sums = 2 * height * vectors / cpu.fma_per_cycle;
        (sums.max(2 * cpu.fma_latency).max(height + vectors) as u128, (height + vectors) as u128)
    };
    let panels = m.div_ceil(mr).max(1);
    let (low, higher) = (m / panels, m % panels);
    let across = n.div_ceil(nr) as u128;
    let total = |low: u128, high: u128| across * (low * (panels - higher) as u128 + high * higher as u128);
    let ((low_time, low_loads), (high_time, high_loads)) = (tile(low), tile(low + 1));
    (total(low_time, high_time), total(low_loads, high_loads))
}
