//! Panels of the im2col matrix, straight from the image.

use std::ops::Range;

use crate::gemm::pack::copy;
use crate::{Conv2d, Isa, SimdOp};

/// Writes rows `ks` (input channel and kernel tap) and columns `js` (output pixels) of the im2col matrix of one image
/// and group, `width` values a row, zeros past the last column.
pub(super) struct ImagePanel<'a> {
    pub p: &'a Conv2d,
    /// The group's channels of the image, `[ic / groups][ih][iw]`.
    pub x: &'a [f32],
    pub ks: Range<usize>,
    pub js: Range<usize>,
    pub width: usize,
    pub to: &'a mut [f32],
}

impl SimdOp for ImagePanel<'_> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let ImagePanel { p, x, ks, js, width, to } = self;
        if p.is_pointwise() {
            // The matrix is the image: each row of it a channel.
            let plane = p.ih * p.iw;
            for (step, channel) in to.chunks_exact_mut(width).zip(ks) {
                let (values, rest) = step.split_at_mut(js.len());
                rest.fill(0.0);
                copy(isa, &x[channel * plane..][js.clone()], values);
            }
            return;
        }
        let first = [js.start / p.ow(), js.start % p.ow()];
        let mut tap = Tap::new(p, ks.start);
        for step in to.chunks_exact_mut(width) {
            let (values, rest) = step.split_at_mut(js.len());
            rest.fill(0.0);
            pack_step(isa, p, &tap, x, first, values);
            tap.advance(p);
        }
    }
}

/// A row of the im2col matrix: input channel, and row and column of the kernel.
struct Tap {
    c: usize,
    ky: usize,
    kx: usize,
}

impl Tap {
    #[inline(always)]
    fn new(p: &Conv2d, k: usize) -> Self {
        Tap { c: k / (p.kh * p.kw), ky: k / p.kw % p.kh, kx: k % p.kw }
    }

    #[inline(always)]
    fn advance(&mut self, p: &Conv2d) {
        self.kx += 1;
        if self.kx == p.kw {
            (self.kx, self.ky) = (0, self.ky + 1);
        }
        if self.ky == p.kh {
            (self.ky, self.c) = (0, self.c + 1);
        }
    }
}

/// What one tap sees of the output pixels that begin at row and column `first`: row by row of the output.
#[inline(always)]
fn pack_step<I: Isa>(isa: I, p: &Conv2d, tap: &Tap, x: &[f32], first: [usize; 2], values: &mut [f32]) {
    let [mut oy, mut ox] = first;
    let (ow, [sh, sw]) = (p.ow(), p.stride);
    let shift = tap.kx * p.dilation[1];
    // The output columns whose tap falls on the image: left <= ox * sw + shift < left + iw.
    let inside =
        p.pads.left.saturating_sub(shift).div_ceil(sw)..(p.pads.left + p.iw).saturating_sub(shift).div_ceil(sw);
    let mut rest = values;
    while !rest.is_empty() {
        let (run, after) = rest.split_at_mut(rest.len().min(ow - ox));
        rest = after;
        let iy = (oy * sh + tap.ky * p.dilation[0]).checked_sub(p.pads.top).filter(|&iy| iy < p.ih);
        let (start, end) = (inside.start.clamp(ox, ox + run.len()), inside.end.clamp(ox, ox + run.len()));
        match iy {
            Some(iy) if start < end => {
                let row = &x[(tap.c * p.ih + iy) * p.iw..][..p.iw];
                let from = &row[start * sw + shift - p.pads.left..];
                run[..start - ox].fill(0.0);
                run[end - ox..].fill(0.0);
                take(isa, from, sw, &mut run[start - ox..end - ox]);
            }
            Some(_) | None => run.fill(0.0),
        }
        (oy, ox) = (oy + 1, 0);
    }
}

/// Every `step`-th value.
#[inline(always)]
fn take<I: Isa>(isa: I, from: &[f32], step: usize, to: &mut [f32]) {
    if step == 1 {
        copy(isa, &from[..to.len()], to);
    } else {
        for (to, from) in to.iter_mut().zip(from.iter().step_by(step)) {
            *to = *from;
        }
    }
}
