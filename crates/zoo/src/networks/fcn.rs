//! Fully convolutional networks for semantic segmentation: FCN-8s on VGG-16, and FCN on a dilated ResNet-50.

use tilewise_graph::ValueId;
use tilewise_graph::ops::{
    AspectRatio, AutoPad, ConvTranspose, CoordinateMode, Interpolation, NearestMode, Resize, Slice,
};
use tilewise_tensor::Unary;

use super::resnet::{Block, Stage, features};
use super::{SIZE_AND_CLASSES, vgg};
use crate::layers::{conv, window};
use crate::net::Net;
use crate::weights::Init;
use crate::{Network, Published, Variant};

pub(super) static FCN_8S: Network = Network {
    name: "fcn-8s",
    input: [3, 500, 500],
    classes: 21,
    knobs: SIZE_AND_CLASSES,
    published: Published {
        macs: None,
        params: Some(134.5e6),
        source: "Long, Shelhamer, Darrell 2015; parameters of the released model",
        note: Some("the first convolution is padded by 100, which makes the feature maps 2.1 times as large"),
    },
    build: fcn_8s,
};

pub(super) static FCN_RESNET50: Network = Network {
    name: "fcn-resnet50",
    input: [3, 520, 520],
    classes: 21,
    knobs: SIZE_AND_CLASSES,
    published: Published {
        macs: Some(152.72e9),
        params: Some(35.3e6),
        source: "figures of torchvision's documentation",
        note: Some("torchvision counts the auxiliary classifier, which is only trained with: 2.36 M and 9.97 G"),
    },
    build: fcn_resnet50,
};

fn fcn_8s(net: &mut Net<'_>, input: ValueId, v: &Variant) -> ValueId {
    let (mut x, mut pooled) = (input, Vec::new());
    for (stage, (channels, count)) in (1..).zip(vgg::STAGES) {
        for number in 1..=count {
            let pad = if stage + number == 2 { 100 } else { 1 };
            x = net.conv(&format!("conv{stage}_{number}"), x, conv(channels, 3).pad(pad).bias());
            x = net.relu(x);
        }
        x = net.max_pool(x, window(2).stride(2).ceil());
        pooled.push(x);
    }
    x = net.conv("fc6", x, conv(4096, 7).bias());
    x = net.relu(x);
    x = net.conv("fc7", x, conv(4096, 1).bias());
    x = net.relu(x);
    x = net.conv("score_fr", x, conv(v.classes, 1).bias());
    x = upscale(net, "upscore2", x, 2);
    // Where the finer scores stand against the coarser ones, under a padding of 100.
    for (name, pooled, up, offset, factor) in
        [("score_pool4", pooled[3], "upscore_pool4", 5, 2), ("score_pool3", pooled[2], "upscore8", 9, 8)]
    {
        let score = net.conv(name, pooled, conv(v.classes, 1).bias());
        let size = net.size(x);
        let score = crop(net, score, offset, size);
        let sum = net.add(x, score);
        x = upscale(net, up, sum, factor);
    }
    crop(net, x, 31, v.size)
}

/// Transposed convolution, by twice the factor as many taps.
fn upscale(net: &mut Net<'_>, name: &str, x: ValueId, factor: usize) -> ValueId {
    let (c, m) = (net.channels(x), net.moments(x));
    // Each output is a sum over all channels and two by two taps.
    let deviation = (4.0 * c as f64 * m.square()).sqrt().recip();
    let shape = [c, c, 2 * factor, 2 * factor];
    let w = net.within(name, |net| net.parameter("weight", &shape, Init::Normal(deviation)));
    let op = ConvTranspose {
        kernel_shape: vec![2 * factor; 2],
        strides: vec![factor; 2],
        dilations: Vec::new(),
        pads: Vec::new(),
        output_padding: Vec::new(),
        output_shape: Vec::new(),
        auto_pad: AutoPad::NotSet,
        group: 1,
        activation: Unary::Identity,
    };
    net.plain(name, op, &[x, w])
}

/// A part of an image of a given height and width, from `offset` on both ways.
fn crop(net: &mut Net<'_>, x: ValueId, offset: i64, size: [usize; 2]) -> ValueId {
    let starts = net.integers("starts", &[offset, offset]);
    let ends = net.integers("ends", &[offset + size[0] as i64, offset + size[1] as i64]);
    let axes = net.integers("axes", &[2, 3]);
    net.plain("crop", Slice {}, &[x, starts, ends, axes])
}

fn fcn_resnet50(net: &mut Net<'_>, input: ValueId, v: &Variant) -> ValueId {
    let stage = |blocks, channels, stride, dilation| Stage { blocks, channels, stride, dilation };
    // The last two stages dilate their taps instead of halving the image.
    let stages =
        [stage(3, 64, 1, [1, 1]), stage(4, 128, 2, [1, 1]), stage(6, 256, 1, [1, 2]), stage(3, 512, 1, [2, 4])];
    let x = net.within("backbone", |net| features(net, input, stages, Block::Bottleneck { early_stride: false }));
    let x = net.conv_bn(["classifier.0", "classifier.1"], x, conv(512, 3).pad(1));
    let x = net.relu(x);
    let x = net.conv("classifier.4", x, conv(v.classes, 1).bias());
    let sizes = net.integers("sizes", &[v.size[0] as i64, v.size[1] as i64]);
    let op = Resize {
        antialias: false,
        axes: vec![2, 3],
        coordinate_transformation_mode: CoordinateMode::HalfPixel,
        cubic_coeff_a: -0.75,
        exclude_outside: false,
        extrapolation_value: 0.0,
        keep_aspect_ratio_policy: AspectRatio::Stretch,
        mode: Interpolation::Linear,
        nearest_mode: NearestMode::RoundPreferFloor,
    };
    let moments = net.moments(x);
    net.node("resize", op, &[Some(x), None, None, Some(sizes)], moments)
}
