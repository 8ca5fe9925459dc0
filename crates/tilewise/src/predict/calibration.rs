//! The layers that this machine is measured on: shapes that are common, and none of them a network.

use std::fmt::Write;

/// A convolution: input channels, pixels a side, output channels, kernel, stride, groups.
const CONVOLUTIONS: [[usize; 6]; 36] = [
    [3, 200, 32, 7, 2, 1],
    [3, 160, 24, 3, 2, 1],
    [3, 120, 64, 3, 1, 1],
    [64, 60, 64, 3, 1, 1],
    [96, 40, 96, 3, 1, 1],
    [128, 28, 160, 3, 1, 1],
    [256, 14, 224, 3, 1, 1],
    [480, 7, 512, 3, 1, 1],
    [32, 80, 48, 3, 1, 1],
    [64, 60, 96, 3, 2, 1],
    [128, 30, 192, 3, 2, 1],
    [256, 14, 384, 3, 2, 1],
    [48, 30, 64, 5, 1, 1],
    [64, 60, 224, 1, 1, 1],
    [224, 60, 64, 1, 1, 1],
    [480, 28, 128, 1, 1, 1],
    [256, 14, 960, 1, 1, 1],
    [960, 7, 480, 1, 1, 1],
    [16, 100, 80, 1, 1, 1],
    [80, 60, 24, 1, 1, 1],
    [192, 30, 64, 1, 1, 1],
    [320, 10, 1200, 1, 1, 1],
    [32, 100, 32, 3, 1, 32],
    [96, 100, 96, 3, 2, 96],
    [144, 60, 144, 3, 1, 144],
    [256, 28, 256, 3, 1, 256],
    [480, 14, 480, 3, 1, 480],
    [480, 14, 480, 5, 1, 480],
    [960, 7, 960, 3, 1, 960],
    [240, 28, 240, 3, 2, 240],
    [256, 30, 512, 1, 2, 1],
    [512, 14, 960, 1, 2, 1],
    [120, 28, 120, 3, 1, 3],
    [960, 1, 240, 1, 1, 1],
    [240, 1, 960, 1, 1, 1],
    [64, 1, 24, 1, 1, 1],
];

/// A fully connected layer: inputs and outputs.
const PRODUCTS: [[usize; 2]; 4] = [[512, 1000], [1280, 1000], [2048, 1000], [4000, 4000]];

/// Other layers, by what they read `[channels, pixels]` and their text.
const OTHERS: [(usize, usize, &str); 15] = [
    (64, 110, "MaxPool(IN) kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1]"),
    (192, 28, "MaxPool(IN) kernel_shape=[3,3] pads=[1,1,1,1]"),
    (256, 30, "MaxPool(IN) kernel_shape=[2,2] strides=[2,2]"),
    (288, 30, "AveragePool(IN) kernel_shape=[3,3] pads=[1,1,1,1]"),
    (512, 7, "GlobalAveragePool(IN)"),
    (480, 14, "GlobalAveragePool(IN)"),
    (64, 60, "GlobalAveragePool(IN)"),
    (1280, 7, "GlobalAveragePool(IN)"),
    (256, 60, "Add(IN, IN)"),
    (480, 28, "Mul(IN, IN)"),
    (96, 100, "Relu(IN)"),
    (240, 28, "Sigmoid(IN)"),
    (96, 50, "LRN(IN) size=5"),
    (250, 2, "Softmax(IN) axis=1"),
    (24, 120, "Softmax(IN) axis=3"),
];

/// All of them as one network, in the text form of graphs. Every layer reads an input of its own size and is an output.
pub(super) fn network() -> String {
    let mut text = String::new();
    let mut body = String::new();
    let mut known = Vec::new();
    let mut image = |channels: usize, pixels: usize| {
        let name = format!("x{channels}_{pixels}");
        if !known.contains(&name) {
            // Inside a network a layer finds its input as the one before it left it: here a ReLU.
            let _written = write!(text, "input {name}: f32[1,{channels},{pixels},{pixels}]\n{name}r = Relu({name})\n");
            known.push(name.clone());
        }
        format!("{name}r")
    };
    for (at, [ic, pixels, oc, kernel, stride, groups]) in CONVOLUTIONS.into_iter().enumerate() {
        let (x, depth, pad) = (image(ic, pixels), ic / groups, kernel / 2);
        let _written = write!(
            body,
            "const w{at}: f32[{oc},{depth},{kernel},{kernel}] = fill\n\
             c{at} = Conv({x}, w{at}) strides=[{stride},{stride}] pads=[{pad},{pad},{pad},{pad}] group={groups} \
             activation=\"Relu\"\noutput c{at}\n"
        );
    }
    for (at, [inputs, outputs]) in PRODUCTS.into_iter().enumerate() {
        let _written = write!(
            body,
            "input v{at}: f32[1,{inputs}]\nconst m{at}: f32[{outputs},{inputs}] = fill\n\
             p{at} = Gemm(v{at}, m{at}) transB=1\noutput p{at}\n"
        );
    }
    for (at, (channels, pixels, layer)) in OTHERS.into_iter().enumerate() {
        let layer = layer.replace("IN", &image(channels, pixels));
        let _written = write!(body, "o{at} = {layer}\noutput o{at}\n");
    }
    text + &body
}
