//! LeNet-300-100 and LeNet-5 on MNIST digits, in the form that Caffe made common and Deep Compression starts from.

use tilewise_graph::ValueId;

use super::SIZE_AND_CLASSES;
use crate::layers::{conv, window};
use crate::net::Net;
use crate::{Network, Published, Variant};

pub(super) static LENET_300_100: Network = Network {
    name: "lenet-300-100",
    input: [1, 28, 28],
    classes: 10,
    knobs: SIZE_AND_CLASSES,
    published: Published {
        macs: None,
        params: Some(267e3),
        source: "Han, Mao, Dally 2016, Deep Compression, table 2",
        note: None,
    },
    build: lenet_300_100,
};

pub(super) static LENET_5: Network = Network {
    name: "lenet-5",
    input: [1, 28, 28],
    classes: 10,
    knobs: SIZE_AND_CLASSES,
    published: Published {
        macs: None,
        params: Some(431e3),
        source: "Han, Mao, Dally 2016, Deep Compression, table 3",
        note: None,
    },
    build: lenet_5,
};

fn lenet_300_100(net: &mut Net<'_>, x: ValueId, v: &Variant) -> ValueId {
    let x = net.flatten(x);
    let x = net.linear("fc1", x, 300);
    let x = net.relu(x);
    let x = net.linear("fc2", x, 100);
    let x = net.relu(x);
    net.linear("fc3", x, v.classes)
}

fn lenet_5(net: &mut Net<'_>, x: ValueId, v: &Variant) -> ValueId {
    let x = net.conv("conv1", x, conv(20, 5).bias());
    let x = net.max_pool(x, window(2).stride(2));
    let x = net.conv("conv2", x, conv(50, 5).bias());
    let x = net.max_pool(x, window(2).stride(2));
    let x = net.flatten(x);
    let x = net.linear("fc1", x, 500);
    let x = net.relu(x);
    net.linear("fc2", x, v.classes)
}
