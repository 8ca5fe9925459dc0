//! A depthwise convolution fused with the pointwise one that reads it: what stands between them never leaves the cache.
//!
//! A task owns a strip of output rows of one image. It computes the strip of the depthwise output, all channels, into
//! its worker's scratch, and multiplies it at once with the pointwise weights. The parts are the sweeps of the depthwise
//! kernel and the tiles of the pointwise one, and the weights are packed as theirs, so that every bit equals what the
//! two kernels give one after the other.

mod pays;

use std::ops::Range;

use tilewise_tensor::DType;

use super::depthwise::{self, Strip, Sweeps};
use super::direct::{self, ConvStage, Run, Source, Tiles};
use super::epilogue::Finish;
use super::pointwise::{self, Pointwise};
use super::{ConvArgs, ConvBlocks, ConvKernel, Planes};
use crate::catalog::KernelId;
use crate::nest::Order;
use crate::parallel::Shards;
use crate::{Avx2, Avx512, Cpu, Ctx, DepthwisePointwise, Scalar, Tier};
pub use pays::pays;

/// What a fused pair reads and writes, in the blocked layout.
pub struct FusedArgs<'a> {
    /// Input image batch of the depthwise convolution.
    pub x: &'a [f32],
    /// Weights of the depthwise and of the pointwise convolution, as the kernels of these packed them.
    pub w: [&'a [f32]; 2],
    /// For both one value an output channel, filled up to whole vectors; empty where the epilogue has none.
    pub bias: [&'a [f32]; 2],
    /// An array like the output; empty where the pointwise epilogue has none.
    pub residual: &'a [f32],
    /// Output image batch of the pointwise convolution. Its old contents do not matter.
    pub y: &'a mut [f32],
}

impl DepthwisePointwise {
    /// The planes of images that have just the rows of the problem.
    fn planes(&self) -> Planes {
        Planes { x: Planes::of(&self.depthwise).x, y: Planes::of(&self.pointwise).y }
    }
}

/// One row of the table of fused kernels. It takes every [`DepthwisePointwise`] that is valid.
pub struct FusedKernel {
    /// Name, tile and tier.
    pub id: KernelId,
    /// The kernel that packs the depthwise weights.
    pub depthwise: &'static ConvKernel,
    /// The kernel that packs the pointwise weights.
    pub pointwise: &'static ConvKernel,
    /// Good blocks for a problem on a machine: output rows of a task, all output channels, input channels of a pass.
    pub blocks: fn(&DepthwisePointwise, &Cpu) -> ConvBlocks,
    /// Length of the scratch for a number of threads, in f32.
    pub scratch_len: fn(&DepthwisePointwise, &ConvBlocks, threads: usize) -> usize,
    /// Computes both convolutions.
    pub run: fn(&DepthwisePointwise, &ConvBlocks, FusedArgs<'_>, Ctx<'_>),
    /// Computes them where input and output are some rows of larger images.
    pub run_part: fn(&DepthwisePointwise, &ConvBlocks, Planes, FusedArgs<'_>, Ctx<'_>),
}

/// One row an instruction set, least capable first.
pub static ROWS: [FusedKernel; 3] = [
    row::<Scalar, 2>("conv-dwpw_f32_4x8_scalar", [&depthwise::ROWS[2], &pointwise::ROWS[6]]),
    row::<Avx2, 2>("conv-dwpw_f32_6x16_avx2", [&depthwise::ROWS[1], &pointwise::ROWS[4]]),
    row::<Avx512, 2>("conv-dwpw_f32_14x32_avx512", [&depthwise::ROWS[0], &pointwise::ROWS[0]]),
];

/// The kernel of a tier.
pub fn choose(tier: Tier) -> &'static FusedKernel {
    &ROWS[tier as usize]
}

/// The row of an instruction set, made of a depthwise kernel and the pointwise kernel with tiles of `NV` vectors.
const fn row<I: Tiles, const NV: usize>(name: &'static str, parts: [&'static ConvKernel; 2]) -> FusedKernel {
    let [depthwise, pointwise] = parts;
    FusedKernel {
        id: KernelId { name, op: "conv-dwpw", dtype: DType::F32, tile: pointwise.id.tile, tier: I::TIER },
        depthwise,
        pointwise,
        blocks: |p, cpu| pays::blocks(p, cpu, [I::BLOCKED[NV - 1].len(), NV * I::LANES], I::LANES),
        scratch_len: |p, blocks, threads| threads * strip_len(p, blocks, I::LANES),
        run: |p, blocks, args, ctx| run::<I, NV>(p, blocks, p.planes(), args, ctx),
        run_part: run::<I, NV>,
    }
}

/// Output rows of one task.
fn strip_rows(p: &DepthwisePointwise, blocks: &ConvBlocks) -> usize {
    blocks.rows.clamp(1, p.depthwise.oh())
}

/// Length of the depthwise output of one task.
fn strip_len(p: &DepthwisePointwise, blocks: &ConvBlocks, lanes: usize) -> usize {
    // Whole cache lines, so that the next worker's begins with one.
    let plane = strip_rows(p, blocks) * p.depthwise.ow() * lanes;
    (p.depthwise.oc.div_ceil(lanes) * plane).next_multiple_of(16)
}

/// The depthwise half of a run.
struct First<'a, I: Tiles> {
    isa: I,
    p: &'a crate::Conv2d,
    /// Pixels from one input plane to the next.
    plane: usize,
    sweeps: Sweeps<I>,
    x: &'a [f32],
    w: &'a [f32],
    finish: Finish<'a>,
}

/// Runs a row of the table.
///
/// # Panics
/// When the machine lacks the row's instruction set, or an operand is too short for the problem.
fn run<I: Tiles, const NV: usize>(
    p: &DepthwisePointwise,
    blocks: &ConvBlocks,
    planes: Planes,
    args: FusedArgs<'_>,
    ctx: Ctx<'_>,
) {
    let isa = I::require();
    let FusedArgs { x, w, bias, residual, y } = args;
    let (dw, vectors) = (&p.depthwise, p.depthwise.oc.div_ceil(I::LANES));
    assert!(x.len() >= planes.x_len(dw, dw.n * vectors) * I::LANES, "the input is complete");
    assert!(w[0].len() >= vectors * dw.kh * dw.kw * I::LANES, "the depthwise weights are complete");
    let finish = Finish::new(&dw.epilogue, bias[0], vectors * I::LANES, &[], 0);
    let first = First { isa, p: dw, plane: planes.x, sweeps: depthwise::sweeps::<I>(dw), x, w: w[0], finish };
    // A task is a strip with all output channels, so that no strip is computed twice.
    let (oc, order) = (p.pointwise.oc, Order::default());
    let args = ConvArgs { x: &[], w: w[1], bias: bias[1], residual, y };
    let second = Run::new::<Pointwise, NV>(isa, &p.pointwise, &ConvBlocks { oc, order, ..*blocks }, planes, args);
    let strips = second.nest.tasks();
    ctx.run(dw.n * strips, strip_len(p, blocks, I::LANES), &|task, scratch| {
        let (n, cell) = (task / strips, second.nest.task(task % strips));
        let pixels = cell[ConvStage::Pixel as usize].clone();
        let (rows, plane) = (pixels.start / dw.ow()..pixels.end / dw.ow(), pixels.len() * I::LANES);
        first.strip(n, rows, &mut scratch[..vectors * plane]);
        let strip = direct::Strip { at: 0, first: [0, pixels.start, 0], block_pitch: plane, row_pitch: 0 };
        second.multiply((n, 0), cell, Source { strip, scratch, is_copy: true });
    });
}

impl<I: Tiles> First<'_, I> {
    /// Computes the rows `rows` of all channels of image `n`, one vector of channels after the other.
    fn strip(&self, n: usize, rows: Range<usize>, strip: &mut [f32]) {
        let p = self.p;
        let taps = p.kh * p.kw * I::LANES;
        let first = n * p.oc.div_ceil(I::LANES);
        for (vector, out) in strip.chunks_exact_mut(rows.len() * p.ow() * I::LANES).enumerate() {
            let x = &self.x[(first + vector) * self.plane * I::LANES..][..p.ih * p.iw * I::LANES];
            let w = &self.w[vector * taps..][..taps];
            let (channel, rows, finish) = (vector * I::LANES, rows.clone(), &self.finish);
            // Without a residual, nothing is looked up by the place in the whole output.
            Strip { p, x, w, rows, out, y_at: 0, channel, finish }.compute(self.isa, &self.sweeps);
        }
        let len = strip.len();
        // SAFETY: the strip is borrowed for this call alone.
        unsafe { self.finish.pass(self.isa, &Shards::new(strip), 0..len) };
    }
}

#[cfg(test)]
mod tests;
