//! Pooling of whole problems, and the windows of one output row of any size, stride and layout, vector by vector.
//!
//! A vector holds the channels of one output place where the layout is blocked, and neighbouring outputs of one
//! channel where it is not and the stride is 1. Either way the next vector of inputs lies a fixed distance ahead.
//! The order of every sum is that of the windows in registers ([`super::sweep`]): the rows of a column, then columns.

use std::marker::PhantomData;
use std::ops::Range;

use super::sweep::{self, Sweep};
use super::{Pool2d, Windows};
use crate::conv::Layout;
use crate::{Ctx, Isa, Shards, SimdOp};

/// Vectors of outputs that are in flight together, to cover the latency of the additions.
const BLOCK: usize = 4;

/// Inputs that one task reads, about: 64 KiB, so that what is shared out costs far more than the sharing.
const INPUTS: usize = 16_384;

/// How the values under a window become one.
pub(super) trait Fold: 'static {
    /// What changes nothing when it is taken in, and what a window without a value gives.
    const START: f32;
    /// The fold is right for numbers alone, and is to be repeated by [`Fold::Exact`] where one is not.
    const NUMBERS_ONLY: bool = false;
    /// The same fold for all values.
    type Exact: Fold;

    /// Takes in `x`.
    fn fold<I: Isa>(isa: I, acc: I::F, x: I::F) -> I::F;

    /// The output from all values, and from the reciprocal of their number.
    #[inline(always)]
    fn finish<I: Isa>(_isa: I, acc: I::F, _reciprocal: f32) -> I::F {
        acc
    }
}

/// The sum, of which the mean is made.
pub(super) struct Mean;

impl Fold for Mean {
    const START: f32 = 0.0;
    type Exact = Mean;

    #[inline(always)]
    fn fold<I: Isa>(isa: I, acc: I::F, x: I::F) -> I::F {
        isa.add(acc, x)
    }

    /// A division of a vector takes about as long as ten multiplications.
    #[inline(always)]
    fn finish<I: Isa>(isa: I, acc: I::F, reciprocal: f32) -> I::F {
        isa.mul(acc, isa.splat(reciprocal))
    }
}

/// The largest, NaN where one value is.
pub(super) struct Largest;

impl Fold for Largest {
    const START: f32 = f32::NEG_INFINITY;
    type Exact = Largest;

    #[inline(always)]
    fn fold<I: Isa>(isa: I, acc: I::F, x: I::F) -> I::F {
        // `max` keeps a NaN of its second operand, and so of earlier places; one of this place is taken by hand.
        isa.select(isa.eq(x, x), isa.max(x, acc), x)
    }
}

/// The largest where all are numbers: the same bits as [`Largest`], in a third of the operations.
pub(super) struct LargestNumber;

impl Fold for LargestNumber {
    const START: f32 = f32::NEG_INFINITY;
    const NUMBERS_ONLY: bool = true;
    type Exact = Largest;

    #[inline(always)]
    fn fold<I: Isa>(isa: I, acc: I::F, x: I::F) -> I::F {
        isa.max(x, acc)
    }
}

pub(super) fn run_max<I: Isa>(p: &Pool2d, x: &[f32], y: &mut [f32], ctx: Ctx<'_>) {
    run::<I, LargestNumber>(p, x, y, ctx);
}

pub(super) fn run_average<I: Isa>(p: &Pool2d, x: &[f32], y: &mut [f32], ctx: Ctx<'_>) {
    run::<I, Mean>(p, x, y, ctx);
}

fn run<I: Isa, F: Fold>(p: &Pool2d, x: &[f32], y: &mut [f32], ctx: Ctx<'_>) {
    let (planes, pixel) = match p.layout {
        Layout::Nchw => (p.n * p.c, 1),
        Layout::Nchwc => (p.n * p.c.div_ceil(I::LANES), I::LANES),
    };
    let (in_plane, row) = (p.ih * p.iw * pixel, p.ow * pixel);
    assert!(x.len() == planes * in_plane && y.len() == planes * p.oh * row);
    if y.is_empty() {
        return;
    }
    // The rows of all planes are one list, so that small planes share a task.
    let (all, rows) = (planes * p.oh, (INPUTS / (p.stride[0] * p.iw * pixel).max(1)).max(1));
    let in_registers = sweep::accepts(p);
    let (isa, y, windows) = (I::require(), Shards::new(y), p.windows());
    ctx.pool.run(all.div_ceil(rows), &|task| {
        let rows = task.index * rows..all.min((task.index + 1) * rows);
        // SAFETY: the rows of tasks are disjoint.
        let y = unsafe { y.range(rows.start * row..rows.end * row) };
        if in_registers {
            return isa.dispatch(Sweep::<F>::new(p, &windows, rows, x, y));
        }
        for (at, y) in rows.zip(y.chunks_exact_mut(row)) {
            let x = &x[at / p.oh * in_plane..][..in_plane];
            isa.dispatch(Row::<F::Exact> { p, windows: &windows, pixel, oy: at % p.oh, x, y, fold: PhantomData });
        }
    });
}

struct Row<'a, F> {
    p: &'a Pool2d,
    windows: &'a [Windows; 2],
    /// Elements of one place: 1, or the lanes.
    pixel: usize,
    oy: usize,
    /// The plane (or block of planes).
    x: &'a [f32],
    /// The output row.
    y: &'a mut [f32],
    fold: PhantomData<F>,
}

impl<F: Fold> SimdOp for Row<'_, F> {
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

impl<F: Fold> Row<'_, F> {
    /// Outputs one by one, for those at the border and those that fill no vector.
    #[inline(always)]
    fn singles<I: Isa>(&mut self, isa: I, outputs: Range<usize>) {
        let [vertical, horizontal] = self.windows;
        for ox in outputs {
            let mut acc = isa.splat(F::START);
            for kx in horizontal.taps(ox) {
                let mut column = isa.splat(F::START);
                for ky in vertical.taps(self.oy) {
                    let at = (vertical.place(self.oy, ky) * self.p.iw + horizontal.place(ox, kx)) * self.pixel;
                    column = F::fold(isa, column, isa.load_part(&self.x[at..at + self.pixel]));
                }
                acc = F::fold(isa, acc, column);
            }
            let y = &mut self.y[ox * self.pixel..(ox + 1) * self.pixel];
            isa.store_part(y, F::finish(isa, acc, self.p.reciprocal(self.windows, self.oy, ox)));
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
        let mut acc = [isa.splat(F::START); N];
        let ahead = horizontal.stride * I::LANES;
        for kx in 0..horizontal.taps {
            let mut column = [isa.splat(F::START); N];
            for ky in vertical.taps(self.oy) {
                let line = vertical.place(self.oy, ky) * self.p.iw;
                let base = (line + horizontal.place(first, kx)) * self.pixel + at * ahead;
                let taps = &self.x[base..base + (N - 1) * ahead + I::LANES];
                for (j, column) in column.iter_mut().enumerate() {
                    // SAFETY: `taps` is just long enough for the last vector, j = N - 1.
                    *column = F::fold(isa, *column, unsafe { isa.load_at(taps, j * ahead) });
                }
            }
            for (acc, column) in acc.iter_mut().zip(column) {
                *acc = F::fold(isa, *acc, column);
            }
        }
        // All columns lie in the image, so the outputs of a row share one divisor.
        let reciprocal = self.p.reciprocal(self.windows, self.oy, first);
        let y = &mut self.y[first * self.pixel + at * I::LANES..];
        for (acc, y) in acc.into_iter().zip(y.chunks_exact_mut(I::LANES)) {
            isa.store(y, F::finish(isa, acc, reciprocal));
        }
    }
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
            Pool2d { stride: [1, 1], ih: 2, iw: 1, oh: 2, ow: 1, ..base },
            Pool2d { stride: [1, 1], ih: 7, iw: 7, oh: 7, ow: 7, ..base },
            Pool2d { stride: [1, 1], pads: none, oh: 9, ow: 81, ..base },
            // Unequal padding, wide enough for windows beside the image.
            Pool2d { stride: [1, 1], pads: Pads { top: 3, left: 4, bottom: 0, right: 3 }, oh: 12, ow: 88, ..base },
            Pool2d { pads: Pads { top: 0, left: 2, bottom: 1, right: 0 }, oh: 5, ow: 42, ..base },
            Pool2d { kernel: [2, 2], ih: 10, iw: 82, ..base },
        ];
        for p in problems {
            check(p, PoolKind::Max);
            for count_include_pad in [false, true] {
                check(Pool2d { count_include_pad, ..p }, PoolKind::Average);
            }
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_image_next_to_it_nor_on_threads() {
        let base = Pool2d {
            n: 3,
            c: 8,
            ih: 40,
            iw: 41,
            oh: 40,
            ow: 41,
            kernel: [3, 3],
            stride: [1, 1],
            dilation: [1, 1],
            pads: Pads { top: 1, left: 1, bottom: 1, right: 1 },
            count_include_pad: false,
            layout: Layout::Nchwc,
        };
        let one = Pool2d { n: 1, ..base };
        for kind in [PoolKind::Max, PoolKind::Average] {
            each_tier(0, |tier, ctx| {
                let (kernel, pool) = (choose(kind, tier), ctx.pool);
                let image = numbers(8usize.next_multiple_of(tier.lanes()) * 40 * 41, 3);
                // The second image is NaN, so that tasks which touch it go the long way.
                let batch = [image.clone(), vec![f32::NAN; image.len()], image.clone()].concat();
                let (mut alone, mut all) = (vec![9.0; image.len()], vec![9.0; batch.len()]);
                (kernel.run)(&one, &image, &mut alone, ctx);
                (kernel.run)(&base, &batch, &mut all, Ctx { pool, scratch: &mut [] });
                let same = |y: &[f32]| y.iter().zip(&alone).all(|(a, b)| a.to_bits() == b.to_bits());
                let (first, rest) = all.split_at(image.len());
                let (second, third) = rest.split_at(image.len());
                assert!(same(first) && same(third), "{}", kernel.id.name);
                assert!(second.iter().all(|y| y.is_nan()), "{}", kernel.id.name);
            });
        }
    }
}
