//! DenseNet-121: every layer reads all that was made before in its block.

use tilewise_graph::ValueId;

use super::{IMAGENET, SIZE_AND_CLASSES};
use crate::layers::{conv, window};
use crate::net::Net;
use crate::{Network, Published, Variant};

pub(super) static DENSENET_121: Network = Network {
    name: "densenet-121",
    input: [3, 224, 224],
    classes: IMAGENET,
    knobs: SIZE_AND_CLASSES,
    published: Published {
        macs: Some(2.83e9),
        params: Some(8.0e6),
        source: "Huang, Liu, van der Maaten, Weinberger 2017; figures of torchvision's documentation",
        note: None,
    },
    build: densenet_121,
};

const BLOCKS: [usize; 4] = [6, 12, 24, 16];
/// Channels that each layer adds.
const GROWTH: usize = 32;

fn densenet_121(net: &mut Net<'_>, x: ValueId, v: &Variant) -> ValueId {
    let x = net.within("features", |net| {
        let x = net.conv_bn(["conv0", "norm0"], x, conv(2 * GROWTH, 7).stride(2).pad(3));
        let x = net.relu(x);
        let mut x = net.max_pool(x, window(3).stride(2).pad(1));
        for (i, layers) in (1..).zip(BLOCKS) {
            if i > 1 {
                x = net.within(&format!("transition{}", i - 1), |net| transition(net, x));
            }
            for layer in 1..=layers {
                let made = net.within(&format!("denseblock{i}.denselayer{layer}"), |net| {
                    let y = net.batch_norm("norm1", x);
                    let y = net.relu(y);
                    let y = net.conv_bn(["conv1", "norm2"], y, conv(4 * GROWTH, 1));
                    let y = net.relu(y);
                    net.conv("conv2", y, conv(GROWTH, 3).pad(1))
                });
                x = net.concat(&[x, made]);
            }
        }
        net.batch_norm("norm5", x)
    });
    let x = net.relu(x);
    net.classifier("classifier", x, v.classes)
}

fn transition(net: &mut Net<'_>, x: ValueId) -> ValueId {
    let y = net.batch_norm("norm", x);
    let y = net.relu(y);
    let half = net.channels(x) / 2;
    let y = net.conv("conv", y, conv(half, 1));
    net.average_pool(y, window(2).stride(2))
}
