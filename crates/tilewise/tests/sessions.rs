//! Sessions over changing input shapes and on several threads.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use tilewise::graph::evaluate;
use tilewise::{DType, Model, Options, Tensor, Traffic, to_f32};

/// A small network with free batch, height and width, with shape arithmetic and an operator that is interpreted.
const NETWORK: &str = "
    input x: f32[N,3,H,W]
    const w: f32[16,3,3,3] = fill
    const b: f32[16] = fill
    a = Conv(x, w, b) pads=[1,1,1,1] activation=\"Relu\"
    s = Shape(a) start=2 end=4
    const two: i64[2] = 2 2
    t = Mul(s, two)
    n = Shape(a) start=0 end=2
    sizes = Concat(n, t) axis=0
    r = Resize(a, -, -, sizes) mode=\"nearest\" coordinate_transformation_mode=\"asymmetric\" nearest_mode=\"floor\"
    g = GlobalAveragePool(r)
    f = Flatten(g)
    c = CumSum(f, axis)
    output c";

fn model() -> Model {
    let text = format!("const axis: i64[] = 1\n{NETWORK}");
    Model::from_graph(text.parse().unwrap()).unwrap()
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn image(n: usize, h: usize, w: usize) -> Tensor {
    let values: Vec<f32> = (0..n * 3 * h * w).map(|i| (i * 7919 % 255) as f32 / 128.0 - 1.0).collect();
    Tensor::from_slice(&[n, 3, h, w], &values).unwrap()
}

#[test]
fn outputs_follow_the_shape_of_the_input() {
    let model = model();
    let mut session = model.session(Options::default());
    for (n, h, w) in [(1, 8, 8), (3, 5, 9), (1, 8, 8), (2, 1, 1)] {
        let x = image(n, h, w);
        let (name, output) = session.run(&[("x", &x)]).unwrap().remove(0);
        let expected = evaluate(model.source(), &[x]).unwrap().remove(0);
        assert_eq!((name.as_str(), output.shape()), ("c", expected.shape()));
        let pairs = to_f32(&output).into_iter().zip(to_f32(&expected));
        assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + b.abs())), "{n}x{h}x{w}");
    }
}

#[test]
fn ten_thousand_shapes_do_not_grow_memory() {
    let model = model();
    let mut session = model.session(Options { threads: Some(1), ..Options::default() });
    let mut state = 1u64;
    let mut next = |limit: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % limit) as usize + 1
    };
    let mut run = |count: usize| {
        for _ in 0..count {
            let x = image(next(3), next(24), next(24));
            session.run(&[("x", &x)]).unwrap();
        }
    };
    run(500);
    let before = resident_bytes();
    run(9_500);
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "grew by {grown} bytes");
}

#[test]
fn sessions_on_threads_share_weights_and_agree() {
    let model = model();
    let x = image(2, 12, 12);
    let results: Vec<Vec<f32>> = std::thread::scope(|scope| {
        let run = |threads: usize| {
            let (model, x) = (model.clone(), &x);
            scope.spawn(move || {
                let mut session = model.session(Options { threads: Some(threads), ..Options::default() });
                to_f32(&session.run(&[("x", x)]).unwrap()[0].1)
            })
        };
        let handles: Vec<_> = [1, 2, 1, 2].into_iter().map(run).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    assert!(results.iter().all(|result| *result == results[0]));
    let once = model.packed_bytes();
    let mut other = model.session(Options { threads: Some(1), ..Options::default() });
    other.run(&[("x", &x)]).unwrap();
    assert_eq!(model.packed_bytes(), once);
}

#[test]
fn wrong_inputs_are_told_with_what_was_expected() {
    let mut session = model().session(Options::default());
    let x = image(1, 4, 4);
    let told = |error: tilewise::Error| error.to_string();
    let missing = told(session.run(&[]).unwrap_err());
    assert!(missing.contains("'x'") && missing.contains("f32[N,3,H,W]"), "{missing}");
    let unknown = told(session.run(&[("y", &x)]).unwrap_err());
    assert!(unknown.contains("'y'") && unknown.contains('x'), "{unknown}");
    let shape = told(session.run(&[("x", &Tensor::zeros(DType::F32, &[1, 4, 4, 4]).unwrap())]).unwrap_err());
    assert!(shape.contains("[1,4,4,4]") && shape.contains("f32[N,3,H,W]"), "{shape}");
    let dtype = told(session.run(&[("x", &Tensor::zeros(DType::U8, &[1, 3, 4, 4]).unwrap())]).unwrap_err());
    assert!(dtype.contains("u8") && dtype.contains("f32"), "{dtype}");
    // The session still works.
    session.run(&[("x", &x)]).unwrap();
}

#[test]
fn a_batch_goes_image_by_image_as_far_as_its_weights_are_few() {
    let model = Model::zoo("squeezenet-1.1", 7).unwrap();
    let options = Options { threads: Some(2), ..Options::default() };
    let mut session = model.session(options.clone());
    let batch = image(4, 224, 224);
    let [(_, together)] = &*session.run(&[("input", &batch)]).unwrap() else { panic!("one output") };
    let (plan, _) = session.prepare(&[&[4, 3, 224, 224]]).unwrap();
    let times: Vec<usize> = plan.steps().map(|step| step.times).collect();
    assert_eq!((times[0], times.iter().filter(|&&times| times == 4).count() > 20), (4, true), "{times:?}");
    let traffic = Traffic::of_plan(plan, &options.cpu());
    let lengths = [plan.turns().len(), plan.live_bytes().len(), traffic.len()];
    assert_eq!(lengths, [times.len(); 3]);
    let macs: u64 = plan.steps().map(|step| step.macs).sum();
    let (one, _) = session.prepare(&[&[1, 3, 224, 224]]).unwrap();
    assert_eq!(macs, 4 * one.steps().map(|step| step.macs).sum::<u64>());
    let pixels = batch.values::<f32>().unwrap();
    for (index, image) in pixels.chunks(pixels.len() / 4).enumerate() {
        let image = Tensor::from_slice(&[1, 3, 224, 224], image).unwrap();
        let [(_, alone)] = &*session.run(&[("input", &image)]).unwrap() else { panic!("one output") };
        let (together, alone) = (together.values::<f32>().unwrap(), alone.values::<f32>().unwrap());
        let together = &together[index * alone.len()..(index + 1) * alone.len()];
        let gap = together.iter().zip(alone.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(gap < 1e-5, "image {index}: {gap}");
    }
}
