//! Output rows of one channel vector: pixels whose taps all stand inside the image in tiles, the others one by one.

use std::ops::Range;

use crate::conv::epilogue::Finish;
use crate::{Conv2d, Isa, SimdOp};

/// Pixels of the widest tile: eight sums hide the latency of two multiply-adds a cycle on AVX-512 and AVX2.
pub(super) const WIDEST: usize = 8;

/// What all planes of a problem share.
pub(super) struct Columns {
    /// Output width.
    ow: usize,
    /// The outputs whose taps stand inside the image's columns.
    inside: Range<usize>,
}

impl Columns {
    pub(super) fn new(p: &Conv2d) -> Self {
        let ow = p.ow();
        let begin = p.pads.left.div_ceil(p.stride[1]).min(ow);
        let end = (p.iw + p.pads.left).checked_sub(p.reach()[1]).map_or(0, |free| free / p.stride[1] + 1);
        Columns { ow, inside: begin..end.clamp(begin, ow) }
    }
}

/// Output rows of a channel vector.
pub(super) struct Strip<'a> {
    pub(super) p: &'a Conv2d,
    pub(super) columns: &'a Columns,
    /// Input plane of the channel vector.
    pub(super) x: &'a [f32],
    /// Its weights: kernel rows, kernel columns, lanes.
    pub(super) w: &'a [f32],
    /// Output rows, of 0 to the output's height.
    pub(super) rows: Range<usize>,
    /// Where they are stored.
    pub(super) out: &'a mut [f32],
    /// Where they stand in the whole output.
    pub(super) y_at: usize,
    /// First channel.
    pub(super) channel: usize,
    pub(super) finish: &'a Finish<'a>,
}

/// Computes rows, compiled for a kernel width and a stride.
pub(super) type StripFn<I> = fn(I, Strip<'_>);

/// The function for a problem: kernel widths and strides of real networks have their own, so that weights and pixels
/// that neighbouring outputs share stay in registers.
pub(super) fn strip_fn<I: Isa>(p: &Conv2d) -> StripFn<I> {
    match (p.kw, p.stride[1], p.dilation[1]) {
        (3, 1, 1) => strip::<I, 3, 1>,
        (3, 2, 1) => strip::<I, 3, 2>,
        (5, 1, 1) => strip::<I, 5, 1>,
        (5, 2, 1) => strip::<I, 5, 2>,
        _ => strip::<I, 0, 0>,
    }
}

fn strip<I: Isa, const KW: usize, const S: usize>(isa: I, strip: Strip<'_>) {
    isa.dispatch(Body::<'_, KW, S>(strip));
}

/// Rows of a kernel of `KW` undilated columns at stride `S`; both 0 where they are read from the problem.
struct Body<'a, const KW: usize, const S: usize>(Strip<'a>);

/// One output row of a strip.
#[derive(Clone, Copy)]
struct Row {
    /// Where the row of the first tap would stand in the padded input.
    top: usize,
    /// The kernel rows inside the image, from and to.
    taps: (usize, usize),
    /// Where the row stands in the strip, in pixels.
    out: usize,
}

impl<const KW: usize, const S: usize> SimdOp for Body<'_, KW, S> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(mut self, isa: I) {
        let Strip { p, columns, ref rows, .. } = self.0;
        let (rows, ow, inside) = (rows.clone(), columns.ow, columns.inside.clone());
        assert!(self.0.x.len() >= p.ih * p.iw * I::LANES && self.0.w.len() >= p.kh * p.kw * I::LANES);
        assert!(self.0.out.len() >= rows.len() * ow * I::LANES && inside.end <= ow);
        for (i, oy) in rows.enumerate() {
            let top = oy * p.stride[0];
            let row = Row { top, taps: taps_inside(top, p.pads.top, p.dilation[0], p.kh, p.ih), out: i * ow };
            for ox in 0..inside.start {
                self.edge(isa, row, ox);
            }
            let mut ox = inside.start;
            while ox + WIDEST <= inside.end {
                self.tile::<I, WIDEST>(isa, row, ox);
                ox += WIDEST;
            }
            if ox + 4 <= inside.end {
                self.tile::<I, 4>(isa, row, ox);
                ox += 4;
            }
            if ox + 2 <= inside.end {
                self.tile::<I, 2>(isa, row, ox);
                ox += 2;
            }
            if ox < inside.end {
                self.tile::<I, 1>(isa, row, ox);
            }
            for ox in inside.end..ow {
                self.edge(isa, row, ox);
            }
        }
    }
}

impl<const KW: usize, const S: usize> Body<'_, KW, S> {
    /// Outputs `ox..ox + P`, all of whose columns are inside.
    #[inline(always)]
    fn tile<I: Isa, const P: usize>(&mut self, isa: I, row: Row, ox: usize) {
        let s = &self.0;
        let p = s.p;
        let mut acc = [isa.zero(); P];
        for ky in row.taps.0..row.taps.1 {
            let iy = row.top + ky * p.dilation[0] - p.pads.top;
            let x_at = (iy * p.iw + ox * p.stride[1] - p.pads.left) * I::LANES;
            if KW == 0 {
                for kx in 0..p.kw {
                    // SAFETY: `ky < kh` and `kx < kw`, and the weights hold `kh * kw` vectors.
                    let w = unsafe { isa.load_at(s.w, (ky * p.kw + kx) * I::LANES) };
                    for (q, acc) in acc.iter_mut().enumerate() {
                        let at = x_at + (q * p.stride[1] + kx * p.dilation[1]) * I::LANES;
                        // SAFETY: row `iy` and this column stand inside the image, as the tile's columns do.
                        let x = unsafe { isa.load_at(s.x, at) };
                        *acc = isa.fma(x, w, *acc);
                    }
                }
            } else {
                let mut w = [isa.zero(); KW];
                for (kx, w) in w.iter_mut().enumerate() {
                    // SAFETY: `ky < kh` and `kx < kw`, and the weights hold `kh * kw` vectors.
                    *w = unsafe { isa.load_at(s.w, (ky * KW + kx) * I::LANES) };
                }
                for (q, acc) in acc.iter_mut().enumerate() {
                    for (kx, &w) in w.iter().enumerate() {
                        // SAFETY: row `iy` and the columns of the tile's outputs stand inside the image.
                        let x = unsafe { isa.load_at(s.x, x_at + (q * S + kx) * I::LANES) };
                        *acc = isa.fma(x, w, *acc);
                    }
                }
            }
        }
        self.store(isa, row.out + ox, acc);
    }

    /// One output from the taps inside the image.
    #[inline(always)]
    fn edge<I: Isa>(&mut self, isa: I, row: Row, ox: usize) {
        let s = &self.0;
        let p = s.p;
        let (stride, dilation) = if KW == 0 { (p.stride[1], p.dilation[1]) } else { (S, 1) };
        let taps = taps_inside(ox * stride, p.pads.left, dilation, p.kw, p.iw);
        let mut acc = isa.zero();
        for ky in row.taps.0..row.taps.1 {
            let iy = row.top + ky * p.dilation[0] - p.pads.top;
            for kx in taps.0..taps.1 {
                let ix = ox * stride + kx * dilation - p.pads.left;
                // SAFETY: `taps_inside` gave only taps with `iy < ih` and `ix < iw`.
                let x = unsafe { isa.load_at(s.x, (iy * p.iw + ix) * I::LANES) };
                // SAFETY: `ky < kh` and `kx < kw`, and the weights hold `kh * kw` vectors.
                let w = unsafe { isa.load_at(s.w, (ky * p.kw + kx) * I::LANES) };
                acc = isa.fma(x, w, acc);
            }
        }
        self.store(isa, row.out + ox, [acc]);
    }

    /// Finishes and stores outputs from pixel `at` of the strip on.
    #[inline(always)]
    fn store<I: Isa, const P: usize>(&mut self, isa: I, at: usize, mut acc: [I::F; P]) {
        let s = &mut self.0;
        s.finish.apply(isa, s.channel, s.y_at + at * I::LANES, &mut acc);
        for (q, &sum) in acc.iter().enumerate() {
            // SAFETY: the pixel stands in one of the strip's rows, all of which the output holds.
            unsafe { isa.store_at(s.out, (at + q) * I::LANES, sum) };
        }
    }
}

/// The kernel taps (from, to) of an output at `at` of the padded axis that stand inside the image's `size`.
#[inline(always)]
fn taps_inside(at: usize, pad: usize, dilation: usize, taps: usize, size: usize) -> (usize, usize) {
    let from = pad.saturating_sub(at).div_ceil(dilation).min(taps);
    let to = (size + pad).saturating_sub(at).div_ceil(dilation).clamp(from, taps);
    (from, to)
}

#[cfg(test)]
mod tests {
    use super::taps_inside;

    #[test]
    fn taps_inside_are_those_that_meet_the_image() {
        for (pad, dilation, taps, size) in [(0, 1, 3, 5), (2, 1, 5, 1), (3, 2, 3, 2), (7, 3, 2, 1), (1, 5, 4, 9)] {
            for at in 0..size + 2 * pad {
                let inside: Vec<usize> =
                    (0..taps).filter(|t| (pad..pad + size).contains(&(at + t * dilation))).collect();
                let (from, to) = taps_inside(at, pad, dilation, taps, size);
                assert_eq!((from..to).collect::<Vec<_>>(), inside, "at {at} pad {pad} dilation {dilation}");
            }
        }
    }
}
