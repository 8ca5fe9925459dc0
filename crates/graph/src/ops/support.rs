//! What several operators share: reading operands, broadcasting, walking indices.

use std::borrow::Cow;

use tilewise_tensor::{DType, Element, Tensor, bf16, f16};

use super::Arg;
use crate::{Dim, OpError};

/// Input number `index` of an evaluation.
pub(crate) fn operand<'a>(inputs: &[Option<&'a Tensor>], index: usize) -> Result<&'a Tensor, OpError> {
    optional(inputs, index).ok_or_else(|| OpError::invalid(format!("input {index} is missing")))
}

/// Input number `index` of an evaluation, where it is given.
pub(crate) fn optional<'a>(inputs: &[Option<&'a Tensor>], index: usize) -> Option<&'a Tensor> {
    inputs.get(index).copied().flatten()
}

/// The elements of a small integer tensor.
pub(crate) fn ints(tensor: &Tensor) -> Result<Vec<i64>, OpError> {
    if tensor.dtype() == DType::I32 {
        return Ok(tensor.values::<i32>()?.iter().map(|&x| i64::from(x)).collect());
    }
    Ok(tensor.values::<i64>()?.into_owned())
}

/// The elements of a floating-point tensor as f32; f16 and bf16 are widened.
pub(crate) fn floats(tensor: &Tensor) -> Result<Cow<'_, [f32]>, OpError> {
    match tensor.dtype() {
        DType::F16 => Ok(tensor.values::<f16>()?.iter().map(|x| x.to_f32()).collect()),
        DType::BF16 => Ok(tensor.values::<bf16>()?.iter().map(|x| x.to_f32()).collect()),
        DType::F64 => Ok(tensor.values::<f64>()?.iter().map(|&x| x as f32).collect()),
        DType::F32
        | DType::I64
        | DType::I32
        | DType::I16
        | DType::I8
        | DType::U64
        | DType::U32
        | DType::U16
        | DType::U8
        | DType::Bool => Ok(tensor.values::<f32>()?),
    }
}

/// A tensor of f32 values stored as the floating-point type `dtype`, rounded once.
pub(crate) fn from_floats(dtype: DType, shape: &[usize], values: Vec<f32>) -> Result<Tensor, OpError> {
    fn narrow<T: Element>(shape: &[usize], values: &[f32], f: impl Fn(f32) -> T) -> Result<Tensor, OpError> {
        Ok(Tensor::from_slice(shape, &values.iter().map(|&x| f(x)).collect::<Vec<T>>())?)
    }
    match dtype {
        DType::F16 => narrow(shape, &values, f16::from_f32),
        DType::BF16 => narrow(shape, &values, bf16::from_f32),
        DType::F64 => narrow(shape, &values, f64::from),
        DType::F32 => Ok(Tensor::from_slice(shape, &values)?),
        DType::I64
        | DType::I32
        | DType::I16
        | DType::I8
        | DType::U64
        | DType::U32
        | DType::U16
        | DType::U8
        | DType::Bool => Err(OpError::unsupported(format!("elements of type {dtype}"))),
    }
}

/// An error unless the input is f16, bf16, f32 or f64.
pub(crate) fn expect_float(arg: &Arg<'_>) -> Result<(), OpError> {
    if arg.dtype().is_float() {
        return Ok(());
    }
    Err(OpError::invalid(format!("expected floating-point elements, got {}", arg.dtype())))
}

/// The axis that `axis`, negative from the end, names among `rank`.
pub(crate) fn resolve_axis(axis: i64, rank: usize) -> Result<usize, OpError> {
    let resolved = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(resolved)
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| OpError::invalid(format!("axis {axis} is outside of {rank} axes")))
}

/// The shape two shapes broadcast to by NumPy's rule.
pub(crate) fn broadcast_dims(a: &[Dim], b: &[Dim]) -> Result<Vec<Dim>, OpError> {
    let rank = a.len().max(b.len());
    let at = |s: &[Dim], axis: usize| (axis + s.len()).checked_sub(rank).map_or(Dim::Known(1), |i| s[i].clone());
    (0..rank)
        .map(|axis| match (at(a, axis), at(b, axis)) {
            (x, y) if x == y => Ok(x),
            (Dim::Known(1), other) | (other, Dim::Known(1)) => Ok(other),
            (Dim::Known(x), Dim::Known(y)) => {
                Err(OpError::invalid(format!("lengths {x} and {y} of axis {axis} do not broadcast")))
            }
            // A known length that is not 1 decides: the other is the same, or 1.
            (Dim::Known(n), _) | (_, Dim::Known(n)) => Ok(Dim::Known(n)),
            _ => Ok(Dim::Unknown),
        })
        .collect()
}

/// For each element of `to` in row-major order, the position of the element of `from` that broadcasts there.
pub(crate) fn broadcast_positions(from: &[usize], to: &[usize]) -> Vec<usize> {
    let mut steps = vec![0; to.len()];
    let lead = to.len() - from.len();
    for (axis, step) in tilewise_tensor::strides(from).into_iter().enumerate() {
        if from[axis] != 1 {
            steps[lead + axis] = step;
        }
    }
    positions(to, &steps)
}

/// For each index of `shape` in row-major order, the sum of index times step over the axes.
pub(crate) fn positions(shape: &[usize], steps: &[usize]) -> Vec<usize> {
    let mut out = vec![0];
    for (&len, &step) in shape.iter().zip(steps) {
        out = out.iter().flat_map(|&base| (0..len).map(move |i| base + i * step)).collect();
    }
    out
}
