//! What happens to an accumulator before it is stored: bias, residual and activation.

use std::ops::Range;

use crate::parallel::Shards;
use crate::{Epilogue, Isa, SimdOp, Unary, math};

/// The epilogue of one run, as tiles apply it.
///
/// Limits (no activation, ReLU, clip) are applied in registers by every tile. The other activations are long
/// enough that a copy in each tile would not pay: one loop goes over the row that the tiles have just stored.
pub(super) struct Finish<'a> {
    bias: &'a [f32],
    residual: &'a [f32],
    lo: f32,
    hi: f32,
    rest: Option<Unary>,
}

impl<'a> Finish<'a> {
    /// The epilogue `e` with its operands: `bias` of at least `oc` values, `residual` as long as the output `y_len`.
    ///
    /// # Panics
    /// When an operand that the epilogue has is shorter.
    pub(super) fn new(e: &Epilogue, bias: &'a [f32], oc: usize, residual: &'a [f32], y_len: usize) -> Self {
        assert!(!e.bias || bias.len() >= oc, "a bias for every output channel");
        assert!(!e.residual || residual.len() >= y_len, "a residual for every output");
        let (lo, hi) = (f32::NEG_INFINITY, f32::INFINITY);
        #[expect(clippy::wildcard_enum_match_arm, reason = "whatever is no limit is left to the pass over the row")]
        let (lo, hi, rest) = match e.act {
            Unary::Identity => (lo, hi, None),
            Unary::Relu => (0.0, hi, None),
            Unary::Clip { lo, hi } => (lo, hi, None),
            other => (lo, hi, Some(other)),
        };
        let bias = if e.bias { bias } else { &[] };
        let residual = if e.residual { residual } else { &[] };
        Finish { bias, residual, lo, hi, rest }
    }

    /// Finishes `pixels` accumulators of the output channels from `channel` on, whose outputs begin at `at`.
    #[inline(always)]
    pub(super) fn apply<I: Isa, const P: usize>(&self, isa: I, channel: usize, at: usize, acc: &mut [I::F; P]) {
        if !self.bias.is_empty() {
            let bias = isa.load(&self.bias[channel..]);
            for a in acc.iter_mut() {
                *a = isa.add(*a, bias);
            }
        }
        if !self.residual.is_empty() {
            let residual = &self.residual[at..at + P * I::LANES];
            for (p, a) in acc.iter_mut().enumerate() {
                // SAFETY: the slice holds P vectors and p < P.
                *a = isa.add(*a, unsafe { isa.load_at(residual, p * I::LANES) });
            }
        }
        // A limit that is none would take a cycle of the pipes that multiply: at 16 channels 6 % each.
        if self.lo > f32::NEG_INFINITY {
            let lo = isa.splat(self.lo);
            for a in acc.iter_mut() {
                *a = isa.max(lo, *a);
            }
        }
        if self.hi < f32::INFINITY {
            let hi = isa.splat(self.hi);
            for a in acc.iter_mut() {
                *a = isa.min(hi, *a);
            }
        }
    }

    /// Asks for what [`Finish::apply`] will read at `at`.
    #[inline(always)]
    pub(super) fn prefetch<I: Isa, const P: usize>(&self, isa: I, at: usize) {
        if !self.residual.is_empty() {
            for p in 0..P {
                isa.prefetch(self.residual, at + p * I::LANES);
            }
        }
    }

    /// Applies what tiles leave over to a range of stored outputs.
    ///
    /// # Safety
    /// The task that calls is the only one that reaches these outputs.
    pub(super) unsafe fn pass<I: Isa>(&self, isa: I, y: &Shards<'_, f32>, outputs: Range<usize>) {
        let Some(act) = self.rest else { return };
        // SAFETY: the caller alone reaches these outputs.
        let y = unsafe { y.range(outputs) };
        isa.dispatch(Pass { act, y });
    }
}

struct Pass<'a> {
    act: Unary,
    y: &'a mut [f32],
}

impl SimdOp for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        for y in self.y.chunks_mut(I::LANES) {
            let v = isa.load_part(y);
            isa.store_part(y, math::apply(isa, self.act, v));
        }
    }
}
