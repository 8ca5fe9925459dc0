//! Operators of `com.microsoft` that take quantized numbers, compute with real ones, and quantize again.

use tilewise_tensor::{DType, Tensor, Unary, broadcast, strides};

use super::numeric::{Lines, expect_dtype, integers, output_type, reals};
use super::qlinear::check_parameter;
use super::quantize::{BYTES, store_levels};
use super::support::{Positions, broadcast_dims, broadcast_positions, operand, optional, resolve_axis};
use super::{Arg, Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Inputs: a, its scale and optional zero point, b, its scale and optional zero point, the output's scale and
    /// optional zero point. Output: a + b with NumPy broadcasting.
    QLinearAdd {}
}

operator! {
    /// As [`QLinearAdd`], for a times b.
    QLinearMul {}
}

operator! {
    /// Inputs: x, its scale and optional zero point, the output's scale and optional zero point. Output: the sigmoid.
    QLinearSigmoid {}
}

operator! {
    /// As [`QLinearSigmoid`]: x, or alpha x below zero.
    QLinearLeakyRelu {
        /// The slope below zero.
        alpha: f32 = 0.01,
    }
}

operator! {
    /// Inputs: x `[n, c, spatial..]`, its scale and zero point, the output's scale and zero point. Output: the mean of
    /// each plane, `[n, c, 1..]`.
    QLinearGlobalAveragePool {
        /// x is `[n, spatial.., c]`.
        channels_last: bool = false,
    }
}

operator! {
    /// Inputs: the output's scale and zero point, then for each part the tensor, its scale and its zero point. Output:
    /// the parts one after another along an axis.
    QLinearConcat {
        /// The axis; negative counts from the end.
        axis: i64,
    }
}

/// Checks the tensor, scale and optional zero point from input `first` on.
fn check_operand<'a>(args: &Args<'a>, first: usize) -> Result<Arg<'a>, OpError> {
    let x = args.at(first)?;
    expect_dtype(&x, "a tensor of levels", BYTES)?;
    check_target(args, first + 1, x.dtype())?;
    Ok(x)
}

/// Checks the scale and optional zero point, levels of `dtype`, from input `first` on.
fn check_target(args: &Args<'_>, first: usize, dtype: DType) -> Result<(), OpError> {
    check_parameter(&args.at(first)?, "a scale", &[DType::F32], None)?;
    args.get(first + 1).map_or(Ok(()), |zero| check_parameter(&zero, "a zero point", &[dtype], None))
}

/// A scale and a zero point, 0 where it is not given.
fn parameters(inputs: &[Option<&Tensor>], first: usize) -> Result<(f64, i128), OpError> {
    let zero = optional(inputs, first + 1).map(integers).transpose()?;
    Ok((reals(operand(inputs, first)?)?[0], zero.map_or(0, |zero| zero[0])))
}

/// The real numbers of the levels at input `first`.
fn dequantize(inputs: &[Option<&Tensor>], first: usize) -> Result<Vec<f64>, OpError> {
    let (scale, zero) = parameters(inputs, first + 1)?;
    Ok(integers(operand(inputs, first)?)?.into_iter().map(|x| (x - zero) as f64 * scale).collect())
}

/// Quantizes by the scale and zero point from input `first` on.
fn quantize(
    ty: (DType, Vec<usize>),
    ys: impl Iterator<Item = f64>,
    inputs: &[Option<&Tensor>],
    first: usize,
) -> Result<Vec<Tensor>, OpError> {
    let (scale, zero) = parameters(inputs, first)?;
    Ok(vec![store_levels(ty.0, &ty.1, ys.map(|y| (y / scale, zero)))?])
}

macro_rules! of_two {
    ($($two:ident: |$x:ident, $y:ident| $binary:expr;)*) => {
        $(impl Operator for $two {
            fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
                let (a, b) = (check_operand(args, 0)?, check_operand(args, 3)?);
                expect_dtype(&b, "b", &[a.dtype()])?;
                check_target(args, 6, a.dtype())?;
                let shape = match (a.shape(), b.shape()) {
                    (Some(a), Some(b)) => Some(broadcast_dims(a, b)?),
                    _ => None,
                };
                Ok(vec![ValueType { dtype: a.dtype(), shape }])
            }

            fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
                let ty = output_type(self, inputs)?;
                let (a, b) = (dequantize(inputs, 0)?, dequantize(inputs, 3)?);
                let pairs = pairs(operand(inputs, 0)?.shape(), operand(inputs, 3)?.shape());
                let f = |$x: f64, $y: f64| $binary;
                quantize(ty, pairs.into_iter().map(|(i, j)| f(a[i], b[j])), inputs, 6)
            }
        })*
    };
}

of_two! {
    QLinearAdd: |x, y| x + y;
    QLinearMul: |x, y| x * y;
}

macro_rules! of_one {
    ($($one:ident: |$op:ident| $unary:expr;)*) => {
        $(impl Operator for $one {
            fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
                let x = check_operand(args, 0)?;
                check_target(args, 3, x.dtype())?;
                Ok(vec![x.ty.clone()])
            }

            fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
                let ty = output_type(self, inputs)?;
                let $op = self;
                let f: Unary = $unary;
                quantize(ty, dequantize(inputs, 0)?.into_iter().map(|x| f.at(x)), inputs, 3)
            }
        })*
    };
}

of_one! {
    QLinearSigmoid: |_op| Unary::Sigmoid;
    QLinearLeakyRelu: |op| Unary::LeakyRelu { alpha: op.alpha };
}

/// The positions of the elements that broadcasting brings together.
fn pairs(a: &[usize], b: &[usize]) -> Vec<(usize, usize)> {
    let shape = broadcast(a, b).unwrap_or_default();
    broadcast_positions(a, &shape).zip(broadcast_positions(b, &shape)).collect()
}

impl QLinearGlobalAveragePool {
    fn planes(&self, rank: usize) -> std::ops::Range<usize> {
        if self.channels_last { 1..rank - 1 } else { 2..rank }
    }
}

impl Operator for QLinearGlobalAveragePool {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let x = check_operand(args, 0)?;
        check_target(args, 3, x.dtype())?;
        let Some(shape) = x.shape() else { return Ok(vec![x.ty.clone()]) };
        if shape.len() < 3 || shape[self.planes(shape.len())].contains(&Dim::Known(0)) {
            return Err(OpError::invalid(format!("{} has no planes with an element", x.ty)));
        }
        let mut dims = shape.to_vec();
        dims[self.planes(shape.len())].fill(Dim::Known(1));
        Ok(vec![ValueType::new(x.dtype(), dims)])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let ty = output_type(self, inputs)?;
        let x = dequantize(inputs, 0)?;
        let axes: Vec<usize> = self.planes(ty.1.len()).collect();
        let lines = Lines::along(operand(inputs, 0)?.shape(), &axes);
        let means = lines.gather(&x).map(|line| line.iter().sum::<f64>() / line.len() as f64);
        quantize(ty, means, inputs, 3)
    }
}

impl Operator for QLinearConcat {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        if args.len() < 5 || args.len() % 3 != 2 {
            return Err(OpError::invalid(format!("{} inputs, expected 2 and 3 for each part", args.len())));
        }
        let first = check_operand(args, 2)?;
        check_target(args, 0, first.dtype())?;
        let mut shape = first.shape().map(<[Dim]>::to_vec);
        for index in (5..args.len()).step_by(3) {
            let part = check_operand(args, index)?;
            expect_dtype(&part, "a part", &[first.dtype()])?;
            shape = match (shape, part.shape()) {
                (Some(whole), Some(part)) => Some(joined(&whole, part, self.axis)?),
                _ => None,
            };
        }
        if let Some(shape) = &shape {
            resolve_axis(self.axis, shape.len())?;
        }
        Ok(vec![ValueType { dtype: first.dtype(), shape }])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let ty = output_type(self, inputs)?;
        let axis = resolve_axis(self.axis, ty.1.len())?;
        let steps = strides(&ty.1);
        let mut whole = vec![0.0; ty.1.iter().product()];
        let mut start = 0;
        for index in (2..inputs.len()).step_by(3) {
            let part = operand(inputs, index)?;
            if part.numel() > 0 {
                for (x, at) in dequantize(inputs, index)?.into_iter().zip(Positions::new(part.shape(), &steps)) {
                    whole[start * steps[axis] + at] = x;
                }
            }
            start += part.shape()[axis];
        }
        quantize(ty, whole.into_iter(), inputs, 0)
    }
}

/// The shape of two parts one after another along an axis.
fn joined(a: &[Dim], b: &[Dim], axis: i64) -> Result<Vec<Dim>, OpError> {
    let axis = resolve_axis(axis, a.len())?;
    let mismatch = || OpError::invalid(format!("parts {a:?} and {b:?} do not fit along axis {axis}"));
    if a.len() != b.len() {
        return Err(mismatch());
    }
    let length = |(i, (p, q)): (usize, (&Dim, &Dim))| match (p.known(), q.known()) {
        (Some(p), Some(q)) if i == axis => p.checked_add(q).map(Dim::Known).ok_or_else(mismatch),
        _ if i == axis => Ok(Dim::Unknown),
        (Some(p), Some(q)) if p != q => Err(mismatch()),
        (Some(_), _) => Ok(p.clone()),
        (None, _) => Ok(if p == q || q.known().is_some() { q.clone() } else { Dim::Unknown }),
    };
    a.iter().zip(b).enumerate().map(length).collect()
}
