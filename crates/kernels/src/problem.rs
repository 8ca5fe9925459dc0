//! Problems: what a kernel is asked to compute, as shapes and parameters, validated once.

use std::fmt;
use std::ops::Range;

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

    /// The problem of some of the output rows of one image, and the input rows that it reads. Rows of the image take the
    /// place of padding above and below.
    pub fn rows(&self, out: Range<usize>) -> (Conv2d, Range<usize>) {
        let (from, to) = (out.start * self.stride[0], (out.end - 1) * self.stride[0] + self.reach()[0]);
        let inside = |padded: usize| padded.saturating_sub(self.pads.top).min(self.ih);
        let read = inside(from)..inside(to);
        let top = self.pads.top.saturating_sub(from).min(to - from);
        let bottom = to - from - top - read.len();
        (Conv2d { n: 1, ih: read.len(), pads: Pads { top, bottom, ..self.pads }, ..*self }, read)
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
        write!(f, "p{},{},{},{} g{groups}{epilogue}", p.top, p.left, p.bottom, p.right)
    }
}

/// A depthwise convolution and the pointwise one that reads its output: a separable convolution. The epilogue of each
/// is its own; the first has no residual.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct DepthwisePointwise {
    /// Each channel by itself.
    pub depthwise: Conv2d,
    /// All channels of a pixel, at stride 1.
    pub pointwise: Conv2d,
}

impl DepthwisePointwise {
    /// Checks both convolutions, and that the second is pointwise, without groups, and reads what the first writes.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn validated(self) -> Result<Self, ProblemError> {
        let fail = |reason| Err(ProblemError { problem: self.to_string(), reason });
        let (first, second) = (self.depthwise.validated()?, self.pointwise.validated()?);
        if !first.is_depthwise() || first.epilogue.residual {
            return fail("the first convolution is not depthwise or adds a residual");
        }
        if !second.is_pointwise() || second.groups != 1 {
            return fail("the second convolution is not pointwise or has groups");
        }
        if [first.n, first.oc, first.oh(), first.ow()] != [second.n, second.ic, second.ih, second.iw] {
            return fail("the second convolution does not read what the first writes");
        }
        Ok(self)
    }

    /// As [`Conv2d::rows`].
    pub fn rows(&self, out: Range<usize>) -> (DepthwisePointwise, Range<usize>) {
        let (depthwise, read) = self.depthwise.rows(out.clone());
        (DepthwisePointwise { depthwise, pointwise: Conv2d { n: 1, ih: out.len(), ..self.pointwise } }, read)
    }

    /// Multiply-adds of both.
    pub fn macs(&self) -> u64 {
        self.depthwise.macs() + self.pointwise.macs()
    }
}

/// The two problems with an arrow between them.
impl fmt::Display for DepthwisePointwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.depthwise, self.pointwise)
    }
}

/// A two-dimensional transposed convolution in f32: the gradient of [`Conv2d`] with respect to its input.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ConvTranspose2d {
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
    /// Vertical and horizontal distance, in the output, of neighbouring input pixels.
    pub stride: [usize; 2],
    /// Vertical and horizontal distance of kernel taps.
    pub dilation: [usize; 2],
    /// What is cut off the output's edges.
    pub pads: Pads,
    /// Rows and columns that are added below and to the right.
    pub output_pads: [usize; 2],
    /// Groups; `ic` and `oc` are multiples.
    pub groups: usize,
    /// What happens before the store.
    pub epilogue: Epilogue,
}

impl ConvTranspose2d {
    /// Checks that the numbers fit together: nothing zero but `n`, channels multiples of groups, and pads that leave
    /// something of the output.
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
        let [full_h, full_w] = self.full();
        if full_h <= self.pads.top + self.pads.bottom || full_w <= self.pads.left + self.pads.right {
            return fail("the pads leave nothing of the output");
        }
        Ok(self)
    }

    /// Height and width of the output before the pads are cut off.
    fn full(&self) -> [usize; 2] {
        let axis = |size: usize, tap: usize, a: usize| {
            (size - 1) * self.stride[a] + (tap - 1) * self.dilation[a] + 1 + self.output_pads[a]
        };
        [axis(self.ih, self.kh, 0), axis(self.iw, self.kw, 1)]
    }

    /// Output height.
    pub fn oh(&self) -> usize {
        self.full()[0] - self.pads.top - self.pads.bottom
    }

    /// Output width.
    pub fn ow(&self) -> usize {
        self.full()[1] - self.pads.left - self.pads.right
    }

    /// Multiply-adds, those that the pads cut off among them.
    pub fn macs(&self) -> u64 {
        let taps = self.oc / self.groups * self.kh * self.kw;
        (self.n * self.ic * self.ih * self.iw) as u64 * taps as u64
    }
}

/// `conv-transpose n1 ic64 28x28 oc32 k4x4 s2x2 d1x1 p1,1,1,1 o0,0 g1`, the form benchmarks and logs use.
impl fmt::Display for ConvTranspose2d {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConvTranspose2d { n, ic, ih, iw, oc, kh, kw, groups, pads: p, epilogue, .. } = self;
        let ([sh, sw], [dh, dw], [bottom, right]) = (self.stride, self.dilation, self.output_pads);
        write!(f, "conv-transpose n{n} ic{ic} {ih}x{iw} oc{oc} k{kh}x{kw} s{sh}x{sw} d{dh}x{dw} ")?;
        write!(f, "p{},{},{},{} o{bottom},{right} g{groups}{epilogue}", p.top, p.left, p.bottom, p.right)
    }
}

/// ` +bias +residual Relu`: what is there, each with a space before it.
impl fmt::Display for Epilogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.bias { " +bias" } else { "" })?;
        f.write_str(if self.residual { " +residual" } else { "" })?;
        if self.act == Unary::Identity { Ok(()) } else { write!(f, " {:?}", self.act) }
    }
}
