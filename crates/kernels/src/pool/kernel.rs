//! The windows of one output row, vector by vector.
//!
//! A vector holds the channels of one output place where the layout is blocked, and neighbouring outputs of one
//! channel where it is not and the stride is 1. Either way the next vector of inputs lies a fixed distance ahead.

use std::ops::Range;

use super::{Pool2d, Windows};
use crate::conv::Layout;
use crate::{Ctx, Isa, Shards, SimdOp};

/// Vectors of outputs that are in flight together, to cover the latency of the additions.
const BLOCK: usize = 4;

pub(super) fn run_max<I: Isa>(p: &Pool2d, x: &[f32], y: &mut [f32], ctx: Ctx<'_>) {
    run::<I, true>(p, x, y, ctx);
}

pub(super) fn run_average<I: Isa>(p: &Pool2d, x: &[f32], y: &mut [f32], ctx: Ctx<'_>) {
    run::<I, false>(p, x, y, ctx);
}

fn run<I: Isa, const MAX: bool>(p: &Pool2d, x: &[f32], y: &mut [f32], ctx: Ctx<'_>) {
    let (planes, pixel) = match p.layout {
        Layout::Nchw => (p.n * p.c, 1),
        Layout::Nchwc => (p.n * p.c.div_ceil(I::LANES), I::LANES),
    };
    let (in_plane, row) = (p.ih * p.iw * pixel, p.ow * pixel);
    assert!(x.len() == planes * in_plane && y.len() == planes * p.oh * row);
    if y.is_empty() {
        return;
    }
    // Rows of a task: about 16 Ki elements read.
    let rows = (16_384 / (p.stride[0] * p.iw * pixel).max(1)).clamp(1, p.oh);
    let tasks_of_plane = p.oh.div_ceil(rows);
    let (isa, y, windows) = (I::require(), Shards::new(y), p.windows());
    ctx.pool.run(planes * tasks_of_plane, &|task| {
        let plane = task.index / tasks_of_plane;
        let first = task.index % tasks_of_plane * rows;
        for oy in first..p.oh.min(first + rows) {
            let start = (plane * p.oh + oy) * row;
            // SAFETY: rows are disjoint, and each belongs to one task.
            let y = unsafe { y.range(start..start + row) };
            let x = &x[plane * in_plane..(plane + 1) * in_plane];
            isa.dispatch(Row::<MAX> { p, windows: &windows, pixel, oy, x, y });
        }
    });
}

struct Row<'a, const MAX: bool> {
    p: &'a Pool2d,
    windows: &'a [Windows; 2],
    /// Elements of one place: 1, or the lanes.
    pixel: usize,
    oy: usize,
    /// The plane (or block of planes).
    x: &'a [f32],
    /// The output row.
    y: &'a mut [f32],
}

impl<const MAX: bool> SimdOp for Row<'_, MAX> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(mut self, isa: I) {
        let inner = self.windows[1].inner(self.p.ow);
        self.singles(isa, 0..inner.start);
        let rest = if self.pixel == I::LANES || self.p.stride[1] == 1 {
            self.vectors(isa, inner.clone())
        } else {
            inner.start
        };
        self.singles(isa, rest..self.p.ow);
    }
}

impl<const MAX: bool> Row<'_, MAX> {
    /// Outputs one by one, for those at the border and those that fill no vector.
    #[inline(always)]
    fn singles<I: Isa>(&mut self, isa: I, outputs: Range<usize>) {
        let [vertical, horizontal] = self.windows;
        for ox in outputs {
            let mut acc = start::<I, MAX>(isa);
            for ky in vertical.taps(self.oy) {
                let line = vertical.place(self.oy, ky) * self.p.iw;
                for kx in horizontal.taps(ox) {
                    let at = (line + horizontal.place(ox, kx)) * self.pixel;
                    acc = fold::<I, MAX>(isa, acc, isa.load_part(&self.x[at..at + self.pixel]));
                }
            }
            let y = &mut self.y[ox * self.pixel..(ox + 1) * self.pixel];
            isa.store_part(y, finish::<I, MAX>(isa, acc, self.p.divisor(self.windows, self.oy, ox)));
        }
    }

    /// Whole vectors of outputs whose columns all lie in the image; returns the first output that is left over.
    #[inline(always)]
    fn vectors<I: Isa>(&mut self, isa: I, outputs: Range<usize>) -> usize {
        let count = outputs.len() * self.pixel / I::LANES;
        let whole = count - count % BLOCK;
        let first = outputs.start;
        for at in (0..whole).step_by(BLOCK) {
            self.block::<I, BLOCK>(isa, first, at);
        }
        for at in whole..count {
            self.block::<I, 1>(isa, first, at);
        }
        first + count * I::LANES / self.pixel
    }

    /// `N` vectors of outputs from vector `at` behind the output `first`.
    #[inline(always)]
    fn block<I: Isa, const N: usize>(&mut self, isa: I, first: usize, at: usize) {
        let [vertical, horizontal] = self.windows;
        let mut acc = [start::<I, MAX>(isa); N];
        let ahead = horizontal.stride * I::LANES;
        for ky in vertical.taps(self.oy) {
            let line = vertical.place(self.oy, ky) * self.p.iw;
            for kx in 0..horizontal.taps {
                let base = (line + horizontal.place(first, kx)) * self.pixel + at * ahead;
                let taps = &self.x[base..base + (N - 1) * ahead + I::LANES];
                for (j, acc) in acc.iter_mut().enumerate() {
                    // SAFETY: `taps` is just long enough for the last vector, j = N - 1.
                    *acc = fold::<I, MAX>(isa, *acc, unsafe { isa.load_at(taps, j * ahead) });
                }
            }
        }
        // All columns lie in the image, so the outputs of a row share one divisor.
        let divisor = self.p.divisor(self.windows, self.oy, first);
        let y = &mut self.y[first * self.pixel + at * I::LANES..];
        for (acc, y) in acc.into_iter().zip(y.chunks_exact_mut(I::LANES)) {
            isa.store(y, finish::<I, MAX>(isa, acc, divisor));
        }
    }
}

#[inline(always)]
fn start<I: Isa, const MAX: bool>(isa: I) -> I::F {
    isa.splat(if MAX { f32::NEG_INFINITY } else { 0.0 })
}

#[inline(always)]
fn fold<I: Isa, const MAX: bool>(isa: I, acc: I::F, x: I::F) -> I::F {
    if !MAX {
        return isa.add(acc, x);
    }
    // `max` keeps a NaN of its second operand, and so of earlier places; one of this place is taken by hand.
    isa.select(isa.eq(x, x), isa.max(x, acc), x)
}

#[inline(always)]
fn finish<I: Isa, const MAX: bool>(isa: I, acc: I::F, divisor: f32) -> I::F {
    if MAX { acc } else { isa.div(acc, isa.splat(divisor)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::{PoolKind, choose};
    use crate::trial::{assert_close, blocked, each_tier, numbers, planar};
    use crate::{Pads, reference};

    fn check(p: Pool2d, kind: PoolKind) {
        let x = numbers(p.n * p.c * p.ih * p.iw, 3);
        let want = reference::pool2d(&p, kind, &x);
        let (inside, outside) = ([p.n, p.c, p.ih * p.iw], [p.n, p.c, p.oh * p.ow]);
        each_tier(0, |tier, ctx| {
            let (kernel, pool, v) = (choose(kind, tier), ctx.pool, tier.lanes());
            let mut y = vec![9.0; want.len()];
            (kernel.run)(&p, &x, &mut y, ctx);
            assert_close(&format!("{} {p:?}", kernel.id.name), &y, &want, 1e-6);
            let p = Pool2d { layout: Layout::Nchwc, ..p };
            let mut y = vec![9.0; p.n * p.c.next_multiple_of(v) * p.oh * p.ow];
            (kernel.run)(&p, &blocked(&x, inside, v), &mut y, Ctx { pool, scratch: &mut [] });
            assert_close(&format!("{} {p:?}", kernel.id.name), &planar(&y, outside, v), &want, 1e-6);
        });
    }

    #[test]
    fn every_window_equals_the_reference_in_both_layouts() {
        let base = Pool2d {
            n: 2,
            c: 19,
            ih: 11,
            iw: 83,
            oh: 6,
            ow: 42,
            kernel: [3, 3],
            stride: [2, 2],
            dilation: [1, 1],
            pads: Pads { top: 1, left: 1, bottom: 1, right: 1 },
            count_include_pad: false,
            layout: Layout::Nchw,
        };
        let none = Pads::default();
        let problems = [
            base,
            Pool2d { stride: [1, 1], oh: 11, ow: 83, ..base },
            Pool2d { kernel: [2, 2], pads: none, oh: 5, ow: 41, ..base },
            // Ceil mode: the last windows reach past the image, and past its padding.
            Pool2d { kernel: [2, 2], pads: none, oh: 6, ow: 42, ..base },
            Pool2d { kernel: [3, 3], stride: [3, 3], pads: none, oh: 4, ow: 28, ..base },
            Pool2d { dilation: [2, 3], stride: [1, 1], oh: 9, ow: 79, ..base },
            Pool2d { kernel: [11, 83], stride: [1, 1], pads: none, oh: 1, ow: 1, ..base },
            Pool2d { ih: 1, iw: 1, oh: 1, ow: 1, ..base },
        ];
        for p in problems {
            check(p, PoolKind::Max);
            for count_include_pad in [false, true] {
                check(Pool2d { count_include_pad, ..p }, PoolKind::Average);
            }
        }
    }
}
