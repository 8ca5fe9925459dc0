//! Types: element types by their number in ONNX, and the types that a model states for its values.

use tilewise_graph::{Dim, ValueType};
use tilewise_tensor::DType;

use super::proto::ValueInfoProto;

/// Element types by their number in ONNX; those without a type of ours are not supported.
const TYPES: &[(i64, &str, Option<DType>)] = &[
    (1, "FLOAT", Some(DType::F32)),
    (2, "UINT8", Some(DType::U8)),
    (3, "INT8", Some(DType::I8)),
    (4, "UINT16", Some(DType::U16)),
    (5, "INT16", Some(DType::I16)),
    (6, "INT32", Some(DType::I32)),
    (7, "INT64", Some(DType::I64)),
    (8, "STRING", None),
    (9, "BOOL", Some(DType::Bool)),
    (10, "FLOAT16", Some(DType::F16)),
    (11, "DOUBLE", Some(DType::F64)),
    (12, "UINT32", Some(DType::U32)),
    (13, "UINT64", Some(DType::U64)),
    (14, "COMPLEX64", None),
    (15, "COMPLEX128", None),
    (16, "BFLOAT16", Some(DType::BF16)),
    (17, "FLOAT8E4M3FN", None),
    (18, "FLOAT8E4M3FNUZ", None),
    (19, "FLOAT8E5M2", None),
    (20, "FLOAT8E5M2FNUZ", None),
    (21, "UINT4", None),
    (22, "INT4", None),
    (23, "FLOAT4E2M1", None),
    (24, "FLOAT8E8M0", None),
    (25, "UINT2", None),
    (26, "INT2", None),
    (27, "FLOAT6E2M3", None),
    (28, "FLOAT6E3M2", None),
];

/// Why a number is no element type of ours.
pub(crate) enum NoType {
    /// ONNX has no such type.
    Invalid(String),
    /// ONNX has it, we do not.
    Unsupported(String),
}

/// The element type with a number in ONNX.
pub(crate) fn dtype(number: i64) -> Result<DType, NoType> {
    match TYPES.iter().find(|(n, ..)| *n == number) {
        Some((_, _, Some(dtype))) => Ok(*dtype),
        Some((_, name, None)) => Err(NoType::Unsupported(format!("elements of type {name}"))),
        None => Err(NoType::Invalid(format!("{number} is no element type"))),
    }
}

/// The number in ONNX of an element type.
pub(crate) fn number(dtype: DType) -> i64 {
    TYPES.iter().find(|(.., ours)| *ours == Some(dtype)).map_or(0, |(number, ..)| *number)
}

/// The type that the model states for a value; nothing where it states none.
pub(crate) fn value_type(info: &ValueInfoProto) -> Result<Option<ValueType>, NoType> {
    let Some(ty) = &info.ty else { return Ok(None) };
    let Some(tensor) = &ty.tensor else { return Err(NoType::Unsupported("a value that is no tensor".to_owned())) };
    let dtype = dtype(tensor.elem_type)?;
    let Some(shape) = &tensor.shape else { return Ok(Some(ValueType::unranked(dtype))) };
    let dim = |value: Option<i64>, param: Option<&str>| match (value.map(usize::try_from), param) {
        (Some(Ok(length)), _) => Dim::Known(length),
        (None, Some(name)) if !name.is_empty() && name != "?" => Dim::Symbol(name.into()),
        // Exporters write -1, an empty name or nothing for a length that they do not know.
        (Some(Err(_)) | None, _) => Dim::Unknown,
    };
    let dims = shape.dims.iter().map(|d| dim(d.value, d.param.as_deref())).collect();
    Ok(Some(ValueType::new(dtype, dims)))
}
