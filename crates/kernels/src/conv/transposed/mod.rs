//! Transposed convolution: a matrix product over the input's channels, then each output value gathers its taps.
//!
//! For each image and group, `T[oc kh kw, ih iw] = W^T[oc kh kw, ic] X[ic, ih iw]` in scratch; then
//! `Y[oc, oy, ox]` sums those of T whose input pixel and kernel tap meet at (oy, ox), always in the order of the taps.

mod gather;

use tilewise_tensor::DType;

use self::gather::GatherRow;
use crate::catalog::KernelId;
use crate::gemm::finish::{Bias, Finish, FinishOp};
use crate::gemm::nest::Frame;
use crate::gemm::pack::{pack_columns, pack_lhs};
use crate::gemm::product::{Columns, LINE, Lhs, Piece, Product, products};
use crate::gemm::tile::*;
use crate::gemm::{GemmBlocks, GemmStage, Strides, model};
use crate::{ConvTranspose2d, Cpu, Ctx, Isa, Shards};

/// What a transposed convolution reads and writes; images are `[n][c][h][w]`.
pub struct TransposedArgs<'a> {
    /// Input image batch.
    pub x: &'a [f32],
    /// Weights as the kernel's `pack` wrote them.
    pub w: &'a [f32],
    /// One value an output channel; empty where the epilogue has none.
    pub bias: &'a [f32],
    /// An array like the output; empty where the epilogue has none.
    pub residual: &'a [f32],
    /// Output image batch. Its old contents do not matter.
    pub y: &'a mut [f32],
}

/// One row of the table of transposed convolutions.
pub struct TransposedKernel {
    /// Name, tile and tier.
    pub id: KernelId,
    /// Good blocks for a problem on a machine, before any measurement.
    pub blocks: fn(&ConvTranspose2d, &Cpu) -> GemmBlocks,
    /// Length of the packed weights, in f32.
    pub packed_len: fn(&ConvTranspose2d) -> usize,
    /// Packs weights `[ic][oc / groups][kh][kw]`.
    pub pack: fn(&ConvTranspose2d, w: &[f32], packed: &mut [f32]),
    /// Length of the scratch for a number of threads, in f32.
    pub scratch_len: fn(&ConvTranspose2d, &GemmBlocks, threads: usize) -> usize,
    /// Computes the transposed convolution.
    pub run: fn(&ConvTranspose2d, &GemmBlocks, TransposedArgs<'_>, Ctx<'_>),
}

/// The kernels, in the order in which a choice looks at them.
pub static ROWS: [&TransposedKernel; 3] = [
    &row::<Avx512Tile14x32>("conv-transposed_f32_14x32_avx512"),
    &row::<Avx2Tile6x16>("conv-transposed_f32_6x16_avx2"),
    &row::<ScalarTile4x8>("conv-transposed_f32_4x8_scalar"),
];

const fn row<T: Tile>(name: &'static str) -> TransposedKernel {
    let (op, tile) = ("conv-transposed", [T::MR, T::NR]);
    TransposedKernel {
        id: KernelId { name, op, dtype: DType::F32, tile, tier: <T::I as Isa>::TIER },
        blocks: |p, cpu| model::fitted(&model::blocks(cpu, T::MR, T::NR), size(p), [T::MR, T::NR]),
        packed_len: |p| p.ic * p.oc / p.groups * p.kh * p.kw,
        pack: pack::<T>,
        scratch_len: |p, blocks, threads| taps_len(p) + frame(p, blocks).scratch_len::<T>() * threads,
        run: run::<T>,
    }
}

/// `[m, n, k]` of the product of one image and group.
fn size(p: &ConvTranspose2d) -> [usize; 3] {
    [p.oc / p.groups * p.kh * p.kw, p.ih * p.iw, p.ic / p.groups]
}

/// Length of T, whole cache lines so that the scratch behind it is aligned.
fn taps_len(p: &ConvTranspose2d) -> usize {
    let [m, n, _] = size(p);
    (m * n).next_multiple_of(LINE)
}

fn frame<'a>(p: &ConvTranspose2d, blocks: &'a GemmBlocks) -> Frame<'a> {
    Frame { size: size(p), blocks, packed: &[GemmStage::PackB] }
}

fn pack<T: Tile>(p: &ConvTranspose2d, w: &[f32], packed: &mut [f32]) {
    let (isa, [m, _, k]) = (token::<T>(), size(p));
    for (w, packed) in w.chunks_exact(m * k).zip(packed.chunks_exact_mut(m * k)) {
        pack_lhs::<T>(isa, [m, k], w, Strides { row: 1, col: m }, packed);
    }
}

fn run<T: Tile>(p: &ConvTranspose2d, blocks: &GemmBlocks, args: TransposedArgs<'_>, ctx: Ctx<'_>) {
    let isa = token::<T>();
    let TransposedArgs { x, w, bias, residual, y } = args;
    let [m, n, k] = size(p);
    let frame = frame(p, blocks);
    let (taps, scratch) = ctx.scratch.split_at_mut(taps_len(p));
    let y = Shards::new(y);
    for index in 0..p.n * p.groups {
        let columns = |piece: &Piece, to: &mut [f32]| {
            let x = &x[index * k * n..(index + 1) * k * n];
            pack_columns::<T>(isa, x, Strides { row: n, col: 1 }, piece.ks.clone(), piece.js.clone(), to);
        };
        let (a, b) = (Lhs::Packed(&w[index % p.groups * m * k..]), Columns::Pack(&columns));
        let c = Shards::new(taps);
        let product = |_| Product { index, m, n, k, a, b, c: &c, at: 0, finish: Finish::NONE };
        products::<T>(isa, &frame, 1, Ctx { pool: ctx.pool, scratch }, &product);

        let ocg = p.oc / p.groups;
        let (oh, ow, first) = (p.oh(), p.ow(), index % p.groups * ocg);
        let finish = Finish {
            bias: if p.epilogue.bias { Bias::Row(&bias[first..]) } else { Bias::None },
            residual: p.epilogue.residual.then_some(residual),
            act: p.epilogue.act,
            ..Finish::NONE
        };
        ctx.pool.run(ocg, &|task| {
            let (oc, at) = (task.index, index * ocg * oh * ow);
            let rows = oc * oh..(oc + 1) * oh;
            for (row, oy) in rows.zip(0..) {
                // SAFETY: each task has a channel of its own, and one row is alive at a time.
                let to = unsafe { y.range(at + row * ow..at + (row + 1) * ow) };
                let taps = &taps[oc * p.kh * p.kw * n..][..p.kh * p.kw * n];
                isa.dispatch(GatherRow { p, taps, oy, to });
            }
            let (rows, cols) = (oc..oc + 1, 0..oh * ow);
            isa.dispatch(FinishOp { finish: &finish, c: &y, at, pitch: oh * ow, rows, cols });
        });
    }
}

#[cfg(test)]
mod tests;
