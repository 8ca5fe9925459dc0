//! The messages of ONNX, as far as they are read or written here. Source: onnx.proto of ONNX 1.23 (IR version 14).

use super::wire::{Blob, Nested, message};

message! {
    /// A file.
    ModelProto {
        ir_version: Option<i64> = 1,
        producer_name: Blob = 2,
        producer_version: Blob = 3,
        graph: Option<GraphProto> = 7,
        opsets: Vec<OperatorSetIdProto> = 8,
        functions: Vec<FunctionProto> = 25,
    }
}

message! {
    /// A version of a set of operators.
    OperatorSetIdProto {
        domain: String = 1,
        version: i64 = 2,
    }
}

message! {
    /// An operator that the model defines itself.
    FunctionProto {
        name: String = 1,
        domain: String = 10,
    }
}

message! {
    /// A network, or a branch of one.
    GraphProto {
        nodes: Vec<NodeProto> = 1,
        name: Blob = 2,
        initializers: Vec<TensorProto> = 5,
        inputs: Vec<ValueInfoProto> = 11,
        outputs: Vec<ValueInfoProto> = 12,
        value_info: Vec<ValueInfoProto> = 13,
        sparse_initializers: Vec<Nested> = 15,
    }
}

message! {
    /// One application of an operator.
    NodeProto {
        inputs: Vec<String> = 1,
        outputs: Vec<String> = 2,
        name: String = 3,
        op_type: String = 4,
        attributes: Vec<AttributeProto> = 5,
        domain: String = 7,
    }
}

message! {
    /// A parameter of a node. `kind` says which of the others holds it.
    AttributeProto {
        name: String = 1,
        float: Option<f32> = 2,
        int: Option<i64> = 3,
        text: Blob = 4,
        tensor: Option<TensorProto> = 5,
        graph: Nested = 6,
        floats: Vec<f32> = 7,
        ints: Vec<i64> = 8,
        kind: i64 = 20,
        ref_attr_name: String = 21,
    }
}

message! {
    /// A tensor: its data stands in `raw_data`, in one of the lists, or in another file.
    TensorProto {
        dims: Vec<i64> = 1,
        data_type: i64 = 2,
        segment: Option<Nested> = 3,
        float_data: Vec<f32> = 4,
        int32_data: Vec<i32> = 5,
        string_data: Vec<Blob> = 6,
        int64_data: Vec<i64> = 7,
        name: String = 8,
        raw_data: Blob = 9,
        double_data: Vec<f64> = 10,
        uint64_data: Vec<u64> = 11,
        external_data: Vec<StringStringEntryProto> = 13,
        data_location: i64 = 14,
    }
}

message! {
    /// A key and its value.
    StringStringEntryProto {
        key: String = 1,
        value: String = 2,
    }
}

message! {
    /// The name and the type of a value.
    ValueInfoProto {
        name: String = 1,
        ty: Option<TypeProto> = 2,
    }
}

message! {
    /// A type: a tensor's, or one of those that are not read.
    TypeProto {
        tensor: Option<TensorTypeProto> = 1,
    }
}

message! {
    /// Type of a tensor.
    TensorTypeProto {
        elem_type: i64 = 1,
        shape: Option<TensorShapeProto> = 2,
    }
}

message! {
    /// A shape.
    TensorShapeProto {
        dims: Vec<DimensionProto> = 1,
    }
}

message! {
    /// The length of one axis: a number, a name, or unknown.
    DimensionProto {
        value: Option<i64> = 1,
        param: Option<String> = 2,
    }
}
