//! What the inception networks from version 3 on share: layers in chains, and the poolings beside them.

use tilewise_graph::ValueId;

use crate::layers::{Convolution, conv, window};
use crate::net::Net;

/// Added to the variance by all batch norms of these networks.
pub(super) const EPSILON: f32 = 1e-3;

/// Convolutions, each with a batch norm and ReLU, with parameters `name.conv` and `name.bn`.
pub(super) fn chain(net: &mut Net<'_>, x: ValueId, layers: &[(&str, Convolution)]) -> ValueId {
    layers.iter().fold(x, |x, &(name, c)| {
        let y = net.within(name, |net| net.conv_bn(["conv", "bn"], x, c));
        net.relu(y)
    })
}

/// 1 x 3 and 3 x 1 side by side.
pub(super) fn fork(net: &mut Net<'_>, x: ValueId, names: [&str; 2], channels: usize) -> [ValueId; 2] {
    let [row, column] = names;
    [(row, [1, 3]), (column, [3, 1])].map(|(name, kernel)| chain(net, x, &[(name, conv(channels, 3).rect(kernel))]))
}

/// The first three layers, the same in all: three colours to 64 channels, at half the size.
pub(super) fn stem(net: &mut Net<'_>, x: ValueId, names: [&str; 3]) -> ValueId {
    let [first, second, third] = names;
    chain(net, x, &[(first, conv(32, 3).stride(2)), (second, conv(32, 3)), (third, conv(64, 3).pad(1))])
}

/// The largest of 3 x 3 places, at half the size.
pub(super) fn halve(net: &mut Net<'_>, x: ValueId) -> ValueId {
    net.max_pool(x, window(3).stride(2))
}

/// The mean of the 3 x 3 places around.
pub(super) fn smooth(net: &mut Net<'_>, x: ValueId) -> ValueId {
    net.average_pool(x, window(3).pad(1))
}

/// The reduction from the size of modules A to that of modules B, figure 7 of Szegedy, Ioffe, Vanhoucke, Alemi 2016;
/// `channels` are that figure's k, l and m.
pub(super) fn reduction(net: &mut Net<'_>, x: ValueId, channels: [usize; 3]) -> ValueId {
    let [k, l, m] = channels;
    let a = chain(net, x, &[("branch0", conv(384, 3).stride(2))]);
    let b = [("branch1.0", conv(k, 1)), ("branch1.1", conv(l, 3).pad(1)), ("branch1.2", conv(m, 3).stride(2))];
    let b = chain(net, x, &b);
    let c = halve(net, x);
    net.concat(&[a, b, c])
}
