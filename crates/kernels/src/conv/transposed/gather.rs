//! One output row of a transposed convolution from the products of its taps.

use crate::{ConvTranspose2d, Isa, SimdOp};

/// Sums what meets at output row `oy` of one channel: `taps` `[kh][kw][ih][iw]` into `to` `[ow]`.
pub(super) struct GatherRow<'a> {
    pub p: &'a ConvTranspose2d,
    pub taps: &'a [f32],
    pub oy: usize,
    pub to: &'a mut [f32],
}

impl SimdOp for GatherRow<'_> {
    type Output = ();

    /// Input column `ix` and tap `kx` meet at `ix * stride + kx * dilation - left`; rows likewise.
    #[inline(always)]
    fn call<I: Isa>(self, _: I) {
        let GatherRow { p, taps, oy, to } = self;
        let [sh, sw] = p.stride;
        to.fill(0.0);
        for ky in 0..p.kh {
            let Some(offset) = (oy + p.pads.top).checked_sub(ky * p.dilation[0]) else { continue };
            let iy = offset / sh;
            if !offset.is_multiple_of(sh) || iy >= p.ih {
                continue;
            }
            for kx in 0..p.kw {
                let from = &taps[((ky * p.kw + kx) * p.ih + iy) * p.iw..][..p.iw];
                let shift = kx * p.dilation[1];
                let first = p.pads.left.saturating_sub(shift).div_ceil(sw).min(p.iw);
                // No underflow: ix >= first means ix * sw + shift >= left. Past `to` the rest is cut off.
                let start = first * sw + shift;
                let Some(to) = start.checked_sub(p.pads.left).and_then(|start| to.get_mut(start..)) else { continue };
                if sw == 1 {
                    to.iter_mut().zip(&from[first..]).for_each(|(to, from)| *to += from);
                } else {
                    to.iter_mut().step_by(sw).zip(&from[first..]).for_each(|(to, from)| *to += from);
                }
            }
        }
    }
}
