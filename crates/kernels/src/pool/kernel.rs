//! Pooling of whole problems: how values become one, and how output rows are shared out.
//!
//! The order of every sum is the same: down the rows of each column of a window, then over the columns.

use std::ops::Range;

use super::rows::Rows;
use super::sweep::{self, Sweep};
use super::{Pool2d, Windows};
use crate::conv::{Layout, Planes};
use crate::{Ctx, Isa, Shards};

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

pub(super) fn run_part_max<I: Isa>(p: &Pool2d, planes: Planes, x: &[f32], y: &mut [f32], ctx: Ctx<'_>) {
    run_part::<I, LargestNumber>(p, planes, x, y, ctx);
}

pub(super) fn run_part_average<I: Isa>(p: &Pool2d, planes: Planes, x: &[f32], y: &mut [f32], ctx: Ctx<'_>) {
    run_part::<I, Mean>(p, planes, x, y, ctx);
}

/// Planes of a problem, and elements of a pixel.
fn planes<I: Isa>(p: &Pool2d) -> [usize; 2] {
    match p.layout {
        Layout::Nchw => [p.n * p.c, 1],
        Layout::Nchwc => [p.n * p.c.div_ceil(I::LANES), I::LANES],
    }
}

/// Output rows of a task.
fn rows_each(p: &Pool2d, pixel: usize) -> usize {
    (INPUTS / (p.stride[0] * p.iw * pixel).max(1)).max(1)
}

fn run<I: Isa, F: Fold>(p: &Pool2d, x: &[f32], y: &mut [f32], ctx: Ctx<'_>) {
    let [planes, pixel] = planes::<I>(p);
    let (in_plane, row) = (p.ih * p.iw * pixel, p.ow * pixel);
    assert!(x.len() == planes * in_plane && y.len() == planes * p.oh * row);
    if y.is_empty() {
        return;
    }
    // The rows of all planes are one list, so that small planes share a task.
    let (all, rows) = (planes * p.oh, rows_each(p, pixel));
    let (y, task) = (Shards::new(y), Task::<I>::new(p));
    ctx.pool.run(all.div_ceil(rows), &|piece| {
        let rows = piece.index * rows..all.min((piece.index + 1) * rows);
        // SAFETY: the rows of tasks are disjoint.
        task.run::<F>(rows.clone(), x, unsafe { y.range(rows.start * row..rows.end * row) });
    });
}

fn run_part<I: Isa, F: Fold>(p: &Pool2d, distance: Planes, x: &[f32], y: &mut [f32], ctx: Ctx<'_>) {
    let [planes, pixel] = planes::<I>(p);
    let (in_plane, row) = (p.ih * p.iw * pixel, p.ow * pixel);
    let rows = rows_each(p, pixel);
    let (y, task, pieces) = (Shards::new(y), Task::<I>::new(p), p.oh.div_ceil(rows));
    // Rows outermost: as the convolution before shares them out.
    ctx.pool.run(planes * pieces, &|piece| {
        let (piece, plane) = (piece.index / planes, piece.index % planes);
        let rows = piece * rows..p.oh.min((piece + 1) * rows);
        let [x_at, y_at] = [distance.x, distance.y].map(|pixels| plane * pixels * pixel);
        // SAFETY: the rows of tasks are disjoint.
        let y = unsafe { y.range(y_at + rows.start * row..y_at + rows.end * row) };
        task.run::<F>(rows, &x[x_at..x_at + in_plane], y);
    });
}

/// What all tasks of a problem share.
struct Task<'a, I> {
    p: &'a Pool2d,
    windows: [Windows; 2],
    in_registers: bool,
    isa: I,
}

impl<'a, I: Isa> Task<'a, I> {
    fn new(p: &'a Pool2d) -> Self {
        Task { p, windows: p.windows(), in_registers: sweep::accepts(p), isa: I::require() }
    }

    /// The output rows `rows` of the planes of `x`, one plane after the other.
    fn run<F: Fold>(&self, rows: Range<usize>, x: &[f32], y: &mut [f32]) {
        let Task { p, windows, isa, .. } = self;
        match self.in_registers {
            true => isa.dispatch(Sweep::<F>::new(p, windows, rows, x, y)),
            false => isa.dispatch(Rows::<F::Exact>::new(p, windows, rows, x, y)),
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
            Pool2d { kernel: [5, 5], stride: [3, 3], oh: 3, ow: 27, ..base },
            Pool2d {
                kernel: [13, 13],
                stride: [1, 1],
                pads: Pads { top: 6, left: 6, bottom: 6, right: 6 },
                oh: 11,
                ow: 83,
                ..base
            },
            // Rows of more places than are folded at once, and a window of more.
            Pool2d { kernel: [2, 3], stride: [1, 1], ih: 2, iw: 2500, oh: 3, ow: 2500, ..base },
            Pool2d { kernel: [2, 150], stride: [1, 2], ih: 2, iw: 160, oh: 3, ow: 7, ..base },
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
        let far = Pads { top: 2, left: 2, bottom: 2, right: 2 };
        let problems = [base, Pool2d { kernel: [5, 5], pads: far, ..base }];
        for (kind, base) in [PoolKind::Max, PoolKind::Average].into_iter().flat_map(|kind| problems.map(|p| (kind, p)))
        {
            let one = Pool2d { n: 1, ..base };
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
