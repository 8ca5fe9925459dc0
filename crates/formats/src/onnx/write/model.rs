//! The messages of a file: nodes, types and weights, which stay where they are until they are written.

use std::collections::HashSet;

use tilewise_graph::attr::Attr;
use tilewise_graph::{Constant, Dim, Graph, ValueType};
use tilewise_tensor::{AlignedBuffer, Bytes};

use super::form::{Lowered, Made, Operand};
use super::table::ir_version;
use crate::onnx::attributes::{FLOAT, FLOATS, INT, INTS, STRING, TENSOR};
use crate::onnx::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use crate::onnx::types::number;
use crate::onnx::wire::Blob;

/// Tensors of fewer bytes stay in the model's file: shapes and axes, which readers look at to type the values.
const SMALLEST_OUTSIDE: usize = 1024;

/// Where tensors begin in the file of weights: at pages, so that each can be mapped by itself, as ONNX asks.
const PAGE: u64 = 4096;

/// `data_location` of a tensor in another file.
const EXTERNAL: i64 = 1;

/// A file, and what stands in the file of weights beside it.
pub(super) struct Model {
    pub(super) proto: ModelProto,
    /// Offset and value of each tensor of the file of weights, in its order.
    pub(super) outside: Vec<(u64, Constant)>,
}

/// The messages of a file; with a `location`, larger weights are in the file of this name.
pub(super) fn model(graph: &Graph, lowered: &Lowered, location: Option<&str>) -> Model {
    let mut weights = Weights { location, end: 0, outside: Vec::new() };
    let held = |text: &'static str| Blob::Held(Bytes::from(text.as_bytes()));
    let proto = GraphProto {
        nodes: lowered.nodes.iter().map(|made| node(lowered, made)).collect(),
        name: held("tilewise"),
        initializers: initializers(graph, lowered, &mut weights),
        inputs: graph.inputs().iter().map(|&id| value_info(lowered.names.value(id), &graph.value(id).ty)).collect(),
        outputs: outputs(graph, lowered),
        value_info: notes(graph, lowered),
        sparse_initializers: Vec::new(),
    };
    let microsoft = lowered.nodes.iter().any(|made| !made.domain.is_empty());
    let mut opsets = vec![OperatorSetIdProto { domain: String::new(), version: lowered.opset }];
    opsets.extend(microsoft.then(|| OperatorSetIdProto { domain: "com.microsoft".to_owned(), version: 1 }));
    let proto = ModelProto {
        ir_version: Some(ir_version(lowered.opset)),
        producer_name: held("tilewise"),
        producer_version: held(env!("CARGO_PKG_VERSION")),
        graph: Some(proto),
        opsets,
        functions: Vec::new(),
    };
    Model { proto, outside: weights.outside }
}

/// Where the data of stored tensors goes.
struct Weights<'a> {
    location: Option<&'a str>,
    end: u64,
    outside: Vec<(u64, Constant)>,
}

impl Weights<'_> {
    fn tensor(&mut self, name: &str, constant: &Constant) -> TensorProto {
        let stored = constant.stored();
        let mut proto = TensorProto {
            dims: stored.shape().iter().map(|&n| n as i64).collect(),
            data_type: number(stored.dtype()),
            name: name.to_owned(),
            ..TensorProto::default()
        };
        let length = stored.bytes().len();
        match self.location {
            Some(location) if length >= SMALLEST_OUTSIDE => {
                let offset = self.end.next_multiple_of(PAGE);
                self.end = offset + length as u64;
                self.outside.push((offset, constant.clone()));
                let place =
                    [("location", location.to_owned()), ("offset", offset.to_string()), ("length", length.to_string())];
                let entry = |(key, value): (&str, String)| StringStringEntryProto { key: key.to_owned(), value };
                proto.external_data = place.into_iter().map(entry).collect();
                proto.data_location = EXTERNAL;
            }
            Some(_) | None => proto.raw_data = Blob::Constant(constant.clone()),
        }
        proto
    }
}

/// The constants that nodes and outputs read, in the order in which they are read first, and the tensors that stand
/// for parts of nodes.
fn initializers(graph: &Graph, lowered: &Lowered, weights: &mut Weights<'_>) -> Vec<TensorProto> {
    let read = lowered.nodes.iter().flat_map(|made| &made.inputs).filter_map(|operand| match operand {
        Operand::Value(id) => Some(*id),
        Operand::Missing | Operand::Part(..) => None,
    });
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    for id in read.chain(graph.outputs().iter().map(|(_, id)| *id)).filter(|id| seen.insert(*id)) {
        out.extend(graph.constant(id).map(|constant| weights.tensor(lowered.names.value(id), constant)));
    }
    let parts = lowered.tensors.iter();
    out.extend(parts.map(|(name, tensor)| weights.tensor(name, &Constant::Dense(tensor.clone()))));
    out
}

fn outputs(graph: &Graph, lowered: &Lowered) -> Vec<ValueInfoProto> {
    let types = graph.outputs().iter().map(|(_, id)| &graph.value(*id).ty);
    lowered.names.outputs().iter().zip(types).map(|(name, ty)| value_info(name, ty)).collect()
}

/// The types of what nodes make, as far as known: some follow from what only the model's author knew.
fn notes(graph: &Graph, lowered: &Lowered) -> Vec<ValueInfoProto> {
    let stated: HashSet<&str> = lowered.names.outputs().iter().map(String::as_str).collect();
    let made = graph.nodes().flat_map(|(_, node)| &node.outputs);
    let notes = made.map(|&id| (lowered.names.value(id), &graph.value(id).ty));
    let open = |(name, ty): &(&str, &ValueType)| !name.is_empty() && !stated.contains(name) && ty.shape.is_some();
    notes.filter(open).map(|(name, ty)| value_info(name, ty)).collect()
}

fn value_info(name: &str, ty: &ValueType) -> ValueInfoProto {
    let dim = |dim: &Dim| match dim {
        Dim::Known(length) => DimensionProto { value: Some(*length as i64), param: None },
        Dim::Symbol(name) => DimensionProto { value: None, param: Some(name.to_string()) },
        Dim::Unknown => DimensionProto::default(),
    };
    let shape = ty.shape.as_ref().map(|shape| TensorShapeProto { dims: shape.iter().map(dim).collect() });
    let tensor = TensorTypeProto { elem_type: number(ty.dtype), shape };
    ValueInfoProto { name: name.to_owned(), ty: Some(TypeProto { tensor: Some(tensor) }) }
}

fn node(lowered: &Lowered, made: &Made) -> NodeProto {
    let input = |operand: &Operand| match operand {
        Operand::Missing => String::new(),
        Operand::Value(id) => lowered.names.value(*id).to_owned(),
        Operand::Part(name, _) => name.clone(),
    };
    let tensors = made.tensors.iter().map(|(name, tensor)| {
        let data = Weights { location: None, end: 0, outside: Vec::new() }.tensor("", &Constant::Dense(tensor.clone()));
        AttributeProto { name: (*name).to_owned(), tensor: Some(data), kind: TENSOR, ..AttributeProto::default() }
    });
    NodeProto {
        inputs: made.inputs.iter().map(input).collect(),
        outputs: made.outputs.clone(),
        name: made.name.clone(),
        op_type: made.op.to_owned(),
        attributes: made.attributes.0.iter().map(|(name, attr)| attribute(name, attr)).chain(tensors).collect(),
        domain: made.domain.to_owned(),
    }
}

fn attribute(name: &str, attr: &Attr) -> AttributeProto {
    let mut proto = AttributeProto { name: name.to_owned(), ..AttributeProto::default() };
    match attr {
        Attr::Int(value) => (proto.kind, proto.int) = (INT, Some(*value)),
        Attr::Float(value) => (proto.kind, proto.float) = (FLOAT, Some(*value)),
        Attr::Ints(values) => (proto.kind, proto.ints) = (INTS, values.clone()),
        Attr::Floats(values) => (proto.kind, proto.floats) = (FLOATS, values.clone()),
        Attr::Str(value) => {
            let mut text = AlignedBuffer::zeroed(value.len());
            text.bytes_mut().copy_from_slice(value.as_bytes());
            (proto.kind, proto.text) = (STRING, Blob::Held(text.into()));
        }
    }
    proto
}
