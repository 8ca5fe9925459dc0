//! The networks, a file each or a file a family. To add one, write its file and add its rows here.

mod alexnet;
mod cells;
mod densenet;
mod efficientnet_lite;
mod fcn;
mod googlenet;
mod inception;
mod inception_resnet;
mod inception_v3;
mod inception_v4;
mod lenet;
mod mobilenet_v1;
mod mobilenet_v2;
mod mobilenet_v3;
mod resnet;
mod shufflenet_v1;
mod shufflenet_v2;
mod squeezenet;
mod vgg;
mod vit;

use crate::{Knob, Network};

/// Every network, in the order of publication.
pub static NETWORKS: &[&Network] = &[
    &lenet::LENET_300_100,
    &lenet::LENET_5,
    &alexnet::ALEXNET,
    &alexnet::ALEXNET_OWT,
    &vgg::VGG_16,
    &googlenet::GOOGLENET,
    &inception_v3::INCEPTION_V3,
    &resnet::RESNET_18,
    &resnet::RESNET_34,
    &resnet::RESNET_50,
    &resnet::RESNET_50_V1,
    &fcn::FCN_8S,
    &fcn::FCN_RESNET50,
    &inception_v4::INCEPTION_V4,
    &inception_resnet::INCEPTION_RESNET_V1,
    &inception_resnet::INCEPTION_RESNET_V2,
    &squeezenet::SQUEEZENET_1_0,
    &squeezenet::SQUEEZENET_1_1,
    &mobilenet_v1::MOBILENET_V1,
    &mobilenet_v2::MOBILENET_V2,
    &mobilenet_v3::MOBILENET_V3_LARGE,
    &shufflenet_v1::SHUFFLENET_V1,
    &shufflenet_v2::SHUFFLENET_V2,
    &densenet::DENSENET_121,
    &cells::NASNET_A_MOBILE,
    &cells::NASNET_A_LARGE,
    &cells::PNASNET_5_MOBILE,
    &cells::PNASNET_5_LARGE,
    &cells::AMOEBANET_A,
    &cells::AMOEBANET_B,
    &cells::AMOEBANET_C,
    &efficientnet_lite::EFFICIENTNET_LITE0,
    &efficientnet_lite::EFFICIENTNET_LITE1,
    &efficientnet_lite::EFFICIENTNET_LITE2,
    &vit::VIT_TINY,
];

/// What can be varied in most networks.
const SIZE_AND_CLASSES: &[Knob] = &[Knob::Size, Knob::Classes];

/// Classes of ImageNet.
const IMAGENET: usize = 1000;

/// The multiple of `divisor` nearest to `channels`, but never less than nine tenths of it: the rule by which mobile
/// networks scale their channels.
fn divisible(channels: f64, divisor: usize) -> usize {
    let d = divisor as f64;
    let rounded = (((channels + d / 2.0) / d).floor() * d).max(d);
    (if rounded < 0.9 * channels { rounded + d } else { rounded }) as usize
}
