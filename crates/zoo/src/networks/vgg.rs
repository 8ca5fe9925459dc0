//! VGG-16.

use tilewise_graph::ValueId;

use super::{IMAGENET, SIZE_AND_CLASSES};
use crate::layers::{conv, window};
use crate::net::Net;
use crate::{Network, Published, Variant};

pub(super) static VGG_16: Network = Network {
    name: "vgg-16",
    input: [3, 224, 224],
    classes: IMAGENET,
    knobs: SIZE_AND_CLASSES,
    published: Published {
        macs: Some(15.3e9),
        params: Some(138e6),
        source: "Simonyan, Zisserman 2015, table 2; multiply-adds as of the MobileNet paper, table 8",
        note: Some("15.3 G counts the convolutions alone; the fully connected layers add 0.12 G"),
    },
    build: vgg_16,
};

/// Channels and number of the convolutions before each pooling.
pub(super) const STAGES: [(usize, usize); 5] = [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)];

fn vgg_16(net: &mut Net<'_>, mut x: ValueId, v: &Variant) -> ValueId {
    // Numbers as torchvision counts: a ReLU follows each convolution, a pooling each stage.
    let mut number = 0;
    for (channels, count) in STAGES {
        for _ in 0..count {
            x = net.conv(&format!("features.{number}"), x, conv(channels, 3).pad(1).bias());
            x = net.relu(x);
            number += 2;
        }
        x = net.max_pool(x, window(2).stride(2));
        number += 1;
    }
    let x = net.flatten(x);
    let x = net.linear("classifier.0", x, 4096);
    let x = net.relu(x);
    let x = net.linear("classifier.3", x, 4096);
    let x = net.relu(x);
    net.linear("classifier.6", x, v.classes)
}
