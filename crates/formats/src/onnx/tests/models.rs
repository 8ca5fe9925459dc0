//! ONNX files from text, by a small protobuf writer.

use tilewise_tensor::DType;

/// A field of a message.
pub(super) fn field(number: u64, payload: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(payload.len() as u64), payload.to_vec()].concat()
}

/// A number in a message.
pub(super) fn number(number: u64, value: i64) -> Vec<u8> {
    [varint(number << 3), varint(value as u64)].concat()
}

pub(super) fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 127 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn float(number: u64, value: f32) -> Vec<u8> {
    [varint(number << 3 | 5), value.to_le_bytes().to_vec()].concat()
}

/// ONNX's number of an element type.
pub(super) fn type_number(dtype: &str) -> i64 {
    let dtype: DType = dtype.parse().unwrap();
    crate::onnx::types::number(dtype)
}

/// `f32[1,3,N]` as type and lengths.
fn split_type(text: &str) -> (i64, Vec<&str>) {
    let (dtype, dims) = text.trim().trim_end_matches(']').split_once('[').unwrap();
    (type_number(dtype), dims.split(',').filter(|d| !d.is_empty()).collect())
}

/// A `ValueInfoProto` of `x: f32[1,3,N]`.
pub(super) fn value_info(text: &str) -> Vec<u8> {
    let Some((name, ty)) = text.split_once(':') else { return field(1, text.trim().as_bytes()) };
    let (dtype, dims) = split_type(ty);
    let dim = |d: &&str| match d.parse() {
        Ok(length) => field(1, &number(1, length)),
        Err(_) if *d == "?" => field(1, &[]),
        Err(_) => field(1, &field(2, d.as_bytes())),
    };
    let shape: Vec<u8> = dims.iter().flat_map(dim).collect();
    let tensor = [number(1, dtype), field(2, &shape)].concat();
    [field(1, name.trim().as_bytes()), field(2, &field(1, &tensor))].concat()
}

/// A `TensorProto` of `f32[2] = 1 2`, with the elements in the list of their type.
pub(super) fn tensor(name: &str, text: &str) -> Vec<u8> {
    let (ty, values) = text.split_once('=').unwrap();
    let (dtype, dims) = split_type(ty);
    let mut out = [field(8, name.as_bytes()), number(2, dtype)].concat();
    out.extend(dims.iter().flat_map(|d| number(1, d.parse().unwrap())));
    for value in values.split_whitespace() {
        out.extend(match ty.trim().split('[').next().unwrap() {
            "f32" => float(4, value.parse().unwrap()),
            "f64" => [varint(10 << 3 | 1), value.parse::<f64>().unwrap().to_le_bytes().to_vec()].concat(),
            "i64" => number(7, value.parse().unwrap()),
            "u32" | "u64" => number(11, value.parse().unwrap()),
            _ => number(5, value.parse().unwrap()),
        });
    }
    out
}

/// An attribute of `axis=1`, `alpha=0.5`, `mode="linear"`, `axes=[0,1]`, `scales=[1.0,2.0]` or `value={f32[1] = 2}`.
fn attribute(text: &str) -> Vec<u8> {
    let (name, value) = text.split_once('=').unwrap();
    let list = value.strip_prefix('[').and_then(|v| v.strip_suffix(']'));
    let (kind, payload): (i64, Vec<u8>) = if let Some(text) = value.strip_prefix('"') {
        (3, field(4, text.trim_end_matches('"').as_bytes()))
    } else if let Some(text) = value.strip_prefix('{') {
        (4, field(5, &tensor("", text.trim_end_matches('}'))))
    } else if let Some(list) = list.filter(|list| list.contains('.')) {
        (6, list.split(',').flat_map(|x| float(7, x.parse().unwrap())).collect())
    } else if let Some(list) = list {
        (7, list.split(',').filter(|x| !x.is_empty()).flat_map(|x| number(8, x.parse().unwrap())).collect())
    } else if value.contains('.') {
        (1, float(2, value.parse().unwrap()))
    } else {
        (2, number(3, value.parse().unwrap()))
    };
    [field(1, name.as_bytes()), payload, number(20, kind)].concat()
}

/// A `NodeProto` of `a, b = Op(x, -, y) axis=1`; a dot in the operator's name ends its domain.
pub(super) fn node(text: &str) -> Vec<u8> {
    let (outputs, rest) = text.split_once(" = ").unwrap();
    let (op, rest) = rest.split_once('(').unwrap();
    let (inputs, attributes) = rest.split_once(')').unwrap();
    let names = |list: &str, number: u64| -> Vec<u8> {
        let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.flat_map(|name| field(number, if name == "-" { b"" } else { name.as_bytes() })).collect()
    };
    let (domain, op) = op.rsplit_once('.').unwrap_or(("", op));
    let mut out = [names(inputs, 1), names(outputs, 2), field(4, op.as_bytes()), field(7, domain.as_bytes())].concat();
    // A tensor holds spaces, so words are put together again up to its brace.
    let mut words = attributes.split(' ').filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let mut text = word.to_owned();
        while text.contains('{') && !text.contains('}') {
            text = format!("{text} {}", words.next().unwrap());
        }
        out.extend(field(5, &attribute(&text)));
    }
    out
}

/// A `GraphProto` of lines: `input x: f32[1]`, `init w: f32[2] = 1 2`, `note y: f32[1]`, `output y`, nodes.
pub(super) fn graph(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        out.extend(match line.split_once(' ').unwrap() {
            ("input", rest) => field(11, &value_info(rest)),
            ("output", rest) => field(12, &value_info(rest)),
            ("note", rest) => field(13, &value_info(rest)),
            ("init", rest) => {
                let (name, rest) = rest.split_once(": ").unwrap();
                field(5, &tensor(name, rest))
            }
            _ => field(1, &node(line)),
        });
    }
    out
}

/// A `ModelProto` over a graph.
pub(super) fn wrap(opset: i64, graph: &[u8]) -> Vec<u8> {
    let microsoft = [field(1, b"com.microsoft"), number(2, 1)].concat();
    [number(1, 8), field(8, &number(2, opset)), field(8, &microsoft), field(7, graph)].concat()
}

/// A model of lines; see [`graph`].
pub(super) fn model(opset: i64, text: &str) -> Vec<u8> {
    wrap(opset, &graph(text))
}
