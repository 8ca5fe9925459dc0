//! Convolution by way of a transform, in the blocked layout: what Winograd and FFT kernels share.
//!
//! The output is covered with squares: neighbouring outputs that are computed together, from inputs that overlap with
//! those of the squares beside. A square's inputs are transformed to values, each at its position; multiplied with the
//! transformed kernel and summed over the input channels they give products, which transform to the outputs: one
//! multiply-add a position in place of one a tap and output.
//!
//! A task owns a block of squares and a range of output channels. It transforms the block's input once. Then, for each
//! block of output channels, the direct tiles multiply at each position, with squares in the place of pixels, and the
//! products are transformed to outputs and finished. All of it stands in the task's scratch, which is sized for L2: no
//! transformed image is ever in memory as a whole. Each product is one chain of multiply-adds over the input channels;
//! the squares are fixed by the problem, so that blocks and threads do not change a bit.

mod cost;
mod grid;
mod input;
mod output;
mod pack;

use std::marker::PhantomData;
use std::ops::Range;

use tilewise_tensor::DType;

pub use self::cost::Squares;
pub(super) use self::cost::{Method, weights};
use self::grid::{Grid, Panel};
use self::input::Input;
pub(super) use self::input::{Square, Values};
use self::output::Output;
pub(super) use self::output::{Products, Target};
pub(super) use self::pack::{Filter, add_scaled};
use super::direct::{Taps, Tile, Tiles, cut, share, whole_groups};
use super::epilogue::Finish;
use super::{ConvArgs, ConvBlocks, ConvKernel, Layout};
use crate::catalog::KernelId;
use crate::parallel::Shards;
use crate::{Conv2d, Ctx, Isa};

/// A transform under which a convolution becomes one product at each of some positions.
pub(super) trait Transform: 'static {
    /// Rows and columns of a square's inputs.
    const INPUTS: [usize; 2];
    /// Values of a square.
    const POSITIONS: usize;
    /// Vectors of scratch that the transforms of a square need.
    const ROOM: usize;
    /// What the transform of the weights needs to know of a kernel size.
    type Factors;

    /// True for the kernel sizes that there is a transform for.
    fn accepts(kernel: [usize; 2]) -> bool;

    /// Vector operations of the input transform and of the output transform of a square of `outputs`.
    fn operations(outputs: [usize; 2]) -> [usize; 2];

    /// What [`Transform::filter`] needs to know of a kernel size.
    fn factors(kernel: [usize; 2]) -> Self::Factors;

    /// Transforms the filters of a vector of output channels, in f64.
    fn filter<I: Isa>(isa: I, factors: &Self::Factors, filter: Filter<'_>);

    /// Transforms the inputs of a square.
    fn input<I: Isa>(isa: I, square: &Square<'_>, values: &mut Values<'_>, room: &mut [f32]);

    /// Transforms the products of a square to those of its outputs that are in the image.
    fn output<I: Isa>(isa: I, products: &Products<'_>, target: &Target<'_>, room: &mut [f32]);
}

/// Rows and columns of the outputs of a square.
fn outputs<T: Transform>(p: &Conv2d) -> [usize; 2] {
    [T::INPUTS[0] + 1 - p.kh, T::INPUTS[1] + 1 - p.kw]
}

/// The row of an instruction set, a transform, and tiles of `NV` vectors of output channels.
pub(super) const fn row<I: Tiles, T: Transform, const NV: usize>(op: &'static str, name: &'static str) -> ConvKernel {
    let tile = [I::BLOCKED[NV - 1].len(), NV * I::LANES];
    ConvKernel {
        id: KernelId { name, op, dtype: DType::F32, tile, tier: I::TIER },
        x: Layout::Nchwc,
        y: Layout::Nchwc,
        accepts: |p| T::accepts([p.kh, p.kw]) && is_dense(p) && whole_groups(p, I::LANES),
        blocks: |p, cpu| Method::new::<T>([I::BLOCKED[NV - 1].len(), NV * I::LANES], I::LANES).blocks(p, cpu),
        packed_len: packed_len::<I, T>,
        pack: |p, w, packed| pack::pack::<I, T>(p, w, packed, NV * I::LANES),
        nest: None,
        scratch_len: |p, blocks, threads| threads * Scratch::new::<T>(p, blocks, [I::LANES, NV * I::LANES]).len,
        run: run::<I, T, NV>,
        run_part: None,
    }
}

/// True where neighbouring outputs read neighbouring inputs through neighbouring taps.
fn is_dense(p: &Conv2d) -> bool {
    p.stride == [1, 1] && p.dilation == [1, 1]
}

/// Length of the packed weights: the output channels of each group are filled up to whole vectors.
fn packed_len<I: Isa, T: Transform>(p: &Conv2d) -> usize {
    p.groups * (p.oc / p.groups).next_multiple_of(I::LANES) * (p.ic / p.groups) * T::POSITIONS
}

/// A worker's scratch: transformed inputs, products, one square's padded input and room for its transforms, in
/// elements.
#[derive(Clone, Copy, Debug)]
struct Scratch {
    /// Squares of a block.
    squares: usize,
    v: usize,
    m: usize,
    patch: usize,
    /// All of them, in whole cache lines.
    len: usize,
}

impl Scratch {
    fn new<T: Transform>(p: &Conv2d, blocks: &ConvBlocks, [lanes, width]: [usize; 2]) -> Self {
        let squares = blocks.rows.clamp(1, Grid::new(p, outputs::<T>(p)).squares.max(1));
        let panel = Panel::new(squares, T::POSITIONS, lanes);
        let v = (p.ic / p.groups).div_ceil(lanes) * panel.vector;
        let m = width / lanes * panel.vector;
        let patch = T::INPUTS[0] * T::INPUTS[1] * lanes;
        Scratch { squares, v, m, patch, len: (v + m + patch + T::ROOM * lanes).next_multiple_of(16) }
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
    transform: PhantomData<fn() -> T>,
}

/// Runs a row of a table.
///
/// # Panics
/// When the machine lacks the row's instruction set, or an operand is too short for the problem.
fn run<I: Tiles, T: Transform, const NV: usize>(p: &Conv2d, blocks: &ConvBlocks, args: ConvArgs<'_>, ctx: Ctx<'_>) {
    let isa = I::require();
    let (width, ocg) = (NV * I::LANES, p.oc / p.groups);
    let y_len = p.n * p.oc.next_multiple_of(I::LANES) * p.oh() * p.ow();
    assert!(args.y.len() >= y_len && args.w.len() >= packed_len::<I, T>(p), "output and weights are complete");
    let scratch = Scratch::new::<T>(p, blocks, [I::LANES, width]);
    let run = Run::<I, T> {
        isa,
        p,
        grid: Grid::new(p, outputs::<T>(p)),
        scratch,
        oc: blocks.oc.clamp(1, ocg).next_multiple_of(width),
        width,
        x: args.x,
        w: args.w,
        y: Shards::new(args.y),
        finish: Finish::new(&p.epilogue, args.bias, p.oc.next_multiple_of(I::LANES), args.residual, y_len),
        transform: PhantomData,
    };
    let (strips, parts) = (run.grid.squares.div_ceil(scratch.squares), ocg.div_ceil(run.oc));
    ctx.run(p.groups * strips * parts, scratch.len, &|task, room| {
        let (block, part) = (task / parts, task % parts);
        let (group, strip) = (block / strips, block % strips);
        let squares = strip * scratch.squares..run.grid.squares.min((strip + 1) * scratch.squares);
        run.task(group, squares, part, room);
    });
}

impl<I: Tiles, T: Transform> Run<'_, I, T> {
    /// Computes a block of squares for one part of the output channels of a group.
    fn task(&self, group: usize, squares: Range<usize>, part: usize, scratch: &mut [f32]) {
        let (p, isa, grid, transform) = (self.p, self.isa, self.grid, PhantomData::<T>);
        let (icg, ocg) = (p.ic / p.groups, p.oc / p.groups);
        let (v, rest) = scratch.split_at_mut(self.scratch.v);
        let (m, rest) = rest.split_at_mut(self.scratch.m);
        let (patch, room) = rest.split_at_mut(self.scratch.patch);
        let panel = Panel::new(squares.len(), T::POSITIONS, I::LANES);
        let input =
            Input { p, grid, x: self.x, group, squares: squares.clone(), panel, v, patch, room: &mut *room, transform };
        isa.dispatch(input);
        let begin = part * self.oc;
        for first in (begin..ocg.min(begin + self.oc)).step_by(self.width) {
            let vectors = (self.width / I::LANES).min((ocg - first).div_ceil(I::LANES));
            let channel = group * ocg + first;
            // Groups other than one are whole vectors, so that weights stand at the channel's number.
            let mut weights = &self.w[channel * icg * T::POSITIONS..];
            for position in 0..T::POSITIONS {
                let (w, next) = weights.split_at(icg * vectors * I::LANES);
                let (v, m) = (&v[position * panel.pitch..], &mut m[position * panel.pitch..]);
                self.multiply([w, &next[..next.len().min(w.len())]], v, m, panel);
                weights = next;
            }
            let output = Output {
                p,
                grid,
                squares: squares.clone(),
                panel,
                m,
                channel,
                vectors,
                finish: &self.finish,
                y: &self.y,
                room: &mut *room,
                transform,
            };
            isa.dispatch(output);
        }
    }

    /// Multiplies `[ic][oc]` with `[ic vector][square][lane]` to `[oc vector][square][lane]`, at one position of panels,
    /// and asks for the `next` weights meanwhile.
    fn multiply(&self, [w, next]: [&[f32]; 2], v: &[f32], m: &mut [f32], panel: Panel) {
        let channels = self.p.ic / self.p.groups;
        let by_width = I::BLOCKED[w.len() / (channels * I::LANES) - 1];
        let m = Shards::new(m);
        let count = panel.squares.div_ceil(by_width.len());
        for (number, (first, width)) in cut(panel.squares, by_width.len()).enumerate() {
            let tile = Tile {
                x: v,
                x_at: first * I::LANES,
                x_pitch: panel.vector,
                taps: &Taps::ONE,
                channels,
                w,
                ahead: share(next, number, count),
                y: &m,
                y_at: first * I::LANES,
                y_pitch: panel.vector,
                channel: 0,
                first: true,
                finish: None,
            };
            // SAFETY: the products are this task's own.
            unsafe { by_width[width - 1](self.isa, &tile) };
        }
    }
}
