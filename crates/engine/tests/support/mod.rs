//! What the engine's tests share: networks as text, random inputs, and one way to run them.

#![allow(dead_code, reason = "each test uses some of it")]

use std::sync::Arc;

use tilewise_engine::{Arena, Plan, Schedule, Weights, plan};
use tilewise_graph::{Graph, passes};
use tilewise_kernels::{Cpu, Pool, Tier};
use tilewise_tensor::{DType, Tensor, View};

/// Networks that together take every lowering: each line is a graph in text form.
pub(crate) const NETWORKS: &[(&str, &str)] = &[
    (
        "plain convolutions",
        "input x: f32[N,3,17,19]
         const w: f32[20,3,3,3] = fill
         const b: f32[20] = fill
         a = Conv(x, w, b) strides=[2,2] pads=[1,1,1,1] activation=\"Relu\"
         const w1: f32[36,20,1,1] = fill
         c = Conv(a, w1) activation=\"HardSwish\"
         const w2: f32[36,36,3,3] = fill
         d = Conv(c, w2, -, c) pads=[1,1,1,1] activation=\"Clip(0.0,6.0)\"
         const w3: f32[36,1,3,3] = fill
         e = Conv(d, w3) pads=[1,1,1,1] group=36 activation=\"Swish(1.0)\"
         const w4: f32[12,6,3,3] = fill
         f = Conv(e, w4) pads=[2,0,1,3] dilations=[2,1] group=6
         output f",
    ),
    (
        "a block with a gate and a head",
        "input x: f32[N,16,8,8]
         const w: f32[32,16,5,5] = fill
         a = Conv(x, w) pads=[2,2,2,2] activation=\"Relu\"
         g = GlobalAveragePool(a)
         const w1: f32[32,32,1,1] = fill
         s = Conv(g, w1) activation=\"Sigmoid\"
         m = Mul(a, s)
         p = MaxPool(m) kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1]
         q = AveragePool(p) kernel_shape=[2,2]
         l = LRN(q) size=5
         t = GlobalMaxPool(l)
         r = Flatten(t)
         const fc: f32[10,32] = fill
         const fb: f32[10] = fill
         y = Gemm(r, fc, fb) transB=1
         z = Softmax(y)
         output z",
    ),
    (
        "joins and cuts of channels",
        "input x: f32[N,32,6,6]
         const w: f32[32,32,1,1] = fill
         a = Conv(x, w)
         b = Relu(a)
         c = Concat(a, b, x) axis=1
         const parts: i64[3] = 16 48 32
         d, e, f = Split(c, parts) axis=1
         const starts: i64[2] = 1 -1
         const ends: i64[2] = 6 -7
         const axes: i64[2] = 2 3
         const steps: i64[2] = 2 -1
         g = Slice(f, starts, ends, axes, steps)
         const odd: i64[2] = 5 43
         h, i = Split(e, odd) axis=1
         j = Concat(h, d) axis=1
         k = Add(g, g)
         output j
         output i
         output k",
    ),
    (
        "values that stand in several concatenations",
        "input x: f32[N,16,6,6]
         const w: f32[32,16,3,3] = fill
         const v: f32[16,16,1,1] = fill
         a = Conv(x, w) pads=[1,1,1,1]
         b = Conv(x, v)
         c = Concat(a, b, b) axis=1
         d = Relu(b)
         e = Concat(d, c, a) axis=1
         const u: f32[20,112,1,1] = fill
         f = Conv(e, u)
         g = Concat(d, f) axis=1
         h = MaxPool(g) kernel_shape=[2,2] strides=[2,2]
         k = AveragePool(c) kernel_shape=[3,3]
         output h
         output k
         output e",
    ),
    (
        "factors and offsets of channels",
        "input x: f32[N,20,6,7]
         const w: f32[20,20,1,1] = fill
         const s: f32[20,1,1] = fill
         const t: f32[1,20,1,1] = fill
         a = Conv(x, w)
         b = Mul(a, s)
         c = Add(b, t)
         d = Relu(c)
         e = Mul(s, x)
         f = Add(t, e)
         g = Sigmoid(f)
         h = Add(d, a)
         i = HardSwish(h)
         j = Mul(i, s)
         k = Add(j, t)
         l = MaxPool(k) kernel_shape=[2,2]
         m = Add(j, a)
         output l
         output g
         output m",
    ),
    (
        "channels that begin in the middle of a block",
        "input x: f32[N,20,5,7]
         const w: f32[44,20,1,1] = fill
         const v: f32[22,20,1,1] = fill
         a = Conv(x, w)
         b = Conv(x, v) activation=\"Relu\"
         c = Concat(b, a, b) axis=1
         const parts: i64[3] = 3 50 35
         d, e, f = Split(c, parts) axis=1
         const by3: i64[4] = 0 2 25 35
         g = Reshape(e, by3)
         h = Transpose(g) perm=[0,2,1,3]
         const back: i64[4] = 0 50 5 7
         i = Reshape(h, back)
         const u: f32[16,50,1,1] = fill
         j = Conv(i, u)
         output d
         output f
         output j",
    ),
    (
        "branches of a cell",
        "input x: f32[N,32,14,14]
         const p: f32[32,32,1,1] = fill
         const e: f32[20,32,1,1] = fill
         const d: f32[32,1,5,5] = fill
         const q: f32[32,32,1,1] = fill
         const t: f32[32,1,3,3] = fill
         h = Conv(x, p) activation=\"Relu\"
         a = Conv(h, d) group=32 pads=[2,2,2,2]
         b = Conv(a, q) activation=\"Relu\"
         c = Conv(b, d) group=32 pads=[2,2,2,2]
         f = Conv(c, q)
         g = Conv(x, t) group=32 pads=[1,1,1,1]
         i = Conv(g, q) activation=\"Relu\"
         j = Conv(i, t) group=32 pads=[1,1,1,1]
         k = Conv(j, q, -, f)
         l = AveragePool(h) kernel_shape=[3,3] pads=[1,1,1,1]
         m = Add(l, x)
         n = Conv(h, t) group=32 pads=[1,1,1,1] activation=\"Relu\"
         o = Conv(n, e)
         r = MaxPool(x) kernel_shape=[3,3] pads=[1,1,1,1]
         s = Conv(r, q)
         u = Concat(k, m, s, o) axis=1
         v = Relu(u)
         w = Concat(o, s) axis=1
         output v
         output w",
    ),
    (
        "transposes, attention and layer norm",
        "input x: f32[N,5,24]
         const w: f32[24,24] = fill
         const b: f32[24] = fill
         const s: f32[24] = fill
         n = LayerNormalization(x, s, b)
         q = MatMul(n, w, b) activation=\"Gelu\"
         t = Transpose(q) perm=[0,2,1]
         a = MatMul(q, t)
         const scale: f32[] = 0.25
         c = Mul(a, scale)
         p = Softmax(c)
         v = MatMul(p, q)
         y = Add(v, x)
         const axes: i64[1] = 1
         m = ReduceMean(y, axes) keepdims=0
         output m",
    ),
    (
        "resize, transposed convolution and instance norm",
        "input x: f32[N,8,5,7]
         const w: f32[8,8,2,2] = fill
         u = ConvTranspose(x, w) strides=[2,2] activation=\"Relu\"
         const scales: f32[4] = 1 1 2 1.5
         r = Resize(u, -, scales) mode=\"linear\"
         i = InstanceNormalization(r, gamma, beta)
         o = Tanh(i)
         output o",
    ),
    (
        "rows and columns of a sequence",
        "input x: f32[N,6,30]
         const w: f32[7,6,5] = fill
         a = Conv(x, w) pads=[2,2] strides=[2] activation=\"LeakyRelu(0.1)\"
         const one: f32[1,7,1] = fill
         b = PRelu(a, one)
         c = Div(b, two)
         output c",
    ),
];

/// The network of a text; names that are read and not made are small constants.
pub(crate) fn network(text: &str) -> Graph {
    let constants =
        "const gamma: f32[8] = 1 2 3 4 5 6 7 8\nconst beta: f32[8] = 8 7 6 5 4 3 2 1\nconst two: f32[] = 2\n";
    format!("{constants}{text}").parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The graph after the passes, with a batch size.
pub(crate) fn specialized(graph: &Graph, batch: usize) -> Graph {
    let mut graph = graph.clone();
    let shapes: Vec<(String, Vec<usize>)> = graph
        .inputs()
        .iter()
        .map(|&id| {
            let value = graph.value(id);
            let dims = value.ty.shape.clone().unwrap();
            (value.name.to_string(), dims.iter().map(|d| d.known().unwrap_or(batch)).collect())
        })
        .collect();
    let named: Vec<(&str, &[usize])> = shapes.iter().map(|(name, shape)| (&**name, &**shape)).collect();
    graph.bind(&named).unwrap();
    passes::run(&mut graph, passes::ALL).unwrap();
    graph
}

/// Inputs of a graph, all f32, from a seed.
pub(crate) fn inputs(graph: &Graph, seed: u64) -> Vec<Tensor> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let tensor = |ty: &tilewise_graph::ValueType| {
        assert_eq!(ty.dtype, DType::F32);
        let shape = ty.known_shape().unwrap();
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| next()).collect();
        Tensor::from_slice(&shape, &values).unwrap()
    };
    let types: Vec<_> = graph.inputs().iter().map(|&id| graph.value(id).ty.clone()).collect();
    types.iter().map(tensor).collect()
}

/// The machines to test as: every tier that this one has.
pub(crate) fn machines() -> Vec<Cpu> {
    let tiers = Tier::ALL.into_iter().filter(|tier| tier.available());
    tiers.map(|tier| Cpu::probe().with_tier(tier)).collect()
}

/// Compiles a graph for a machine with a number of threads.
pub(crate) fn compile(graph: &Graph, cpu: &Cpu, threads: usize) -> Plan {
    plan::compile(graph, &Schedule::default(), &cpu.clone().with_cores(threads), &Weights::default()).unwrap()
}

/// Runs a plan once.
pub(crate) fn run(plan: &Plan, inputs: &[Tensor], threads: usize) -> Vec<Tensor> {
    let mut arena = Arena::new(plan, Arc::new(Pool::new(threads))).unwrap();
    let views: Vec<View<'_>> = inputs.iter().map(Tensor::view).collect();
    let outputs = plan.run(&views, &mut arena).unwrap();
    (0..outputs.len()).map(|i| outputs.tensor(i)).collect()
}
