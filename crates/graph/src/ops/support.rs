//! What several operators share: reading operands, broadcasting, walking indices.

use std::borrow::Cow;

use tilewise_tensor::{AlignedBuffer, DType, Element, Tensor, TensorError, bf16, f16, numel, strides};

use super::{Arg, Args, Operator};
use crate::{Dim, OpError, ValueType};

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

/// The type of what two inputs broadcast to, with elements of `dtype`.
pub(crate) fn broadcast_type(x: &Arg<'_>, y: &Arg<'_>, dtype: DType) -> Result<ValueType, OpError> {
    let shape = match (x.shape(), y.shape()) {
        (Some(x), Some(y)) => Some(broadcast_dims(x, y)?),
        _ => None,
    };
    Ok(ValueType { dtype, shape })
}

/// One length that is both `a` and `b`, with what is known of either.
pub(crate) fn merge_dims(a: &Dim, b: &Dim) -> Result<Dim, OpError> {
    match (a, b) {
        (Dim::Known(x), Dim::Known(y)) if x != y => {
            Err(OpError::invalid(format!("lengths {x} and {y} should be the same")))
        }
        (Dim::Known(_), _) | (Dim::Symbol(_), Dim::Symbol(_) | Dim::Unknown) => Ok(a.clone()),
        (Dim::Symbol(_) | Dim::Unknown, _) => Ok(b.clone()),
    }
}

/// The product of lengths; a symbol passes where all others are 1.
pub(crate) fn product_dims(dims: &[Dim]) -> Dim {
    let mut rest = dims.iter().filter(|dim| **dim != Dim::Known(1));
    match (rest.next(), rest.next()) {
        (None, _) => Dim::Known(1),
        (Some(dim), None) => dim.clone(),
        _ => dims.iter().try_fold(1usize, |n, dim| n.checked_mul(dim.known()?)).map_or(Dim::Unknown, Dim::Known),
    }
}

/// The axes that `axes` name among `rank`, each at most once.
pub(crate) fn resolve_axes(axes: &[i64], rank: usize) -> Result<Vec<usize>, OpError> {
    let resolved = axes.iter().map(|&axis| resolve_axis(axis, rank)).collect::<Result<Vec<_>, _>>()?;
    if (1..resolved.len()).any(|i| resolved[..i].contains(&resolved[i])) {
        return Err(OpError::invalid(format!("axes {axes:?} name one of {rank} axes twice")));
    }
    Ok(resolved)
}

/// The positions that `indices`, negative from the end, name among `len`.
pub(crate) fn resolve_indices(indices: &Tensor, len: usize) -> Result<Vec<usize>, OpError> {
    ints(indices)?.into_iter().map(|index| resolve_index(index, len)).collect()
}

/// The position that `index`, negative from the end, names among `len`.
pub(crate) fn resolve_index(index: i64, len: usize) -> Result<usize, OpError> {
    let resolved = if index < 0 { index.saturating_add_unsigned(len as u64) } else { index };
    usize::try_from(resolved)
        .ok()
        .filter(|&i| i < len)
        .ok_or_else(|| OpError::invalid(format!("index {index} is outside of length {len}")))
}

/// The integers of input `index`; `default` where it is not given, `None` where its value is not known.
pub(crate) fn ints_or(args: &Args<'_>, index: usize, default: &[i64]) -> Result<Option<Vec<i64>>, OpError> {
    args.get(index).map_or_else(|| Ok(Some(default.to_vec())), |arg| arg.ints())
}

/// The one integer of input `index`; `default` where it is not given, `None` where its value is not known.
pub(crate) fn int_or(args: &Args<'_>, index: usize, default: i64) -> Result<Option<i64>, OpError> {
    match ints_or(args, index, &[default])?.as_deref() {
        None => Ok(None),
        Some([value]) => Ok(Some(*value)),
        Some(values) => Err(OpError::invalid(format!("input {index} holds {} numbers instead of one", values.len()))),
    }
}

/// The number of elements of a list, where it is known; an error for what cannot be a list.
pub(crate) fn list_len(arg: &Arg<'_>) -> Result<Option<usize>, OpError> {
    match arg.shape() {
        None => Ok(None),
        Some([len]) => Ok(len.known()),
        Some(shape) => Err(OpError::invalid(format!("expected a list, got a tensor of {} axes", shape.len()))),
    }
}

/// An error unless the input holds one of the element types.
pub(crate) fn expect_type(arg: &Arg<'_>, what: &str, types: &[DType]) -> Result<(), OpError> {
    if types.contains(&arg.dtype()) {
        return Ok(());
    }
    Err(OpError::invalid(format!("{what} cannot hold elements of type {}", arg.dtype())))
}

/// The element types of indices.
pub(crate) const INDEX: &[DType] = &[DType::I64, DType::I32];

/// What a shape rule sees of an evaluation's inputs: everything.
pub(crate) fn known_args<R>(
    inputs: &[Option<&Tensor>],
    read: impl FnOnce(&Args<'_>) -> Result<R, OpError>,
) -> Result<R, OpError> {
    let types: Vec<Option<ValueType>> =
        inputs.iter().map(|input| input.map(|t| ValueType::known(t.dtype(), t.shape()))).collect();
    let args: Vec<Option<Arg<'_>>> =
        types.iter().zip(inputs).map(|(ty, value)| ty.as_ref().map(|ty| Arg { ty, value: *value })).collect();
    read(&Args::new(&args))
}

/// The shapes of an evaluation's results: what the shape rule says when every input is known. An evaluation that
/// starts here need not repeat the checks of the rule, and cannot differ from it.
pub(crate) fn result_shapes(op: &impl Operator, inputs: &[Option<&Tensor>]) -> Result<Vec<Vec<usize>>, OpError> {
    let open = || OpError::invalid("the shape of the result does not follow from the inputs");
    known_args(inputs, |args| op.infer(args))?.iter().map(|ty| ty.known_shape().ok_or_else(open)).collect()
}

/// The shape of an evaluation's first result; see [`result_shapes`].
pub(crate) fn result_shape(op: &impl Operator, inputs: &[Option<&Tensor>]) -> Result<Vec<usize>, OpError> {
    result_shapes(op, inputs)?.into_iter().next().ok_or_else(|| OpError::invalid("there is no result"))
}

/// `f` of each element of a floating-point tensor, in f64, rounded once.
pub(crate) fn map_floats(x: &Tensor, f: impl Fn(f64) -> f64) -> Result<Tensor, OpError> {
    if x.dtype() == DType::F64 {
        return collect(DType::F64, x.shape(), x.values::<f64>()?.iter().map(|&x| f(x)));
    }
    from_floats(x.dtype(), x.shape(), floats(x)?.iter().map(|&x| f(x.into()) as f32).collect())
}

/// A buffer for the elements of a shape, or an error where there is no such memory.
pub(crate) fn buffer(dtype: DType, shape: &[usize]) -> Result<AlignedBuffer, OpError> {
    let bytes = numel(shape).and_then(|n| n.checked_mul(dtype.size()));
    let buffer = bytes.and_then(AlignedBuffer::try_zeroed);
    Ok(buffer.ok_or_else(|| TensorError::TooLarge { dtype, shape: shape.to_vec() })?)
}

/// A tensor of values in row-major order, `T` being the Rust type of `dtype` (u8 also of bools); zeros where there
/// are too few. Nothing is computed where there is no memory for the result.
pub(crate) fn collect<T: Element>(
    dtype: DType,
    shape: &[usize],
    values: impl IntoIterator<Item = T>,
) -> Result<Tensor, OpError> {
    let mut buffer = buffer(dtype, shape)?;
    buffer.as_mut_slice::<T>().iter_mut().zip(values).for_each(|(place, value)| *place = value);
    Ok(Tensor::from_bytes(dtype, shape, buffer.into())?)
}

/// Evaluates `$body` with `$T` standing for the Rust type of the elements; bools are bytes.
macro_rules! typed {
    ($dtype:expr, $T:ident => $body:expr) => {
        $crate::ops::support::typed!(@rows $dtype, $T, $body,
            F32 f32, F64 f64, F16 tilewise_tensor::f16, BF16 tilewise_tensor::bf16, I64 i64, I32 i32, I16 i16, I8 i8,
            U64 u64, U32 u32, U16 u16, U8 u8, Bool u8)
    };
    (@rows $dtype:expr, $T:ident, $body:expr, $($variant:ident $rust:ty),*) => {
        match $dtype {
            $(tilewise_tensor::DType::$variant => {
                type $T = $rust;
                $body
            })*
        }
    };
}
pub(crate) use typed;

/// For each element of `to` in row-major order, the position of the element of `from` that broadcasts there.
pub(crate) fn broadcast_positions(from: &[usize], to: &[usize]) -> Positions {
    let mut steps = vec![0; to.len()];
    let lead = to.len() - from.len();
    for (axis, step) in strides(from).into_iter().enumerate() {
        if from[axis] != 1 {
            steps[lead + axis] = step;
        }
    }
    Positions::new(to, &steps)
}

/// For each index of a shape in row-major order, the sum of index times step over the axes; made one by one, since a
/// shape from a file may be larger than memory.
pub(crate) struct Positions {
    shape: Vec<usize>,
    steps: Vec<usize>,
    index: Vec<usize>,
    next: Option<usize>,
}

impl Positions {
    /// All positions of a shape.
    pub(crate) fn new(shape: &[usize], steps: &[usize]) -> Self {
        let next = (!shape.contains(&0)).then_some(0);
        Positions { shape: shape.to_vec(), steps: steps.to_vec(), index: vec![0; shape.len()], next }
    }
}

impl Iterator for Positions {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let now = self.next?;
        let mut next = now;
        self.next = None;
        for axis in (0..self.shape.len()).rev() {
            self.index[axis] += 1;
            next += self.steps[axis];
            if self.index[axis] < self.shape[axis] {
                self.next = Some(next);
                break;
            }
            next -= self.steps[axis] * self.shape[axis];
            self.index[axis] = 0;
        }
        Some(now)
    }
}
