//! The epilogue of a product: what makes a sum an output.

use std::ops::Range;

use crate::math::apply_inlined;
use crate::{Isa, Shards, SimdOp, Unary};

/// Which values are added to the products.
#[derive(Clone, Copy)]
pub(crate) enum Bias<'a> {
    /// None.
    None,
    /// One a row of C.
    Row(&'a [f32]),
    /// One a column of C.
    Col(&'a [f32]),
}

/// What makes a sum an output: `act(alpha * sum + bias + residual)`.
#[derive(Clone, Copy)]
pub(crate) struct Finish<'a> {
    pub alpha: f32,
    pub bias: Bias<'a>,
    /// An array like the one that holds C, or `None`.
    pub residual: Option<&'a [f32]>,
    pub act: Unary,
}

impl Finish<'_> {
    /// A sum is the output as it is.
    pub(crate) const NONE: Self = Finish { alpha: 1.0, bias: Bias::None, residual: None, act: Unary::Identity };

    /// True where a sum is the output as it is.
    pub(crate) fn is_none(&self) -> bool {
        self.alpha == 1.0 && matches!(self.bias, Bias::None) && self.residual.is_none() && self.act == Unary::Identity
    }

    /// The limits that the activation is; none where it is another function.
    #[inline(always)]
    pub(crate) fn limits(&self) -> (f32, f32) {
        #[expect(clippy::wildcard_enum_match_arm, reason = "whatever is no limit is left to `rest`")]
        match self.act {
            Unary::Relu => (0.0, f32::INFINITY),
            Unary::Clip { lo, hi } => (lo, hi),
            _ => (f32::NEG_INFINITY, f32::INFINITY),
        }
    }

    /// The activation where it is no limit: what is still to be done where all else is.
    pub(crate) fn rest(&self) -> Option<Finish<'static>> {
        let done = matches!(self.act, Unary::Identity | Unary::Relu | Unary::Clip { .. });
        (!done).then_some(Finish { act: self.act, ..Finish::NONE })
    }
}

/// A part of C whose sums are complete.
pub(crate) struct FinishOp<'a> {
    pub finish: &'a Finish<'a>,
    pub c: &'a Shards<'a, f32>,
    /// Where C[0, 0] stands.
    pub at: usize,
    /// Distance between rows of C.
    pub pitch: usize,
    pub rows: Range<usize>,
    pub cols: Range<usize>,
}

impl SimdOp for FinishOp<'_> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let FinishOp { finish, c, at, pitch, rows, cols } = self;
        for i in rows {
            let row = at + i * pitch;
            let place = row + cols.start..row + cols.end;
            let residual = finish.residual.map(|r| &r[place.clone()]);
            let (same, each) = match finish.bias {
                Bias::None => (None, None),
                Bias::Row(bias) => (Some(isa.splat(bias[i])), None),
                Bias::Col(bias) => (None, Some(&bias[cols.clone()])),
            };
            // SAFETY: no two tasks own the same part of C, and one row is alive at a time.
            let row = unsafe { c.range(place) };
            for (v, out) in row.chunks_mut(I::LANES).enumerate() {
                let like = |s: &[f32]| isa.load_part(&s[v * I::LANES..v * I::LANES + out.len()]);
                let mut x = isa.mul(isa.load_part(out), isa.splat(finish.alpha));
                if let Some(bias) = same.or(each.map(like)) {
                    x = isa.add(x, bias);
                }
                if let Some(residual) = residual.map(like) {
                    x = isa.add(x, residual);
                }
                let x = apply_inlined(isa, finish.act, x);
                if out.len() == I::LANES {
                    isa.store(out, x);
                } else {
                    isa.store_part(out, x);
                }
            }
        }
    }
}
