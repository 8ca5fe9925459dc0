//! Layers: what networks are described with.

use tilewise_graph::ops::{
    AveragePool, BatchNormalization, Binary, BinaryFn, Concat, Conv, Flatten, Gemm, GlobalAveragePool, LRN, MaxPool,
    Reshape, Slice, Split, Transpose, Unary,
};
use tilewise_graph::{Op, ValueId};
use tilewise_tensor::Unary as Function;

use crate::moments::Moments;
use crate::net::Net;
use crate::weights::Init;

/// Places around an image that a window reads or skips.
#[derive(Clone, Copy, Debug)]
enum Padding {
    /// Before and after: rows, columns.
    Fixed([usize; 2]),
    /// After only: rows, columns.
    After([usize; 2]),
    /// As many as make the output the input divided by the stride, rounded up; the odd one stands after.
    Same,
}

/// A window that slides over rows and columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: usize,
    padding: Padding,
    /// The last window of a pooling may hang over the end.
    ceil: bool,
    /// Padding counts as zeros in a mean.
    count_pad: bool,
}

/// A convolution: output channels, window, groups, and whether it has a bias.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Convolution {
    oc: usize,
    window: Window,
    groups: usize,
    bias: bool,
}

/// A window of `kernel` by `kernel` at stride 1 without padding.
pub(crate) fn window(kernel: usize) -> Window {
    Window {
        kernel: [kernel; 2],
        stride: [1; 2],
        dilation: 1,
        padding: Padding::Fixed([0; 2]),
        ceil: false,
        count_pad: false,
    }
}

/// A convolution to `oc` channels with `kernel` by `kernel` taps, at stride 1, without padding or bias.
pub(crate) fn conv(oc: usize, kernel: usize) -> Convolution {
    Convolution { oc, window: window(kernel), groups: 1, bias: false }
}

/// The setters that windows and convolutions share.
macro_rules! setters {
    ($type:ident, |$self:ident| $window:expr) => {
        #[allow(dead_code, reason = "the two types share one list")]
        impl $type {
            pub(crate) fn stride(mut $self, stride: usize) -> Self {
                $window.stride = [stride; 2];
                $self
            }

            pub(crate) fn pad(mut $self, pad: usize) -> Self {
                $window.padding = Padding::Fixed([pad; 2]);
                $self
            }

            /// Padded so that the input's size is the output's times the stride.
            pub(crate) fn same(mut $self) -> Self {
                $window.padding = Padding::Same;
                $self
            }
        }
    };
}

setters!(Window, |self| self);
setters!(Convolution, |self| self.window);

impl Window {
    /// The output's size is rounded up.
    pub(crate) fn ceil(mut self) -> Self {
        self.ceil = true;
        self
    }

    /// Padding counts as zeros in a mean.
    pub(crate) fn count_pad(mut self) -> Self {
        self.count_pad = true;
        self
    }

    /// Zeros before the rows, before the columns, after the rows, after the columns.
    fn pads(&self, size: [usize; 2]) -> [usize; 4] {
        match self.padding {
            Padding::Fixed([rows, columns]) => [rows, columns, rows, columns],
            Padding::After([rows, columns]) => [0, 0, rows, columns],
            Padding::Same => {
                let total = |axis: usize| {
                    let reach = (self.kernel[axis].max(1) - 1) * self.dilation + 1;
                    let last = (size[axis].div_ceil(self.stride[axis]).max(1) - 1) * self.stride[axis];
                    (last + reach).saturating_sub(size[axis])
                };
                let [rows, columns] = [total(0), total(1)];
                [rows / 2, columns / 2, rows.div_ceil(2), columns.div_ceil(2)]
            }
        }
    }

    /// The part of all taps that stand inside an image, as a mean over the outputs.
    fn coverage(&self, size: [usize; 2]) -> f64 {
        let pads = self.pads(size);
        let along = |axis: usize| {
            let (length, before) = (size[axis], pads[axis]);
            let padded = length + before + pads[axis + 2];
            let reach = (self.kernel[axis].max(1) - 1) * self.dilation + 1;
            let starts = (0..(padded + 1).saturating_sub(reach)).step_by(self.stride[axis]);
            let inside = |at: usize| (before..before + length).contains(&at);
            let taps = starts.clone().flat_map(|start| (0..self.kernel[axis]).map(move |k| start + k * self.dilation));
            taps.filter(|&at| inside(at)).count() as f64 / (starts.count() * self.kernel[axis]).max(1) as f64
        };
        (along(0) * along(1)).max(f64::MIN_POSITIVE)
    }
}

impl Convolution {
    /// With another kernel: rows, columns, and as many zeros around as keep the size.
    pub(crate) fn rect(mut self, kernel: [usize; 2]) -> Self {
        self.window.kernel = kernel;
        self.window.padding = Padding::Fixed([kernel[0] / 2, kernel[1] / 2]);
        self
    }

    /// Strides of rows and columns.
    pub(crate) fn strides(mut self, strides: [usize; 2]) -> Self {
        self.window.stride = strides;
        self
    }

    /// With zeros after the rows and after the columns only.
    pub(crate) fn pad_after(mut self, pad: [usize; 2]) -> Self {
        self.window.padding = Padding::After(pad);
        self
    }

    pub(crate) fn dilation(mut self, dilation: usize) -> Self {
        self.window.dilation = dilation;
        self
    }

    pub(crate) fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    pub(crate) fn bias(mut self) -> Self {
        self.bias = true;
        self
    }
}

impl Net<'_> {
    /// A convolution with parameters `name.weight` and, where it has one, `name.bias`.
    pub(crate) fn conv(&mut self, name: &str, x: ValueId, c: Convolution) -> ValueId {
        let Convolution { oc, window, groups, bias } = c;
        let (ic, size) = (self.channels(x) / groups, self.size(x));
        let [kh, kw] = window.kernel;
        let fan_in = (ic * kh * kw) as f64 * window.coverage(size);
        let deviation = (fan_in * self.moments(x).square()).max(f64::MIN_POSITIVE).sqrt().recip();
        let (w, b) = self.within(name, |net| {
            let w = net.parameter("weight", &[oc, ic, kh, kw], Init::Normal(deviation));
            (w, bias.then(|| net.parameter("bias", &[oc], Init::Normal(0.1))))
        });
        let op = Conv {
            kernel_shape: vec![kh, kw],
            strides: window.stride.to_vec(),
            dilations: if window.dilation == 1 { Vec::new() } else { vec![window.dilation; 2] },
            pads: window.pads(size).to_vec(),
            auto_pad: tilewise_graph::ops::AutoPad::NotSet,
            group: groups,
            activation: Function::Identity,
        };
        self.node(name, op, &[Some(x), Some(w), b], Moments::NORMAL)
    }

    /// Batch norm with parameters `name.weight`, `name.bias`, `name.running_mean` and `name.running_var`. Seeded
    /// statistics are about, but not quite, those of the input.
    pub(crate) fn batch_norm(&mut self, name: &str, x: ValueId) -> ValueId {
        let (c, m) = ([self.channels(x)], self.moments(x));
        let parameters = self.within(name, |net| {
            let scale = net.parameter("weight", &c, Init::Uniform(0.5, 1.5));
            let bias = net.parameter("bias", &c, Init::Normal(0.2));
            let off = 0.3 * m.variance.sqrt();
            let mean = net.parameter("running_mean", &c, Init::Uniform(m.mean - off, m.mean + off));
            let variance = net.parameter("running_var", &c, Init::Uniform(0.7 * m.variance, 1.4 * m.variance));
            [scale, bias, mean, variance]
        });
        let op = BatchNormalization { epsilon: self.epsilon, momentum: 0.9, training_mode: false };
        let inputs: Vec<Option<ValueId>> = std::iter::once(x).chain(parameters).map(Some).collect();
        // Means of scale^2, 1 / variance and offset^2 under the ranges above: 1.08, 0.99 / m and 0.03; the bias adds.
        self.node(name, op, &inputs, Moments { mean: 0.0, variance: 1.15 })
    }

    /// A function of each element.
    pub(crate) fn map(&mut self, x: ValueId, function: Function) -> ValueId {
        let moments = self.moments(x).map(function);
        self.node(&function.name().to_lowercase(), Unary(function), &[Some(x)], moments)
    }

    pub(crate) fn relu(&mut self, x: ValueId) -> ValueId {
        self.map(x, Function::Relu)
    }

    pub(crate) fn relu6(&mut self, x: ValueId) -> ValueId {
        self.map(x, Function::Clip { lo: 0.0, hi: 6.0 })
    }

    /// A convolution and its batch norm.
    pub(crate) fn conv_bn(&mut self, [conv, norm]: [&str; 2], x: ValueId, c: Convolution) -> ValueId {
        let x = self.conv(conv, x, c);
        self.batch_norm(norm, x)
    }

    pub(crate) fn max_pool(&mut self, x: ValueId, w: Window) -> ValueId {
        let op = MaxPool {
            kernel_shape: w.kernel.to_vec(),
            strides: w.stride.to_vec(),
            dilations: Vec::new(),
            pads: w.pads(self.size(x)).to_vec(),
            auto_pad: tilewise_graph::ops::AutoPad::NotSet,
            ceil_mode: w.ceil,
            storage_order: false,
        };
        let moments = self.moments(x).largest();
        self.node("max_pool", op, &[Some(x)], moments)
    }

    /// Mean over windows.
    pub(crate) fn average_pool(&mut self, x: ValueId, w: Window) -> ValueId {
        let op = AveragePool {
            kernel_shape: w.kernel.to_vec(),
            strides: w.stride.to_vec(),
            dilations: Vec::new(),
            pads: w.pads(self.size(x)).to_vec(),
            auto_pad: tilewise_graph::ops::AutoPad::NotSet,
            ceil_mode: w.ceil,
            count_include_pad: w.count_pad,
        };
        let moments = self.moments(x).averaged();
        self.node("average_pool", op, &[Some(x)], moments)
    }

    /// The mean of each plane, `[batch, channels, 1, 1]`.
    pub(crate) fn global_average_pool(&mut self, x: ValueId) -> ValueId {
        let moments = self.moments(x).averaged();
        self.node("global_average_pool", GlobalAveragePool {}, &[Some(x)], moments)
    }

    /// All axes after the batch as one.
    pub(crate) fn flatten(&mut self, x: ValueId) -> ValueId {
        let moments = self.moments(x);
        self.node("flatten", Flatten { axis: 1 }, &[Some(x)], moments)
    }

    /// A fully connected layer `[batch, in]` to `[batch, out]`, with `name.weight` `[out, in]` and `name.bias`.
    pub(crate) fn linear(&mut self, name: &str, x: ValueId, out: usize) -> ValueId {
        let inputs = self.channels(x);
        let (w, b) = self.linear_parameters(name, [out, inputs], self.moments(x));
        let op = Gemm { alpha: 1.0, beta: 1.0, transA: false, transB: true, activation: Function::Identity };
        self.node(name, op, &[Some(x), Some(w), Some(b)], Moments::NORMAL)
    }

    /// Weight and bias of a fully connected layer.
    pub(crate) fn linear_parameters(&mut self, name: &str, shape: [usize; 2], x: Moments) -> (ValueId, ValueId) {
        let deviation = (shape[1] as f64 * x.square()).max(f64::MIN_POSITIVE).sqrt().recip();
        self.within(name, |net| {
            let w = net.parameter("weight", &shape, Init::Normal(deviation));
            (w, net.parameter("bias", &shape[..1], Init::Normal(0.1)))
        })
    }

    pub(crate) fn add(&mut self, a: ValueId, b: ValueId) -> ValueId {
        let moments = self.moments(a).plus(self.moments(b));
        self.node("add", Binary(BinaryFn::Add), &[Some(a), Some(b)], moments)
    }

    pub(crate) fn multiply(&mut self, a: ValueId, b: ValueId) -> ValueId {
        let moments = self.moments(a).times(self.moments(b));
        self.node("mul", Binary(BinaryFn::Mul), &[Some(a), Some(b)], moments)
    }

    /// Each element times a number.
    pub(crate) fn scale(&mut self, x: ValueId, factor: f32) -> ValueId {
        let (m, f) = (self.moments(x), f64::from(factor));
        let moments = Moments { mean: f * m.mean, variance: f * f * m.variance };
        let factor = self.scalar("scale", factor);
        self.node("mul", Binary(BinaryFn::Mul), &[Some(x), Some(factor)], moments)
    }

    /// Values side by side along the channels.
    pub(crate) fn concat(&mut self, parts: &[ValueId]) -> ValueId {
        let weighed: Vec<(usize, Moments)> = parts.iter().map(|&id| (self.channels(id), self.moments(id))).collect();
        let inputs: Vec<Option<ValueId>> = parts.iter().map(|&id| Some(id)).collect();
        self.node("concat", Concat { axis: 1 }, &inputs, Moments::mixed(&weighed))
    }

    /// The channels in two halves.
    pub(crate) fn halves(&mut self, x: ValueId) -> [ValueId; 2] {
        let half = (self.channels(x) / 2) as i64;
        let lengths = self.integers("halves", &[half, half]);
        let moments = self.moments(x);
        let op = Split { axis: 1, num_outputs: None };
        let parts = self.nodes("split", op, &[Some(x), Some(lengths)], moments, 2);
        [parts[0], parts[1]]
    }

    /// Every `step`-th row and column of an image, from row and column `first` on.
    pub(crate) fn every(&mut self, x: ValueId, first: usize, step: usize) -> ValueId {
        let (size, moments) = (self.size(x).map(|n| n as i64), self.moments(x));
        let [starts, ends, axes, steps] =
            [("starts", [first as i64; 2]), ("ends", size), ("axes", [2, 3]), ("steps", [step as i64; 2])]
                .map(|(name, values)| Some(self.integers(name, &values)));
        self.node("slice", Slice {}, &[Some(x), starts, ends, axes, steps], moments)
    }

    /// The same elements as `[batch, shape..]`.
    pub(crate) fn reshape(&mut self, x: ValueId, shape: &[usize]) -> ValueId {
        // A zero stands for the length of the input's own axis: the batch.
        let shape: Vec<i64> = std::iter::once(0).chain(shape.iter().map(|&n| n as i64)).collect();
        let (shape, moments) = (self.integers("shape", &shape), self.moments(x));
        self.node("reshape", Reshape { allowzero: false }, &[Some(x), Some(shape)], moments)
    }

    /// Axes in another order.
    pub(crate) fn transpose(&mut self, x: ValueId, perm: &[usize]) -> ValueId {
        let moments = self.moments(x);
        self.node("transpose", Transpose { perm: perm.to_vec() }, &[Some(x)], moments)
    }

    /// Channels of `groups` groups interleaved: channel `i` of group `g` moves to `i * groups + g`.
    pub(crate) fn shuffle(&mut self, x: ValueId, groups: usize) -> ValueId {
        let (c, [h, w]) = (self.channels(x), self.size(x));
        let x = self.reshape(x, &[groups, c / groups, h * w]);
        let x = self.transpose(x, &[0, 2, 1, 3]);
        self.reshape(x, &[c, h, w])
    }

    /// Local response normalization over 5 channels, as AlexNet and GoogLeNet have it.
    pub(crate) fn lrn(&mut self, x: ValueId, bias: f32) -> ValueId {
        const ALPHA: f32 = 1e-4;
        let m = self.moments(x);
        let scale = (f64::from(bias) + f64::from(ALPHA) * m.square()).powf(-0.75);
        let moments = Moments { mean: scale * m.mean, variance: scale * scale * m.variance };
        self.node("lrn", LRN { size: 5, alpha: ALPHA, beta: 0.75, bias }, &[Some(x)], moments)
    }

    /// Squeeze and excite: each channel times a factor that two small layers compute from the planes' means.
    pub(crate) fn squeeze_excite(
        &mut self,
        x: ValueId,
        [reduce, expand]: [&str; 2],
        middle: usize,
        gate: Function,
    ) -> ValueId {
        let oc = self.channels(x);
        let s = self.global_average_pool(x);
        let s = self.conv(reduce, s, conv(middle, 1).bias());
        let s = self.relu(s);
        let s = self.conv(expand, s, conv(oc, 1).bias());
        let s = self.map(s, gate);
        self.multiply(x, s)
    }

    /// Global average pooling and a fully connected layer: the end of most classifiers.
    pub(crate) fn classifier(&mut self, name: &str, x: ValueId, classes: usize) -> ValueId {
        let x = self.global_average_pool(x);
        let x = self.flatten(x);
        self.linear(name, x, classes)
    }

    /// Adds a node of any operator whose output looks like a normal one.
    pub(crate) fn plain(&mut self, name: &str, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        let inputs: Vec<Option<ValueId>> = inputs.iter().map(|&id| Some(id)).collect();
        self.node(name, op, &inputs, Moments::NORMAL)
    }
}
