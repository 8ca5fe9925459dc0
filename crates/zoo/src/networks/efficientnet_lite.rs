//! EfficientNet-Lite 0 to 2: EfficientNet without squeeze-and-excite, with ReLU6, for phones.

use tilewise_graph::ValueId;

use super::{IMAGENET, SIZE_AND_CLASSES, divisible};
use crate::layers::conv;
use crate::net::Net;
use crate::{Network, Published, Variant};

const fn row(
    name: &'static str,
    size: usize,
    macs: f64,
    params: f64,
    build: fn(&mut Net<'_>, ValueId, &Variant) -> ValueId,
) -> Network {
    const SOURCE: &str = "EfficientNet-Lite, README of its release, 2020";
    const NOTE: &str = "the published figure is 5 % above the multiply-adds of the layers: it counts batch norm too";
    Network {
        name,
        input: [3, size, size],
        classes: IMAGENET,
        knobs: SIZE_AND_CLASSES,
        published: Published { macs: Some(macs), params: Some(params), source: SOURCE, note: Some(NOTE) },
        build,
    }
}

pub(super) static EFFICIENTNET_LITE0: Network =
    row("efficientnet-lite0", 224, 407e6, 4.7e6, |net, x, v| efficientnet_lite(net, x, v, 1.0, 1.0));
pub(super) static EFFICIENTNET_LITE1: Network =
    row("efficientnet-lite1", 240, 631e6, 5.4e6, |net, x, v| efficientnet_lite(net, x, v, 1.0, 1.1));
pub(super) static EFFICIENTNET_LITE2: Network =
    row("efficientnet-lite2", 260, 899e6, 6.1e6, |net, x, v| efficientnet_lite(net, x, v, 1.1, 1.2));

/// Stages: blocks, kernel, stride of the first, expansion, output channels.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
];

fn efficientnet_lite(net: &mut Net<'_>, x: ValueId, v: &Variant, width: f64, depth: f64) -> ValueId {
    net.epsilon = 1e-3;
    // Stem and head keep their width, the first and the last stage their depth, at every size of the family.
    let x = net.conv_bn(["conv_stem", "bn1"], x, conv(32, 3).stride(2).same());
    let mut x = net.relu6(x);
    for (i, (count, kernel, stride, expansion, channels)) in STAGES.into_iter().enumerate() {
        let fixed = i == 0 || i + 1 == STAGES.len();
        let count = if fixed { count } else { (depth * count as f64).ceil() as usize };
        for number in 0..count {
            let stride = if number == 0 { stride } else { 1 };
            let out = divisible(width * channels as f64, 8);
            x = net.within(&format!("blocks.{i}.{number}"), |net| block(net, x, [kernel, stride, expansion, out]));
        }
    }
    let x = net.conv_bn(["conv_head", "bn2"], x, conv(1280, 1));
    let x = net.relu6(x);
    net.classifier("classifier", x, v.classes)
}

fn block(net: &mut Net<'_>, x: ValueId, [kernel, stride, expansion, out]: [usize; 4]) -> ValueId {
    let ic = net.channels(x);
    let middle = ic * expansion;
    let depthwise = conv(middle, kernel).stride(stride).same().groups(middle);
    let y = if expansion == 1 {
        let y = net.conv_bn(["conv_dw", "bn1"], x, depthwise);
        let y = net.relu6(y);
        net.conv_bn(["conv_pw", "bn2"], y, conv(out, 1))
    } else {
        let y = net.conv_bn(["conv_pw", "bn1"], x, conv(middle, 1));
        let y = net.relu6(y);
        let y = net.conv_bn(["conv_dw", "bn2"], y, depthwise);
        let y = net.relu6(y);
        net.conv_bn(["conv_pwl", "bn3"], y, conv(out, 1))
    };
    if stride == 1 && ic == out { net.add(x, y) } else { y }
}
