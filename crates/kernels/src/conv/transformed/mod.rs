//! Convolution by way of a transform, in the blocked layout: what Winograd and FFT kernels share.
//!
//! The output is covered with squares: neighbouring outputs that are computed together, from inputs that overlap with
//! those of the squares beside. A square's inputs are transformed to values, each at its position; multiplied with the
//! transformed kernel and summed over the input channels they give products, which transform to the outputs: one
//! multiply-add a position in place of one a tap and output. Positions may share a value of the kernel.
//!
//! The direct tiles multiply at each position, with squares in the place of pixels. A [`fused`] kernel goes from inputs to
//! outputs for one block of squares after the other, so that no transformed image is ever in memory as a whole; a
//! [`nonfused`] one has three passes over all squares, so that weights too many for L2 are read once. Each product is one
//! chain of multiply-adds over the input channels; the squares are fixed by the problem, so that neither passes nor blocks
//! nor threads change a bit.

mod cost;
pub(super) mod fused;
mod grid;
mod input;
pub(super) mod nonfused;
mod output;
mod pack;

use std::marker::PhantomData;
use std::ops::Range;

pub use self::cost::Squares;
pub(super) use self::cost::{Method, weights};
use self::grid::{Grid, Panel};
use self::input::Input;
pub(super) use self::input::{Square, Values};
use self::output::Output;
pub(super) use self::output::{Products, Target};
pub(super) use self::pack::{Filter, add_scaled};
use super::direct::{Taps, Tile, Tiles, cut, whole_groups};
use super::epilogue::Finish;
use super::{ConvArgs, ConvBlocks};
use crate::gemm::product::share;
use crate::parallel::Shards;
use crate::{Conv2d, Isa};

/// A transform under which a convolution becomes one product at each of some positions.
pub(super) trait Transform: 'static {
    /// Rows and columns of a square's inputs.
    const INPUTS: [usize; 2];
    /// Rows and columns of inputs from one output to the next.
    const STRIDE: usize = 1;
    /// Values of a square.
    const POSITIONS: usize;
    /// Values of a transformed filter; some positions may share one.
    const FILTERS: usize = Self::POSITIONS;
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

    /// The value of the transformed filter that multiplies at a position.
    #[inline(always)]
    fn filter_at(position: usize) -> usize {
        position
    }

    /// Transforms the filters of a vector of output channels, in f64.
    fn filter<I: Isa>(isa: I, factors: &Self::Factors, filter: Filter<'_>);

    /// Transforms the inputs of a square.
    fn input<I: Isa>(isa: I, square: &Square<'_>, values: &mut Values<'_>, room: &mut [f32]);

    /// Transforms the products of a square to those of its outputs that are in the image.
    fn output<I: Isa>(isa: I, products: &Products<'_>, target: &Target<'_>, room: &mut [f32]);
}

/// Rows and columns of the outputs of a square.
fn outputs<T: Transform>(p: &Conv2d) -> [usize; 2] {
    outputs_of(T::INPUTS, T::STRIDE, p)
}

/// Rows and columns of outputs that so many inputs give.
fn outputs_of([rows, columns]: [usize; 2], stride: usize, p: &Conv2d) -> [usize; 2] {
    [(rows - p.kh) / stride + 1, (columns - p.kw) / stride + 1]
}

/// True for the problems of a transform, for vectors of `lanes`.
fn accepts<T: Transform>(p: &Conv2d, lanes: usize) -> bool {
    let steps = p.stride == [T::STRIDE; 2] && (T::STRIDE == 1 || p.dilation == [1, 1]);
    steps && T::accepts([p.kh, p.kw]) && whole_groups(p, lanes)
}

/// The register tile of `NV` vectors: squares, output channels.
const fn tile<I: Tiles, const NV: usize>() -> [usize; 2] {
    [I::BLOCKED[NV - 1].len(), NV * I::LANES]
}

/// Values of scratch for one square's padded input and the transforms of a square.
const fn room_len<I: Isa, T: Transform>() -> usize {
    ((T::INPUTS[0] * T::INPUTS[1] + T::ROOM) * I::LANES).next_multiple_of(16)
}

/// Length of the packed weights: the output channels of each group are filled up to whole vectors.
fn packed_len<I: Isa, T: Transform>(p: &Conv2d) -> usize {
    p.groups * (p.oc / p.groups).next_multiple_of(I::LANES) * (p.ic / p.groups) * T::FILTERS
}

/// Everything that the tasks of one run share.
struct Run<'a, I, T> {
    isa: I,
    p: &'a Conv2d,
    grid: Grid,
    /// Output channels of a task, and of a block.
    oc: usize,
    width: usize,
    /// Input channels of a pass.
    ic: usize,
    x: &'a [f32],
    w: &'a [f32],
    y: Shards<'a, f32>,
    finish: Finish<'a>,
    transform: PhantomData<fn() -> T>,
}

impl<'a, I: Tiles, T: Transform> Run<'a, I, T> {
    /// A run of the kernel with tiles of `NV` vectors.
    ///
    /// # Panics
    /// When the machine lacks the instruction set, or an operand is too short for the problem.
    fn new<const NV: usize>(p: &'a Conv2d, blocks: &ConvBlocks, args: ConvArgs<'a>) -> Self {
        let (isa, width) = (I::require(), NV * I::LANES);
        let y_len = p.n * p.oc.next_multiple_of(I::LANES) * p.oh() * p.ow();
        assert!(args.y.len() >= y_len && args.w.len() >= packed_len::<I, T>(p), "output and weights are complete");
        Run {
            isa,
            p,
            grid: Grid::new(p, outputs::<T>(p)),
            oc: blocks.oc.clamp(1, p.oc / p.groups).next_multiple_of(width),
            width,
            ic: blocks.ic.max(1).next_multiple_of(I::LANES),
            x: args.x,
            w: args.w,
            y: Shards::new(args.y),
            finish: Finish::new(&p.epilogue, args.bias, p.oc.next_multiple_of(I::LANES), args.residual, y_len),
            transform: PhantomData,
        }
    }

    /// Transforms the inputs of a panel's squares to the values `v` of some vectors of a group's input channels.
    fn input(&self, [group, square]: [usize; 2], panel: Panel, vectors: Range<usize>, v: &mut [f32], room: &mut [f32]) {
        let (squares, transform) = (square..square + panel.squares, PhantomData::<T>);
        let (patch, room) = room.split_at_mut(T::INPUTS[0] * T::INPUTS[1] * I::LANES);
        let Run { isa, p, grid, x, .. } = *self;
        isa.dispatch(Input { p, grid, x, group, vectors, squares, panel, v, patch, room, transform });
    }

    /// Output channels of a group's block that begins with `first`, in vectors.
    fn vectors(&self, first: usize) -> usize {
        (self.width / I::LANES).min((self.p.oc / self.p.groups - first).div_ceil(I::LANES))
    }

    /// The weights of a position for the block of output channels from `channel` on, and those behind them.
    fn weights(&self, channel: usize, vectors: usize, position: usize) -> (&[f32], &[f32]) {
        // Groups other than one are whole vectors, so that weights stand at the channel's number.
        let (icg, len) = (self.p.ic / self.p.groups, self.p.ic / self.p.groups * vectors * I::LANES);
        self.w[channel * icg * T::FILTERS + T::filter_at(position) * len..].split_at(len)
    }

    /// Multiplies `[ic][oc]` with `[ic vector][square][lane]` to `[oc vector][square][lane]`, at one position of panels,
    /// and asks for the `next` weights meanwhile.
    ///
    /// # Safety
    /// Nobody else reaches the products of this position and these output channels, which begin at `at`.
    unsafe fn multiply(&self, [w, next]: [&[f32]; 2], v: &[f32], (m, at): (&Shards<'_, f32>, usize), panel: Panel) {
        let channels = self.p.ic / self.p.groups;
        let width = w.len() / channels;
        let by_width = I::BLOCKED[width / I::LANES - 1];
        let count = panel.squares.div_ceil(by_width.len());
        for start in (0..channels).step_by(self.ic) {
            let (w, rest) = w[start * width..].split_at(self.ic.min(channels - start) * width);
            let ahead = if rest.is_empty() { next } else { rest };
            let ahead = &ahead[..ahead.len().min(w.len())];
            for (number, (first, squares)) in cut(panel.squares, by_width.len()).enumerate() {
                let tile = Tile {
                    x: v,
                    x_at: start / I::LANES * panel.vector + first * I::LANES,
                    x_pitch: panel.vector,
                    taps: &Taps::ONE,
                    channels: w.len() / width,
                    w,
                    ahead: share(ahead, number, count),
                    y: m,
                    y_at: at + first * I::LANES,
                    y_pitch: panel.vector,
                    channel: 0,
                    first: start == 0,
                    finish: None,
                };
                // SAFETY: the products are the caller's own.
                unsafe { by_width[squares - 1](self.isa, &tile) };
            }
        }
    }

    /// Transforms the products `m` of a panel's squares for some vectors of output channels from `channel` on, finishes and
    /// stores the outputs.
    fn output(&self, square: usize, panel: Panel, m: &[f32], [channel, vectors]: [usize; 2], room: &mut [f32]) {
        let (squares, transform) = (square..square + panel.squares, PhantomData::<T>);
        let Run { isa, p, grid, ref finish, ref y, .. } = *self;
        isa.dispatch(Output { p, grid, squares, panel, m, channel, vectors, finish, y, room, transform });
    }
}
