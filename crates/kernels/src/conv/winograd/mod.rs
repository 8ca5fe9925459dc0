//! Winograd convolution in the blocked layout: fewer products for small kernels without stride.
//!
//! The output is covered with squares of m x m pixels. A square's n x n inputs (n = m + r - 1 for a kernel of r x r)
//! are transformed to n x n values; multiplied with the transformed kernel and summed over the input channels they
//! give n x n products, which transform to the m x m outputs: n^2 multiply-adds in place of m^2 r^2.
//!
//! A task owns a block of squares and a range of output channels. It transforms the block's input once. Then, for each
//! block of output channels, the direct tiles multiply at each of the n x n positions, with squares in the place of
//! pixels, and the products are transformed to outputs and finished. All of it stands in the task's scratch, which is
//! sized for L2: no transformed image is ever in memory as a whole. Each product is one chain of multiply-adds over
//! the input channels; the squares are fixed by the problem, so that blocks and threads do not change a bit.

mod cost;
mod grid;
mod input;
mod minimal;
mod output;
mod pack;

use std::marker::PhantomData;
use std::ops::Range;

use tilewise_tensor::DType;

use self::cost::Method;
pub(super) use self::cost::weights;
use self::grid::{Grid, Panel};
use self::input::Input;
use self::minimal::{F2, F2By5, F4, F4By5, F6, Minimal};
use self::output::Output;
use super::direct::{Taps, Tile, Tiles, cut, share, whole_groups};
use super::epilogue::Finish;
use super::{ConvArgs, ConvBlocks, ConvKernel, Layout};
use crate::catalog::KernelId;
use crate::parallel::Shards;
use crate::{Avx2, Avx512, Conv2d, Cpu, Ctx, Scalar};

/// The rows: smallest squares first, which round least; then the widest pixel tile.
pub(super) static ROWS: [ConvKernel; 35] = [
    row::<Avx512, F2, 2, 4, 2>("conv-winograd2_f32_14x32_avx512"),
    row::<Avx512, F2, 2, 4, 3>("conv-winograd2_f32_9x48_avx512"),
    row::<Avx512, F2, 2, 4, 4>("conv-winograd2_f32_6x64_avx512"),
    row::<Avx512, F2, 2, 4, 1>("conv-winograd2_f32_28x16_avx512"),
    row::<Avx512, F4, 4, 6, 2>("conv-winograd4_f32_14x32_avx512"),
    row::<Avx512, F4, 4, 6, 3>("conv-winograd4_f32_9x48_avx512"),
    row::<Avx512, F4, 4, 6, 4>("conv-winograd4_f32_6x64_avx512"),
    row::<Avx512, F4, 4, 6, 1>("conv-winograd4_f32_28x16_avx512"),
    row::<Avx512, F6, 6, 8, 2>("conv-winograd6_f32_14x32_avx512"),
    row::<Avx512, F6, 6, 8, 3>("conv-winograd6_f32_9x48_avx512"),
    row::<Avx512, F6, 6, 8, 4>("conv-winograd6_f32_6x64_avx512"),
    row::<Avx512, F6, 6, 8, 1>("conv-winograd6_f32_28x16_avx512"),
    row::<Avx2, F2, 2, 4, 2>("conv-winograd2_f32_6x16_avx2"),
    row::<Avx2, F2, 2, 4, 1>("conv-winograd2_f32_12x8_avx2"),
    row::<Avx2, F4, 4, 6, 2>("conv-winograd4_f32_6x16_avx2"),
    row::<Avx2, F4, 4, 6, 1>("conv-winograd4_f32_12x8_avx2"),
    row::<Avx2, F6, 6, 8, 2>("conv-winograd6_f32_6x16_avx2"),
    row::<Avx2, F6, 6, 8, 1>("conv-winograd6_f32_12x8_avx2"),
    row::<Scalar, F2, 2, 4, 2>("conv-winograd2_f32_4x8_scalar"),
    row::<Scalar, F4, 4, 6, 2>("conv-winograd4_f32_4x8_scalar"),
    row::<Scalar, F6, 6, 8, 2>("conv-winograd6_f32_4x8_scalar"),
    row::<Avx512, F2By5, 2, 6, 2>("conv-winograd2r5_f32_14x32_avx512"),
    row::<Avx512, F2By5, 2, 6, 3>("conv-winograd2r5_f32_9x48_avx512"),
    row::<Avx512, F2By5, 2, 6, 4>("conv-winograd2r5_f32_6x64_avx512"),
    row::<Avx512, F2By5, 2, 6, 1>("conv-winograd2r5_f32_28x16_avx512"),
    row::<Avx512, F4By5, 4, 8, 2>("conv-winograd4r5_f32_14x32_avx512"),
    row::<Avx512, F4By5, 4, 8, 3>("conv-winograd4r5_f32_9x48_avx512"),
    row::<Avx512, F4By5, 4, 8, 4>("conv-winograd4r5_f32_6x64_avx512"),
    row::<Avx512, F4By5, 4, 8, 1>("conv-winograd4r5_f32_28x16_avx512"),
    row::<Avx2, F2By5, 2, 6, 2>("conv-winograd2r5_f32_6x16_avx2"),
    row::<Avx2, F2By5, 2, 6, 1>("conv-winograd2r5_f32_12x8_avx2"),
    row::<Avx2, F4By5, 4, 8, 2>("conv-winograd4r5_f32_6x16_avx2"),
    row::<Avx2, F4By5, 4, 8, 1>("conv-winograd4r5_f32_12x8_avx2"),
    row::<Scalar, F2By5, 2, 6, 2>("conv-winograd2r5_f32_4x8_scalar"),
    row::<Scalar, F4By5, 4, 8, 2>("conv-winograd4r5_f32_4x8_scalar"),
];

/// The row of an instruction set, a transform F(M, N + 1 - M), and tiles of `NV` vectors of output channels.
const fn row<I: Tiles, T: Minimal<M, N>, const M: usize, const N: usize, const NV: usize>(
    name: &'static str,
) -> ConvKernel {
    let tile = [I::BLOCKED[NV - 1].len(), NV * I::LANES];
    ConvKernel {
        id: KernelId { name, op: T::OP, dtype: DType::F32, tile, tier: I::TIER },
        x: Layout::Nchwc,
        y: Layout::Nchwc,
        accepts: |p| [p.kh, p.kw] == [N + 1 - M; 2] && is_dense(p) && whole_groups(p, I::LANES),
        blocks: |p, cpu| Method::new::<T, M, N>([I::BLOCKED[NV - 1].len(), NV * I::LANES], I::LANES).blocks(p, cpu),
        packed_len: |p| packed_len(p, N, I::LANES),
        pack: |p, w, packed| pack::pack::<I>(p, w, packed, T::POINTS, NV * I::LANES),
        scratch_len: |p, blocks, threads| threads * Scratch::new::<M, N>(p, blocks, [I::LANES, NV * I::LANES]).len,
        run: run::<I, T, M, N, NV>,
    }
}

/// Cycles of a row of this table on one core; `None` for other rows.
pub(super) fn cycles(p: &Conv2d, row: &ConvKernel, cpu: &Cpu) -> Option<u64> {
    Method::of(&row.id).map(|method| method.cycles(p, cpu))
}

/// True where neighbouring outputs read neighbouring inputs through neighbouring taps.
fn is_dense(p: &Conv2d) -> bool {
    p.stride == [1, 1] && p.dilation == [1, 1]
}

/// Length of the packed weights: the output channels of each group are filled up to whole vectors.
fn packed_len(p: &Conv2d, n: usize, lanes: usize) -> usize {
    p.groups * (p.oc / p.groups).next_multiple_of(lanes) * (p.ic / p.groups) * n * n
}

/// A worker's scratch: transformed inputs, products and one square's padded input, in elements.
#[derive(Clone, Copy, Debug)]
struct Scratch {
    /// Squares of a block.
    squares: usize,
    v: usize,
    m: usize,
    /// All of them, in whole cache lines.
    len: usize,
}

impl Scratch {
    fn new<const M: usize, const N: usize>(p: &Conv2d, blocks: &ConvBlocks, [lanes, width]: [usize; 2]) -> Self {
        let squares = blocks.rows.clamp(1, Grid::new(p, M).squares.max(1));
        let v = N * N * Panel::new(squares, (p.ic / p.groups).div_ceil(lanes), lanes).pitch;
        let m = N * N * Panel::new(squares, width / lanes, lanes).pitch;
        let patch = N * N * lanes;
        Scratch { squares, v, m, len: (v + m + patch).next_multiple_of(16) }
    }
}

/// Everything that the tasks of one run share.
struct Run<'a, I, T> {
    isa: I,
    p: &'a Conv2d,
    grid: Grid,
    scratch: Scratch,
    /// Output channels of a task, and of a block.
    oc: usize,
    width: usize,
    x: &'a [f32],
    w: &'a [f32],
    y: Shards<'a, f32>,
    finish: Finish<'a>,
    minimal: PhantomData<fn() -> T>,
}

/// Runs a row of the table.
///
/// # Panics
/// When the machine lacks the row's instruction set, or an operand is too short for the problem.
fn run<I: Tiles, T: Minimal<M, N>, const M: usize, const N: usize, const NV: usize>(
    p: &Conv2d,
    blocks: &ConvBlocks,
    args: ConvArgs<'_>,
    ctx: Ctx<'_>,
) {
    let isa = I::require();
    let (width, ocg) = (NV * I::LANES, p.oc / p.groups);
    let y_len = p.n * p.oc.next_multiple_of(I::LANES) * p.oh() * p.ow();
    assert!(args.y.len() >= y_len && args.w.len() >= packed_len(p, N, I::LANES), "output and weights are complete");
    let scratch = Scratch::new::<M, N>(p, blocks, [I::LANES, width]);
    let run = Run::<I, T> {
        isa,
        p,
        grid: Grid::new(p, M),
        scratch,
        oc: blocks.oc.clamp(1, ocg).next_multiple_of(width),
        width,
        x: args.x,
        w: args.w,
        y: Shards::new(args.y),
        finish: Finish::new(&p.epilogue, args.bias, p.oc.next_multiple_of(I::LANES), args.residual, y_len),
        minimal: PhantomData,
    };
    let (strips, parts) = (run.grid.squares.div_ceil(scratch.squares), ocg.div_ceil(run.oc));
    let shared = Shards::new(ctx.scratch);
    ctx.pool.run(p.groups * strips * parts, &|task| {
        let (block, part) = (task.index / parts, task.index % parts);
        let (group, strip) = (block / strips, block % strips);
        let squares = strip * scratch.squares..run.grid.squares.min((strip + 1) * scratch.squares);
        let at = task.worker * scratch.len;
        // SAFETY: a worker runs one task at a time, and the ranges of workers do not overlap.
        let scratch = unsafe { shared.range(at..at + scratch.len) };
        run.task(group, squares, part, scratch);
    });
}

impl<I: Tiles, T> Run<'_, I, T> {
    /// Computes a block of squares for one part of the output channels of a group.
    fn task<const M: usize, const N: usize>(
        &self,
        group: usize,
        squares: Range<usize>,
        part: usize,
        scratch: &mut [f32],
    ) where
        T: Minimal<M, N>,
    {
        let (p, isa, grid) = (self.p, self.isa, self.grid);
        let (icg, ocg) = (p.ic / p.groups, p.oc / p.groups);
        let (v, rest) = scratch.split_at_mut(self.scratch.v);
        let (m, patch) = rest.split_at_mut(self.scratch.m);
        let inputs = Panel::new(squares.len(), icg.div_ceil(I::LANES), I::LANES);
        let products = Panel::new(squares.len(), self.width / I::LANES, I::LANES);
        let minimal = PhantomData::<T>;
        isa.dispatch(Input { p, grid, x: self.x, group, squares: squares.clone(), panel: inputs, v, patch, minimal });
        let begin = part * self.oc;
        for first in (begin..ocg.min(begin + self.oc)).step_by(self.width) {
            let vectors = (self.width / I::LANES).min((ocg - first).div_ceil(I::LANES));
            let channel = group * ocg + first;
            // Groups other than one are whole vectors, so that weights stand at the channel's number.
            let mut weights = &self.w[channel * icg * N * N..];
            for position in 0..N * N {
                let (w, next) = weights.split_at(icg * vectors * I::LANES);
                let (v, m) = (&v[position * inputs.pitch..], &mut m[position * products.pitch..]);
                self.multiply([w, &next[..next.len().min(w.len())]], v, m, squares.len());
                weights = next;
            }
            let (squares, finish, y) = (squares.clone(), &self.finish, &self.y);
            isa.dispatch(Output { p, grid, squares, panel: products, m, channel, vectors, finish, y, minimal });
        }
    }

    /// Multiplies `[ic][oc]` with `[ic vector][tile][lane]` to `[oc vector][tile][lane]`, and asks for the `next`
    /// weights meanwhile.
    fn multiply(&self, [w, next]: [&[f32]; 2], v: &[f32], m: &mut [f32], squares: usize) {
        let channels = self.p.ic / self.p.groups;
        let by_width = I::BLOCKED[w.len() / (channels * I::LANES) - 1];
        let m = Shards::new(m);
        let count = squares.div_ceil(by_width.len());
        for (number, (first, width)) in cut(squares, by_width.len()).enumerate() {
            let tile = Tile {
                x: v,
                x_at: first * I::LANES,
                x_pitch: squares * I::LANES,
                taps: &Taps::ONE,
                channels,
                w,
                ahead: share(next, number, count),
                y: &m,
                y_at: first * I::LANES,
                y_pitch: squares * I::LANES,
                channel: 0,
                first: true,
                finish: None,
            };
            // SAFETY: the products are this task's own.
            unsafe { by_width[width - 1](self.isa, &tile) };
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
