//! MobileNet v1 at any width and input size.

use tilewise_graph::ValueId;

use super::{IMAGENET, divisible};
use crate::layers::conv;
use crate::net::Net;
use crate::{Knob, Network, Published, Variant};

pub(super) static MOBILENET_V1: Network = Network {
    name: "mobilenet-v1",
    input: [3, 224, 224],
    classes: IMAGENET,
    knobs: &[Knob::Width, Knob::Size, Knob::Classes],
    published: Published {
        macs: Some(569e6),
        params: Some(4.2e6),
        source: "Howard et al. 2017, table 4",
        note: Some(
            "the last depthwise layer of the paper's table 1 says stride 2; its sizes and the counts need stride 1",
        ),
    },
    build: mobilenet_v1,
};

/// Stages of separable layers: how many, stride of the first, output channels.
const STAGES: [(usize, usize, usize); 5] = [(1, 1, 64), (2, 2, 128), (2, 2, 256), (6, 2, 512), (2, 2, 1024)];

fn mobilenet_v1(net: &mut Net<'_>, x: ValueId, v: &Variant) -> ValueId {
    let wide = |channels: usize| divisible(v.width * channels as f64, 8);
    let x = net.conv_bn(["conv_stem", "bn1"], x, conv(wide(32), 3).stride(2).pad(1));
    let mut x = net.relu6(x);
    for (i, (count, stride, channels)) in STAGES.into_iter().enumerate() {
        for number in 0..count {
            let stride = if number == 0 { stride } else { 1 };
            x = net.within(&format!("blocks.{i}.{number}"), |net| {
                let c = net.channels(x);
                let y = net.conv_bn(["conv_dw", "bn1"], x, conv(c, 3).stride(stride).pad(1).groups(c));
                let y = net.relu6(y);
                let y = net.conv_bn(["conv_pw", "bn2"], y, conv(wide(channels), 1));
                net.relu6(y)
            });
        }
    }
    net.classifier("classifier", x, v.classes)
}
