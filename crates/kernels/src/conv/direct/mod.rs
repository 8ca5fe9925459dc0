//! Direct convolution in the blocked layout: register tiles over strips of the input, for any kernel size, stride,
//! dilation and padding.
//!
//! A task owns a strip of output rows of one image and a range of output channels. It copies the strip's input where
//! there is padding or a horizontal stride, and reads it in place elsewhere. Its loops are a [`Nest`]: by default, for
//! each block of output channels, blocks of input channels pass over all of the strip's tiles, with sums kept in the
//! output between them. Each output is one chain of multiply-adds over channel vectors, kernel rows, kernel columns and
//! lanes, in this order, whatever the tiles, the blocks, the order of the loops and the threads are.

pub(super) mod blocks;
mod nest;
mod run;
mod strip;
mod tile;

use tilewise_tensor::DType;

use super::{ConvArgs, ConvBlocks, ConvKernel, Layout, Planes};
use crate::catalog::KernelId;
use crate::nest::Nest;
use crate::{Avx2, Avx512, Conv2d, Ctx, Scalar};
pub use nest::{ConvStage, ORDERS};
pub(super) use run::{Run, Source};
use strip::Input;
pub(super) use strip::{Line, Strip, is_pointwise};
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
        band: 1,
        accepts: |p| F::accepts(p, I::LANES),
        blocks: |p, cpu| {
            let tile = [tiles::<I, F>()[NV - 1].len(), NV * I::LANES];
            blocks::blocks(p, cpu, pixel_lanes::<I, F>(), tile, I::LANES)
        },
        packed_len: |p| packed_len(p, I::LANES),
        pack: |p, w, packed| pack(p, w, packed, pixel_lanes::<I, F>(), I::LANES, NV * I::LANES),
        nest: Some(loops::<I, F, NV>),
        scratch_len: |p, blocks, threads| {
            threads * worker_scratch(&loops::<I, F, NV>(p, blocks), &Input::new(p, pixel_lanes::<I, F>()))
        },
        run: |p, blocks, args, ctx| run::<I, F, NV>(p, blocks, Planes::of(p), args, ctx),
        run_part: Some(run::<I, F, NV>),
    }
}

/// The loops of a row for each image and group of a problem.
fn loops<I: Tiles, F: Family, const NV: usize>(p: &Conv2d, blocks: &ConvBlocks) -> Nest<ConvStage> {
    let tile = [tiles::<I, F>()[NV - 1].len(), NV * I::LANES];
    nest::nest(p, blocks, &Input::new(p, pixel_lanes::<I, F>()), tile)
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

/// Length of one worker's scratch, in whole cache lines.
fn worker_scratch(nest: &Nest<ConvStage>, input: &Input) -> usize {
    nest.packed(ConvStage::PackX).map_or(0, |inside| input.copy_len(inside)).next_multiple_of(16)
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
    let parts = run.nest.tasks();
    ctx.run(p.n * p.groups * parts, worker_scratch(&run.nest, &run.input), &|task, scratch| {
        let image = (task / parts / p.groups, task / parts % p.groups);
        run.task(image, run.nest.task(task % parts), scratch);
    });
}

/// Cuts `len` pixels into as few tiles of at most `most` as there can be, of almost the same width, as (first, width):
/// a narrow rest would leave the multiply-adds waiting for each other.
pub(super) fn cut(len: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let tiles = len.div_ceil(most).max(1);
    let (width, wider) = (len / tiles, len % tiles);
    (0..tiles).map(move |i| (i * width + i.min(wider), width + usize::from(i < wider)))
}
