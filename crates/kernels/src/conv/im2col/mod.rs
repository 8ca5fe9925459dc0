//! Convolution of any shape as implicit im2col: a matrix product whose right operand is packed from the image.
//!
//! For each image and group, `Y[oc, oh ow] = W[oc, K] X[K, oh ow]` with `K = ic kh kw`. The matrix X never stands in
//! memory as a whole: its panels are packed block by block as the product takes them up.

mod columns;

use tilewise_tensor::DType;

use self::columns::ImagePanel;
use super::{ConvArgs, ConvBlocks, ConvKernel, Layout};
use crate::catalog::KernelId;
use crate::gemm::finish::{Bias, Finish};
use crate::gemm::nest::Frame;
use crate::gemm::pack::pack_lhs;
use crate::gemm::product::{Columns, Lhs, Piece, Product, products};
use crate::gemm::tile::*;
use crate::gemm::{GemmBlocks, GemmStage, Strides, model};
use crate::{Conv2d, Cpu, Ctx, Isa, Shards};

/// The kernels, in the order in which a choice looks at them.
pub static ROWS: [ConvKernel; 5] = [
    row::<Avx512Tile14x32>("conv-im2col_f32_14x32_avx512"),
    row::<Avx512Tile8x48>("conv-im2col_f32_8x48_avx512"),
    row::<Avx512Tile6x64>("conv-im2col_f32_6x64_avx512"),
    row::<Avx2Tile6x16>("conv-im2col_f32_6x16_avx2"),
    row::<ScalarTile4x8>("conv-im2col_f32_4x8_scalar"),
];

const fn row<T: Tile>(name: &'static str) -> ConvKernel {
    ConvKernel {
        id: KernelId { name, op: "conv-im2col", dtype: DType::F32, tile: [T::MR, T::NR], tier: <T::I as Isa>::TIER },
        x: Layout::Nchw,
        y: Layout::Nchw,
        band: 1,
        accepts: |_| true,
        blocks: blocks::<T>,
        packed_len: |p| p.oc * depth(p),
        pack: pack::<T>,
        nest: None,
        scratch_len: |p, blocks, threads| frame(p, &product_blocks(p, blocks)).scratch_len::<T>() * threads,
        run: run::<T>,
        run_part: None,
    }
}

/// Rows of the matrix X: products of one output value.
fn depth(p: &Conv2d) -> usize {
    p.ic / p.groups * p.kh * p.kw
}

/// The depth is the model's. The weights are packed already and X is fresh from packing, so both share L2: half of it
/// for the block of X, half of the model's block for the weights.
fn blocks<T: Tile>(p: &Conv2d, cpu: &Cpu) -> ConvBlocks {
    let GemmBlocks { mc, kc, .. } = model::blocks(cpu, T::MR, T::NR);
    let pixels = cpu.l2.size / 2 / (kc.min(depth(p)) * size_of::<f32>());
    ConvBlocks {
        rows: (pixels / p.ow()).clamp(1, p.oh()),
        oc: (mc / 2).clamp(1, p.oc / p.groups),
        ic: (kc / (p.kh * p.kw)).clamp(1, p.ic / p.groups),
        ..ConvBlocks::default()
    }
}

/// The blocks of the product.
fn product_blocks(p: &Conv2d, blocks: &ConvBlocks) -> GemmBlocks {
    let (kc, nc) = (blocks.ic.saturating_mul(p.kh * p.kw), blocks.rows.saturating_mul(p.ow()));
    GemmBlocks { mc: blocks.oc, kc, nc, ..GemmBlocks::default() }
}

fn frame<'a>(p: &Conv2d, blocks: &'a GemmBlocks) -> Frame<'a> {
    Frame { size: [p.oc / p.groups, p.oh() * p.ow(), depth(p)], blocks, packed: &[GemmStage::PackB] }
}

fn pack<T: Tile>(p: &Conv2d, w: &[f32], packed: &mut [f32]) {
    let (isa, size) = (token::<T>(), [p.oc / p.groups, depth(p)]);
    let len = size[0] * size[1];
    for (w, packed) in w.chunks_exact(len).zip(packed.chunks_exact_mut(len)) {
        pack_lhs::<T>(isa, size, w, Strides { row: size[1], col: 1 }, packed);
    }
}

fn run<T: Tile>(p: &Conv2d, blocks: &ConvBlocks, args: ConvArgs<'_>, ctx: Ctx<'_>) {
    let isa = token::<T>();
    let ConvArgs { x, w, bias, residual, y } = args;
    let (m, n, k) = (p.oc / p.groups, p.oh() * p.ow(), depth(p));
    let image = p.ic / p.groups * p.ih * p.iw;
    let columns = |piece: &Piece, to: &mut [f32]| {
        let x = &x[piece.product * image..(piece.product + 1) * image];
        let (ks, js) = (piece.ks.clone(), piece.js.clone());
        let width = panel_width::<T>(js.len());
        isa.dispatch(ImagePanel { p, x, ks, js, width, to });
    };
    let y = Shards::new(y);
    let product = |index: usize| {
        let oc = index % p.groups * m;
        let finish = Finish {
            alpha: 1.0,
            bias: if p.epilogue.bias { Bias::Row(&bias[oc..]) } else { Bias::None },
            residual: p.epilogue.residual.then_some(residual),
            act: p.epilogue.act,
        };
        let (a, b) = (Lhs::Packed(&w[oc * k..]), Columns::Pack(&columns));
        Product { index, m, n, k, a, b, c: &y, at: index * m * n, finish }
    };
    products::<T>(isa, &frame(p, &product_blocks(p, blocks)), p.n * p.groups, ctx, &product);
}

#[cfg(test)]
mod tests;
