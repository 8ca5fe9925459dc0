//! Tiny ONNX files, by a small protobuf writer.

/// f32 in ONNX's list of element types.
const FLOAT: u64 = 1;

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 127 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A field of text or of a message.
fn field(number: u64, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    [varint(number << 3 | 2), varint(payload.len() as u64), payload.to_vec()].concat()
}

/// A field of a whole number.
fn number(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

/// The `ValueInfoProto` of f32 `[N, 2]`.
fn pairs(name: &str) -> Vec<u8> {
    let dims = [field(1, field(2, "N")), field(1, number(1, 2))].concat();
    let tensor = [number(1, FLOAT), field(2, dims)].concat();
    [field(1, name), field(2, field(1, tensor))].concat()
}

/// A model of opset 17 with one node, called `node`: `y = op(a, b)`, all f32 `[N, 2]`.
pub(crate) fn one_node(op: &str) -> Vec<u8> {
    let node = [field(1, "a"), field(1, "b"), field(2, "y"), field(3, "node"), field(4, op)].concat();
    let ends = [field(11, pairs("a")), field(11, pairs("b")), field(12, pairs("y"))].concat();
    let graph = [field(1, node), field(2, "tiny"), ends].concat();
    [number(1, 8), field(8, number(2, 17)), field(7, graph)].concat()
}
