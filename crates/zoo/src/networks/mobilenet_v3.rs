//! MobileNet v3-large: inverted residuals, some with squeeze-and-excite, and hard swish.

use tilewise_graph::ValueId;
use tilewise_tensor::Unary;

use super::{IMAGENET, SIZE_AND_CLASSES, divisible};
use crate::layers::conv;
use crate::net::Net;
use crate::{Network, Published, Variant};

pub(super) static MOBILENET_V3_LARGE: Network = Network {
    name: "mobilenet-v3-large",
    input: [3, 224, 224],
    classes: IMAGENET,
    knobs: SIZE_AND_CLASSES,
    published: Published { macs: Some(219e6), params: Some(5.4e6), source: "Howard et al. 2019, table 3", note: None },
    build: mobilenet_v3_large,
};

/// A gate: relu6(x + 3) / 6.
const HARD_SIGMOID: Unary = Unary::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 };

struct Block {
    kernel: usize,
    middle: usize,
    out: usize,
    excite: bool,
    act: Unary,
    stride: usize,
}

const fn b(kernel: usize, middle: usize, out: usize, excite: bool, act: Unary, stride: usize) -> Block {
    Block { kernel, middle, out, excite, act, stride }
}

const BLOCKS: [Block; 15] = [
    b(3, 16, 16, false, Unary::Relu, 1),
    b(3, 64, 24, false, Unary::Relu, 2),
    b(3, 72, 24, false, Unary::Relu, 1),
    b(5, 72, 40, true, Unary::Relu, 2),
    b(5, 120, 40, true, Unary::Relu, 1),
    b(5, 120, 40, true, Unary::Relu, 1),
    b(3, 240, 80, false, Unary::HardSwish, 2),
    b(3, 200, 80, false, Unary::HardSwish, 1),
    b(3, 184, 80, false, Unary::HardSwish, 1),
    b(3, 184, 80, false, Unary::HardSwish, 1),
    b(3, 480, 112, true, Unary::HardSwish, 1),
    b(3, 672, 112, true, Unary::HardSwish, 1),
    b(5, 672, 160, true, Unary::HardSwish, 2),
    b(5, 960, 160, true, Unary::HardSwish, 1),
    b(5, 960, 160, true, Unary::HardSwish, 1),
];

fn mobilenet_v3_large(net: &mut Net<'_>, x: ValueId, v: &Variant) -> ValueId {
    net.epsilon = 1e-3;
    let x = net.conv_bn(["features.0.0", "features.0.1"], x, conv(16, 3).stride(2).pad(1));
    let mut x = net.map(x, Unary::HardSwish);
    for (i, block) in BLOCKS.iter().enumerate() {
        x = net.within(&format!("features.{}.block", i + 1), |net| inverted(net, x, block));
    }
    let x = net.conv_bn(["features.16.0", "features.16.1"], x, conv(960, 1));
    let x = net.map(x, Unary::HardSwish);
    let x = net.global_average_pool(x);
    let x = net.flatten(x);
    let x = net.linear("classifier.0", x, 1280);
    let x = net.map(x, Unary::HardSwish);
    net.linear("classifier.3", x, v.classes)
}

fn inverted(net: &mut Net<'_>, x: ValueId, b: &Block) -> ValueId {
    let (ic, mut y) = (net.channels(x), x);
    let mut part = 0..;
    let mut layer = |net: &mut Net<'_>, y, c| {
        let part = part.next().unwrap_or(0);
        net.within(&part.to_string(), |net| net.conv_bn(["0", "1"], y, c))
    };
    if b.middle != ic {
        y = layer(net, y, conv(b.middle, 1));
        y = net.map(y, b.act);
    }
    y = layer(net, y, conv(b.middle, b.kernel).stride(b.stride).pad(b.kernel / 2).groups(b.middle));
    y = net.map(y, b.act);
    if b.excite {
        // Such a block always expands, so that the gate is its third part.
        let squeezed = divisible(b.middle as f64 / 4.0, 8);
        y = net.squeeze_excite(y, ["2.fc1", "2.fc2"], squeezed, HARD_SIGMOID);
        y = net.within("3", |net| net.conv_bn(["0", "1"], y, conv(b.out, 1)));
    } else {
        y = layer(net, y, conv(b.out, 1));
    }
    if b.stride == 1 && ic == b.out { net.add(x, y) } else { y }
}
