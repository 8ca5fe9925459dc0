//! Problems: what a kernel is asked to compute, as shapes and parameters, validated once.

use std::fmt;

use tilewise_tensor::Unary;

/// A problem whose numbers do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}: {reason}")]
pub struct ProblemError {
    /// The problem as text.
    pub problem: String,
    /// What does not fit.
    pub reason: &'static str,
}

/// What happens to an accumulator before it is stored: `act(acc + bias + residual)`.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Epilogue {
    /// Adds a value an output channel (convolution) or column (matrix product).
    pub bias: bool,
    /// Adds an array of the output's shape and layout.
    pub residual: bool,
    /// Applied last.
    pub act: Unary,
}

/// Zeros (or excluded places, for pooling) around the two spatial axes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Pads {
    /// Rows above.
    pub top: usize,
    /// Columns to the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the right.
    pub right: usize,
}

/// A two-dimensional convolution (cross-correlation) in f32.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Conv2d {
    /// Images.
    pub n: usize,
    /// Input channels, over all groups.
    pub ic: usize,
    /// Input height.
    pub ih: usize,
    /// Input width.
    pub iw: usize,
    /// Output channels, over all groups.
    pub oc: usize,
    /// Kernel height.
    pub kh: usize,
    /// Kernel width.
    pub kw: usize,
    /// Vertical and horizontal step.
    pub stride: [usize; 2],
    /// Vertical and horizontal distance of kernel taps.
    pub dilation: [usize; 2],
    /// Zeros around the input.
    pub pads: Pads,
    /// Groups; `ic` and `oc` are multiples.
    pub groups: usize,
    /// What happens before the store.
    pub epilogue: Epilogue,
}

impl Conv2d {
    /// Checks that the numbers fit together: nothing zero but `n`, channels multiples of groups, and a kernel that
    /// fits into the padded input.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn validated(self) -> Result<Self, ProblemError> {
        let fail = |reason| Err(ProblemError { problem: self.to_string(), reason });
        let sizes = [self.ic, self.ih, self.iw, self.oc, self.kh, self.kw, self.groups];
        if sizes.iter().chain(&self.stride).chain(&self.dilation).any(|&d| d == 0) {
            return fail("a size, stride or dilation is zero");
        }
        if !self.ic.is_multiple_of(self.groups) || !self.oc.is_multiple_of(self.groups) {
            return fail("the channels are no multiple of the groups");
        }
        let [reach_h, reach_w] = self.reach();
        if self.ih + self.pads.top + self.pads.bottom < reach_h || self.iw + self.pads.left + self.pads.right < reach_w
        {
            return fail("the kernel is larger than the padded input");
        }
        Ok(self)
    }

    /// Rows and columns that one application of the dilated kernel spans.
    pub fn reach(&self) -> [usize; 2] {
        [(self.kh - 1) * self.dilation[0] + 1, (self.kw - 1) * self.dilation[1] + 1]
    }

    /// Output height.
    pub fn oh(&self) -> usize {
        (self.ih + self.pads.top + self.pads.bottom - self.reach()[0]) / self.stride[0] + 1
    }

    /// Output width.
    pub fn ow(&self) -> usize {
        (self.iw + self.pads.left + self.pads.right - self.reach()[1]) / self.stride[1] + 1
    }

    /// Multiply-adds.
    pub fn macs(&self) -> u64 {
        let out = self.n * self.oc * self.oh() * self.ow();
        out as u64 * (self.ic / self.groups * self.kh * self.kw) as u64
    }

    /// True for one kernel tap, stride 1 and no padding.
    pub fn is_pointwise(&self) -> bool {
        self.kh * self.kw == 1 && self.stride == [1, 1] && self.pads == Pads::default()
    }

    /// True where each channel is convolved by itself.
    pub fn is_depthwise(&self) -> bool {
        self.groups == self.ic && self.ic == self.oc
    }
}

/// `conv n1 ic64 56x56 oc64 k3x3 s1x1 d1x1 p1,1,1,1 g1`, the form benchmarks and logs use.
impl fmt::Display for Conv2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Conv2d { n, ic, ih, iw, oc, kh, kw, stride: [sh, sw], dilation: [dh, dw], pads: p, groups, epilogue } =
            self;
        write!(f, "conv n{n} ic{ic} {ih}x{iw} oc{oc} k{kh}x{kw} s{sh}x{sw} d{dh}x{dw} ")?;
        write!(f, "p{},{},{},{} g{groups}", p.top, p.left, p.bottom, p.right)?;
        write!(
            f,
            "{}{}",
            if epilogue.bias { " +bias" } else { "" },
            if epilogue.residual { " +residual" } else { "" }
        )?;
        if epilogue.act != Unary::Identity {
            write!(f, " {:?}", epilogue.act)?;
        }
        Ok(())
    }
}
