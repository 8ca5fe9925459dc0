//! Vector math: the functions of one number that epilogues and elementwise kernels apply.

use crate::{Isa, Unary};

/// Applies `f` to each lane. The match is outside of any loop of the callers' once inlined, and costs one
/// predictable branch where it is not.
#[inline(always)]
pub(crate) fn apply<I: Isa>(isa: I, f: Unary, x: I::F) -> I::F {
    match f {
        Unary::Relu => isa.max(isa.zero(), x),
        Unary::Clip { lo, hi } => isa.min(isa.splat(hi), isa.max(isa.splat(lo), x)),
        _ => x,
    }
}
