//! Networks cut in two against the whole, and where images meet.

use tilewise_tensor::Tensor;

use super::*;
use crate::{Dim, evaluate};

const COUNT: usize = 3;

fn bound(text: &str, count: usize) -> Graph {
    let mut graph: Graph = text.parse().unwrap_or_else(|error| panic!("{error} in\n{text}"));
    let shape = |id: ValueId| -> Vec<usize> {
        graph.value(id).ty.shape.iter().flatten().map(|dim| dim.known().unwrap_or(count)).collect()
    };
    let shapes: Vec<(String, Vec<usize>)> =
        graph.inputs().iter().map(|&id| (graph.value(id).name.to_string(), shape(id))).collect();
    let named: Vec<(&str, &[usize])> = shapes.iter().map(|(name, shape)| (&**name, &**shape)).collect();
    graph.bind(&named).unwrap();
    passes::run(&mut graph, passes::ALL).unwrap();
    graph
}

fn input(shape: &[usize]) -> Tensor {
    let numel = tilewise_tensor::numel(shape).unwrap();
    let values: Vec<f32> = (0..numel).map(|i| ((i * 7919 + 13) % 101) as f32 / 25.0 - 2.0).collect();
    Tensor::from_slice(shape, &values).unwrap()
}

/// The parts of one image of tensors that hold `COUNT` of them.
fn image(tensors: &[Tensor], index: usize) -> Vec<Tensor> {
    let part = |tensor: &Tensor| {
        let values = tensor.values::<f32>().unwrap();
        let len = values.len() / COUNT;
        let shape = [&[1], &tensor.shape()[1..]].concat();
        Tensor::from_slice(&shape, &values[index * len..(index + 1) * len]).unwrap()
    };
    tensors.iter().map(part).collect()
}

fn joined(parts: &[Vec<Tensor>]) -> Vec<Tensor> {
    let value = |index: usize| {
        let values: Vec<f32> =
            parts.iter().flat_map(|part| part[index].values::<f32>().unwrap().into_owned()).collect();
        Tensor::from_slice(&[&[COUNT], &parts[0][index].shape()[1..]].concat(), &values).unwrap()
    };
    (0..parts[0].len()).map(value).collect()
}

/// Cuts a network wherever it can be cut, and returns how many nodes go by image.
fn check(text: &str) -> usize {
    let (one, all) = (bound(text, 1), bound(text, COUNT));
    let inputs: Vec<Tensor> = all.inputs().iter().map(|&id| input(&all.value(id).ty.known_shape().unwrap())).collect();
    let expected = evaluate(&all, &inputs).unwrap();
    let Some(images) = Images::of(&one, &all).unwrap() else { return 0 };
    for (at, _) in images.cuts(|_, _| false).iter().enumerate().filter(|(_, cut)| cut.is_some()) {
        let [head, tail] = images.cut(at).unwrap();
        [&head, &tail].into_iter().for_each(|part| part.verify().unwrap());
        let parts: Vec<Vec<Tensor>> = (0..COUNT).map(|i| evaluate(&head, &image(&inputs, i)).unwrap()).collect();
        let actual = evaluate(&tail, &joined(&parts)).unwrap();
        for (actual, expected) in actual.iter().zip(&expected) {
            let [a, b] = [actual, expected].map(|tensor| tensor.values::<f32>().unwrap());
            assert_eq!((actual.shape(), a), (expected.shape(), b), "cut after {at} in\n{text}");
        }
    }
    images.nodes().len()
}

#[test]
fn networks_whose_images_do_not_meet_go_by_image_to_their_end() {
    let networks = [
        "input x: f32[N,4,6,6]
         const w: f32[8,4,3,3] = fill
         a = Conv(x, w) pads=[1,1,1,1]
         p = MaxPool(a) kernel_shape=[2,2] strides=[2,2]
         const v: f32[8,8,1,1] = fill
         b = Conv(p, v, -, p) activation=\"Relu\"
         c = Concat(b, p) axis=1
         const parts: i64[2] = 5 11
         d, e = Split(c, parts) axis=1
         g = GlobalAveragePool(e)
         f = Flatten(g)
         const m: f32[10,11] = fill
         y = Gemm(f, m) transB=1
         z = Softmax(y)
         output z
         output d",
        "input x: f32[N,5,24]
         const w: f32[24,24] = fill
         const s: f32[24] = fill
         n = LayerNormalization(x, s, s)
         q = MatMul(n, w)
         t = Transpose(q) perm=[0,2,1]
         a = MatMul(q, t)
         p = Softmax(a)
         v = MatMul(p, q)
         y = Add(v, x)
         const position: f32[1,5,24] = fill
         r = Mul(y, position)
         const axes: i64[1] = 1
         u = ReduceMean(r, axes) keepdims=0
         output u",
        "input x: f32[N,8,3,3]
         const by: i64[5] = 0 2 4 3 3
         a = Reshape(x, by)
         b = Transpose(a) perm=[0,2,1,3,4]
         const back: i64[4] = -1 8 3 3
         c = Reshape(b, back)
         const starts: i64[1] = 1
         const ends: i64[1] = 3
         const axes: i64[1] = 2
         d = Slice(c, starts, ends, axes)
         const scales: f32[4] = 1 1 2 2
         e = Resize(d, -, scales) mode=\"linear\"
         output e",
    ];
    for text in networks {
        assert_eq!(check(text), bound(text, COUNT).nodes().count(), "{text}");
    }
}

#[test]
fn a_network_goes_by_image_until_images_meet() {
    let head = "input x: f32[N,3,4,4]\n a = Relu(x)\n";
    let meetings = [
        "b = Transpose(a) perm=[1,0,2,3]\n output b",
        "const axes: i64[1] = 0\n b = ReduceMean(a, axes)\n c = Sub(a, b)\n output c",
        "b = Softmax(a) axis=0\n output b",
        "b = Concat(a, a) axis=0\n output b",
        "const by: i64[2] = -1 24\n b = Reshape(a, by)\n output b",
        "b = Flatten(a) axis=2\n output b",
        "const starts: i64[4] = 0 0 0 0\n const ends: i64[4] = 1 3 4 4\n b = Slice(a, starts, ends)\n output b",
        "t = Flatten(a)\n u = Transpose(t) perm=[1,0]\n b = MatMul(t, u)\n output b",
        // The size of the batch is a factor of the results.
        "s = Shape(a)\n n = Cast(s) to=\"f32\"\n const axes: i64[1] = 0\n l = ReduceProd(n, axes)\n b = Mul(a, l)\n output b",
    ];
    for meeting in meetings {
        let text = format!("{head}{meeting}");
        let nodes = check(&text);
        assert!((1..bound(&text, COUNT).nodes().count()).contains(&nodes), "{nodes} in {text}");
    }
}

#[test]
fn inputs_that_are_no_batch_are_left_whole() {
    let text = "input x: f32[N,4]\n input y: f32[4]\n z = Add(x, y)\n output z";
    assert_eq!(check(text), 0);
    let (one, all) = (bound(text, 1), bound(text, COUNT));
    assert!(Images::of(&one, &all).unwrap().is_none());
    assert!(Images::of(&one, &one).unwrap().is_none());
    assert_eq!(one.value(one.inputs()[0]).ty.shape.clone().unwrap()[0], Dim::Known(1));
}
