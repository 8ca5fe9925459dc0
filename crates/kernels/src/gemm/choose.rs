//! The choice of a kernel for a matrix product, from problem and machine alone.

use super::{Gemm, GemmBlocks, GemmKernel, ROWS};
use crate::Cpu;

/// The kernel of the machine's tier that needs the fewest cycles for the problem, and its blocks. Of equals the one
/// that reads B once wins, then the one that loads least, then the first of the table.
pub fn choose(p: &Gemm, cpu: &Cpu) -> (&'static GemmKernel, GemmBlocks) {
    let mine = ROWS.iter().filter(|row| row.id.tier == cpu.tier);
    let row = mine.min_by_key(|row| cost(row.id.tile, p.m, p.n, cpu)).unwrap_or(&ROWS[ROWS.len() - 1]);
    (row, (row.blocks)(p, cpu))
}

/// Rows up to which B is likely to come from memory all the time: all tiles of the table that are so high read it
/// once.
const FEW_ROWS: usize = 14;

/// Eighths of cycles, readings of B and loads for one step of the depth over the whole of C.
///
/// A tile of `h x v` vectors does `h * v` multiply-adds and `h + v` loads, two of which a core does in a cycle; and
/// as each of its sums waits for the one before, it takes no less than one latency. A load, though there are ports for all
/// of them, holds multiply-adds up by an eighth of a cycle: on Granite Rapids 197 x 197 x 64 took a tenth less time with
/// tiles of 8 x 48 than with those of 14 x 32. Few rows wait for the memory rather, and a second panel would multiply
/// while it is idle.
fn cost([mr, nr]: [usize; 2], m: usize, n: usize, cpu: &Cpu) -> (u128, usize, u128) {
    let lanes = cpu.tier.lanes();
    let tile = |height: usize, vectors: usize| {
        let sums = 2 * height * vectors / cpu.fma_per_cycle;
        (sums.max(2 * cpu.fma_latency).max(height + vectors) as u128, (height + vectors) as u128)
    };
    let panels = m.div_ceil(mr).max(1);
    let (low, higher) = (m / panels, m % panels);
    let down = |vectors: usize| {
        let ((low_time, low_loads), (high_time, high_loads)) = (tile(low, vectors), tile(low + 1, vectors));
        let (lows, highs) = ((panels - higher) as u128, higher as u128);
        (low_time * lows + high_time * highs, low_loads * lows + high_loads * highs)
    };
    let (time, loads) = down(nr / lanes);
    let (edge_time, edge_loads) = if n.is_multiple_of(nr) { (0, 0) } else { down((n % nr).div_ceil(lanes)) };
    let across = (n / nr) as u128;
    let readings = if m <= FEW_ROWS { panels } else { 0 };
    let loads = loads * across + edge_loads;
    let held = if m <= FEW_ROWS { 0 } else { loads };
    (4 * (time * across + edge_time) + held, readings, loads)
}
