//! Pooling: the largest or the mean of the values under a window.
//!
//! Pooling over the whole image is a reduction: [`crate::reduce::Reduce::global`].

mod kernel;

use crate::catalog::KernelId;
use crate::conv::Layout;
use crate::rows::tiered;
use crate::{Ctx, Pads, Tier};

use kernel::{run_average, run_max};

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
}

/// One row a tier, in the order of [`Tier::ALL`].
static MAX_ROWS: [PoolKernel; 3] = tiered!(PoolKernel, "pool-max", "f32", F32, { run: run_max });

/// One row a tier, in the order of [`Tier::ALL`].
static AVERAGE_ROWS: [PoolKernel; 3] = tiered!(PoolKernel, "pool-average", "f32", F32, { run: run_average });

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
        let first = self.before.saturating_sub(start).div_ceil(self.dilation).min(self.taps);
        let end = (self.input + self.before).saturating_sub(start).div_ceil(self.dilation).min(self.taps);
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
        (self.before + self.input + self.after).saturating_sub(o * self.stride).div_ceil(self.dilation).min(self.taps)
    }

    /// The outputs whose taps all lie in the image.
    fn inner(&self, outputs: usize) -> std::ops::Range<usize> {
        let reach = (self.taps - 1) * self.dilation + 1;
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

    /// The divisor of a mean, from the windows' places.
    #[inline(always)]
    pub(crate) fn divisor(&self, [vertical, horizontal]: &[Windows; 2], oy: usize, ox: usize) -> f32 {
        let count = if self.count_include_pad {
            vertical.padded_taps(oy) * horizontal.padded_taps(ox)
        } else {
            vertical.taps(oy).len() * horizontal.taps(ox).len()
        };
        count.max(1) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ctx, Pool};

    #[test]
    fn a_largest_value_is_not_a_number_where_one_under_the_window_is_not() {
        let p = Pool2d {
            n: 1,
            c: 1,
            ih: 1,
            iw: 24,
            oh: 1,
            ow: 22,
            kernel: [1, 3],
            stride: [1, 1],
            dilation: [1, 1],
            pads: Pads::default(),
            count_include_pad: false,
            layout: Layout::Nchw,
        };
        let mut x: Vec<f32> = (0..24).map(|i| i as f32).collect();
        x[10] = f32::NAN;
        for tier in Tier::ALL.into_iter().filter(|tier| tier.available()) {
            let mut y = vec![0.0; 22];
            (choose(PoolKind::Max, tier).run)(&p, &x, &mut y, Ctx { pool: &Pool::new(1), scratch: &mut [] });
            for (i, &y) in y.iter().enumerate() {
                assert!(if (8..=10).contains(&i) { y.is_nan() } else { y == (i + 2) as f32 }, "{tier}, {i}: {y}");
            }
        }
    }
}
