//! Inception-ResNet v1 and v2: inception modules that add to their input.

use tilewise_graph::ValueId;

use super::inception::{EPSILON, chain, halve, reduction, smooth, stem};
use super::{IMAGENET, SIZE_AND_CLASSES};
use crate::layers::{Convolution, conv};
use crate::net::Net;
use crate::{Network, Published, Variant};

pub(super) static INCEPTION_RESNET_V1: Network = Network {
    name: "inception-resnet-v1",
    input: [3, 299, 299],
    classes: IMAGENET,
    knobs: SIZE_AND_CLASSES,
    published: Published {
        macs: None,
        params: None,
        source: "Szegedy, Ioffe, Vanhoucke, Alemi 2016, which states no figures",
        note: Some("forms for faces end in 512 features, and have one module more"),
    },
    build: inception_resnet_v1,
};

pub(super) static INCEPTION_RESNET_V2: Network = Network {
    name: "inception-resnet-v2",
    input: [3, 299, 299],
    classes: IMAGENET,
    knobs: SIZE_AND_CLASSES,
    published: Published {
        macs: Some(13.2e9),
        params: Some(55.8e6),
        source: "Szegedy, Ioffe, Vanhoucke, Alemi 2016; figures of timm",
        note: Some("the form of the released weights, whose stem and widths are not those of the paper"),
    },
    build: inception_resnet_v2,
};

/// What differs between the versions behind the stem.
struct Widths {
    /// How often each of the three residual modules stands.
    repeats: [usize; 3],
    /// Second and third layer of the third branch at 35 x 35.
    block_35: [usize; 2],
    /// The k, l and m of [`reduction`].
    reduction_6: [usize; 3],
    /// Layers of the second branch at 17 x 17; the first branch is as wide as the last of them.
    block_17: [usize; 3],
    /// Last layer of the second branch, and the last two of the third.
    reduction_7: [usize; 3],
    /// Layers of the second branch at 8 x 8; the first branch is as wide as the first of them.
    block_8: [usize; 3],
}

fn inception_resnet_v1(net: &mut Net<'_>, x: ValueId, v: &Variant) -> ValueId {
    let widths = Widths {
        repeats: [5, 10, 5],
        block_35: [32, 32],
        reduction_6: [192, 192, 256],
        block_17: [128, 128, 128],
        reduction_7: [256, 256, 256],
        block_8: [192, 192, 192],
    };
    let x = common_stem(net, x);
    let x = chain(net, x, &[("conv2d_4b", conv(256, 3).stride(2))]);
    let x = body(net, x, &widths);
    net.classifier("classif", x, v.classes)
}

fn inception_resnet_v2(net: &mut Net<'_>, x: ValueId, v: &Variant) -> ValueId {
    let widths = Widths {
        repeats: [10, 20, 9],
        block_35: [48, 64],
        reduction_6: [256, 256, 384],
        block_17: [128, 160, 192],
        reduction_7: [288, 288, 320],
        block_8: [192, 224, 256],
    };
    let x = common_stem(net, x);
    let x = halve(net, x);
    let x = net.within("mixed_5b", |net| mixed_5b(net, x));
    let x = body(net, x, &widths);
    // One more module, without ReLU.
    let x = net.within("block8", |net| block_8(net, x, widths.block_8));
    let x = chain(net, x, &[("conv2d_7b", conv(1536, 1))]);
    net.classifier("classif", x, v.classes)
}

/// To 192 channels at an eighth of the size, but for the last halving.
fn common_stem(net: &mut Net<'_>, x: ValueId) -> ValueId {
    net.epsilon = EPSILON;
    let x = stem(net, x, ["conv2d_1a", "conv2d_2a", "conv2d_2b"]);
    let x = halve(net, x);
    chain(net, x, &[("conv2d_3b", conv(80, 1)), ("conv2d_4a", conv(192, 3))])
}

fn mixed_5b(net: &mut Net<'_>, x: ValueId) -> ValueId {
    let a = chain(net, x, &[("branch0", conv(96, 1))]);
    let b = chain(net, x, &[("branch1.0", conv(48, 1)), ("branch1.1", conv(64, 5).pad(2))]);
    let c = [("branch2.0", conv(64, 1)), ("branch2.1", conv(96, 3).pad(1)), ("branch2.2", conv(96, 3).pad(1))];
    let c = chain(net, x, &c);
    let d = smooth(net, x);
    let d = chain(net, d, &[("branch3.1", conv(64, 1))]);
    net.concat(&[a, b, c, d])
}

/// The residual modules at three sizes, and what halves the size between them.
fn body(net: &mut Net<'_>, x: ValueId, w: &Widths) -> ValueId {
    let x = repeat(net, x, "repeat", w.repeats[0], |net, x| block_35(net, x, w.block_35));
    let x = net.within("mixed_6a", |net| reduction(net, x, w.reduction_6));
    let x = repeat(net, x, "repeat_1", w.repeats[1], |net, x| block_17(net, x, w.block_17));
    let x = net.within("mixed_7a", |net| reduction_7(net, x, w.reduction_7));
    repeat(net, x, "repeat_2", w.repeats[2], |net, x| block_8(net, x, w.block_8))
}

/// A residual module `times` times, each with ReLU.
fn repeat(
    net: &mut Net<'_>,
    x: ValueId,
    name: &str,
    times: usize,
    block: impl Fn(&mut Net<'_>, ValueId) -> ValueId,
) -> ValueId {
    (0..times).fold(x, |x, number| {
        let y = net.within(&format!("{name}.{number}"), |net| block(net, x));
        net.relu(y)
    })
}

/// Branches, each with its layers, to as many channels as `x` has, scaled down and added to it.
fn residual(net: &mut Net<'_>, x: ValueId, branches: &[&[(&str, Convolution)]], factor: f32) -> ValueId {
    let made: Vec<ValueId> = branches.iter().map(|layers| chain(net, x, layers)).collect();
    let y = net.concat(&made);
    let out = net.channels(x);
    let y = net.conv("conv2d", y, conv(out, 1).bias());
    let y = net.scale(y, factor);
    net.add(y, x)
}

fn block_35(net: &mut Net<'_>, x: ValueId, [second, third]: [usize; 2]) -> ValueId {
    let a = [("branch0", conv(32, 1))];
    let b = [("branch1.0", conv(32, 1)), ("branch1.1", conv(32, 3).pad(1))];
    let c = [("branch2.0", conv(32, 1)), ("branch2.1", conv(second, 3).pad(1)), ("branch2.2", conv(third, 3).pad(1))];
    residual(net, x, &[&a, &b, &c], 0.17)
}

fn block_17(net: &mut Net<'_>, x: ValueId, [first, second, third]: [usize; 3]) -> ValueId {
    let a = [("branch0", conv(third, 1))];
    let b = [
        ("branch1.0", conv(first, 1)),
        ("branch1.1", conv(second, 7).rect([1, 7])),
        ("branch1.2", conv(third, 7).rect([7, 1])),
    ];
    residual(net, x, &[&a, &b], 0.10)
}

fn reduction_7(net: &mut Net<'_>, x: ValueId, [second, inner, third]: [usize; 3]) -> ValueId {
    let a = chain(net, x, &[("branch0.0", conv(256, 1)), ("branch0.1", conv(384, 3).stride(2))]);
    let b = chain(net, x, &[("branch1.0", conv(256, 1)), ("branch1.1", conv(second, 3).stride(2))]);
    let c =
        [("branch2.0", conv(256, 1)), ("branch2.1", conv(inner, 3).pad(1)), ("branch2.2", conv(third, 3).stride(2))];
    let c = chain(net, x, &c);
    let d = halve(net, x);
    net.concat(&[a, b, c, d])
}

fn block_8(net: &mut Net<'_>, x: ValueId, [first, second, third]: [usize; 3]) -> ValueId {
    let a = [("branch0", conv(first, 1))];
    let b = [
        ("branch1.0", conv(first, 1)),
        ("branch1.1", conv(second, 3).rect([1, 3])),
        ("branch1.2", conv(third, 3).rect([3, 1])),
    ];
    residual(net, x, &[&a, &b], 0.20)
}
