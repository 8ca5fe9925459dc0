//! One output row of one channel vector: pixels whose taps all stand inside the image in tiles, the others one by one.

use crate::conv::epilogue::Finish;
use crate::{Conv2d, Isa, SimdOp};

/// Pixels of the widest tile: eight sums hide the latency of two multiply-adds a cycle on AVX-512 and AVX2.
pub(super) const WIDEST: usize = 8;

/// An output row of a channel vector.
pub(super) struct Row<'a> {
    pub(super) p: &'a Conv2d,
    /// Input plane of the channel vector.
    pub(super) x: &'a [f32],
    /// Its weights: kernel rows, kernel columns, lanes.
    pub(super) w: &'a [f32],
    /// Output row, from 0 to the output's height.
    pub(super) oy: usize,
    pub(super) out: &'a mut [f32],
    /// Where the row stands in the whole output.
    pub(super) y_at: usize,
    /// First channel.
    pub(super) channel: usize,
    pub(super) finish: &'a Finish<'a>,
}

/// Computes a row, compiled for a kernel width and a stride.
pub(super) type RowFn<I> = fn(I, Row<'_>);

/// The row function for a problem: kernel widths and strides of real networks have their own, so that weights and
/// pixels that neighbouring outputs share stay in registers.
pub(super) fn row_fn<I: Isa>(p: &Conv2d) -> RowFn<I> {
    match (p.kw, p.stride[1], p.dilation[1]) {
        (3, 1, 1) => row::<I, 3, 1>,
        (3, 2, 1) => row::<I, 3, 2>,
        (5, 1, 1) => row::<I, 5, 1>,
        (5, 2, 1) => row::<I, 5, 2>,
        _ => row::<I, 0, 0>,
    }
}

fn row<I: Isa, const KW: usize, const S: usize>(isa: I, row: Row<'_>) {
    isa.dispatch(Body::<'_, KW, S>(row));
}

/// A row of a kernel of `KW` undilated columns at stride `S`; both 0 where they are read from the problem.
struct Body<'a, const KW: usize, const S: usize>(Row<'a>);

impl<const KW: usize, const S: usize> SimdOp for Body<'_, KW, S> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(mut self, isa: I) {
        let p = self.0.p;
        let ow = p.ow();
        assert!(self.0.x.len() >= p.ih * p.iw * I::LANES && self.0.w.len() >= p.kh * p.kw * I::LANES);
        assert!(self.0.out.len() >= ow * I::LANES);
        let rows = taps_inside(self.0.oy * p.stride[0], p.pads.top, p.dilation[0], p.kh, p.ih);
        // The first output whose taps begin inside, and the first whose taps end outside.
        let begin = p.pads.left.div_ceil(p.stride[1]).min(ow);
        let end = (p.iw + p.pads.left).checked_sub(p.reach()[1]).map_or(0, |free| free / p.stride[1] + 1);
        let end = end.clamp(begin, ow);
        for ox in (0..begin).chain(end..ow) {
            let columns = taps_inside(ox * p.stride[1], p.pads.left, p.dilation[1], p.kw, p.iw);
            self.edge(isa, ox, rows, columns);
        }
        let mut ox = begin;
        while ox + WIDEST <= end {
            self.tile::<I, WIDEST>(isa, ox, rows);
            ox += WIDEST;
        }
        if ox + 4 <= end {
            self.tile::<I, 4>(isa, ox, rows);
            ox += 4;
        }
        if ox + 2 <= end {
            self.tile::<I, 2>(isa, ox, rows);
            ox += 2;
        }
        if ox < end {
            self.tile::<I, 1>(isa, ox, rows);
        }
    }
}

impl<const KW: usize, const S: usize> Body<'_, KW, S> {
    /// Outputs `ox..ox + P`, all of whose columns are inside, from the kernel rows `rows`.
    #[inline(always)]
    fn tile<I: Isa, const P: usize>(&mut self, isa: I, ox: usize, rows: (usize, usize)) {
        let r = &self.0;
        let p = r.p;
        let mut acc = [isa.zero(); P];
        for ky in rows.0..rows.1 {
            let iy = r.oy * p.stride[0] + ky * p.dilation[0] - p.pads.top;
            let x_at = (iy * p.iw + ox * p.stride[1] - p.pads.left) * I::LANES;
            if KW == 0 {
                for kx in 0..p.kw {
                    // SAFETY: `ky < kh` and `kx < kw`, and the weights hold `kh * kw` vectors.
                    let w = unsafe { isa.load_at(r.w, (ky * p.kw + kx) * I::LANES) };
                    for (q, acc) in acc.iter_mut().enumerate() {
                        let at = x_at + (q * p.stride[1] + kx * p.dilation[1]) * I::LANES;
                        // SAFETY: row `iy` and this column stand inside the image, as the tile's columns do.
                        let x = unsafe { isa.load_at(r.x, at) };
                        *acc = isa.fma(x, w, *acc);
                    }
                }
            } else {
                let w: [I::F; KW] = std::array::from_fn(|kx| {
                    // SAFETY: `ky < kh` and `kx < kw`, and the weights hold `kh * kw` vectors.
                    unsafe { isa.load_at(r.w, (ky * KW + kx) * I::LANES) }
                });
                // Input by input, so that each is loaded once and used by every output that it reaches.
                for i in 0..(P - 1) * S + KW {
                    // SAFETY: row `iy` and the columns of the tile's outputs stand inside the image.
                    let x = unsafe { isa.load_at(r.x, x_at + i * I::LANES) };
                    for (q, acc) in acc.iter_mut().enumerate() {
                        if q * S <= i && i < q * S + KW {
                            *acc = isa.fma(x, w[i - q * S], *acc);
                        }
                    }
                }
            }
        }
        self.store(isa, ox, acc);
    }

    /// One output from the taps inside the image.
    #[inline(always)]
    fn edge<I: Isa>(&mut self, isa: I, ox: usize, rows: (usize, usize), columns: (usize, usize)) {
        let r = &self.0;
        let p = r.p;
        let mut acc = isa.zero();
        for ky in rows.0..rows.1 {
            let iy = r.oy * p.stride[0] + ky * p.dilation[0] - p.pads.top;
            for kx in columns.0..columns.1 {
                let ix = ox * p.stride[1] + kx * p.dilation[1] - p.pads.left;
                // SAFETY: `taps_inside` gave only taps with `iy < ih` and `ix < iw`.
                let x = unsafe { isa.load_at(r.x, (iy * p.iw + ix) * I::LANES) };
                // SAFETY: `ky < kh` and `kx < kw`, and the weights hold `kh * kw` vectors.
                let w = unsafe { isa.load_at(r.w, (ky * p.kw + kx) * I::LANES) };
                acc = isa.fma(x, w, acc);
            }
        }
        self.store(isa, ox, [acc]);
    }

    #[inline(always)]
    fn store<I: Isa, const P: usize>(&mut self, isa: I, ox: usize, mut acc: [I::F; P]) {
        let r = &mut self.0;
        r.finish.apply(isa, r.channel, r.y_at + ox * I::LANES, &mut acc);
        for (q, &sum) in acc.iter().enumerate() {
            // SAFETY: `ox + q < ow`, and the output row holds `ow` vectors.
            unsafe { isa.store_at(r.out, (ox + q) * I::LANES, sum) };
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
