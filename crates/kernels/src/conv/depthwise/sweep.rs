//! The register tile: P neighbouring outputs of a row, swept down the rows of a band.

use std::ops::Range;

use crate::conv::epilogue::Finish;
use crate::{Conv2d, Isa, SimdOp, Tier};

/// Outputs of the widest tile: eight sums hide the latency of two multiply-adds a cycle.
pub(super) const WIDEST: usize = 8;

/// A column of tiles: some rows of some neighbouring outputs of one channel vector.
pub(in crate::conv) struct Sweep<'a> {
    pub(super) p: &'a Conv2d,
    /// Input plane of the channel vector.
    pub(super) x: &'a [f32],
    /// Its weights: kernel rows, kernel columns, lanes.
    pub(super) w: &'a [f32],
    /// Output rows, of 0 to the output's height, and the first output column.
    pub(super) rows: Range<usize>,
    pub(super) column: usize,
    /// Output of whole rows, from the first of `rows` on.
    pub(super) out: &'a mut [f32],
    /// Where that stands in the whole output.
    pub(super) y_at: usize,
    /// First channel.
    pub(super) channel: usize,
    pub(super) finish: &'a Finish<'a>,
}

/// Computes a column of tiles.
pub(in crate::conv) type SweepFn<I> = fn(I, Sweep<'_>);

/// The functions for tiles of 1, 2, .. outputs.
pub(in crate::conv) type Sweeps<I> = [SweepFn<I>; WIDEST];

/// The functions for a problem: kernels and strides of real networks have their own, so that weights and pixels that
/// neighbouring outputs share stay in registers.
pub(in crate::conv) fn sweeps<I: Isa>(p: &Conv2d) -> Sweeps<I> {
    let pad = p.pads.left.max(overhang(p));
    match (p.kh, p.kw, p.stride[1]) {
        _ if p.dilation != [1, 1] || pad > p.kw / 2 => compiled::<I, 0, 0>(),
        (3, 3, 1) => compiled::<I, 3, 1>(),
        (3, 3, 2) => compiled::<I, 3, 2>(),
        (5, 5, 1) => compiled::<I, 5, 1>(),
        (5, 5, 2) => compiled::<I, 5, 2>(),
        (7, 7, 1) => compiled::<I, 7, 1>(),
        (7, 7, 2) => compiled::<I, 7, 2>(),
        _ => compiled::<I, 0, 0>(),
    }
}

/// Columns that the last output reads to the right of the image.
fn overhang(p: &Conv2d) -> usize {
    ((p.ow() - 1) * p.stride[1] + p.reach()[1]).saturating_sub(p.pads.left + p.iw)
}

fn compiled<I: Isa, const K: usize, const S: usize>() -> Sweeps<I> {
    [
        |isa, sweep| isa.dispatch(Body::<'_, K, S, 1>(sweep)),
        |isa, sweep| isa.dispatch(Body::<'_, K, S, 2>(sweep)),
        |isa, sweep| isa.dispatch(Body::<'_, K, S, 3>(sweep)),
        |isa, sweep| isa.dispatch(Body::<'_, K, S, 4>(sweep)),
        |isa, sweep| isa.dispatch(Body::<'_, K, S, 5>(sweep)),
        |isa, sweep| isa.dispatch(Body::<'_, K, S, 6>(sweep)),
        |isa, sweep| isa.dispatch(Body::<'_, K, S, 7>(sweep)),
        |isa, sweep| isa.dispatch(Body::<'_, K, S, 8>(sweep)),
    ]
}

/// Tiles of `P` outputs of an undilated `K` x `K` kernel at horizontal stride `S`, which reads at most `K / 2` columns
/// beside the image; both 0 where they are read from the problem.
struct Body<'a, const K: usize, const S: usize, const P: usize>(Sweep<'a>);

impl<const K: usize, const S: usize, const P: usize> SimdOp for Body<'_, K, S, P> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let Sweep { p, x, w, rows, column, out, y_at, channel, finish } = self.0;
        let ow = p.ow();
        let begin = column * p.stride[1];
        let end = begin + (P - 1) * p.stride[1] + p.reach()[1];
        assert!(x.len() >= p.ih * p.iw * I::LANES && w.len() >= p.kh * p.kw * I::LANES, "plane and weights");
        assert!(out.len() >= rows.len() * ow * I::LANES && column + P <= ow, "the output rows");
        // The columns outside the image, to the left and to the right.
        let (left, right) = (p.pads.left.saturating_sub(begin), end.saturating_sub(p.pads.left + p.iw));
        assert!(K == 0 || p.kh == K && p.kw == K && p.stride[1] == S && left.max(right) <= K / 2, "compiled for it");
        let inside = left..(end - begin).saturating_sub(right);
        let tile = Taps::<K, S, P> { p, x, w, first: begin.wrapping_sub(p.pads.left), inside };
        let mut weights = [[isa.zero(); K]; 3];
        if Taps::<K, S, P>::resident::<I>() {
            weights = [0, 1, 2].map(|ky| tile.weights(isa, ky));
        }
        for (i, oy) in rows.enumerate() {
            let mut acc = [isa.zero(); P];
            tile.accumulate(isa, oy, &weights, &mut acc);
            let at = (i * ow + column) * I::LANES;
            finish.apply(isa, channel, y_at + at, &mut acc);
            for (q, &sum) in acc.iter().enumerate() {
                // SAFETY: row `i` and column `column + q` stand in the rows that the output holds.
                unsafe { isa.store_at(out, at + q * I::LANES, sum) };
            }
        }
    }
}

/// What a column of tiles reads.
struct Taps<'a, const K: usize, const S: usize, const P: usize> {
    p: &'a Conv2d,
    x: &'a [f32],
    w: &'a [f32],
    /// Column of the first tap of the first output; past all columns where it stands to the left of the image.
    first: usize,
    /// The columns inside the image, from and to, counted from that one.
    inside: Range<usize>,
}

impl<const K: usize, const S: usize, const P: usize> Taps<'_, K, S, P> {
    /// True where the vectors of a 3 x 3 kernel stay in registers beside the sums.
    #[inline(always)]
    fn resident<I: Isa>() -> bool {
        K == 3 && I::TIER == Tier::Avx512
    }

    /// The weights of a kernel row.
    #[inline(always)]
    fn weights<I: Isa>(&self, isa: I, ky: usize) -> [I::F; K] {
        let mut weights = [isa.zero(); K];
        for (kx, w) in weights.iter_mut().enumerate() {
            // SAFETY: the caller asserted K x K vectors, `ky < K` and `kx < K`.
            *w = unsafe { isa.load_at(self.w, (ky * K + kx) * I::LANES) };
        }
        weights
    }

    /// Takes in all taps of output row `oy`.
    #[inline(always)]
    fn accumulate<I: Isa>(&self, isa: I, oy: usize, all: &[[I::F; K]; 3], acc: &mut [I::F; P]) {
        let p = self.p;
        let (top, dilation) = (oy * p.stride[0], if K == 0 { p.dilation[0] } else { 1 });
        let taps = taps_inside(top, p.pads.top, dilation, p.kh, p.ih);
        let row = |ky: usize| (top + ky * dilation - p.pads.top) * p.iw;
        if K == 3 && taps == (0, 3) {
            // Written out: a loop of three rounds, left once an output, would hold up the next output.
            let [w0, w1, w2] = if Self::resident::<I>() { *all } else { [0, 1, 2].map(|ky| self.weights(isa, ky)) };
            self.row(isa, row(0), &w0, acc);
            self.row(isa, row(1), &w1, acc);
            self.row(isa, row(2), &w2, acc);
            return;
        }
        for ky in taps.0..taps.1 {
            if K == 0 {
                self.any_row(isa, row(ky), ky, acc);
            } else {
                self.row(isa, row(ky), &self.weights(isa, ky), acc);
            }
        }
    }

    /// Takes in a row of taps in the image row that begins at pixel `row`.
    #[inline(always)]
    fn row<I: Isa>(&self, isa: I, row: usize, w: &[I::F; K], acc: &mut [I::F; P]) {
        if K == 3 || S > 1 {
            for (q, acc) in acc.iter_mut().enumerate() {
                for (kx, &w) in w.iter().enumerate() {
                    self.tap(isa, row, q * S + kx, w, acc);
                }
            }
        } else {
            // Each pixel meets so many weights that one load a multiply-add costs less than to hold them all.
            for (kx, &w) in w.iter().enumerate() {
                for (q, acc) in acc.iter_mut().enumerate() {
                    self.tap(isa, row, q * S + kx, w, acc);
                }
            }
        }
    }

    /// Takes in one tap of one output, where it stands inside the image.
    #[inline(always)]
    fn tap<I: Isa>(&self, isa: I, row: usize, column: usize, w: I::F, acc: &mut I::F) {
        let span = (P - 1) * S + K;
        // At most K / 2 columns at either side are outside: for the others nothing is compared. The comparison has the
        // same outcome in every row, so that it is foreseen.
        let left = column >= K / 2 || column >= self.inside.start;
        let right = column + K / 2 < span || column < self.inside.end;
        if left && right {
            let at = row.wrapping_add(self.first).wrapping_add(column).wrapping_mul(I::LANES);
            // SAFETY: `taps_inside` gave the rows of the image, and the column is one of it.
            let x = unsafe { isa.load_at(self.x, at) };
            *acc = isa.fma(x, w, *acc);
        }
    }

    /// Takes in row `ky` of the taps of any kernel in the image row that begins at pixel `row`.
    #[inline(always)]
    fn any_row<I: Isa>(&self, isa: I, row: usize, ky: usize, acc: &mut [I::F; P]) {
        let p = self.p;
        for kx in 0..p.kw {
            // SAFETY: `ky < kh` and `kx < kw`, and the caller asserted `kh * kw` vectors.
            let w = unsafe { isa.load_at(self.w, (ky * p.kw + kx) * I::LANES) };
            for (q, acc) in acc.iter_mut().enumerate() {
                let column = q * p.stride[1] + kx * p.dilation[1];
                if self.inside.contains(&column) {
                    let at = row.wrapping_add(self.first).wrapping_add(column) * I::LANES;
                    // SAFETY: `taps_inside` gave the rows of the image, and the column is one of it.
                    let x = unsafe { isa.load_at(self.x, at) };
                    *acc = isa.fma(x, w, *acc);
                }
            }
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
