//! The operations that cells are made of.

use tilewise_graph::ValueId;

use crate::layers::{Convolution, conv, window};
use crate::net::Net;

/// An operation on a state.
#[derive(Clone, Copy)]
pub(super) enum Operation {
    /// The state itself; a 1 x 1 convolution where size or channels must change.
    Identity,
    /// A 1 x 1 convolution.
    Conv1x1,
    /// A 3 x 3 convolution on a quarter of the filters, between 1 x 1 convolutions.
    Conv3x3,
    /// A 1 x 7 and a 7 x 1 convolution on a quarter of the filters, between 1 x 1 convolutions.
    Conv1x7And7x1,
    /// A depthwise convolution of this kernel and a 1 x 1 convolution, twice.
    Separable(usize),
    /// The same, with every second pixel under the kernel.
    Dilated(usize),
    /// The mean of the window; padding does not count.
    Average(usize),
    /// The largest of the window.
    Max(usize),
}

/// What an operation makes of its input.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) filters: usize,
    pub(super) stride: usize,
}

/// Describes one operation; the scope has its name.
pub(super) fn apply(net: &mut Net<'_>, operation: Operation, x: ValueId, shape: Shape) -> ValueId {
    let Shape { filters, stride } = shape;
    let point = conv(filters, 1).stride(stride);
    match operation {
        Operation::Identity if stride == 1 && net.channels(x) == filters => x,
        Operation::Identity | Operation::Conv1x1 => relu_conv_bn(net, x, point),
        Operation::Conv3x3 => {
            let quarter = filters / 4;
            let x = step(net, "1x1_pre", x, conv(quarter, 1));
            let x = step(net, "3x3", x, conv(quarter, 3).stride(stride).same());
            step(net, "1x1_post", x, conv(filters, 1))
        }
        Operation::Conv1x7And7x1 => {
            let quarter = filters / 4;
            let x = step(net, "1x1_pre", x, conv(quarter, 1));
            let x = step(net, "1x7", x, conv(quarter, 1).rect([1, 7]).strides([1, stride]).same());
            let x = step(net, "7x1", x, conv(quarter, 1).rect([7, 1]).strides([stride, 1]).same());
            step(net, "1x1_post", x, conv(filters, 1))
        }
        Operation::Separable(kernel) => separable_twice(net, x, shape, [kernel, 1]),
        Operation::Dilated(kernel) => separable_twice(net, x, shape, [kernel, 2]),
        Operation::Average(kernel) => {
            let x = net.average_pool(x, window(kernel).stride(stride).same());
            project(net, x, filters)
        }
        Operation::Max(kernel) => {
            let x = net.max_pool(x, window(kernel).stride(stride).same());
            project(net, x, filters)
        }
    }
}

/// ReLU, convolution and batch norm: the order in all cells.
pub(super) fn relu_conv_bn(net: &mut Net<'_>, x: ValueId, c: Convolution) -> ValueId {
    let x = net.relu(x);
    net.conv_bn(["conv", "bn"], x, c)
}

/// One of several convolutions of an operation.
fn step(net: &mut Net<'_>, name: &str, x: ValueId, c: Convolution) -> ValueId {
    let x = net.relu(x);
    net.conv_bn([&format!("conv_{name}"), &format!("bn_{name}")], x, c)
}

/// A pooled state with the cell's filters.
fn project(net: &mut Net<'_>, x: ValueId, filters: usize) -> ValueId {
    if net.channels(x) == filters { x } else { net.conv_bn(["conv", "bn"], x, conv(filters, 1)) }
}

/// Two separable convolutions of a kernel and a dilation; the first has the stride.
fn separable_twice(net: &mut Net<'_>, mut x: ValueId, shape: Shape, [kernel, dilation]: [usize; 2]) -> ValueId {
    for (number, stride) in [(1, shape.stride), (2, 1)] {
        x = net.relu(x);
        x = net.within(&format!("separable_{number}"), |net| {
            let channels = net.channels(x);
            let c = conv(channels, kernel).dilation(dilation).groups(channels).stride(stride).same();
            let x = net.conv("depthwise_conv2d", x, c);
            net.conv("pointwise_conv2d", x, conv(shape.filters, 1))
        });
        x = net.batch_norm(&format!("bn_sep_{number}"), x);
    }
    x
}
