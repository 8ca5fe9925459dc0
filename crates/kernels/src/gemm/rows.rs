//! The table of matrix-product kernels.

use tilewise_tensor::DType;

use super::finish::{Bias, Finish};
use super::nest::Frame;
use super::pack::pack_columns;
use super::product::{Columns, Lhs, Piece, Product, products};
use super::tile::*;
use super::{Gemm, GemmArgs, GemmBlocks, GemmKernel, GemmStage, Rhs, model};
use crate::catalog::KernelId;
use crate::{Cpu, Ctx, Isa, Shards};

/// Every matrix-product kernel, in the order in which a choice looks at them.
pub static ROWS: &[&GemmKernel] = &[
    &row::<Avx512Tile14x32>("gemm_f32_14x32_avx512"),
    &row::<Avx512Tile8x48>("gemm_f32_8x48_avx512"),
    &row::<Avx512Tile6x64>("gemm_f32_6x64_avx512"),
    &row::<Avx512Tile1x128>("gemm_f32_1x128_avx512"),
    &row::<Avx2Tile6x16>("gemm_f32_6x16_avx2"),
    &row::<Avx2Tile1x64>("gemm_f32_1x64_avx2"),
    &row::<ScalarTile4x8>("gemm_f32_4x8_scalar"),
];

const fn row<T: Tile>(name: &'static str) -> GemmKernel {
    GemmKernel {
        id: KernelId { name, op: "gemm", dtype: DType::F32, tile: [T::MR, T::NR], tier: <T::I as Isa>::TIER },
        blocks: blocks::<T>,
        packed_b_len: |p| panel_width::<T>(p.n) * p.k,
        pack_b: pack_b::<T>,
        nest: |p, blocks, packed_b, count, threads| frame(p, blocks, packed_b).nest::<T>(count, threads),
        scratch_len: |p, blocks, packed_b, threads| frame(p, blocks, packed_b).scratch_len::<T>() * threads,
        run: run::<T>,
    }
}

/// Where one panel is all of A, B is read once and nothing of it need stay in a cache: the depth is cut only to
/// keep the panel of A in half of L2.
fn blocks<T: Tile>(p: &Gemm, cpu: &Cpu) -> GemmBlocks {
    let blocks = model::blocks(cpu, T::MR, T::NR);
    let deep = if p.m <= T::MR { cpu.l2.size / 2 / size_of::<f32>() / p.m.max(1) } else { 0 };
    model::fitted(&GemmBlocks { kc: blocks.kc.max(deep), ..blocks }, [p.m, p.n, p.k], [T::MR, T::NR])
}

fn frame<'a>(p: &Gemm, blocks: &'a GemmBlocks, packed_b: bool) -> Frame<'a> {
    let both = &[GemmStage::PackA, GemmStage::PackB];
    let packed = &both[usize::from(p.reads_a_in_place())..2 - usize::from(packed_b)];
    Frame { size: [p.m, p.n, p.k], blocks, packed }
}

fn pack_b<T: Tile>(p: &Gemm, b: &[f32], packed: &mut [f32]) {
    let isa = token::<T>();
    for (start, panel) in (0..p.n).step_by(T::NR).zip(packed.chunks_mut((T::NR * p.k).max(1))) {
        pack_columns::<T>(isa, b, p.b, 0..p.k, start..(start + T::NR).min(p.n), panel);
    }
}

fn run<T: Tile>(p: &Gemm, blocks: &GemmBlocks, args: GemmArgs<'_>, ctx: Ctx<'_>) {
    let isa = token::<T>();
    let GemmArgs { a, b, bias, residual, c, batch } = args;
    let frame = frame(p, blocks, matches!(b, Rhs::Packed(_)));
    let finish = Finish {
        alpha: p.alpha,
        bias: if p.epilogue.bias { Bias::Col(bias) } else { Bias::None },
        residual: p.epilogue.residual.then_some(residual),
        act: p.epilogue.act,
    };
    // A product begins at its own offset of B, unless B is packed and shared.
    let pack = |piece: &Piece, panel: &mut [f32]| {
        if let Rhs::Plain(b) = b {
            let b = &b[batch[piece.product].b..];
            pack_columns::<T>(isa, b, p.b, piece.ks.clone(), piece.js.clone(), panel);
        }
    };
    let c = Shards::new(c);
    let product = |index: usize| {
        let at = batch[index];
        let a = if p.reads_a_in_place() { Lhs::InPlace(&a[at.a..], p.a.row) } else { Lhs::Plain(&a[at.a..], p.a) };
        let b = match b {
            Rhs::Plain(_) => Columns::Pack(&pack),
            Rhs::Packed(b) => Columns::Packed(b),
        };
        Product { index, m: p.m, n: p.n, k: p.k, a, b, c: &c, at: at.c, finish }
    };
    products::<T>(isa, &frame, batch.len(), ctx, &product);
}
