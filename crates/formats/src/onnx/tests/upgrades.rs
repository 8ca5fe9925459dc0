//! One row for each step from an older form to the newest: the model's node, and the lines of our graph.

use tilewise_graph::Op;
use tilewise_graph::attr::AttrMap;

use super::models::model;
use super::{import, refusal};
use crate::onnx::upgrade::TABLE;

/// What every row can read.
const VALUES: &str = "
    input x: f32[2,6,4,4]
    input z: f32[2,6,4,4]
    input h: f16[4]
    input flag: bool[]
    init six: f32[6] = 1 2 3 4 5 6
    init two: f32[2] = 1 2
    init w: f32[1,6,1,1] = 1 2 3 4 5 6
    init scales: f32[4] = 1 1 2 2
    init none: f32[0] =
    init shape: i64[2] = 2 3
    init no: bool[] = 0
    init half: f32[] = 0.5
";

struct Row {
    opset: i64,
    node: &'static str,
    /// The lines that are added, without those that nothing reads.
    lines: &'static [&'static str],
}

const fn row(opset: i64, node: &'static str, lines: &'static [&'static str]) -> Row {
    Row { opset, node, lines }
}

const ROWS: &[Row] = &[
    row(
        7,
        "y = BatchNormalization(x, six, six, six, six) epsilon=0.5 spatial=1",
        &["y = BatchNormalization(x, six, six, six, six) epsilon=0.5"],
    ),
    row(9, "y = Cast(x) to=10", &["y = Cast(x) to=\"f16\""]),
    row(19, "y = Cast(x) to=6 saturate=0", &["y = Cast(x) to=\"i32\""]),
    row(15, "y = CastLike(x, h)", &["y = Cast(x) to=\"f16\""]),
    row(
        6 + 1,
        "y = Clip(x) min=0.0 max=6.0",
        &["const y/min: f32[] = 0", "const y/max: f32[] = 6", "y = Clamp(x, y/min, y/max)"],
    ),
    row(7, "y = Clip(h) max=6.0", &["const y/max: f16[] = 6", "y = Clamp(h, -, y/max)"]),
    row(13, "y = Clip(x, half)", &["y = Clamp(x, half)"]),
    row(9, "y = Constant() value={i64[2] = 3 4}", &["const y: i64[2] = 3 4"]),
    row(12, "y = Constant() value_floats=[0.5,2.0]", &["const y: f32[2] = 0.5 2"]),
    row(12, "y = Constant() value_int=7", &["const y: i64[] = 7"]),
    row(
        9,
        "y = ConstantOfShape(shape) value={u8[1] = 9}",
        &["const y/value: u8[1] = 9", "y = ConstantOfShape(shape, y/value)"],
    ),
    row(9, "y = ConstantOfShape(shape)", &["y = ConstantOfShape(shape)"]),
    row(21, "y = DequantizeLinear(q, half) output_dtype=1", &["y = DequantizeLinear(q, half) output_dtype=\"f32\""]),
    row(7, "y = Dropout(x) ratio=0.5", &[]),
    row(10, "y, mask = Dropout(x) ratio=0.5", &["y, mask = Dropout(x)"]),
    row(12, "y = Dropout(x, half, no)", &[]),
    row(9, "y = EyeLike(x2) dtype=11", &["y = EyeLike(x2) dtype=\"f64\""]),
    row(20, "y = Gelu(x)", &["y = Gelu(x)"]),
    row(20, "y = Gelu(x) approximate=\"tanh\"", &["y = GeluTanh(x)"]),
    row(16, "y = GridSample(x, grid) mode=\"bicubic\"", &["y = GridSample(x, grid) mode=\"cubic\""]),
    row(16, "y = GridSample(x, grid) mode=\"bilinear\"", &["y = GridSample(x, grid)"]),
    row(
        18,
        "y = GroupNormalization(x, two, two) num_groups=2",
        &[
            "const y/column: i64[2] = 2 1",
            "y/Reshape = Reshape(two, y/column)",
            "const y/table: i64[2] = 2 3",
            "y/Expand = Expand(y/Reshape, y/table)",
            "const y/flat: i64[1] = -1",
            "y/Reshape~2 = Reshape(y/Expand, y/flat)",
            "const y/column~2: i64[2] = 2 1",
            "y/Reshape~3 = Reshape(two, y/column~2)",
            "const y/table~2: i64[2] = 2 3",
            "y/Expand~2 = Expand(y/Reshape~3, y/table~2)",
            "const y/flat~2: i64[1] = -1",
            "y/Reshape~4 = Reshape(y/Expand~2, y/flat~2)",
            "y = GroupNormalization(x, y/Reshape~2, y/Reshape~4) num_groups=2",
        ],
    ),
    row(11, "y = Hardmax(x)", &["y = Hardmax(x) axis=1 flattened=1"]),
    row(7, "y = Identity(x)", &[]),
    row(11, "y = LogSoftmax(x) axis=2", &["y = LogSoftmax(x) axis=2 flattened=1"]),
    row(8, "y = Max(x, z, x)", &["y/Max = Max(x, z)", "y = Max(y/Max, x)"]),
    row(8, "y = Mean(x, z)", &["y/Add = Add(x, z)", "const y/count: f32[] = 2", "y = Div(y/Add, y/count)"]),
    row(8, "y = Min(x)", &[]),
    row(10, "y = Mod(x, z) fmod=1", &["y = FMod(x, z)"]),
    row(
        7,
        "y = Pad(x) pads=[0,0,1,1,0,0,1,1] value=0.5",
        &["const y/pads: i64[8] = 0 0 1 1 0 0 1 1", "const y/value: f32[] = 0.5", "y = Pad(x, y/pads, y/value)"],
    ),
    row(21, "y = QuantizeLinear(x, half) output_dtype=3", &["y = QuantizeLinear(x, half) output_dtype=\"i8\""]),
    row(7, "y = ReduceL1(x) axes=[1]", &["const y/axes: i64[1] = 1", "y = ReduceL1(x, y/axes)"]),
    row(7, "y = ReduceL2(x) axes=[1] keepdims=0", &["const y/axes: i64[1] = 1", "y = ReduceL2(x, y/axes) keepdims=0"]),
    row(7, "y = ReduceLogSum(x)", &["y = ReduceLogSum(x)"]),
    row(7, "y = ReduceLogSumExp(x)", &["y = ReduceLogSumExp(x)"]),
    row(13, "y = ReduceMax(x) axes=[2,3]", &["const y/axes: i64[2] = 2 3", "y = ReduceMax(x, y/axes)"]),
    row(13, "y = ReduceMean(x) axes=[2,3]", &["const y/axes: i64[2] = 2 3", "y = ReduceMean(x, y/axes)"]),
    row(7, "y = ReduceMin(x)", &["y = ReduceMin(x)"]),
    row(7, "y = ReduceProd(x)", &["y = ReduceProd(x)"]),
    row(11, "y = ReduceSum(x) axes=[-1]", &["const y/axes: i64[1] = -1", "y = ReduceSum(x, y/axes)"]),
    row(7, "y = ReduceSumSquare(x)", &["y = ReduceSumSquare(x)"]),
    row(13, "y = Reshape(x) shape=[2,-1]", &["const y/shape: i64[2] = 2 -1", "y = Reshape(x, y/shape)"]),
    row(
        10,
        "y = Resize(x, scales) mode=\"linear\"",
        &[
            "y = Resize(x, -, scales) coordinate_transformation_mode=\"asymmetric\" mode=\"linear\" nearest_mode=\"floor\"",
        ],
    ),
    row(11, "y = Resize(x, none, scales) mode=\"nearest\"", &["y = Resize(x, -, scales)"]),
    row(
        11,
        "y = Resize(x) scales=[1.0,1.0,2.0,2.0]",
        &["const y/scales: f32[4] = 1 1 2 2", "y = Resize(x, -, y/scales)"],
    ),
    row(9, "y = Scatter(x2, index, x2) axis=1", &["y = ScatterElements(x2, index, x2) axis=1"]),
    row(
        9,
        "y = Slice(x) starts=[1] ends=[3] axes=[1]",
        &[
            "const y/starts: i64[1] = 1",
            "const y/ends: i64[1] = 3",
            "const y/axes: i64[1] = 1",
            "y = Slice(x, y/starts, y/ends, y/axes)",
        ],
    ),
    row(12, "y = Softmax(x)", &["y = Softmax(x) axis=1 flattened=1"]),
    row(7, "y, v = Split(x) axis=1 split=[2,4]", &["const y/split: i64[2] = 2 4", "y, v = Split(x, y/split) axis=1"]),
    row(13, "y, v = Split(x) axis=1", &["y, v = Split(x) axis=1 num_outputs=2"]),
    row(11, "y = Squeeze(one) axes=[0]", &["const y/axes: i64[1] = 0", "y = Squeeze(one, y/axes)"]),
    row(8, "y = Sum(x, z)", &["y = Add(x, z)"]),
    row(7, "y, v = TopK(x) k=3 axis=1", &["const y/k: i64[1] = 3", "y, v = TopK(x, y/k) axis=1"]),
    row(11, "y = Unsqueeze(x) axes=[0]", &["const y/axes: i64[1] = 0", "y = Unsqueeze(x, y/axes)"]),
    row(
        7,
        "y = Upsample(x) scales=[1.0,1.0,2.0,2.0] mode=\"bilinear\"",
        &[
            "const y/scales: f32[4] = 1 1 2 2",
            "y = Resize(x, -, y/scales) coordinate_transformation_mode=\"asymmetric\" mode=\"linear\" nearest_mode=\"floor\"",
        ],
    ),
    row(
        9,
        "y = Upsample(x, scales)",
        &["y = Resize(x, -, scales) coordinate_transformation_mode=\"asymmetric\" nearest_mode=\"floor\""],
    ),
    row(17, "y = com.microsoft.BiasGelu(x, z)", &["y/Add = Add(x, z)", "y = Gelu(y/Add)"]),
    row(17, "y = com.microsoft.FastGelu(x)", &["y = GeluTanh(x)"]),
    row(
        17,
        "y = com.microsoft.FusedConv(x, w) activation=\"LeakyRelu\" activation_params=[0.5]",
        &["y = Conv(x, w) activation=\"LeakyRelu(0.5)\""],
    ),
    row(
        17,
        "y = com.microsoft.QLinearAdd(q, half, no8, q, half, no8, half, no8)",
        &["y = QLinearAdd(q, half, no8, q, half, no8, half, no8)"],
    ),
    row(
        17,
        "y = com.microsoft.QLinearConcat(half, no8, q, half, no8, q, half, no8) axis=0",
        &["y = QLinearConcat(half, no8, q, half, no8, q, half, no8) axis=0"],
    ),
    row(
        17,
        "y = com.microsoft.QLinearGlobalAveragePool(q4, half, no8, half, no8) channels_last=1",
        &["y = QLinearGlobalAveragePool(q4, half, no8, half, no8) channels_last=1"],
    ),
    row(
        17,
        "y = com.microsoft.QLinearLeakyRelu(q, half, no8, half, no8) alpha=0.5",
        &["y = QLinearLeakyRelu(q, half, no8, half, no8) alpha=0.5"],
    ),
    row(
        17,
        "y = com.microsoft.QLinearMul(q, half, -, q, half, -, half)",
        &["y = QLinearMul(q, half, -, q, half, -, half)"],
    ),
    row(
        17,
        "y = com.microsoft.QLinearSigmoid(q, half, no8, half, no8)",
        &["y = QLinearSigmoid(q, half, no8, half, no8)"],
    ),
    row(17, "y = com.microsoft.QuickGelu(x)", &["y = Swish(x) alpha=1.702"]),
];

/// Values that a few rows read besides.
const MORE: &str = "
    input q: i8[4]
    input q4: i8[1,2,2,3]
    init no8: i8[] = 0
    input x2: f32[2,3]
    input one: f32[1,3]
    input index: i64[2,3]
    input grid: f32[2,4,4,2]
";

#[test]
fn older_forms_become_the_newest() {
    let mut failures = Vec::new();
    for Row { opset, node, lines } in ROWS {
        let outputs = node.split_once(" = ").unwrap().0.split(", ");
        let outputs: String = outputs.map(|name| format!("output {name}\n")).collect();
        let got = match import(&model(*opset, &format!("{VALUES}{MORE}{node}\n{outputs}"))) {
            Ok(graph) => graph.to_string(),
            Err(error) => error.to_string(),
        };
        let given = |line: &&str| {
            VALUES.lines().chain(MORE.lines()).any(|known| {
                let name = |line: &str| line.trim().split([' ', ':']).nth(1).map(str::to_owned);
                !line.contains(" = ") && line.starts_with("input")
                    || line.starts_with("const") && name(known) == name(line)
            })
        };
        let added: Vec<&str> = got.lines().filter(|line| !line.starts_with("output") && !given(line)).collect();
        if added != *lines {
            failures.push(format!("{opset}: {node}\n  {}", added.join("\n  ")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_lifted_or_renamed_row_has_a_case() {
    for row in TABLE.iter().filter(|row| row.lift.is_some() || row.name != row.op) {
        let dot = if row.domain.is_empty() { "" } else { "." };
        let op = format!("= {}{dot}{}(", row.domain, row.op);
        let opsets = if row.domain.is_empty() { row.first..=row.last } else { 7..=28 };
        let tested = ROWS.iter().any(|case| case.node.contains(&op) && opsets.contains(&case.opset));
        assert!(tested, "{op} {}..={}", row.first, row.last);
    }
}

#[test]
fn the_table_names_operators_of_the_graph_once_an_opset() {
    for (at, row) in TABLE.iter().enumerate() {
        // Those two are values, never nodes.
        let value = matches!(row.op, "Constant" | "Identity");
        assert!(value || Op::read(row.name, &mut AttrMap::default()).is_some(), "{} is not built", row.name);
        for other in &TABLE[at + 1..] {
            let same = (row.domain, row.op) == (other.domain, other.op);
            assert!(!same || row.last < other.first, "{} overlaps", row.op);
        }
    }
}

#[test]
fn forms_that_are_not_built_are_told_apart_from_invalid_ones() {
    let text = |node: &str| format!("{VALUES}{MORE}{node}\noutput y");
    for (opset, node, part) in [
        (17, "y = NoSuchOp(x)", "not supported: node 'y' (NoSuchOp, opset 17): an operator that is not built"),
        (17, "y = com.other.Relu(x)", "(com.other.Relu, opset 0)"),
        (11, "y = Scatter(x2, index, x2)", "a form that is not built"),
        (7, "y = BatchNormalization(x, six, six, six, six) spatial=0", "not supported"),
        (14, "y = BatchNormalization(x, six, six, six, six) training_mode=1", "not supported"),
        (12, "y = Dropout(x, half, flag)", "not supported: node 'y' (Dropout, opset 12): training"),
        (13, "y = Relu(x) colour=3", "not supported: node 'y' (Relu, opset 13): attribute colour = 3"),
        (13, "y = Cast(x) to=17", "not supported: node 'y' (Cast, opset 13): elements of type FLOAT8E4M3FN"),
        (13, "y = Cast(x) to=99", "99 is no element type"),
        (13, "y = Clip(x, half) min=0.5", "given as an attribute and as input 1"),
        (17, "y = Conv(x, w, half, x)", "takes 3"),
        (18, "y, v = Split(x) num_outputs=1000 axis=1", "num_outputs is 1000, the node has 2"),
        (20, "y = Gelu(x) approximate=\"maybe\"", "expected none or tanh"),
        (17, "y = com.microsoft.FusedConv(x, w) activation=\"Clip\"", "Clip has 2 parameters"),
        (17, "y = If(flag)", "has no then_branch"),
    ] {
        let message = refusal(&model(opset, &text(node)));
        assert!(message.contains(part), "{node}: {message}");
    }
    assert!(import(&model(13, &text("y = Relu(x) _note=3"))).is_ok());
}
