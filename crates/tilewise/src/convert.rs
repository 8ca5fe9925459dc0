//! Tensors of any element type as f32 and back, for tables, files and tests.

use tilewise_graph::{Op, OpError, ops::Cast};
use tilewise_tensor::{DType, Tensor};

/// The elements as f32, rounded; integers beyond 24 bits lose their last digits.
pub fn to_f32(tensor: &Tensor) -> Vec<f32> {
    let values = cast(tensor, DType::F32).and_then(|tensor| Ok(tensor.values::<f32>()?.into_owned()));
    values.unwrap_or_default()
}

/// A tensor of `dtype` with the numbers of `values`.
///
/// # Errors
/// [`OpError::Tensor`] when the number of values is not that of the shape.
pub fn from_f32(dtype: DType, shape: &[usize], values: &[f32]) -> Result<Tensor, OpError> {
    cast(&Tensor::from_slice(shape, values)?, dtype)
}

fn cast(tensor: &Tensor, to: DType) -> Result<Tensor, OpError> {
    let mut outputs = Op::from(Cast { to }).eval(&[Some(tensor)])?;
    outputs.pop().ok_or_else(|| OpError::invalid("a cast gave no output"))
}
