//! Matrix multiplication in loops around a register tile, after Goto and BLIS: five by default.

mod choose;
pub(crate) mod finish;
pub(crate) mod model;
pub(crate) mod nest;
pub(crate) mod pack;
pub(crate) mod product;
mod rows;
pub(crate) mod tile;

use crate::catalog::KernelId;
use crate::nest::{Nest, Order};
use crate::{Ctx, Epilogue};

pub use choose::choose;
pub use nest::{GemmStage, ORDERS};
pub use rows::ROWS;

/// A matrix in memory: element (i, j) stands at `i * row + j * col`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Strides {
    /// Distance between rows, in elements.
    pub row: usize,
    /// Distance between columns, in elements.
    pub col: usize,
}

/// A batch of matrix products in f32: `C[m, n] = act(alpha A[m, k] B[k, n] + bias[n] + residual[m, n])`.
///
/// C and the residual are row-major and dense.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Gemm {
    /// Rows of A and C.
    pub m: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Columns of A, rows of B. Zero gives the epilogue of zeros.
    pub k: usize,
    /// Where A's elements stand.
    pub a: Strides,
    /// Where B's elements stand, unless it is packed.
    pub b: Strides,
    /// Scale of the product.
    pub alpha: f32,
    /// What happens before the store.
    pub epilogue: Epilogue,
}

/// f32 from one address to the next that shares its set of the first-level cache: that is a page of 4096 bytes.
const SAME_SET: usize = 1024;

impl Gemm {
    /// True where tiles read A where it stands: dense rows, unless their distance puts all that a step reads into one
    /// set of the cache. Else panels of A are packed first.
    ///
    /// Packing takes about a cycle a value, which is used for one multiply-add a vector of columns: at 192 columns of
    /// 16 lanes 8 % of the time.
    pub fn reads_a_in_place(&self) -> bool {
        self.a.col == 1 && (self.m == 1 || !self.a.row.is_multiple_of(SAME_SET))
    }
}

/// Loop blocks of a matrix product: values that change speed, never results.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct GemmBlocks {
    /// Rows of a packed block of A.
    pub mc: usize,
    /// Depth of the packed blocks.
    pub kc: usize,
    /// Columns of a packed block of B.
    pub nc: usize,
    /// The loops over them.
    pub order: Order<GemmStage>,
}

/// The right operand.
#[derive(Clone, Copy)]
pub enum Rhs<'a> {
    /// As `Gemm::b` describes.
    Plain(&'a [f32]),
    /// As the kernel's `pack_b` wrote it; one matrix, shared by the whole batch.
    Packed(&'a [f32]),
}

/// Where the matrices of one product of a batch begin, in elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Offsets {
    /// In the left operand.
    pub a: usize,
    /// In the right operand; not used where it is packed.
    pub b: usize,
    /// In the output and the residual.
    pub c: usize,
}

/// What a batch of matrix products reads and writes.
pub struct GemmArgs<'a> {
    /// Left operands.
    pub a: &'a [f32],
    /// Right operands.
    pub b: Rhs<'a>,
    /// One value a column; empty where the epilogue has none.
    pub bias: &'a [f32],
    /// An array like the output; empty where the epilogue has none.
    pub residual: &'a [f32],
    /// The products. The old contents do not matter.
    pub c: &'a mut [f32],
    /// The products of the batch; their outputs do not overlap.
    pub batch: &'a [Offsets],
}

/// One row of the table of matrix-product kernels.
pub struct GemmKernel {
    /// Name, tile and tier.
    pub id: KernelId,
    /// Good blocks for a problem on a machine, before any measurement.
    pub blocks: fn(&Gemm, &crate::Cpu) -> GemmBlocks,
    /// Length of a packed right operand, in f32.
    pub packed_b_len: fn(&Gemm) -> usize,
    /// The loops that run each of `count` products on a number of threads.
    pub nest: fn(&Gemm, &GemmBlocks, packed_b: bool, count: usize, threads: usize) -> Nest<GemmStage>,
    /// Packs the right operand.
    pub pack_b: fn(&Gemm, b: &[f32], packed: &mut [f32]),
    /// Length of the scratch for a number of threads, in f32; less is needed where B is packed.
    pub scratch_len: fn(&Gemm, &GemmBlocks, packed_b: bool, threads: usize) -> usize,
    /// Computes the products.
    pub run: fn(&Gemm, &GemmBlocks, GemmArgs<'_>, Ctx<'_>),
}

#[cfg(test)]
mod tests;
