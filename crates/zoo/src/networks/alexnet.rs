//! AlexNet as of 2012 (two groups, local response normalization, 227 x 227) and its one-tower form.

use tilewise_graph::ValueId;

use super::{IMAGENET, SIZE_AND_CLASSES};
use crate::layers::{Convolution, conv, window};
use crate::net::Net;
use crate::{Network, Published, Variant};

pub(super) static ALEXNET: Network = Network {
    name: "alexnet",
    input: [3, 227, 227],
    classes: IMAGENET,
    knobs: SIZE_AND_CLASSES,
    published: Published {
        macs: Some(720e6),
        params: Some(60e6),
        source: "Krizhevsky, Sutskever, Hinton 2012; multiply-adds as of the MobileNet paper, table 8",
        note: Some(
            "'over 68 M parameters' is told of it now and then; its layers have 61.0 M, and 62.4 M without the groups",
        ),
    },
    build: alexnet,
};

pub(super) static ALEXNET_OWT: Network = Network {
    name: "alexnet-owt",
    input: [3, 224, 224],
    classes: IMAGENET,
    knobs: SIZE_AND_CLASSES,
    published: Published {
        macs: Some(710e6),
        params: Some(61.1e6),
        source: "Krizhevsky 2014, One Weird Trick; figures of torchvision's documentation",
        note: None,
    },
    build: alexnet_owt,
};

/// A convolution, ReLU, and where asked for normalization and pooling.
fn layer(net: &mut Net<'_>, name: &str, x: ValueId, c: Convolution, norm: bool, pool: bool) -> ValueId {
    let x = net.conv(name, x, c.bias());
    let x = net.relu(x);
    let x = if norm { net.lrn(x, 2.0) } else { x };
    if pool { net.max_pool(x, window(3).stride(2)) } else { x }
}

/// Three fully connected layers; dropout does nothing in evaluation.
fn classifier(net: &mut Net<'_>, names: [&str; 3], x: ValueId, classes: usize) -> ValueId {
    let x = net.flatten(x);
    let x = net.linear(names[0], x, 4096);
    let x = net.relu(x);
    let x = net.linear(names[1], x, 4096);
    let x = net.relu(x);
    net.linear(names[2], x, classes)
}

fn alexnet(net: &mut Net<'_>, x: ValueId, v: &Variant) -> ValueId {
    let x = layer(net, "conv1", x, conv(96, 11).stride(4), true, true);
    let x = layer(net, "conv2", x, conv(256, 5).pad(2).groups(2), true, true);
    let x = layer(net, "conv3", x, conv(384, 3).pad(1), false, false);
    let x = layer(net, "conv4", x, conv(384, 3).pad(1).groups(2), false, false);
    let x = layer(net, "conv5", x, conv(256, 3).pad(1).groups(2), false, true);
    classifier(net, ["fc6", "fc7", "fc8"], x, v.classes)
}

fn alexnet_owt(net: &mut Net<'_>, x: ValueId, v: &Variant) -> ValueId {
    let x = layer(net, "features.0", x, conv(64, 11).stride(4).pad(2), false, true);
    let x = layer(net, "features.3", x, conv(192, 5).pad(2), false, true);
    let x = layer(net, "features.6", x, conv(384, 3).pad(1), false, false);
    let x = layer(net, "features.8", x, conv(256, 3).pad(1), false, false);
    let x = layer(net, "features.10", x, conv(256, 3).pad(1), false, true);
    classifier(net, ["classifier.1", "classifier.4", "classifier.6"], x, v.classes)
}
