//! ResNet-18, -34 and -50: residual blocks, projections where the shape changes.

use tilewise_graph::ValueId;

use super::{IMAGENET, SIZE_AND_CLASSES};
use crate::layers::{conv, window};
use crate::net::Net;
use crate::{Network, Published, Variant};

const fn row(
    name: &'static str,
    macs: f64,
    params: f64,
    note: Option<&'static str>,
    build: fn(&mut Net<'_>, ValueId, &Variant) -> ValueId,
) -> Network {
    const SOURCE: &str = "He, Zhang, Ren, Sun 2016, table 1; parameters as of torchvision's documentation";
    Network {
        name,
        input: [3, 224, 224],
        classes: IMAGENET,
        knobs: SIZE_AND_CLASSES,
        published: Published { macs: Some(macs), params: Some(params), source: SOURCE, note },
        build,
    }
}

pub(super) static RESNET_18: Network =
    row("resnet-18", 1.8e9, 11.7e6, None, |net, x, v| resnet(net, x, v, [2, 2, 2, 2], Block::Basic));
pub(super) static RESNET_34: Network = row(
    "resnet-34",
    3.6e9,
    21.8e6,
    Some("with identity shortcuts padded by zeros (option A) it would be 3.64 G and 21.6 M"),
    |net, x, v| resnet(net, x, v, [3, 4, 6, 3], Block::Basic),
);
pub(super) static RESNET_50: Network = row(
    "resnet-50",
    4.1e9,
    25.6e6,
    Some(
        "the form of torchvision, known as v1.5: the 3 x 3 convolution has the stride; the paper's form is resnet-50-v1",
    ),
    |net, x, v| resnet(net, x, v, [3, 4, 6, 3], Block::Bottleneck { early_stride: false }),
);
pub(super) static RESNET_50_V1: Network = row(
    "resnet-50-v1",
    3.8e9,
    25.6e6,
    Some("the paper's form: the first 1 x 1 convolution has the stride"),
    |net, x, v| resnet(net, x, v, [3, 4, 6, 3], Block::Bottleneck { early_stride: true }),
);

/// A kind of residual block.
#[derive(Clone, Copy)]
pub(super) enum Block {
    /// Two 3 x 3 convolutions.
    Basic,
    /// 1 x 1, 3 x 3 and 1 x 1, four times as wide in the end.
    Bottleneck {
        /// The stride stands in the first convolution, not in the second.
        early_stride: bool,
    },
}

/// What differs from stage to stage.
#[derive(Clone, Copy)]
pub(super) struct Stage {
    pub(super) blocks: usize,
    pub(super) channels: usize,
    pub(super) stride: usize,
    /// Dilation of the first block, and of those after it.
    pub(super) dilation: [usize; 2],
}

fn resnet(net: &mut Net<'_>, x: ValueId, v: &Variant, blocks: [usize; 4], block: Block) -> ValueId {
    let stages = [0, 1, 2, 3].map(|i| Stage {
        blocks: blocks[i],
        channels: 64 << i,
        stride: if i == 0 { 1 } else { 2 },
        dilation: [1, 1],
    });
    let x = features(net, x, stages, block);
    net.classifier("fc", x, v.classes)
}

/// The stem and the four stages.
pub(super) fn features(net: &mut Net<'_>, x: ValueId, stages: [Stage; 4], block: Block) -> ValueId {
    let x = net.conv_bn(["conv1", "bn1"], x, conv(64, 7).stride(2).pad(3));
    let x = net.relu(x);
    let mut x = net.max_pool(x, window(3).stride(2).pad(1));
    for (i, stage) in stages.into_iter().enumerate() {
        for number in 0..stage.blocks {
            let (stride, dilation) =
                if number == 0 { (stage.stride, stage.dilation[0]) } else { (1, stage.dilation[1]) };
            let shape = Shape { channels: stage.channels, stride, dilation };
            x = net.within(&format!("layer{}.{number}", i + 1), |net| residual(net, x, block, shape));
        }
    }
    x
}

/// The shape of one block.
#[derive(Clone, Copy)]
struct Shape {
    channels: usize,
    stride: usize,
    dilation: usize,
}

fn residual(net: &mut Net<'_>, x: ValueId, block: Block, s: Shape) -> ValueId {
    let Shape { channels, stride, dilation } = s;
    let middle = |stride: usize| conv(channels, 3).stride(stride).pad(dilation).dilation(dilation);
    let y = match block {
        Block::Basic => {
            let y = net.conv_bn(["conv1", "bn1"], x, middle(stride));
            let y = net.relu(y);
            net.conv_bn(["conv2", "bn2"], y, middle(1))
        }
        Block::Bottleneck { early_stride } => {
            let (first, second) = if early_stride { (stride, 1) } else { (1, stride) };
            let y = net.conv_bn(["conv1", "bn1"], x, conv(channels, 1).stride(first));
            let y = net.relu(y);
            let y = net.conv_bn(["conv2", "bn2"], y, middle(second));
            let y = net.relu(y);
            net.conv_bn(["conv3", "bn3"], y, conv(4 * channels, 1))
        }
    };
    let out = net.channels(y);
    let shortcut = if net.channels(x) == out && stride == 1 {
        x
    } else {
        net.conv_bn(["downsample.0", "downsample.1"], x, conv(out, 1).stride(stride))
    };
    let sum = net.add(y, shortcut);
    net.relu(sum)
}
