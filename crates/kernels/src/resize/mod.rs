//! Resizing of images by tables of taps: nearest, linear, cubic and anti-aliased alike.

mod kernel;

use crate::catalog::KernelId;
use crate::conv::Layout;
use crate::rows::tiered;
use crate::{Ctx, ProblemError, Tier};

use kernel::{run, scratch_len};

/// What one output place of an axis is made of: `count` neighbouring inputs from `first` on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Taps {
    /// The first input.
    pub first: u32,
    /// How many inputs.
    pub count: u32,
    /// Where their weights begin among those of the axis.
    pub weights: u32,
}

/// One axis of a resize, prepared once: each output is a weighted sum of neighbouring inputs.
///
/// What the operator says about places past the border (clamping, renormalising) is in the weights already.
#[derive(Clone, PartialEq, Debug)]
pub struct ResizeAxis {
    taps: Vec<Taps>,
    weights: Vec<f32>,
    input: usize,
}

impl ResizeAxis {
    /// An axis from `input` places to one for each of `taps`.
    ///
    /// # Errors
    /// When taps lie outside of the input, or have no weights.
    pub fn new(input: usize, taps: Vec<Taps>, weights: Vec<f32>) -> Result<Self, ProblemError> {
        let fits = |first: u32, count: u32, len: usize| {
            (first as usize).checked_add(count as usize).is_some_and(|end| end <= len)
        };
        let fail = |reason| Err(ProblemError { problem: format!("resize {input} to {}", taps.len()), reason });
        if taps.iter().any(|t| !fits(t.first, t.count, input)) {
            return fail("taps lie outside of the input");
        }
        if taps.iter().any(|t| !fits(t.weights, t.count, weights.len())) {
            return fail("taps have no weights");
        }
        Ok(ResizeAxis { taps, weights, input })
    }

    /// Output places.
    pub fn output(&self) -> usize {
        self.taps.len()
    }

    /// Input places.
    pub fn input(&self) -> usize {
        self.input
    }

    /// The first input of an output place, and the weights from there on.
    #[inline(always)]
    pub fn at(&self, place: usize) -> (usize, &[f32]) {
        let t = self.taps[place];
        (t.first as usize, &self.weights[t.weights as usize..(t.weights + t.count) as usize])
    }
}

/// A two-dimensional resize in f32: first down the columns, then along the rows.
#[derive(Clone, PartialEq, Debug)]
pub struct Resize2d {
    /// Images.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// The vertical axis.
    pub vertical: ResizeAxis,
    /// The horizontal axis.
    pub horizontal: ResizeAxis,
    /// Layout of input and output, blocked by the kernel's lanes.
    pub layout: Layout,
}

/// One row of the table of resize kernels.
pub struct ResizeKernel {
    /// Name and tier.
    pub id: KernelId,
    /// Length of the scratch for a number of threads, in f32.
    pub scratch_len: fn(&Resize2d, threads: usize) -> usize,
    /// Resizes `x` into `y`. Panics when a length is not what the problem says.
    pub run: fn(&Resize2d, x: &[f32], y: &mut [f32], Ctx<'_>),
}

/// One row a tier, in the order of [`Tier::ALL`].
static ROWS: [ResizeKernel; 3] = tiered!(ResizeKernel, "resize", "f32", F32, { scratch_len: scratch_len, run: run });

/// What identifies each kernel of the family.
pub(crate) fn ids() -> impl Iterator<Item = &'static KernelId> {
    ROWS.iter().map(|row| &row.id)
}

/// The kernel of a tier.
pub fn choose(tier: Tier) -> &'static ResizeKernel {
    &ROWS[tier as usize]
}
