//! All passes together, on networks as exporters write them.

use super::testing::{parse, same_results};
use super::*;
use crate::ValueType;
use crate::ops::{Binary, BinaryFn, Unary};

/// A stem with an explicit Pad, a block whose shortcut is a convolution, a gate, and a head, with a free batch.
const RESNET: &str = "
    input image: f32[N,3,12,12]
    const mean: f32[3,1,1] = 0.5 0.25 0.125
    const pads: i64[8] = 0 0 1 1 0 0 1 1
    centred = Sub(image, mean)
    const w0: f32[4,3,3,3] = fill
    const g0: f32[4] = 1 2 3 4
    const b0: f32[4] = 4 3 2 1
    const m0: f32[4] = 0 1 0 1
    const v0: f32[4] = 4 4 1 1
    padded = Pad(centred, pads)
    conv0 = Conv(padded, w0) strides=[2,2]
    bn0 = BatchNormalization(conv0, g0, b0, m0, v0) epsilon=0.0
    zero = Identity(zero_value)
    const six: f32[] = 6
    stem = Clamp(bn0, zero, six)
    pool_in = Pad(stem, pads)
    pool = MaxPool(pool_in) kernel_shape=[3,3] strides=[2,2]
    const w1: f32[4,4,3,3] = fill
    conv1 = Conv(pool, w1) pads=[1,1,1,1]
    bn1 = BatchNormalization(conv1, g0, b0, m0, v0) epsilon=0.0
    sig1 = Sigmoid(bn1)
    relu1 = Mul(bn1, sig1)
    conv2 = Conv(relu1, w1, m0) pads=[1,1,1,1]
    bn2 = BatchNormalization(conv2, g0, b0, m0, v0) epsilon=0.0
    const ws: f32[4,4,1,1] = fill
    short = Conv(pool, ws)
    bns = BatchNormalization(short, g0, b0, m0, v0) epsilon=0.0
    sum = Add(bn2, bns)
    out = Relu(sum)
    const plane: i64[2] = 2 3
    gap = ReduceMean(out, plane)
    wide = Shape(gap) start=1 end=2
    const rest: i64[1] = -1
    target = Concat(rest, wide) axis=0
    row = Reshape(gap, target)
    drop = Dropout(row)
    const fc: f32[4,5] = fill
    logits0 = MatMul(drop, fc)
    const fcb: f32[5] = 1 2 3 4 5
    logits = Add(logits0, fcb)
    probabilities = Softmax(logits)
    output probabilities";

const RESNET_AFTER: &str = "
    input image: f32[N,3,12,12]
    const mean: f32[3,1,1] = 0.5 0.25 0.125
    centred = Sub(image, mean)
    const conv0/weights: f32[4,3,3,3] = fill scaled 0.5 1 3 4
    const conv0/bias: f32[4] = 4 2 2 -3
    stem = Conv(centred, conv0/weights, conv0/bias) strides=[2,2] pads=[1,1,1,1] activation=\"Clip(0.0,6.0)\"
    pool = MaxPool(stem) kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1]
    const conv1/weights: f32[4,4,3,3] = fill scaled 0.5 1 3 4
    const conv1/bias: f32[4] = 4 2 2 -3
    relu1 = Conv(pool, conv1/weights, conv1/bias) pads=[1,1,1,1] activation=\"Swish(1.0)\"
    const conv2/weights: f32[4,4,3,3] = fill scaled 0.5 1 3 4
    const conv2/bias: f32[4] = 4 3 2 1
    bn2 = Conv(relu1, conv2/weights, conv2/bias) pads=[1,1,1,1]
    const short/weights: f32[4,4,1,1] = fill scaled 0.5 1 3 4
    const short/bias: f32[4] = 4 2 2 -3
    out = Conv(pool, short/weights, short/bias, bn2) activation=\"Relu\"
    gap = GlobalAveragePool(out)
    const target: i64[2] = -1 4
    row = Reshape(gap, target)
    const fc: f32[4,5] = fill
    const logits0/bias: f32[5] = 1 2 3 4 5
    logits = MatMul(row, fc, logits0/bias)
    probabilities = Softmax(logits)
    output probabilities";

fn resnet() -> Graph {
    let zero = "const zero_value: f32[] = 0\n    zero = Identity(zero_value)";
    parse(&RESNET.replace("zero = Identity(zero_value)", zero))
}

#[test]
fn a_residual_network_becomes_a_chain_of_products() {
    let before = resnet();
    let mut graph = before.clone();
    run(&mut graph, ALL).unwrap();
    assert_eq!(graph.to_string(), parse(RESNET_AFTER).to_string());
    same_results(&before, &graph).unwrap();
}

#[test]
fn merged_nodes_are_named() {
    let mut graph = resnet();
    run(&mut graph, ALL).unwrap();
    let merged = |name: &str| {
        let (_, node) = graph.nodes().find(|(_, node)| &*node.name == name).unwrap();
        node.merged.iter().map(|name| name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(merged("conv0"), ["padded", "bn0", "stem"]);
    assert_eq!(merged("short"), ["bns", "sum", "out"]);
}

#[test]
fn a_second_run_changes_nothing() {
    let mut graph = resnet();
    let report = run(&mut graph, ALL).unwrap();
    assert!(report.iter().any(|(_, changes)| *changes > 0));
    let report = run(&mut graph, ALL).unwrap();
    assert!(report.iter().all(|(_, changes)| *changes == 0), "{report:?}\n{graph}");
}

#[test]
fn every_pass_alone_keeps_the_meaning() {
    let before = resnet();
    for pass in ALL {
        let mut graph = before.clone();
        run(&mut graph, &[*pass]).unwrap();
        same_results(&before, &graph).unwrap_or_else(|why| panic!("{}: {why}\n{graph}", pass.name));
    }
}

#[test]
fn passes_are_found_by_name() {
    assert!(ALL.iter().all(|pass| by_name(pass.name).is_some_and(|found| found.purpose == pass.purpose)));
    assert!(by_name("no-such-pass").is_none());
}

/// A chain and a comb of thousands of nodes: a pass that walked the graph for each of them would take minutes.
#[test]
fn large_graphs_take_one_sweep() {
    let mut graph = Graph::default();
    let x = graph.add_input("x", ValueType::known(tilewise_tensor::DType::F32, &[2]));
    let mut last = x;
    for i in 0..5_000 {
        let side = graph.add_node(&format!("s{i}"), Unary("Identity".parse().unwrap()), &[Some(last)]).unwrap()[0];
        last = graph.add_node(&format!("n{i}"), Binary(BinaryFn::Add), &[Some(side), Some(x)]).unwrap()[0];
    }
    graph.add_output("y", last);
    let report = run(&mut graph, ALL).unwrap();
    assert!(report.contains(&("remove-identity", 5_000)), "{report:?}");
    assert_eq!(graph.nodes().count(), 5_000);
}
