//! The table of kernels: what exists, in one ordered list that dispatch, tests, benches, help and docs read.

use tilewise_tensor::DType;

use crate::Tier;

/// What identifies a kernel. Its name is its specification: `{op}_{types}_{tile}_{tier}`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct KernelId {
    /// The whole name, unique in the catalog, such as `conv-direct_f32_14x32_avx512`.
    pub name: &'static str,
    /// The first part of the name: which problem and method, such as `conv-direct`.
    pub op: &'static str,
    /// Element type of the accumulators.
    pub dtype: DType,
    /// The register tile: rows (pixels) by columns (channels), in elements; 1x`LANES` where there is none.
    pub tile: [usize; 2],
    /// The instruction set it is compiled for.
    pub tier: Tier,
}

/// Every kernel, family by family, in the order in which a choice looks at them.
pub fn catalog() -> impl Iterator<Item = &'static KernelId> {
    let conv = crate::conv::ROWS.iter().map(|row| &row.id);
    let fused = crate::conv::fused::ROWS.iter().map(|row| &row.id);
    let transposed = crate::conv::transposed::ROWS.iter().map(|row| &row.id);
    let gemm = crate::gemm::ROWS.iter().map(|row| &row.id);
    let small = crate::eltwise::ids().chain(crate::pool::ids()).chain(crate::reduce::ids()).chain(crate::norm::ids());
    conv.chain(fused)
        .chain(transposed)
        .chain(gemm)
        .chain(small)
        .chain(crate::movement::ids())
        .chain(crate::resize::ids())
}
