//! ShuffleNet v2 2x: channel split, and shuffle after the halves are joined.

use tilewise_graph::ValueId;

use super::{IMAGENET, SIZE_AND_CLASSES};
use crate::layers::{conv, window};
use crate::net::Net;
use crate::{Network, Published, Variant};

pub(super) static SHUFFLENET_V2: Network = Network {
    name: "shufflenet-v2",
    input: [3, 224, 224],
    classes: IMAGENET,
    knobs: SIZE_AND_CLASSES,
    published: Published {
        macs: Some(591e6),
        params: Some(7.4e6),
        source: "Ma, Zhang, Zheng, Sun 2018, table 5 (2x); parameters as of torchvision's documentation",
        note: Some("591 M also counts batch norm and poolings"),
    },
    build: shufflenet_v2,
};

/// Units and output channels of the stages.
const STAGES: [(usize, usize); 3] = [(4, 244), (8, 488), (4, 976)];

fn shufflenet_v2(net: &mut Net<'_>, x: ValueId, v: &Variant) -> ValueId {
    let x = net.conv_bn(["conv1.0", "conv1.1"], x, conv(24, 3).stride(2).pad(1));
    let x = net.relu(x);
    let mut x = net.max_pool(x, window(3).stride(2).pad(1));
    for (stage, (units, channels)) in STAGES.into_iter().enumerate() {
        for number in 0..units {
            x = net.within(&format!("stage{}.{number}", stage + 2), |net| unit(net, x, channels, number == 0));
        }
    }
    let x = net.conv_bn(["conv5.0", "conv5.1"], x, conv(2048, 1));
    let x = net.relu(x);
    net.classifier("fc", x, v.classes)
}

fn unit(net: &mut Net<'_>, x: ValueId, out: usize, halve: bool) -> ValueId {
    let (half, stride) = (out / 2, if halve { 2 } else { 1 });
    let [kept, worked] = if halve {
        let kept = net.within("branch1", |net| {
            let c = net.channels(x);
            let y = net.conv_bn(["0", "1"], x, conv(c, 3).stride(2).pad(1).groups(c));
            let y = net.conv_bn(["2", "3"], y, conv(half, 1));
            net.relu(y)
        });
        [kept, x]
    } else {
        net.halves(x)
    };
    let made = net.within("branch2", |net| {
        let y = net.conv_bn(["0", "1"], worked, conv(half, 1));
        let y = net.relu(y);
        let y = net.conv_bn(["3", "4"], y, conv(half, 3).stride(stride).pad(1).groups(half));
        let y = net.conv_bn(["5", "6"], y, conv(half, 1));
        net.relu(y)
    });
    let joined = net.concat(&[kept, made]);
    net.shuffle(joined, 2)
}
