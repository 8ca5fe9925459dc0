//! What is written is read as what it was: operators, names, types and weights.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::Path;

use tilewise_graph::attr::{Attr, AttrMap};
use tilewise_graph::{Constant, Dim, Graph, Op, Origin, ValueType, evaluate, passes};
use tilewise_tensor::{Bytes, DType, Tensor};

use super::write_rows::{ROWS, Row, VALUES};
use super::{import, owned};
use crate::onnx::proto::ModelProto;
use crate::onnx::wire::{Message, Reader};
use crate::onnx::write::encode::Body;
use crate::onnx::{ExportError, External, Weights, read, save, write};

/// A graph's file.
fn written(graph: &Graph) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(graph, &mut bytes, None).unwrap();
    bytes
}

/// The messages of a file.
fn proto(bytes: &[u8]) -> ModelProto {
    let mut model = ModelProto::default();
    model.merge(Reader::new(&owned(bytes))).unwrap();
    model
}

/// A graph as text with constants as their bytes, whatever they are called and however often they stand there.
fn shown(graph: &Graph) -> String {
    let name = |id| match &graph.value(id).origin {
        Origin::Constant(constant) => {
            let tensor = constant.tensor().unwrap();
            let mut hasher = DefaultHasher::new();
            tensor.bytes().hash(&mut hasher);
            let first: Vec<u8> = tensor.bytes().iter().copied().take(32).collect();
            format!("{}{:?} {first:?} {:x}", tensor.dtype(), tensor.shape(), hasher.finish())
        }
        Origin::Input | Origin::Node { .. } => graph.value(id).name.to_string(),
    };
    let mut lines = Vec::new();
    for &id in graph.inputs() {
        lines.push(format!("input {}: {}", graph.value(id).name, graph.value(id).ty));
    }
    for node in graph.order().unwrap().into_iter().map(|id| graph.node(id)) {
        let inputs: Vec<String> = node.inputs.iter().map(|id| id.map_or("-".to_owned(), name)).collect();
        let outputs: Vec<String> =
            node.outputs.iter().map(|&id| format!("{}: {}", name(id), graph.value(id).ty)).collect();
        let attributes: Vec<String> =
            node.op.attributes().iter().map(|(name, attr)| format!("{name}={attr}")).collect();
        lines.push(format!(
            "{} = {}({}) {}",
            outputs.join(", "),
            node.op.name(),
            inputs.join(", "),
            attributes.join(" ")
        ));
    }
    lines.extend(graph.outputs().iter().map(|(output, id)| format!("output {output} = {}", name(*id))));
    lines.join("\n")
}

/// The graph of a row's lines; all that `outputs` makes is an output. What no line reads is left out.
fn graph(lines: &str, outputs: &str) -> Graph {
    let own = lines.lines().filter(|line| !outputs.contains(line));
    let all = VALUES.lines().map(str::trim).chain(outputs.lines()).chain(own);
    let first = |line: &&str| line.starts_with("input ") || line.starts_with("const ");
    let words: Vec<&str> = lines.split(|c: char| " ,()\n".contains(c)).collect();
    let read = |line: &&str| line.split([' ', ':']).nth(1).is_some_and(|name| words.contains(&name));
    let mut text: Vec<String> = all.filter(|line| first(line) && read(line)).map(str::to_owned).collect();
    text.extend(lines.lines().filter(|line| !first(line) && !line.starts_with("output ")).map(str::to_owned));
    let named =
        |line: &str| line.split(" = ").next().unwrap_or_default().split(", ").map(str::to_owned).collect::<Vec<_>>();
    for name in outputs.lines().filter(|line| !first(line)).flat_map(named) {
        let stated = lines.lines().find(|line| line.starts_with(&format!("output {name} =")));
        text.push(stated.map_or_else(|| format!("output {name}"), str::to_owned));
    }
    text.join("\n").parse().unwrap_or_else(|error| panic!("{lines}: {error}"))
}

/// Some numbers for each input.
fn numbers(graph: &Graph) -> Vec<Tensor> {
    let tensor = |ty: &ValueType| {
        let length = |(axis, dim): (usize, &Dim)| dim.known().unwrap_or(axis + 2);
        let shape: Vec<usize> = ty.shape.iter().flatten().enumerate().map(length).collect();
        let count: usize = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|at| (at * 37 % 23) as f32 / 8.0).collect();
        let whole = Tensor::from_slice(&shape, &values).unwrap();
        let to = if ty.dtype == DType::I64 { DType::U8 } else { ty.dtype };
        let cast = |to: DType, x: &Tensor| {
            let mut attrs = AttrMap([("to".to_owned(), Attr::Str(to.to_string()))].into());
            Op::read("Cast", &mut attrs).unwrap().unwrap().eval(&[Some(x)]).unwrap().remove(0)
        };
        cast(ty.dtype, &cast(to, &whole))
    };
    graph.inputs().iter().map(|&id| tensor(&graph.value(id).ty)).collect()
}

/// What a graph computes.
fn results(graph: &Graph, inputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
    evaluate(graph, inputs).map_err(|error| error.to_string())
}

fn equal(a: &[Tensor], b: &[Tensor]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.dtype() == b.dtype() && **a.bytes() == **b.bytes())
}

/// Equal but for rounding in between.
fn close(a: &[Tensor], b: &[Tensor]) -> bool {
    let near = |a: &Tensor, b: &Tensor| match (a.values::<f32>(), b.values::<f32>()) {
        (Ok(a), Ok(b)) => {
            a.iter().zip(b.iter()).all(|(a, b)| a.to_bits() == b.to_bits() || (a - b).abs() <= 1e-5 * (1.0 + a.abs()))
        }
        _ => equal(std::slice::from_ref(a), std::slice::from_ref(b)),
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.shape() == b.shape() && near(a, b))
}

fn check(row: &Row) -> Result<(), String> {
    let before = graph(row.lines, row.lines);
    let mut bytes = Vec::new();
    write(&before, &mut bytes, None).map_err(|error| error.to_string())?;
    let after = import(&bytes).map_err(|error| error.to_string())?;
    let expected = row.read.map_or_else(|| before.clone(), |read| graph(read, row.lines));
    if shown(&after) != shown(&expected) {
        return Err(format!("expected\n{}\ngot\n{}", shown(&expected), shown(&after)));
    }
    if after.opset != row.opset {
        return Err(format!("opset {}", after.opset));
    }
    let inputs = numbers(&before);
    let (before, after) = (results(&before, &inputs)?, results(&after, &inputs)?);
    if !close(&before, &after) || (row.read.is_none() && !equal(&before, &after)) {
        return Err("other results".to_owned());
    }
    // Lengths are stated before what they measure: read and written again, the file is the same.
    let mut again = Vec::new();
    proto(&bytes).write_body(&mut again).map_err(|error| error.to_string())?;
    if again == bytes { Ok(()) } else { Err("the messages read as others than were written".to_owned()) }
}

#[test]
fn what_is_written_is_read_as_what_it_was() {
    let failed = |row: &Row| check(row).err().map(|error| format!("{}: {error}", row.lines));
    let failures: Vec<String> = ROWS.iter().filter_map(failed).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn every_operator_has_a_row() {
    for name in Op::NAMES.iter().flat_map(|names| names.iter()) {
        assert!(ROWS.iter().any(|row| row.lines.contains(&format!("= {name}("))), "{name}");
    }
}

#[test]
fn the_file_says_what_it_needs() {
    let model = proto(&written(&graph("y = Relu(x)", "y = Relu(x)")));
    let opsets: Vec<(&str, i64)> = model.opsets.iter().map(|opset| (&*opset.domain, opset.version)).collect();
    assert_eq!((model.ir_version, opsets), (Some(8), vec![("", 17)]));
    let lines = "y = QLinearMul(q, scale, level, q, scale, level, scale, level)\nu = Swish(x)";
    let model = proto(&written(&graph(lines, lines)));
    let opsets: Vec<(&str, i64)> = model.opsets.iter().map(|opset| (&*opset.domain, opset.version)).collect();
    assert_eq!((model.ir_version, opsets), (Some(12), vec![("", 24), ("com.microsoft", 1)]));
}

#[test]
fn names_are_kept_and_clashes_are_resolved() {
    let mut graph = Graph::default();
    let ty = || ValueType::known(DType::F32, &[2]);
    let op = |name: &str| Op::read(name, &mut AttrMap::default()).unwrap().unwrap();
    let x = graph.add_input("x", ty());
    let w = graph.add_constant("w", Tensor::vector(&[1.0f32, 2.0]));
    let w2 = graph.add_constant("w", Tensor::vector(&[3.0f32, 4.0]));
    graph.add_constant("unread", Tensor::vector(&[5.0f32]));
    let a = graph.add_typed_node("first", op("Add"), &[Some(x), Some(w)], &[("y", ty())])[0];
    let b = graph.add_typed_node("first", op("Mul"), &[Some(a), Some(w2)], &[("b", ty())])[0];
    let c = graph.add_typed_node("", op("Relu"), &[Some(b)], &[("", ty())])[0];
    let d = graph.add_typed_node("last", op("Neg"), &[Some(c)], &[("x", ty())])[0];
    for (name, id) in [("y", d), ("x", x), ("b", b), ("b", b), ("again", b)] {
        graph.add_output(name, id);
    }
    let model = proto(&written(&graph));
    let file = model.graph.unwrap();
    let nodes: Vec<String> = file
        .nodes
        .iter()
        .map(|n| format!("{}: {} = {}({})", n.name, n.outputs.join(","), n.op_type, n.inputs.join(",")))
        .collect();
    let expected = [
        "first: y~2 = Add(x,w)",
        "first~2: b = Mul(y~2,w~2)",
        "node: value = Relu(b)",
        "last: x~2 = Neg(value)",
        "y: y = Identity(x~2)",
        "b~2: b~2 = Identity(b)",
        "again: again = Identity(b)",
    ];
    assert_eq!(nodes, expected);
    let outputs: Vec<&str> = file.outputs.iter().map(|info| &*info.name).collect();
    let stored: Vec<&str> = file.initializers.iter().map(|tensor| &*tensor.name).collect();
    assert_eq!((outputs, stored), (vec!["y", "x", "b", "b~2", "again"], vec!["w", "w~2"]));
    let input = [Tensor::vector(&[1.0f32, -2.0])];
    let mut results = [results(&graph, &input).unwrap(), Vec::new()];
    results[1] = self::results(&import(&written(&graph)).unwrap(), &input).unwrap();
    assert!(equal(&results[0], &results[1]));
}

#[test]
fn outputs_that_nobody_reads_are_left_out_but_where_their_number_counts() {
    let text = "input x: f32[1,1,4,4]\nz, \"\" = MaxPool(x) kernel_shape=[2,2]\noutput z\n";
    let graph: Graph = text.parse().unwrap();
    assert_eq!(import(&written(&graph)).unwrap().to_string(), text);
    let text = "input x: f32[4]\na = Split(x) num_outputs=2\noutput a\n";
    let graph: Graph = text.parse().unwrap();
    let read = import(&written(&graph)).unwrap().to_string();
    assert_eq!(read, text.replace("a = Split", "a, a:1 = Split"));
}

#[test]
fn what_has_no_form_is_an_error_that_names_the_node() {
    let rows = [
        ("input v1: f32[1]\ny = ConstantOfShape(shape, v1)", "node 'y' (ConstantOfShape) cannot be written: its value"),
        (
            "const scales: f32[4] = 1 1 2 2\ny = Resize(x, -, scales) coordinate_transformation_mode=\"tf_half_pixel_for_nn\"",
            "node 'y' (Resize) cannot be written",
        ),
        ("const b1: f32[1] = 1\ny = MatMul(v, v, b1)", "node 'y' (MatMul) cannot be written"),
    ];
    for (lines, part) in rows {
        let message = write(&graph(lines, lines), &mut Vec::new(), None).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

fn lite0() -> Graph {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/models/efficientnet_lite0.onnx");
    read(Bytes::map(&File::open(path).unwrap()).unwrap(), None).unwrap()
}

#[test]
fn a_real_network_is_read_as_it_was_and_fused_again_as_it_was() {
    let mut graph = lite0();
    assert_eq!(shown(&import(&written(&graph)).unwrap()), shown(&graph));
    passes::run(&mut graph, passes::ALL).unwrap();
    let mut again = import(&written(&graph)).unwrap();
    assert!(again.nodes().count() > graph.nodes().count());
    passes::run(&mut again, passes::ALL).unwrap();
    assert_eq!(shown(&again), shown(&graph));
}

#[test]
fn weights_beside_the_model_begin_at_pages() {
    let folder = tempfile::tempdir().unwrap();
    let graph = lite0();
    let path = folder.path().join("a.onnx");
    save(&graph, &path, Weights::Beside).unwrap();
    let model = proto(&std::fs::read(&path).unwrap());
    let tensors = model.graph.unwrap().initializers;
    let (outside, inside): (Vec<_>, Vec<_>) = tensors.iter().partition(|tensor| tensor.data_location == 1);
    assert!(!outside.is_empty() && !inside.is_empty());
    for tensor in outside {
        let entry = |key: &str| &*tensor.external_data.iter().find(|entry| entry.key == key).unwrap().value;
        assert_eq!((entry("location"), entry("offset").parse::<u64>().unwrap() % 4096), ("a.onnx.data", 0));
    }
    let open = |path: &Path| read(Bytes::map(&File::open(path).unwrap()).unwrap(), Some(folder.path())).unwrap();
    let beside = open(&path);
    assert_eq!(shown(&beside), shown(&graph));
    // Over the files that the weights are mapped from.
    save(&beside, &path, Weights::Auto).unwrap();
    save(&open(&path), &path, Weights::Beside).unwrap();
    assert_eq!(shown(&open(&path)), shown(&graph));
    let mut files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["a.onnx", "a.onnx.data"]);
    assert!(matches!(save(&graph, Path::new("/"), Weights::Auto), Err(ExportError::File { .. })));
    assert!(matches!(save(&graph, &folder.path().join("no/a.onnx"), Weights::Auto), Err(ExportError::File { .. })));
}

#[test]
fn scaled_weights_are_written_as_their_product() {
    let lines = "y = Conv(x, large)";
    let graph = graph(lines, lines);
    let mut data = Vec::new();
    let mut bytes = Vec::new();
    write(&graph, &mut bytes, Some(External { location: "w", data: &mut data })).unwrap();
    let (_, conv) = graph.nodes().next().unwrap();
    let constant = graph.constant(conv.inputs[1].unwrap()).unwrap();
    assert!(matches!(constant, Constant::Scaled { .. }));
    assert_eq!(data, **constant.tensor().unwrap().bytes());
}

#[test]
fn more_than_a_message_holds_stands_outside() {
    // 2100 tensors of 1 MiB that are the same bytes.
    let tensor = Tensor::zeros(DType::U8, &[1 << 20]).unwrap();
    let mut graph = Graph::default();
    let parts: Vec<_> = (0..2100).map(|_| Some(graph.add_constant("w", tensor.clone()))).collect();
    let mut attrs = AttrMap([("axis".to_owned(), Attr::Int(0))].into());
    let y = graph.add_node("y", Op::read("Concat", &mut attrs).unwrap().unwrap(), &parts).unwrap()[0];
    graph.add_output("y", y);
    let refused = write(&graph, &mut io::sink(), None);
    assert!(matches!(refused, Err(ExportError::TooLarge { bytes, .. }) if bytes > 2100 << 20));
    let mut bytes = Vec::new();
    write(&graph, &mut bytes, Some(External { location: "w", data: &mut io::sink() })).unwrap();
    let last = proto(&bytes).graph.unwrap().initializers.pop().unwrap();
    assert_eq!((&*last.name, &*last.external_data[1].value), ("w~2100", &*(2099u64 << 20).to_string()));
}

/// A sink that takes so many bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_sink_that_is_full_is_an_error() {
    let graph = graph("y = Conv(x, w)", "y = Conv(x, w)");
    let length = written(&graph).len();
    for room in [0, 1, 100, length - 1] {
        assert!(matches!(write(&graph, &mut Full(room), None), Err(ExportError::Sink(_))), "{room}");
    }
    write(&graph, &mut Full(length), None).unwrap();
}
