//! ViT-Tiny: a vision transformer on patches of 16 x 16.

use tilewise_graph::ValueId;
use tilewise_graph::ops::{Binary, BinaryFn, Concat, Expand, LayerNormalization, MatMul, Shape, Slice, Softmax, Split};
use tilewise_tensor::Unary;

use super::{IMAGENET, SIZE_AND_CLASSES};
use crate::layers::conv;
use crate::moments::Moments;
use crate::net::Net;
use crate::weights::Init;
use crate::{Network, Published, Variant};

pub(super) static VIT_TINY: Network = Network {
    name: "vit-tiny",
    input: [3, 224, 224],
    classes: IMAGENET,
    knobs: SIZE_AND_CLASSES,
    published: Published {
        macs: Some(1.3e9),
        params: Some(5.7e6),
        source: "Touvron et al. 2021 (DeiT-Ti), table 5; timm's vit_tiny_patch16_224",
        note: None,
    },
    build: vit_tiny,
};

const PATCH: usize = 16;
const WIDTH: usize = 192;
const HEADS: usize = 3;
const DEPTH: usize = 12;

fn vit_tiny(net: &mut Net<'_>, input: ValueId, v: &Variant) -> ValueId {
    let x = net.conv("patch_embed.proj", input, conv(WIDTH, PATCH).stride(PATCH).bias());
    let patches = net.size(x)[0] * net.size(x)[1];
    let x = net.reshape(x, &[WIDTH, patches]);
    let x = net.transpose(x, &[0, 2, 1]);
    let class = net.parameter("cls_token", &[1, 1, WIDTH], Init::Normal(1.0));
    // One class token an image: as many as the batch is long.
    let batch = net.plain("batch", Shape { start: 0, end: Some(1) }, &[input]);
    let rest = net.integers("token", &[1, 1]);
    let shape = net.plain("class_shape", Concat { axis: 0 }, &[batch, rest]);
    let class = net.plain("class", Expand {}, &[class, shape]);
    let x = net.plain("tokens", Concat { axis: 1 }, &[class, x]);
    let position = net.parameter("pos_embed", &[1, patches + 1, WIDTH], Init::Normal(0.2));
    let mut x = net.add(x, position);
    for number in 0..DEPTH {
        x = net.within(&format!("blocks.{number}"), |net| {
            let y = layer_norm(net, "norm1", x);
            let y = net.within("attn", |net| attention(net, y, patches + 1));
            let x = net.add(x, y);
            let y = layer_norm(net, "norm2", x);
            let y = linear(net, "mlp.fc1", y, 4 * WIDTH);
            let y = net.map(y, Unary::Gelu);
            let y = linear(net, "mlp.fc2", y, WIDTH);
            net.add(x, y)
        });
    }
    let x = layer_norm(net, "norm", x);
    let [start, end, axis] = [0, 1, 1].map(|n| net.integers("class_at", &[n]));
    let x = net.plain("class_token", Slice {}, &[x, start, end, axis]);
    let x = net.reshape(x, &[WIDTH]);
    net.linear("head", x, v.classes)
}

fn layer_norm(net: &mut Net<'_>, name: &str, x: ValueId) -> ValueId {
    let (w, b) = net.within(name, |net| {
        let w = net.parameter("weight", &[WIDTH], Init::Uniform(0.5, 1.5));
        (w, net.parameter("bias", &[WIDTH], Init::Normal(0.2)))
    });
    let op = LayerNormalization { axis: -1, epsilon: 1e-6, stash_type: 1 };
    net.node(name, op, &[Some(x), Some(w), Some(b)], Moments { mean: 0.0, variance: 1.12 })
}

/// A fully connected layer over the last axis of tokens.
fn linear(net: &mut Net<'_>, name: &str, x: ValueId, out: usize) -> ValueId {
    let inputs = net.lengths(x).last().copied().unwrap_or(0);
    let moments = net.moments(x);
    let (w, b) = net.linear_parameters(name, [out, inputs], moments);
    let w = net.transpose(w, &[1, 0]);
    let y = net.plain(name, MatMul { activation: Unary::Identity }, &[x, w]);
    net.node("bias", Binary(BinaryFn::Add), &[Some(y), Some(b)], Moments::NORMAL)
}

fn attention(net: &mut Net<'_>, x: ValueId, tokens: usize) -> ValueId {
    const DIM: usize = WIDTH / HEADS;
    let qkv = linear(net, "qkv", x, 3 * WIDTH);
    let third = net.integers("thirds", &[WIDTH as i64; 3]);
    let parts = net.nodes("split", Split { axis: 2, num_outputs: None }, &[Some(qkv), Some(third)], Moments::NORMAL, 3);
    let heads = |net: &mut Net<'_>, x: ValueId, perm: &[usize]| {
        let x = net.reshape(x, &[tokens, HEADS, DIM]);
        net.transpose(x, perm)
    };
    let q = heads(net, parts[0], &[0, 2, 1, 3]);
    let k = heads(net, parts[1], &[0, 2, 3, 1]);
    let v = heads(net, parts[2], &[0, 2, 1, 3]);
    let scale = net.scalar("scale", (DIM as f32).sqrt().recip());
    let q = net.plain("scaled", Binary(BinaryFn::Mul), &[q, scale]);
    let scores = net.plain("scores", MatMul { activation: Unary::Identity }, &[q, k]);
    let weights = net.plain("softmax", Softmax { axis: -1, flattened: false }, &[scores]);
    // Means of many values: the softmax of normal numbers weighs about a third of them.
    let spread = Moments { mean: 0.0, variance: 3.0 / tokens.max(1) as f64 };
    let y = net.node("attend", MatMul { activation: Unary::Identity }, &[Some(weights), Some(v)], spread);
    let y = net.transpose(y, &[0, 2, 1, 3]);
    let y = net.reshape(y, &[tokens, WIDTH]);
    linear(net, "proj", y, WIDTH)
}
