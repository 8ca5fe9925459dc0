//! ShuffleNet v1 2x with three groups: grouped 1 x 1 convolutions and channel shuffle.

use tilewise_graph::ValueId;

use super::{IMAGENET, SIZE_AND_CLASSES};
use crate::layers::{conv, window};
use crate::net::Net;
use crate::{Network, Published, Variant};

pub(super) static SHUFFLENET_V1: Network = Network {
    name: "shufflenet-v1",
    input: [3, 224, 224],
    classes: IMAGENET,
    knobs: SIZE_AND_CLASSES,
    published: Published {
        macs: Some(524e6),
        params: Some(5e6),
        source: "Zhang, Zhou, Lin, Sun 2018, table 6 (2x, g = 3); parameters as of the PNASNet paper, table 6",
        note: Some(
            "524 M holds only if the first convolution is doubled to 48 channels too, as here; with the 24 of the \
             paper's table 1 it is 508 M",
        ),
    },
    build: shufflenet_v1,
};

const GROUPS: usize = 3;
/// Units and output channels of the stages.
const STAGES: [(usize, usize); 3] = [(4, 480), (8, 960), (4, 1920)];

fn shufflenet_v1(net: &mut Net<'_>, x: ValueId, v: &Variant) -> ValueId {
    let x = net.conv_bn(["conv1.0", "conv1.1"], x, conv(48, 3).stride(2).pad(1));
    let x = net.relu(x);
    let mut x = net.max_pool(x, window(3).stride(2).pad(1));
    for (stage, (units, channels)) in STAGES.into_iter().enumerate() {
        for number in 0..units {
            // The first of all has too few input channels for groups.
            let first = if stage + number == 0 { 1 } else { GROUPS };
            x = net.within(&format!("stage{}.{number}", stage + 2), |net| unit(net, x, channels, number == 0, first));
        }
    }
    net.classifier("fc", x, v.classes)
}

fn unit(net: &mut Net<'_>, x: ValueId, out: usize, halve: bool, first_groups: usize) -> ValueId {
    let (middle, stride) = (out / 4, if halve { 2 } else { 1 });
    // A unit that halves the image puts its pooled input beside its result.
    let made = if halve { out - net.channels(x).min(out) } else { out };
    let y = net.conv_bn(["gconv1", "bn1"], x, conv(middle, 1).groups(first_groups));
    let y = net.relu(y);
    let y = net.shuffle(y, GROUPS);
    let y = net.conv_bn(["dwconv", "bn2"], y, conv(middle, 3).stride(stride).pad(1).groups(middle));
    let y = net.conv_bn(["gconv2", "bn3"], y, conv(made, 1).groups(GROUPS));
    let joined = if halve {
        let pooled = net.average_pool(x, window(3).stride(2).pad(1));
        net.concat(&[pooled, y])
    } else {
        net.add(x, y)
    };
    net.relu(joined)
}
