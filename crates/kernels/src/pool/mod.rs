//! Pooling: the largest or the mean of the values under a window.
//!
//! Pooling over the whole image is a reduction: [`crate::reduce::Reduce::global`].

mod kernel;
mod rows;
mod sweep;

use crate::catalog::KernelId;
use crate::conv::{Layout, Planes};
use crate::rows::tiered;
use crate::{Ctx, Pads, Tier};

use kernel::{run_average, run_max, run_part_average, run_part_max};

/// A two-dimensional pooling in f32.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Pool2d {
    /// Images.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Input height.
    pub ih: usize,
    /// Input width.
    pub iw: usize,
    /// Output height. In ceil mode the last window may reach past the padded input.
    pub oh: usize,
    /// Output width.
    pub ow: usize,
    /// Height and width of the window, in taps.
    pub kernel: [usize; 2],
    /// Vertical and horizontal step.
    pub stride: [usize; 2],
    /// Vertical and horizontal distance of taps.
    pub dilation: [usize; 2],
    /// Places around the input. They never are a maximum.
    pub pads: Pads,
    /// The mean's divisor counts the places in the padding (though none past it), not those in the image alone.
    pub count_include_pad: bool,
    /// Layout of input and output, blocked by the kernel's lanes.
    pub layout: Layout,
}

/// What pooling computes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PoolKind {
    /// The largest value under the window, NaN where one is; a window without a value gives minus infinity.
    Max,
    /// The mean of the values under the window; a window without a value gives zero.
    Average,
}

/// One row of the table of pooling kernels.
pub struct PoolKernel {
    /// Name and tier.
    pub id: KernelId,
    /// Pools `x` into `y`. Panics when a length is not what the problem says.
    pub run: fn(&Pool2d, x: &[f32], y: &mut [f32], Ctx<'_>),
    /// The same for rows of larger planes.
    pub run_part: fn(&Pool2d, Planes, x: &[f32], y: &mut [f32], Ctx<'_>),
}

/// One row a tier, in the order of [`Tier::ALL`].
static MAX_ROWS: [PoolKernel; 3] =
    tiered!(PoolKernel, "pool-max", "f32", F32, { run: run_max, run_part: run_part_max });

/// One row a tier, in the order of [`Tier::ALL`].
static AVERAGE_ROWS: [PoolKernel; 3] =
    tiered!(PoolKernel, "pool-average", "f32", F32, { run: run_average, run_part: run_part_average });

/// What identifies each kernel of the family.
pub(crate) fn ids() -> impl Iterator<Item = &'static KernelId> {
    MAX_ROWS.iter().chain(&AVERAGE_ROWS).map(|row| &row.id)
}

/// The kernel of a tier.
pub fn choose(kind: PoolKind, tier: Tier) -> &'static PoolKernel {
    match kind {
        PoolKind::Max => &MAX_ROWS[tier as usize],
        PoolKind::Average => &AVERAGE_ROWS[tier as usize],
    }
}

/// One axis of the windows.
#[derive(Clone, Copy)]
pub(crate) struct Windows {
    input: usize,
    taps: usize,
    stride: usize,
    dilation: usize,
    before: usize,
    after: usize,
}

impl Windows {
    /// The taps of window `o` that lie in the image, and the input place of tap 0 plus `before`.
    #[inline(always)]
    pub(crate) fn taps(&self, o: usize) -> std::ops::Range<usize> {
        let start = o * self.stride;
        let first = self.steps(self.before.saturating_sub(start)).min(self.taps);
        let end = self.steps((self.input + self.before).saturating_sub(start)).min(self.taps);
        first..end.max(first)
    }

    /// The input place of a tap that lies in the image.
    #[inline(always)]
    pub(crate) fn place(&self, o: usize, tap: usize) -> usize {
        o * self.stride + tap * self.dilation - self.before
    }

    /// How many taps of window `o` lie in the padded image.
    #[inline(always)]
    fn padded_taps(&self, o: usize) -> usize {
        self.steps((self.before + self.input + self.after).saturating_sub(o * self.stride)).min(self.taps)
    }

    /// Places from the first tap to the last, both included.
    fn reach(&self) -> usize {
        (self.taps - 1) * self.dilation + 1
    }

    /// Taps that begin within a distance. Spares the usual window the division, which takes longer than its taps.
    #[inline(always)]
    fn steps(&self, distance: usize) -> usize {
        if self.dilation == 1 { distance } else { distance.div_ceil(self.dilation) }
    }

    /// The outputs whose taps all lie in the image.
    fn inner(&self, outputs: usize) -> std::ops::Range<usize> {
        let reach = self.reach();
        let first = self.before.div_ceil(self.stride).min(outputs);
        let end = (self.input + self.before).checked_sub(reach).map_or(0, |last| last / self.stride + 1).min(outputs);
        first..end.max(first)
    }
}

impl Pool2d {
    /// The windows' vertical and horizontal axis.
    pub(crate) fn windows(&self) -> [Windows; 2] {
        let axis = |axis: usize, input, before, after| Windows {
            input,
            taps: self.kernel[axis],
            stride: self.stride[axis],
            dilation: self.dilation[axis],
            before,
            after,
        };
        [axis(0, self.ih, self.pads.top, self.pads.bottom), axis(1, self.iw, self.pads.left, self.pads.right)]
    }

    /// The reciprocal of a mean's divisor, from the windows' places.
    #[inline(always)]
    pub(crate) fn reciprocal(&self, [vertical, horizontal]: &[Windows; 2], oy: usize, ox: usize) -> f32 {
        1.0 / (self.counted(vertical, oy) * self.counted(horizontal, ox)).max(1) as f32
    }

    /// The taps of window `o` of one axis that a mean's divisor counts.
    #[inline(always)]
    fn counted(&self, axis: &Windows, o: usize) -> usize {
        if self.count_include_pad { axis.padded_taps(o) } else { axis.taps(o).len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::trial::{blocked, each_tier, numbers, planar};

    #[test]
    fn a_largest_value_is_not_a_number_where_one_under_the_window_is_not() {
        let base = Pool2d {
            n: 1,
            c: 1,
            ih: 5,
            iw: 24,
            oh: 5,
            ow: 24,
            kernel: [3, 3],
            stride: [1, 1],
            dilation: [1, 1],
            pads: Pads { top: 1, left: 1, bottom: 1, right: 1 },
            count_include_pad: false,
            layout: Layout::Nchw,
        };
        let problems = [
            base,
            Pool2d { stride: [2, 2], oh: 3, ow: 12, ..base },
            Pool2d { kernel: [2, 2], stride: [2, 2], pads: Pads::default(), oh: 2, ow: 12, ..base },
            Pool2d { kernel: [1, 3], pads: Pads::default(), ow: 22, ..base },
        ];
        for (p, hit) in problems.into_iter().flat_map(|p| (0..5 * 24).map(move |hit| (p, hit))) {
            let mut x = numbers(5 * 24, 3);
            // Infinities are numbers.
            (x[7], x[8], x[hit]) = (f32::INFINITY, f32::NEG_INFINITY, f32::NAN);
            let want = reference::pool2d(&p, PoolKind::Max, &x);
            each_tier(0, |tier, ctx| {
                let (kernel, pool, v) = (choose(PoolKind::Max, tier), ctx.pool, tier.lanes());
                let mut y = vec![0.0; want.len()];
                (kernel.run)(&p, &x, &mut y, ctx);
                let mut z = vec![0.0; want.len() * v];
                let ctx = Ctx { pool, scratch: &mut [] };
                (kernel.run)(&Pool2d { layout: Layout::Nchwc, ..p }, &blocked(&x, [1, 1, 120], v), &mut z, ctx);
                let z = planar(&z, [1, 1, want.len()], v);
                let same = |got: &[f32]| got.iter().zip(&want).all(|(a, b)| a == b || a.is_nan() && b.is_nan());
                assert!(same(&y) && same(&z), "{} {p:?}, NaN at {hit}", kernel.id.name);
            });
        }
    }
}
