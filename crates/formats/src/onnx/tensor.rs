//! Stored tensors: what ONNX writes, checked and turned into tensors, without a copy where it stands as raw bytes.

use tilewise_tensor::{AlignedBuffer, Bytes, DType, Tensor, bf16, f16};

use super::error::ImportError;
use super::external::External;
use super::proto::TensorProto;
use super::site::Site;
use super::types::{NoType, dtype};

/// Most axes of a stored tensor; NumPy's limit, beyond which nothing can make or read one.
const MOST_AXES: usize = 64;

/// The tensor that a message holds.
///
/// # Errors
/// [`ImportError::Tensor`], [`ImportError::External`], and [`ImportError::Unsupported`] for types that are not built.
pub(crate) fn tensor(proto: &TensorProto, external: &mut External) -> Result<Tensor, ImportError> {
    let wrong = |reason: String| ImportError::tensor(&proto.name, reason);
    let dtype = dtype(proto.data_type).map_err(|why| match why {
        NoType::Invalid(reason) => wrong(reason),
        NoType::Unsupported(reason) => unsupported(proto, reason),
    })?;
    if proto.segment.is_some() {
        return Err(unsupported(proto, "a tensor in segments".to_owned()));
    }
    if proto.dims.len() > MOST_AXES {
        return Err(wrong(format!("{} axes, at most {MOST_AXES} are allowed", proto.dims.len())));
    }
    let shape: Option<Vec<usize>> = proto.dims.iter().map(|&n| usize::try_from(n).ok()).collect();
    let shape = shape.ok_or_else(|| wrong(format!("{:?} is no shape", proto.dims)))?;
    let lists = [
        proto.raw_data.held().is_some(),
        !proto.float_data.is_empty(),
        !proto.int32_data.is_empty(),
        !proto.string_data.is_empty(),
        !proto.int64_data.is_empty(),
        !proto.double_data.is_empty(),
        !proto.uint64_data.is_empty(),
        proto.data_location == 1,
    ];
    if lists.iter().filter(|&&given| given).count() > 1 {
        return Err(wrong("its data is given in more than one place".to_owned()));
    }
    if proto.data_location == 1 {
        let bytes = external.bytes(proto, dtype, &shape)?;
        return from_bytes(dtype, &shape, bytes).map_err(wrong);
    }
    match proto.raw_data.held() {
        Some(raw) => from_bytes(dtype, &shape, raw.clone()).map_err(wrong),
        None => from_lists(proto, dtype, &shape).map_err(wrong),
    }
}

fn unsupported(proto: &TensorProto, reason: String) -> ImportError {
    Site::value(&proto.name, "initializer").unsupported(reason)
}

fn from_bytes(dtype: DType, shape: &[usize], bytes: Bytes) -> Result<Tensor, String> {
    let tensor = Tensor::from_bytes(dtype, shape, bytes).map_err(|e| e.to_string())?;
    if dtype != DType::Bool || tensor.bytes().iter().all(|&b| b < 2) {
        return Ok(tensor);
    }
    // Whatever is not zero is true; kernels rely on 0 and 1.
    let mut buffer = AlignedBuffer::zeroed(tensor.numel());
    for (to, from) in buffer.bytes_mut().iter_mut().zip(tensor.bytes().iter()) {
        *to = u8::from(*from != 0);
    }
    Tensor::from_bytes(dtype, shape, buffer.into()).map_err(|e| e.to_string())
}

/// The tensor whose elements stand in the list that ONNX prescribes for its type.
fn from_lists(proto: &TensorProto, dtype: DType, shape: &[usize]) -> Result<Tensor, String> {
    /// Each number as a narrower type.
    fn narrow<Wide: Copy + std::fmt::Display, T>(
        list: &[Wide],
        dtype: DType,
        convert: impl Fn(Wide) -> Option<T>,
    ) -> Result<Vec<T>, String> {
        let each = |&x: &Wide| convert(x).ok_or_else(|| format!("{x} is no {dtype}"));
        list.iter().map(each).collect()
    }
    macro_rules! narrowed {
        ($list:ident, $convert:expr) => {
            Tensor::from_slice(shape, &narrow(&proto.$list, dtype, $convert)?)
        };
    }
    match dtype {
        DType::F32 => Tensor::from_slice(shape, &proto.float_data),
        DType::F64 => Tensor::from_slice(shape, &proto.double_data),
        DType::I64 => Tensor::from_slice(shape, &proto.int64_data),
        DType::I32 => Tensor::from_slice(shape, &proto.int32_data),
        DType::U64 => Tensor::from_slice(shape, &proto.uint64_data),
        DType::U32 => narrowed!(uint64_data, |x| u32::try_from(x).ok()),
        DType::I16 => narrowed!(int32_data, |x| i16::try_from(x).ok()),
        DType::I8 => narrowed!(int32_data, |x| i8::try_from(x).ok()),
        DType::U16 => narrowed!(int32_data, |x| u16::try_from(x).ok()),
        DType::U8 => narrowed!(int32_data, |x| u8::try_from(x).ok()),
        DType::F16 => narrowed!(int32_data, |x| u16::try_from(x).ok().map(f16::from_bits)),
        DType::BF16 => narrowed!(int32_data, |x| u16::try_from(x).ok().map(bf16::from_bits)),
        DType::Bool => Tensor::from_bools(shape, &proto.int32_data.iter().map(|&x| x != 0).collect::<Vec<_>>()),
    }
    .map_err(|error| error.to_string())
}
