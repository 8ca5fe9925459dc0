//! What models do that is neither old nor broken; and real networks, where they are at hand.

use std::fs::File;
use std::path::{Path, PathBuf};

use tilewise_graph::evaluate;
use tilewise_tensor::{Bytes, Tensor};

use super::models::{field, graph, model, node, number, wrap};
use super::{import, refusal};
use crate::onnx::read;

#[test]
fn nodes_in_any_order_inputs_with_values_and_unread_outputs() {
    let text = "
        input x: f32[N,?,4,4]
        input w: f32[2,1,1,1]
        init w: f32[2,1,1,1] = 1 2
        z, - = MaxPool(y) kernel_shape=[2,2]
        y = Conv(x, w)
        note z: f32[N,2,3,3]
        output z: f32[N,2,3,3]
        output again
        again = Identity(y)
    ";
    let graph = import(&model(17, text)).unwrap();
    let names: Vec<&str> = graph.outputs().iter().map(|(name, _)| &**name).collect();
    assert_eq!((graph.inputs().len(), names), (1, vec!["z", "again"]));
    assert_eq!(graph.value(graph.inputs()[0]).ty.to_string(), "f32[N,?,4,4]");
    assert_eq!(graph.value(graph.outputs()[0].1).ty.to_string(), "f32[N,2,3,3]");
    assert_eq!(graph.opset, 17);
}

/// A model that takes one of two branches, each with one output `o`.
fn branching(condition: &str, then_branch: &str, else_branch: &str) -> Vec<u8> {
    let branch =
        |name: &str, text: &str| field(5, &[field(1, name.as_bytes()), field(6, &graph(text)), number(20, 5)].concat());
    let choice = [node("y = If(c)"), branch("then_branch", then_branch), branch("else_branch", else_branch)].concat();
    let rest = graph(&format!("input x: f32[2]\n{condition}\nt = Abs(x)\noutput y"));
    // The node stands before the one whose output its branch reads.
    wrap(17, &[field(1, &choice), rest].concat())
}

#[test]
fn a_branch_that_is_known_stands_in_place_of_the_if() {
    let (then_branch, else_branch) = ("init k: f32[1] = 2\no = Mul(t, k)\noutput o", "o = Neg(x)\noutput o");
    for (value, expected) in [(1, [2.0, 4.0]), (0, [1.0, -2.0])] {
        let graph = import(&branching(&format!("init c: bool[] = {value}"), then_branch, else_branch)).unwrap();
        let outputs = evaluate(&graph, &[Tensor::vector(&[-1.0f32, 2.0])]).unwrap();
        assert_eq!(&*outputs[0].values::<f32>().unwrap(), expected);
    }
    let unknown = branching("input c: bool[]", then_branch, else_branch);
    assert!(refusal(&unknown).contains("not supported: node 'y' (If, opset 17): a condition that is not a constant"));
    let ghost = branching("init c: bool[] = 1", "o = Neg(ghost)\noutput o", else_branch);
    assert!(refusal(&ghost).contains("'ghost'"));
    let differ = branching("init c: bool[] = 1", then_branch, "o = Neg(x)\noutput o\noutput x");
    assert!(refusal(&differ).contains("branches"));
}

#[test]
fn every_way_to_store_a_tensor_gives_the_same() {
    for (text, expected) in [
        ("f32[2] = 1.5 -2", "f32[2] = 1.5 -2"),
        ("f64[2] = 1.5 -2", "f64[2] = 1.5 -2"),
        ("f16[2] = 15872 49152", "f16[2] = 1.5 -2"),
        ("bf16[2] = 16320 49152", "bf16[2] = 1.5 -2"),
        ("i64[2] = 1 -2", "i64[2] = 1 -2"),
        ("i32[2] = 1 -2", "i32[2] = 1 -2"),
        ("i16[2] = 1 -2", "i16[2] = 1 -2"),
        ("i8[2] = 1 -2", "i8[2] = 1 -2"),
        ("u64[2] = 1 2", "u64[2] = 1 2"),
        ("u32[2] = 1 4294967295", "u32[2] = 1 4294967295"),
        ("u16[2] = 1 65535", "u16[2] = 1 65535"),
        ("u8[2] = 1 255", "u8[2] = 1 255"),
        ("bool[2] = 0 7", "bool[2] = 0 1"),
        ("f32[0] =", "f32[0] ="),
    ] {
        let graph = import(&model(17, &format!("init w: {text}\noutput w"))).unwrap();
        assert_eq!(graph.to_string().lines().next(), Some(format!("const w: {expected}").as_str()));
    }
    let raw = |bytes: &[u8]| {
        wrap(
            17,
            &[field(5, &[field(8, b"w"), number(1, 2), number(2, 9), field(9, bytes)].concat()), graph("output w")]
                .concat(),
        )
    };
    assert!(import(&raw(&[0, 255])).unwrap().to_string().contains("bool[2] = 0 1"));
    assert!(refusal(&raw(&[0])).contains("needs 2 bytes, got 1"));
}

/// The folder of real models: `shared/models` beside this folder or one above it.
fn real_models() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().map(|folder| folder.join("shared/models")).find(|folder| folder.is_dir())
}

#[test]
fn real_networks_are_read_and_typed() {
    let Some(folder) = real_models() else {
        println!("skipped: there is no folder shared/models");
        return;
    };
    let mut failures = Vec::new();
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "onnx"));
    for path in &paths {
        let bytes = Bytes::map(&File::open(path).unwrap()).unwrap();
        match read(bytes, Some(&folder)) {
            Ok(graph) => {
                graph.verify().unwrap();
                let untyped = graph.outputs().iter().any(|(_, id)| graph.value(*id).ty.shape.is_none());
                failures.extend(untyped.then(|| format!("{}: an output of unknown rank", path.display())));
            }
            Err(error) => failures.push(format!("{}: {error}", path.display())),
        }
    }
    assert!(failures.is_empty() && !paths.is_empty(), "{}", failures.join("\n"));
}
