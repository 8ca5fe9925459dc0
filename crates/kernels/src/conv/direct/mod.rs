//! Direct convolution in the blocked layout: register tiles over strips of the input, for any kernel size, stride,
//! dilation and padding.
//!
//! A task owns a strip of output rows of one image and a range of output channels. It copies the strip's input once
//! where there is padding or a horizontal stride, and reads it in place elsewhere. Then, for each block of output
//! channels, blocks of input channels pass over all of the strip's tiles, with sums kept in the output between them.
//! Each output is one chain of multiply-adds over channel vectors, kernel rows, kernel columns and lanes, in this
//! order, whatever the tiles, the blocks and the threads are.

mod blocks;
mod strip;
mod tile;

use std::ops::Range;

use tilewise_tensor::DType;

use super::epilogue::Finish;
use super::{ConvArgs, ConvBlocks, ConvKernel, Layout, Planes};
use crate::catalog::KernelId;
use crate::parallel::Shards;
use crate::{Avx2, Avx512, Conv2d, Ctx, Scalar};
use strip::Input;
pub(super) use strip::Strip;
pub(super) use strip::is_pointwise;
use tile::TileFn;
pub(super) use tile::{Taps, Tile, Tiles};

/// The problems that a family of rows takes, and the layout it takes them in.
pub(super) trait Family: 'static {
    /// The first part of the kernel names.
    const OP: &'static str;
    /// Layout of the input.
    const X: Layout;
    /// True for the problems of the family, for vectors of `lanes`.
    fn accepts(p: &Conv2d, lanes: usize) -> bool;
}

/// Kernels larger than one tap, and padded ones.
struct Direct;

impl Family for Direct {
    const OP: &'static str = "conv-direct";
    const X: Layout = Layout::Nchwc;

    fn accepts(p: &Conv2d, lanes: usize) -> bool {
        !is_pointwise(p) && whole_groups(p, lanes)
    }
}

/// True where no vector of channels holds two groups.
pub(super) fn whole_groups(p: &Conv2d, lanes: usize) -> bool {
    p.groups == 1 || ((p.ic / p.groups).is_multiple_of(lanes) && (p.oc / p.groups).is_multiple_of(lanes))
}

/// The rows: widest pixel tile first, which loads least for each multiply-add.
pub(super) static ROWS: [ConvKernel; 7] = [
    row::<Avx512, Direct, 2>("conv-direct_f32_14x32_avx512"),
    row::<Avx512, Direct, 3>("conv-direct_f32_9x48_avx512"),
    row::<Avx512, Direct, 4>("conv-direct_f32_6x64_avx512"),
    row::<Avx512, Direct, 1>("conv-direct_f32_28x16_avx512"),
    row::<Avx2, Direct, 2>("conv-direct_f32_6x16_avx2"),
    row::<Avx2, Direct, 1>("conv-direct_f32_12x8_avx2"),
    row::<Scalar, Direct, 2>("conv-direct_f32_4x8_scalar"),
];

/// The row of an instruction set, a family, and tiles of `NV` vectors of output channels.
pub(super) const fn row<I: Tiles, F: Family, const NV: usize>(name: &'static str) -> ConvKernel {
    let tile = [tiles::<I, F>()[NV - 1].len(), NV * I::LANES];
    ConvKernel {
        id: KernelId { name, op: F::OP, dtype: DType::F32, tile, tier: I::TIER },
        x: F::X,
        y: Layout::Nchwc,
        accepts: |p| F::accepts(p, I::LANES),
        blocks: |p, cpu| {
            let tile = [tiles::<I, F>()[NV - 1].len(), NV * I::LANES];
            blocks::blocks(p, cpu, pixel_lanes::<I, F>(), tile, I::LANES)
        },
        packed_len: |p| packed_len(p, I::LANES),
        pack: |p, w, packed| pack(p, w, packed, pixel_lanes::<I, F>(), I::LANES, NV * I::LANES),
        scratch_len: |p, blocks, threads| threads * worker_scratch(p, blocks, &Input::new(p, pixel_lanes::<I, F>())),
        run: |p, blocks, args, ctx| run::<I, F, NV>(p, blocks, Planes::of(p), args, ctx),
        run_part: Some(run::<I, F, NV>),
    }
}

/// The tiles for the input layout of a family.
const fn tiles<I: Tiles, F: Family>() -> &'static [&'static [TileFn<I>]] {
    match F::X {
        Layout::Nchw => I::PLANAR,
        Layout::Nchwc => I::BLOCKED,
    }
}

/// Elements of an input pixel in the layout of a family.
const fn pixel_lanes<I: Tiles, F: Family>() -> usize {
    match F::X {
        Layout::Nchw => 1,
        Layout::Nchwc => I::LANES,
    }
}

/// Length of the packed weights: the output channels of each group are filled up to whole vectors.
fn packed_len(p: &Conv2d, lanes: usize) -> usize {
    p.groups * (p.oc / p.groups).next_multiple_of(lanes) * (p.ic / p.groups) * p.kh * p.kw
}

/// Packs `[oc][ic / groups][kh][kw]` in the order in which tiles read: for each block of `width` output channels (the
/// last of a group may have fewer vectors), vectors of `x_lanes` input channels, kernel rows, kernel columns, lanes.
fn pack(p: &Conv2d, w: &[f32], packed: &mut [f32], x_lanes: usize, lanes: usize, width: usize) {
    let (icg, ocg, taps) = (p.ic / p.groups, p.oc / p.groups, p.kh * p.kw);
    let mut packed = packed.chunks_exact_mut(lanes);
    for (group, first) in (0..p.groups).flat_map(|g| (0..ocg).step_by(width).map(move |first| (g, first))) {
        let padded = width.min((ocg - first).next_multiple_of(lanes));
        for block in (0..icg).step_by(x_lanes) {
            for tap in 0..taps {
                for ic in block..icg.min(block + x_lanes) {
                    for oc in (first..first + padded).step_by(lanes) {
                        let Some(to) = packed.next() else { return };
                        for (lane, to) in to.iter_mut().enumerate() {
                            let at = ((group * ocg + oc + lane) * icg + ic) * taps + tap;
                            *to = if oc + lane < ocg { w[at] } else { 0.0 };
                        }
                    }
                }
            }
        }
    }
}

/// Output rows of one task.
fn strip_rows(p: &Conv2d, blocks: &ConvBlocks) -> usize {
    blocks.rows.clamp(1, p.oh())
}

/// Length of one worker's scratch, in whole cache lines.
fn worker_scratch(p: &Conv2d, blocks: &ConvBlocks, input: &Input) -> usize {
    input.strip_len(strip_rows(p, blocks)).next_multiple_of(16)
}

/// Everything that the tasks of one run share.
pub(super) struct Run<'a, I: Tiles> {
    isa: I,
    p: &'a Conv2d,
    planes: Planes,
    tiles: &'static [&'static [TileFn<I>]],
    input: Input,
    /// Lanes of an input pixel, and output channels of a full tile.
    x_lanes: usize,
    width: usize,
    /// Output rows and output channels of a task, input channels of a pass.
    rows: usize,
    oc: usize,
    ic: usize,
    x: &'a [f32],
    w: &'a [f32],
    y: Shards<'a, f32>,
    finish: Finish<'a>,
}

/// Runs a row of the table.
///
/// # Panics
/// When the machine lacks the row's instruction set, or an operand is too short for the problem.
fn run<I: Tiles, F: Family, const NV: usize>(
    p: &Conv2d,
    blocks: &ConvBlocks,
    planes: Planes,
    args: ConvArgs<'_>,
    ctx: Ctx<'_>,
) {
    let isa = I::get().expect("a kernel runs only where its instruction set is");
    let run = Run::new::<F, NV>(isa, p, blocks, planes, args);
    let scratch_len = worker_scratch(p, blocks, &run.input);
    let (strips, parts) = (p.oh().div_ceil(run.rows), (p.oc / p.groups).div_ceil(run.oc));
    let scratch = Shards::new(ctx.scratch);
    ctx.pool.run(p.n * p.groups * strips * parts, &|task| {
        let (image, part) = (task.index / parts, task.index % parts);
        let (image, strip) = (image / strips, image % strips);
        let at = task.worker * scratch_len;
        // SAFETY: a worker runs one task at a time, and the ranges of workers do not overlap.
        let scratch = unsafe { scratch.range(at..at + scratch_len) };
        run.task((image / p.groups, image % p.groups), strip, part, scratch);
    });
}

impl<'a, I: Tiles> Run<'a, I> {
    /// A run of the kernel with tiles of `NV` vectors.
    ///
    /// # Panics
    /// When the weights or the output are too short for the problem.
    pub(super) fn new<F: Family, const NV: usize>(
        isa: I,
        p: &'a Conv2d,
        blocks: &ConvBlocks,
        planes: Planes,
        args: ConvArgs<'a>,
    ) -> Self {
        let (x_lanes, width) = (pixel_lanes::<I, F>(), NV * I::LANES);
        let y_len = planes.y_len(p, p.n * p.oc.div_ceil(I::LANES)) * I::LANES;
        assert!(args.y.len() >= y_len && args.w.len() >= packed_len(p, I::LANES), "output and weights are complete");
        Run {
            isa,
            p,
            planes,
            tiles: tiles::<I, F>(),
            input: Input::new(p, x_lanes),
            x_lanes,
            width,
            rows: strip_rows(p, blocks),
            oc: blocks.oc.clamp(1, p.oc / p.groups).next_multiple_of(width),
            ic: blocks.ic.max(1).next_multiple_of(x_lanes),
            x: args.x,
            w: args.w,
            y: Shards::new(args.y),
            finish: Finish::new(&p.epilogue, args.bias, p.oc.next_multiple_of(I::LANES), args.residual, y_len),
        }
    }

    /// Computes one strip of output rows and one part of the output channels of one group of image `n`.
    fn task(&self, (n, group): (usize, usize), strip: usize, part: usize, scratch: &mut [f32]) {
        let out = strip * self.rows..self.p.oh().min((strip + 1) * self.rows);
        let source = self.input.strip(self.isa, (self.x, self.planes.x), (n, group), out.clone(), scratch);
        self.multiply(&source, (n, group), out, part);
    }

    /// Computes the output rows `out` and one part of the output channels of one group of image `n` from their strip.
    /// No other task computes the same outputs.
    pub(super) fn multiply(&self, source: &Strip<'_>, (n, group): (usize, usize), out: Range<usize>, part: usize) {
        let p = self.p;
        let (ocg, icg) = (p.oc / p.groups, p.ic / p.groups);
        let (rows, columns) = if self.input.flat { (1, out.len() * p.ow()) } else { (out.len(), p.ow()) };
        let begin = part * self.oc;
        for first in (begin..ocg.min(begin + self.oc)).step_by(self.width) {
            let vectors = (self.width / I::LANES).min((ocg - first).div_ceil(I::LANES));
            let channel = group * ocg + first;
            // Groups other than one are whole vectors, so that weights and outputs stand at the channel's number.
            let weights = &self.w[channel * icg * self.input.taps.count()..];
            for ic in (0..icg).step_by(self.ic) {
                for row in 0..rows {
                    let pixel = (out.start + row) * p.ow();
                    let block = Block { n, channel, vectors, ic, row, rows, pixel, columns };
                    self.row(source, weights, &block);
                }
            }
        }
    }

    /// Computes a row of tiles for some vectors of output channels and a pass of input channels.
    fn row(&self, source: &Strip<'_>, weights: &[f32], b: &Block) {
        let p = self.p;
        let icg = p.ic / p.groups;
        let channels = self.ic.min(icg - b.ic);
        let last = b.ic + channels == icg;
        let y_pitch = self.planes.y * I::LANES;
        let plane = b.n * p.oc.div_ceil(I::LANES) + b.channel / I::LANES;
        let y_at = plane * y_pitch + b.pixel * I::LANES;
        let x_at = source.at + b.row * source.row_pitch + b.ic / self.x_lanes * source.block_pitch;
        let tiles = self.tiles[b.vectors - 1];
        // The weights of the next pass stand behind those of this one, whose tiles ask for them in equal shares.
        let taps = self.input.taps.count() * b.vectors * I::LANES;
        let (here, next) = weights[b.ic * taps..].split_at(channels * taps);
        let next = &next[..next.len().min(here.len())];
        let across = b.columns.div_ceil(tiles.len());
        for (number, (column, width)) in (b.row * across..).zip(cut(b.columns, tiles.len())) {
            let tile = Tile {
                x: source.data,
                x_at: x_at + column * self.x_lanes,
                x_pitch: source.block_pitch,
                taps: &self.input.taps,
                channels,
                w: here,
                ahead: share(next, number, b.rows * across),
                y: &self.y,
                y_at: y_at + column * I::LANES,
                y_pitch,
                channel: b.channel,
                first: b.ic == 0,
                finish: last.then_some(&self.finish),
            };
            // SAFETY: tasks differ in image, rows or output channels, so no other one reaches these outputs.
            unsafe { tiles[width - 1](self.isa, &tile) };
        }
        for at in (y_at..).step_by(y_pitch).take(if last { b.vectors } else { 0 }) {
            // SAFETY: as above.
            unsafe { self.finish.pass(self.isa, &self.y, at..at + b.columns * I::LANES) };
        }
    }
}

/// One row of tiles.
struct Block {
    n: usize,
    /// First output channel, over all groups, and vectors of them.
    channel: usize,
    vectors: usize,
    /// First input channel of the group.
    ic: usize,
    /// Row of the strip, and how many there are.
    row: usize,
    rows: usize,
    /// First output pixel of the image, and how many there are.
    pixel: usize,
    columns: usize,
}

/// Part `number` of `parts` of almost the same length.
pub(super) fn share<T>(all: &[T], number: usize, parts: usize) -> &[T] {
    &all[number * all.len() / parts..(number + 1) * all.len() / parts]
}

/// Cuts `len` pixels into as few tiles of at most `most` as there can be, of almost the same width, as (first, width):
/// a narrow rest would leave the multiply-adds waiting for each other.
pub(super) fn cut(len: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let tiles = len.div_ceil(most).max(1);
    let (width, wider) = (len / tiles, len % tiles);
    (0..tiles).map(move |i| (i * width + i.min(wider), width + usize::from(i < wider)))
}
