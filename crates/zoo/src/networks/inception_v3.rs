//! Inception v3: 5 x 5 as two 3 x 3, and 7 x 7 as 1 x 7 and 7 x 1.

use tilewise_graph::ValueId;

use super::inception::{EPSILON, chain, fork, halve, stem};
use super::{IMAGENET, SIZE_AND_CLASSES};
use crate::layers::{conv, window};
use crate::net::Net;
use crate::{Network, Published, Variant};

pub(super) static INCEPTION_V3: Network = Network {
    name: "inception-v3",
    input: [3, 299, 299],
    classes: IMAGENET,
    knobs: SIZE_AND_CLASSES,
    published: Published {
        macs: Some(5.7e9),
        params: Some(23.8e6),
        source: "Szegedy, Vanhoucke, Ioffe, Shlens, Wojna 2016; figures of torchvision's documentation",
        note: Some(
            "the paper says 5 G; torchvision's 27.2 M count the auxiliary classifier, which has 3.3 M; padding counts \
             in its average poolings",
        ),
    },
    build: inception_v3,
};

fn inception_v3(net: &mut Net<'_>, x: ValueId, v: &Variant) -> ValueId {
    net.epsilon = EPSILON;
    let x = stem(net, x, ["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"]);
    let x = halve(net, x);
    let x = chain(net, x, &[("Conv2d_3b_1x1", conv(80, 1)), ("Conv2d_4a_3x3", conv(192, 3))]);
    let mut x = halve(net, x);
    for (name, pooled) in [("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)] {
        x = net.within(name, |net| module_5(net, x, pooled));
    }
    x = net.within("Mixed_6a", |net| reduction_6(net, x));
    for (name, inner) in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)] {
        x = net.within(name, |net| module_6(net, x, inner));
    }
    x = net.within("Mixed_7a", |net| reduction_7(net, x));
    for name in ["Mixed_7b", "Mixed_7c"] {
        x = net.within(name, |net| module_7(net, x));
    }
    net.classifier("fc", x, v.classes)
}

/// 1 x 1 over the mean of the places around. Padding counts, as in torchvision.
fn pooled(net: &mut Net<'_>, x: ValueId, channels: usize) -> ValueId {
    let y = net.average_pool(x, window(3).pad(1).count_pad());
    chain(net, y, &[("branch_pool", conv(channels, 1))])
}

/// The paper's figure 5.
fn module_5(net: &mut Net<'_>, x: ValueId, channels: usize) -> ValueId {
    let a = chain(net, x, &[("branch1x1", conv(64, 1))]);
    let b = chain(net, x, &[("branch5x5_1", conv(48, 1)), ("branch5x5_2", conv(64, 5).pad(2))]);
    let c = [
        ("branch3x3dbl_1", conv(64, 1)),
        ("branch3x3dbl_2", conv(96, 3).pad(1)),
        ("branch3x3dbl_3", conv(96, 3).pad(1)),
    ];
    let c = chain(net, x, &c);
    let d = pooled(net, x, channels);
    net.concat(&[a, b, c, d])
}

/// The paper's figure 10.
fn reduction_6(net: &mut Net<'_>, x: ValueId) -> ValueId {
    let a = chain(net, x, &[("branch3x3", conv(384, 3).stride(2))]);
    let b = [
        ("branch3x3dbl_1", conv(64, 1)),
        ("branch3x3dbl_2", conv(96, 3).pad(1)),
        ("branch3x3dbl_3", conv(96, 3).stride(2)),
    ];
    let b = chain(net, x, &b);
    let c = halve(net, x);
    net.concat(&[a, b, c])
}

/// The paper's figure 6, for n = 7.
fn module_6(net: &mut Net<'_>, x: ValueId, inner: usize) -> ValueId {
    let a = chain(net, x, &[("branch1x1", conv(192, 1))]);
    let b = [
        ("branch7x7_1", conv(inner, 1)),
        ("branch7x7_2", conv(inner, 7).rect([1, 7])),
        ("branch7x7_3", conv(192, 7).rect([7, 1])),
    ];
    let b = chain(net, x, &b);
    let c = [
        ("branch7x7dbl_1", conv(inner, 1)),
        ("branch7x7dbl_2", conv(inner, 7).rect([7, 1])),
        ("branch7x7dbl_3", conv(inner, 7).rect([1, 7])),
        ("branch7x7dbl_4", conv(inner, 7).rect([7, 1])),
        ("branch7x7dbl_5", conv(192, 7).rect([1, 7])),
    ];
    let c = chain(net, x, &c);
    let d = pooled(net, x, 192);
    net.concat(&[a, b, c, d])
}

fn reduction_7(net: &mut Net<'_>, x: ValueId) -> ValueId {
    let a = chain(net, x, &[("branch3x3_1", conv(192, 1)), ("branch3x3_2", conv(320, 3).stride(2))]);
    let b = [
        ("branch7x7x3_1", conv(192, 1)),
        ("branch7x7x3_2", conv(192, 7).rect([1, 7])),
        ("branch7x7x3_3", conv(192, 7).rect([7, 1])),
        ("branch7x7x3_4", conv(192, 3).stride(2)),
    ];
    let b = chain(net, x, &b);
    let c = halve(net, x);
    net.concat(&[a, b, c])
}

/// The paper's figure 7.
fn module_7(net: &mut Net<'_>, x: ValueId) -> ValueId {
    let a = chain(net, x, &[("branch1x1", conv(320, 1))]);
    let b = chain(net, x, &[("branch3x3_1", conv(384, 1))]);
    let [b1, b2] = fork(net, b, ["branch3x3_2a", "branch3x3_2b"], 384);
    let c = chain(net, x, &[("branch3x3dbl_1", conv(448, 1)), ("branch3x3dbl_2", conv(384, 3).pad(1))]);
    let [c1, c2] = fork(net, c, ["branch3x3dbl_3a", "branch3x3dbl_3b"], 384);
    let d = pooled(net, x, 192);
    net.concat(&[a, b1, b2, c1, c2, d])
}
