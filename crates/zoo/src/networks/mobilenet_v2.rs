//! MobileNet v2: inverted residuals with linear bottlenecks.

use tilewise_graph::ValueId;

use super::{IMAGENET, divisible};
use crate::layers::conv;
use crate::net::Net;
use crate::{Knob, Network, Published, Variant};

pub(super) static MOBILENET_V2: Network = Network {
    name: "mobilenet-v2",
    input: [3, 224, 224],
    classes: IMAGENET,
    knobs: &[Knob::Width, Knob::Size, Knob::Classes],
    published: Published {
        macs: Some(300e6),
        params: Some(3.4e6),
        source: "Sandler et al. 2018, table 4",
        note: Some("3.4 M is rounded down; the layers have 3.50 M"),
    },
    build: mobilenet_v2,
};

/// Blocks: expansion, output channels, how many, stride of the first.
const STAGES: [(usize, usize, usize, usize); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

fn mobilenet_v2(net: &mut Net<'_>, x: ValueId, v: &Variant) -> ValueId {
    let wide = |channels: usize| divisible(v.width * channels as f64, 8);
    let x = net.conv_bn(["features.0.0", "features.0.1"], x, conv(wide(32), 3).stride(2).pad(1));
    let mut x = net.relu6(x);
    let mut number = 0;
    for (expansion, channels, count, stride) in STAGES {
        for i in 0..count {
            number += 1;
            let stride = if i == 0 { stride } else { 1 };
            x = net.within(&format!("features.{number}.conv"), |net| block(net, x, expansion, wide(channels), stride));
        }
    }
    // The last layer grows with the width, but never shrinks.
    let last = divisible(v.width.max(1.0) * 1280.0, 8);
    let x = net.conv_bn(["features.18.0", "features.18.1"], x, conv(last, 1));
    let x = net.relu6(x);
    net.classifier("classifier.1", x, v.classes)
}

fn block(net: &mut Net<'_>, x: ValueId, expansion: usize, out: usize, stride: usize) -> ValueId {
    let (ic, mut y, mut part) = (net.channels(x), x, 0);
    let middle = ic * expansion;
    if expansion != 1 {
        y = net.conv_bn(["0.0", "0.1"], y, conv(middle, 1));
        y = net.relu6(y);
        part += 1;
    }
    let names = [format!("{part}.0"), format!("{part}.1")];
    y = net.conv_bn(names.each_ref().map(String::as_str), y, conv(middle, 3).stride(stride).pad(1).groups(middle));
    y = net.relu6(y);
    let names = [format!("{}", part + 1), format!("{}", part + 2)];
    y = net.conv_bn(names.each_ref().map(String::as_str), y, conv(out, 1));
    if stride == 1 && ic == out { net.add(x, y) } else { y }
}
