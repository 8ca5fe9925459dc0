//! Reductions over a contiguous middle: `(outer, len, inner)` in, `(outer, inner)` out.

mod kernel;

use crate::catalog::KernelId;
use crate::conv::Layout;
use crate::rows::tiered;
use crate::{Ctx, Tier};

use kernel::run;

/// What becomes of many numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReduceOp {
    /// Their sum.
    Sum,
    /// Their mean; NaN over nothing.
    Mean,
    /// The largest, NaN where one of them is; minus infinity over nothing.
    Max,
    /// The smallest, NaN where one of them is; infinity over nothing.
    Min,
    /// Their product.
    Prod,
    /// The sum of their squares.
    SumSquare,
    /// The sum of their magnitudes.
    L1,
    /// The square root of the sum of their squares.
    L2,
    /// The logarithm of their sum.
    LogSum,
    /// The logarithm of the sum of their exponentials, without overflow.
    LogSumExp,
}

impl ReduceOp {
    /// Every reduction.
    pub const ALL: [ReduceOp; 10] = [
        ReduceOp::Sum,
        ReduceOp::Mean,
        ReduceOp::Max,
        ReduceOp::Min,
        ReduceOp::Prod,
        ReduceOp::SumSquare,
        ReduceOp::L1,
        ReduceOp::L2,
        ReduceOp::LogSum,
        ReduceOp::LogSumExp,
    ];
}

/// A reduction in f32.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Reduce {
    /// What is computed.
    pub op: ReduceOp,
    /// Product of the extents before the reduced axes.
    pub outer: usize,
    /// Product of the reduced extents.
    pub len: usize,
    /// Product of the extents behind the reduced axes.
    pub inner: usize,
}

impl Reduce {
    /// Global pooling (with `Mean` or `Max`): one value a channel from `pixels` places, in either layout, blocked by
    /// `lanes`.
    pub fn global(op: ReduceOp, layout: Layout, [n, c, pixels]: [usize; 3], lanes: usize) -> Self {
        let (outer, inner) = match layout {
            Layout::Nchw => (n * c, 1),
            Layout::Nchwc => (n * c.div_ceil(lanes), lanes),
        };
        Reduce { op, outer, len: pixels, inner }
    }
}

/// One row of the table of reduction kernels.
pub struct ReduceKernel {
    /// Name and tier.
    pub id: KernelId,
    /// Reduces `x` into `y`. Panics when a length is not what the problem says.
    pub run: fn(&Reduce, x: &[f32], y: &mut [f32], Ctx<'_>),
}

/// One row a tier, in the order of [`Tier::ALL`].
static ROWS: [ReduceKernel; 3] = tiered!(ReduceKernel, "reduce", "f32", F32, { run: run });

/// What identifies each kernel of the family.
pub(crate) fn ids() -> impl Iterator<Item = &'static KernelId> {
    ROWS.iter().map(|row| &row.id)
}

/// The kernel of a tier.
pub fn choose(tier: Tier) -> &'static ReduceKernel {
    &ROWS[tier as usize]
}
