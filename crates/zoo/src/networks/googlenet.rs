//! GoogLeNet as of 2014: inception modules with 5 x 5 convolutions, local response normalization, no batch norm.

use tilewise_graph::ValueId;

use super::{IMAGENET, SIZE_AND_CLASSES};
use crate::layers::{Convolution, conv, window};
use crate::net::Net;
use crate::{Network, Published, Variant};

pub(super) static GOOGLENET: Network = Network {
    name: "googlenet",
    input: [3, 224, 224],
    classes: IMAGENET,
    knobs: SIZE_AND_CLASSES,
    published: Published {
        macs: Some(1550e6),
        params: Some(6.8e6),
        source: "Szegedy et al. 2015; figures as of the MobileNet paper, table 8",
        note: Some(
            "its layers have 1583 M and 7.0 M; torchvision's form, with batch norm and with 3 x 3 in place of 5 x 5, \
             has 1.5 G and 6.62 M",
        ),
    },
    build: googlenet,
};

/// The channels of a module's layers, in the columns of the paper's table 1: 1 x 1; 3 x 3 after a reduction; 5 x 5
/// after a reduction; 1 x 1 after a pooling. `None`: a pooling that halves the size.
const MODULES: [(&str, Option<[usize; 6]>); 11] = [
    ("inception3a", Some([64, 96, 128, 16, 32, 32])),
    ("inception3b", Some([128, 128, 192, 32, 96, 64])),
    ("maxpool3", None),
    ("inception4a", Some([192, 96, 208, 16, 48, 64])),
    ("inception4b", Some([160, 112, 224, 24, 64, 64])),
    ("inception4c", Some([128, 128, 256, 24, 64, 64])),
    ("inception4d", Some([112, 144, 288, 32, 64, 64])),
    ("inception4e", Some([256, 160, 320, 32, 128, 128])),
    ("maxpool4", None),
    ("inception5a", Some([256, 160, 320, 32, 128, 128])),
    ("inception5b", Some([384, 192, 384, 48, 128, 128])),
];

fn googlenet(net: &mut Net<'_>, x: ValueId, v: &Variant) -> ValueId {
    let x = layer(net, "conv1", x, conv(64, 7).stride(2).pad(3));
    let x = halve(net, x);
    let x = net.lrn(x, 1.0);
    let x = layer(net, "conv2", x, conv(64, 1));
    let x = layer(net, "conv3", x, conv(192, 3).pad(1));
    let x = net.lrn(x, 1.0);
    let mut x = halve(net, x);
    for (name, channels) in MODULES {
        x = match channels {
            Some(channels) => net.within(name, |net| inception(net, x, channels)),
            None => halve(net, x),
        };
    }
    net.classifier("fc", x, v.classes)
}

/// A convolution with bias and ReLU.
fn layer(net: &mut Net<'_>, name: &str, x: ValueId, c: Convolution) -> ValueId {
    let y = net.within(name, |net| net.conv("conv", x, c.bias()));
    net.relu(y)
}

/// The size is rounded up, as in the Caffe release.
fn halve(net: &mut Net<'_>, x: ValueId) -> ValueId {
    net.max_pool(x, window(3).stride(2).ceil())
}

fn inception(net: &mut Net<'_>, x: ValueId, channels: [usize; 6]) -> ValueId {
    let [one, reduced_three, three, reduced_five, five, pooled] = channels;
    let a = layer(net, "branch1", x, conv(one, 1));
    let b = layer(net, "branch2.0", x, conv(reduced_three, 1));
    let b = layer(net, "branch2.1", b, conv(three, 3).pad(1));
    let c = layer(net, "branch3.0", x, conv(reduced_five, 1));
    let c = layer(net, "branch3.1", c, conv(five, 5).pad(2));
    let d = net.max_pool(x, window(3).pad(1));
    let d = layer(net, "branch4.1", d, conv(pooled, 1));
    net.concat(&[a, b, c, d])
}
