//! The choice of a convolution kernel: a pure function of problem and machine.

use super::transformed::{self, Method, Squares};
use super::{Bands, ConvBlocks, ConvKernel, ROWS, fft, winograd};
use crate::{Conv2d, Cpu};

/// The rows of the machine's tier that compute `p`, in the order of the table.
pub fn candidates<'a>(p: &'a Conv2d, cpu: &'a Cpu) -> impl Iterator<Item = &'static ConvKernel> + 'a {
    ROWS.iter().copied().filter(|row| row.id.tier == cpu.tier && (row.accepts)(p))
}

/// The candidate with the fewest [`cycles`], the first of the table where several have them, and its blocks; a kernel
/// that goes by way of columns only where no other computes the problem.
///
/// A method further down the table has larger weights and mostly rounds more: it has to be a sixteenth faster. FFT has to
/// take under two fifths: its weights and values go through L3 once more for each block of squares, at a rate that differs
/// most from machine to machine, and of 7.5 times as few cycles 2.2 were left on Granite Rapids.
pub fn choose(p: &Conv2d, cpu: &Cpu) -> Option<(&'static ConvKernel, ConvBlocks)> {
    let by_columns = |row: &&'static ConvKernel| row.id.op == "conv-im2col";
    let straight = candidates(p, cpu).filter(|row| !by_columns(row)).map(|row| (row, cycles(p, row, cpu)));
    let faster = |best: (&'static ConvKernel, u64), other: (&'static ConvKernel, u64)| {
        let most = match () {
            () if best.0.id.op == other.0.id.op => best.1,
            () if fft::method(&other.0.id).is_some() => best.1 * 2 / 5,
            () => best.1 - best.1.div_ceil(16),
        };
        if other.1 < most { other } else { best }
    };
    let straight = straight.reduce(faster).map(|(row, _)| row);
    let best = straight.or_else(|| candidates(p, cpu).find(by_columns))?;
    Some((best, (best.blocks)(p, cpu)))
}

/// Cycles of a row for `p` on one core, the waste at the edges, the reading of the weights and all transforms included.
pub fn cycles(p: &Conv2d, row: &ConvKernel, cpu: &Cpu) -> u64 {
    match (method(row), bands(p, row)) {
        (Some(method), _) => method.cycles(p, cpu),
        (None, Some(bands)) => (p.n * (bands.cycles(p, cpu, row.id.tile) + transformed::weights(p, cpu))) as u64,
        (None, None) => tiles(p, row, cpu),
    }
}

/// How a row that computes bands of output rows covers `p`; `None` for others.
pub fn bands(p: &Conv2d, row: &ConvKernel) -> Option<Bands> {
    (row.band > 1).then(|| Bands::new(p, row.band))
}

/// How a Winograd or FFT row covers the outputs of `p`; `None` for others.
pub fn squares(p: &Conv2d, row: &ConvKernel) -> Option<Squares> {
    method(row).map(|method| method.cover(p))
}

/// The method of a row that goes by way of a transform.
fn method(row: &ConvKernel) -> Option<Method> {
    winograd::method(&row.id).or_else(|| fft::method(&row.id))
}

/// Cycles of `count` steps of a tile of P pixels by NV vectors. A step has P x NV multiply-adds, NV vector loads and P
/// broadcasts (two loads a cycle), and cannot be shorter than the latency of the one multiply-add that each sum waits for.
///
/// Loads, though there are ports for all of them, hold multiply-adds up: a broadcast by an eighth of a cycle where one of
/// these starts in a cycle and by a quarter where two do, a vector of weights, which is also asked for ahead and comes from
/// further away, by two and a half times as much. On Granite Rapids tiles of 9 x 48 were 3 to 9 % faster than those of
/// 14 x 32 and 6 x 64 on pointwise layers, and these a fifth faster than 28 x 16.
pub(super) fn steps(cpu: &Cpu, count: usize, pixels: usize, vectors: usize) -> usize {
    let busy = (8 * pixels * vectors / cpu.fma_per_cycle).max(4 * (pixels + vectors));
    let held = (2 * pixels + 5 * vectors) * cpu.fma_per_cycle / 2;
    count * (busy.max(8 * cpu.fma_latency) + held) / 8
}

/// Cycles of the register tiles of a row and of its weights.
fn tiles(p: &Conv2d, row: &ConvKernel, cpu: &Cpu) -> u64 {
    let lanes = row.id.tier.lanes();
    let [most, width] = row.id.tile;
    let depth = p.ic / p.groups * p.kh * p.kw;
    // The pixels of a pointwise convolution are one row.
    let (rows, columns) = if p.kh * p.kw == 1 { (1, p.oh() * p.ow()) } else { (p.oh(), p.ow()) };
    let block = |vectors: usize| {
        let tiles = columns.div_ceil(most);
        // Sums are begun and finished once a tile: about two operations a sum, and the call.
        let edges = tiles * 20 + 2 * columns * vectors;
        rows * (tiles * steps(cpu, depth, columns.div_ceil(tiles), vectors) + edges)
    };
    let (ocg, vectors) = (p.oc / p.groups, width / lanes);
    let all = (ocg / width) * block(vectors) + if ocg % width == 0 { 0 } else { block((ocg % width).div_ceil(lanes)) };
    (p.n * (p.groups * all + transformed::weights(p, cpu))) as u64
}
