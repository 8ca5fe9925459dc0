//! Depthwise convolution: each channel by itself, in the blocked layout, a channel vector at a time.
//!
//! Tiles of up to eight neighbouring outputs go down the plane, the image's edges included: nothing is copied, and taps
//! outside the image are left out. Each output is one chain of multiply-adds over its taps inside the image, row by row.

mod strip;
mod sweep;

use tilewise_tensor::DType;

use super::epilogue::Finish;
use super::{ConvArgs, ConvBlocks, ConvKernel, Layout, Planes};
use crate::catalog::KernelId;
use crate::parallel::Shards;
use crate::{Avx2, Avx512, Conv2d, Cpu, Ctx, Isa, Scalar};
pub(super) use strip::Strip;
use sweep::WIDEST;
pub(super) use sweep::{Sweeps, sweeps};

/// One row an instruction set.
pub(super) static ROWS: [ConvKernel; 3] = [
    row::<Avx512>("conv-depthwise_f32_8x16_avx512"),
    row::<Avx2>("conv-depthwise_f32_8x8_avx2"),
    row::<Scalar>("conv-depthwise_f32_8x4_scalar"),
];

const fn row<I: Isa>(name: &'static str) -> ConvKernel {
    let tile = [WIDEST, I::LANES];
    ConvKernel {
        id: KernelId { name, op: "conv-depthwise", dtype: DType::F32, tile, tier: I::TIER },
        x: Layout::Nchwc,
        y: Layout::Nchwc,
        band: 1,
        accepts: Conv2d::is_depthwise,
        blocks: |p, cpu| blocks(p, cpu, I::LANES),
        packed_len: |p| p.oc.next_multiple_of(I::LANES) * p.kh * p.kw,
        pack: |p, w, packed| pack(p, w, packed, I::LANES),
        nest: None,
        scratch_len: |_, _, _| 0,
        run: |p, blocks, args, ctx| run::<I>(p, blocks, Planes::of(p), args, ctx),
        run_part: Some(run::<I>),
    }
}

/// A task is one channel vector, whose input plane is read once; planes are cut only where there are too few for all
/// cores to be busy to the end, which four tasks a core are enough for.
fn blocks(p: &Conv2d, cpu: &Cpu, lanes: usize) -> ConvBlocks {
    let planes = p.n * p.oc.div_ceil(lanes);
    let wanted = if cpu.cores > 1 { 4 * cpu.cores } else { 1 };
    let strips = wanted.div_ceil(planes.max(1)).min(p.oh());
    let planes_each = (planes / wanted).clamp(1, p.oc.div_ceil(lanes));
    ConvBlocks { rows: p.oh().div_ceil(strips), oc: planes_each * lanes, ic: lanes, ..ConvBlocks::default() }
}

/// Packs `[c][1][kh][kw]` as vectors of channels, kernel rows, kernel columns, lanes.
fn pack(p: &Conv2d, w: &[f32], packed: &mut [f32], lanes: usize) {
    let taps = p.kh * p.kw;
    for (block, to) in packed.chunks_exact_mut(taps * lanes).enumerate() {
        for (tap, to) in to.chunks_exact_mut(lanes).enumerate() {
            for (lane, to) in to.iter_mut().enumerate() {
                *to = w.get((block * lanes + lane) * taps + tap).copied().unwrap_or(0.0);
            }
        }
    }
}

/// Runs a row of the table.
///
/// # Panics
/// When the machine lacks the row's instruction set, or an operand is too short for the problem.
fn run<I: Isa>(p: &Conv2d, blocks: &ConvBlocks, planes: Planes, args: ConvArgs<'_>, ctx: Ctx<'_>) {
    let isa = I::get().expect("a kernel runs only where its instruction set is");
    let (oh, ow) = (p.oh(), p.ow());
    let vectors = p.oc.div_ceil(I::LANES);
    let [x_len, y_len] = [planes.x_len(p, p.n * vectors), planes.y_len(p, p.n * vectors)].map(|len| len * I::LANES);
    assert!(args.x.len() >= x_len && args.y.len() >= y_len, "input and output are complete");
    let finish = Finish::new(&p.epilogue, args.bias, vectors * I::LANES, args.residual, y_len);
    let sweeps = &sweeps::<I>(p);
    let rows = blocks.rows.clamp(1, oh);
    let each = blocks.oc.div_ceil(I::LANES).clamp(1, vectors);
    let (parts, strips) = (vectors.div_ceil(each), oh.div_ceil(rows));
    let y = Shards::new(args.y);
    let taps = p.kh * p.kw * I::LANES;
    // Strips before channels: as the convolutions around share rows out.
    ctx.pool.run(p.n * parts * strips, &|task| {
        let (rest, part) = (task.index / parts, task.index % parts);
        let (n, strip) = (rest / strips, rest % strips);
        for vector in part * each..vectors.min((part + 1) * each) {
            let plane = n * vectors + vector;
            let rows = strip * rows..oh.min((strip + 1) * rows);
            let (y_at, len) = ((plane * planes.y + rows.start * ow) * I::LANES, rows.len() * ow * I::LANES);
            // SAFETY: tasks differ in image, channels or rows, and the range ends with this use of it.
            let out = unsafe { y.range(y_at..y_at + len) };
            let x = &args.x[plane * planes.x * I::LANES..][..p.ih * p.iw * I::LANES];
            let w = &args.w[vector * taps..][..taps];
            let channel = vector * I::LANES;
            Strip { p, x, w, rows, out, y_at, channel, finish: &finish }.compute(isa, sweeps);
            // SAFETY: as above.
            unsafe { finish.pass(isa, &y, y_at..y_at + len) };
        }
    });
}
