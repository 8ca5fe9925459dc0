//! SqueezeNet 1.0 and 1.1: fire modules.

use tilewise_graph::ValueId;

use super::{IMAGENET, SIZE_AND_CLASSES};
use crate::layers::{conv, window};
use crate::net::Net;
use crate::{Network, Published, Variant};

pub(super) static SQUEEZENET_1_0: Network = Network {
    name: "squeezenet-1.0",
    input: [3, 224, 224],
    classes: IMAGENET,
    knobs: SIZE_AND_CLASSES,
    published: Published {
        macs: Some(1700e6),
        params: Some(1.25e6),
        source: "Iandola et al. 2016, table 1; multiply-adds as of the MobileNet paper, table 9",
        note: Some(
            "1700 M counts multiplications and additions apart, and a padding in the last convolution of the first \
             release: 2 x 861 M; all other rows of that table count multiply-adds",
        ),
    },
    build: squeezenet_1_0,
};

pub(super) static SQUEEZENET_1_1: Network = Network {
    name: "squeezenet-1.1",
    input: [3, 224, 224],
    classes: IMAGENET,
    knobs: SIZE_AND_CLASSES,
    published: Published {
        macs: Some(0.35e9),
        params: Some(1.24e6),
        source: "figures of torchvision's documentation; the release notes say 2.4 times less than 1.0",
        note: None,
    },
    build: squeezenet_1_1,
};

/// Squeezes to some channels by 1 x 1 taps, and expands to twice four times as many by 1 x 1 and 3 x 3 taps.
fn fire(net: &mut Net<'_>, number: usize, x: ValueId, squeeze: usize) -> ValueId {
    net.within(&format!("features.{number}"), |net| {
        let mut layer = |name: &str, x, c| {
            let y = net.conv(name, x, c);
            net.relu(y)
        };
        let s = layer("squeeze", x, conv(squeeze, 1).bias());
        let one = layer("expand1x1", s, conv(4 * squeeze, 1).bias());
        let three = layer("expand3x3", s, conv(4 * squeeze, 3).pad(1).bias());
        net.concat(&[one, three])
    })
}

/// Fire modules and poolings (`None`) with torchvision's numbers from 3 on, and the classifier.
fn squeezenet(net: &mut Net<'_>, stem: ValueId, modules: &[Option<usize>], classes: usize) -> ValueId {
    let x = net.relu(stem);
    let mut x = net.max_pool(x, window(3).stride(2).ceil());
    for (i, squeeze) in modules.iter().enumerate() {
        x = match squeeze {
            Some(squeeze) => fire(net, i + 3, x, *squeeze),
            None => net.max_pool(x, window(3).stride(2).ceil()),
        };
    }
    let x = net.conv("classifier.1", x, conv(classes, 1).bias());
    let x = net.relu(x);
    let x = net.global_average_pool(x);
    net.flatten(x)
}

fn squeezenet_1_0(net: &mut Net<'_>, x: ValueId, v: &Variant) -> ValueId {
    let x = net.conv("features.0", x, conv(96, 7).stride(2).bias());
    let modules = [Some(16), Some(16), Some(32), None, Some(32), Some(48), Some(48), Some(64), None, Some(64)];
    squeezenet(net, x, &modules, v.classes)
}

fn squeezenet_1_1(net: &mut Net<'_>, x: ValueId, v: &Variant) -> ValueId {
    let x = net.conv("features.0", x, conv(64, 3).stride(2).bias());
    let modules = [Some(16), Some(16), None, Some(32), Some(32), None, Some(48), Some(48), Some(64), Some(64)];
    squeezenet(net, x, &modules, v.classes)
}
