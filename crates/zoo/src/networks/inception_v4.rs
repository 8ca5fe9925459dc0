//! Inception v4: one scheme of modules per size, and a stem of inception modules.

use tilewise_graph::ValueId;

use super::inception::{EPSILON, chain, fork, halve, reduction, smooth, stem};
use super::{IMAGENET, SIZE_AND_CLASSES};
use crate::layers::conv;
use crate::net::Net;
use crate::{Network, Published, Variant};

pub(super) static INCEPTION_V4: Network = Network {
    name: "inception-v4",
    input: [3, 299, 299],
    classes: IMAGENET,
    knobs: SIZE_AND_CLASSES,
    published: Published {
        macs: Some(12.3e9),
        params: Some(42.7e6),
        source: "Szegedy, Ioffe, Vanhoucke, Alemi 2016; figures of timm",
        note: None,
    },
    build: inception_v4,
};

/// A part of the network.
type Module = fn(&mut Net<'_>, ValueId) -> ValueId;

/// What follows the first three layers, each with how often it stands.
const MODULES: [(usize, Module); 8] = [
    (1, stem_3),
    (1, stem_4),
    (1, stem_5),
    (4, module_a),
    (1, reduction_a),
    (7, module_b),
    (1, reduction_b),
    (3, module_c),
];

fn inception_v4(net: &mut Net<'_>, x: ValueId, v: &Variant) -> ValueId {
    net.epsilon = EPSILON;
    let mut x = stem(net, x, ["features.0", "features.1", "features.2"]);
    let modules = MODULES.iter().flat_map(|&(times, module)| std::iter::repeat_n(module, times));
    for (number, module) in (3..).zip(modules) {
        x = net.within(&format!("features.{number}"), |net| module(net, x));
    }
    net.classifier("last_linear", x, v.classes)
}

fn stem_3(net: &mut Net<'_>, x: ValueId) -> ValueId {
    let a = halve(net, x);
    let b = chain(net, x, &[("conv", conv(96, 3).stride(2))]);
    net.concat(&[a, b])
}

fn stem_4(net: &mut Net<'_>, x: ValueId) -> ValueId {
    let a = chain(net, x, &[("branch0.0", conv(64, 1)), ("branch0.1", conv(96, 3))]);
    let b = [
        ("branch1.0", conv(64, 1)),
        ("branch1.1", conv(64, 7).rect([1, 7])),
        ("branch1.2", conv(64, 7).rect([7, 1])),
        ("branch1.3", conv(96, 3)),
    ];
    let b = chain(net, x, &b);
    net.concat(&[a, b])
}

fn stem_5(net: &mut Net<'_>, x: ValueId) -> ValueId {
    let a = chain(net, x, &[("conv", conv(192, 3).stride(2))]);
    let b = halve(net, x);
    net.concat(&[a, b])
}

/// 1 x 1 over the mean of the places around.
fn pooled(net: &mut Net<'_>, x: ValueId, channels: usize) -> ValueId {
    let y = smooth(net, x);
    chain(net, y, &[("branch3.1", conv(channels, 1))])
}

fn module_a(net: &mut Net<'_>, x: ValueId) -> ValueId {
    let a = chain(net, x, &[("branch0", conv(96, 1))]);
    let b = chain(net, x, &[("branch1.0", conv(64, 1)), ("branch1.1", conv(96, 3).pad(1))]);
    let c = [("branch2.0", conv(64, 1)), ("branch2.1", conv(96, 3).pad(1)), ("branch2.2", conv(96, 3).pad(1))];
    let c = chain(net, x, &c);
    let d = pooled(net, x, 96);
    net.concat(&[a, b, c, d])
}

fn reduction_a(net: &mut Net<'_>, x: ValueId) -> ValueId {
    reduction(net, x, [192, 224, 256])
}

fn module_b(net: &mut Net<'_>, x: ValueId) -> ValueId {
    let a = chain(net, x, &[("branch0", conv(384, 1))]);
    let b = [
        ("branch1.0", conv(192, 1)),
        ("branch1.1", conv(224, 7).rect([1, 7])),
        ("branch1.2", conv(256, 7).rect([7, 1])),
    ];
    let b = chain(net, x, &b);
    let c = [
        ("branch2.0", conv(192, 1)),
        ("branch2.1", conv(192, 7).rect([7, 1])),
        ("branch2.2", conv(224, 7).rect([1, 7])),
        ("branch2.3", conv(224, 7).rect([7, 1])),
        ("branch2.4", conv(256, 7).rect([1, 7])),
    ];
    let c = chain(net, x, &c);
    let d = pooled(net, x, 128);
    net.concat(&[a, b, c, d])
}

fn reduction_b(net: &mut Net<'_>, x: ValueId) -> ValueId {
    let a = chain(net, x, &[("branch0.0", conv(192, 1)), ("branch0.1", conv(192, 3).stride(2))]);
    let b = [
        ("branch1.0", conv(256, 1)),
        ("branch1.1", conv(256, 7).rect([1, 7])),
        ("branch1.2", conv(320, 7).rect([7, 1])),
        ("branch1.3", conv(320, 3).stride(2)),
    ];
    let b = chain(net, x, &b);
    let c = halve(net, x);
    net.concat(&[a, b, c])
}

fn module_c(net: &mut Net<'_>, x: ValueId) -> ValueId {
    let a = chain(net, x, &[("branch0", conv(256, 1))]);
    let b = chain(net, x, &[("branch1_0", conv(384, 1))]);
    let [b1, b2] = fork(net, b, ["branch1_1a", "branch1_1b"], 256);
    let c = [
        ("branch2_0", conv(384, 1)),
        ("branch2_1", conv(448, 3).rect([3, 1])),
        ("branch2_2", conv(512, 3).rect([1, 3])),
    ];
    let c = chain(net, x, &c);
    let [c1, c2] = fork(net, c, ["branch2_3a", "branch2_3b"], 256);
    let d = pooled(net, x, 256);
    net.concat(&[a, b1, b2, c1, c2, d])
}
