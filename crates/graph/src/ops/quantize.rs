//! Quantized numbers: `real = (level - zero_point) * scale`. To levels, back, and what all quantized operators share.

use tilewise_tensor::{DType, Tensor};

use super::numeric::{
    Numbers, expect_dtype, expect_shape, integers, output_type, output_types, reals, round_to, store_integers,
    store_reals,
};
use super::support::{operand, optional, resolve_axis};
use super::{Arg, Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

/// The types of 8-bit levels.
pub(super) const BYTES: &[DType] = &[DType::U8, DType::I8];
/// The types that a real number quantizes to.
const LEVELS: &[DType] = &[DType::U8, DType::I8, DType::U16, DType::I16];
/// The types that dequantize to a real number.
const SUMS: &[DType] = &[DType::U8, DType::I8, DType::U16, DType::I16, DType::I32];
const FLOATS: &[DType] = &[DType::F32, DType::F16, DType::BF16];

operator! {
    /// Inputs: x (f32, f16, bf16, i32), y_scale, optional y_zero_point. Output: `round(x / y_scale) + y_zero_point`,
    /// ties to even, limited to the range of its type: the zero point's, else `output_dtype`, else u8. A scale without
    /// axes or of one element holds for all of x, a vector for each index of an axis, and with `block_size` a tensor
    /// for each block along it.
    QuantizeLinear {
        /// The axis of more than one scale; negative counts from the end.
        axis: i64 = 1,
        /// Elements that share a scale along the axis; 0: all.
        block_size: usize = 0,
        /// The output's type where there is no zero point.
        output_dtype: Option<DType> = None,
        /// The type that the division rounds to; none: the scale's.
        precision: Option<DType> = None,
        /// Of concern to 8-bit floating-point types alone.
        saturate: bool = true,
    }
}

operator! {
    /// Inputs: x (8 or 16 bits, i32), x_scale, optional x_zero_point. Output: `(x - x_zero_point) * x_scale`. Scales
    /// hold for parts of x as those of [`QuantizeLinear`] do.
    DequantizeLinear {
        /// The axis of more than one scale; negative counts from the end.
        axis: i64 = 1,
        /// Elements that share a scale along the axis; 0: all.
        block_size: usize = 0,
        /// The output's type; none: the scale's.
        output_dtype: Option<DType> = None,
    }
}

operator! {
    /// Input: x (f32). Outputs: its levels (u8), their scale and their zero point, so that 0 and all of x are in range.
    DynamicQuantizeLinear {}
}

/// Which part of a tensor each scale holds for.
#[derive(Clone, Copy)]
enum Granularity {
    /// All of it.
    Whole,
    /// One index of an axis.
    Axis(usize),
    /// So many neighbours along an axis.
    Block(usize, usize),
}

impl Granularity {
    /// Reads the attributes for a tensor and a scale, and checks the scale's shape. `None` where a rank is open.
    fn of(axis: i64, block_size: usize, x: &Arg<'_>, scale: &Arg<'_>) -> Result<Option<Granularity>, OpError> {
        let (Some(shape), Some(scales)) = (x.shape(), scale.shape()) else { return Ok(None) };
        if scales.is_empty() || (block_size == 0 && *scales == [Dim::Known(1)]) {
            return Ok(Some(Granularity::Whole));
        }
        let axis = resolve_axis(axis, shape.len())?;
        if block_size == 0 {
            expect_shape(scale, "the scale", std::slice::from_ref(&shape[axis]))?;
            return Ok(Some(Granularity::Axis(axis)));
        }
        let mut blocks = shape.to_vec();
        blocks[axis] = shape[axis].map(|n| n.div_ceil(block_size));
        expect_shape(scale, "the scale", &blocks)?;
        Ok(Some(Granularity::Block(axis, block_size)))
    }

    /// The number of the scale that holds for element `i` of a tensor.
    fn index(self, shape: &[usize]) -> impl Fn(usize) -> usize {
        let (axis, block) = match self {
            Granularity::Whole => (0, 0),
            Granularity::Axis(axis) => (axis, 0),
            Granularity::Block(axis, size) => (axis, size),
        };
        let len = shape.get(axis).copied().unwrap_or(1);
        // Saturates beside a zero only, where no element is asked for.
        let inner = shape.iter().skip(axis + 1).fold(1usize, |n, &len| n.saturating_mul(len));
        move |i| match self {
            Granularity::Whole => 0,
            Granularity::Axis(_) => i / inner % len,
            Granularity::Block(..) => {
                let (outer, along) = (i / inner / len, i / inner % len);
                (outer * len.div_ceil(block) + along / block) * inner + i % inner
            }
        }
    }
}

/// Checks the zero point that goes with a scale: levels of one of `types`, one for each scale.
fn check_zero_point(zero: Option<Arg<'_>>, scale: &Arg<'_>, types: &[DType]) -> Result<(), OpError> {
    let Some(zero) = zero else { return Ok(()) };
    expect_dtype(&zero, "the zero point", types)?;
    let one = |arg: &Arg<'_>| arg.ty.numel() == Some(1);
    match scale.shape() {
        Some(shape) if !(one(scale) && one(&zero)) => expect_shape(&zero, "the zero point", shape),
        _ => Ok(()),
    }
}

/// The smallest and the largest level of a type.
fn range(dtype: DType) -> Result<(f64, f64), OpError> {
    match dtype {
        DType::U8 => Ok((0.0, 255.0)),
        DType::I8 => Ok((-128.0, 127.0)),
        DType::U16 => Ok((0.0, 65535.0)),
        DType::I16 => Ok((-32768.0, 32767.0)),
        DType::F32
        | DType::F64
        | DType::F16
        | DType::BF16
        | DType::I64
        | DType::I32
        | DType::U64
        | DType::U32
        | DType::Bool => Err(OpError::unsupported(format!("levels of type {dtype}"))),
    }
}

/// A tensor of levels: `round(y) + zero`, limited to the range of `dtype`; `ys` yields y and zero.
pub(super) fn store_levels(
    dtype: DType,
    shape: &[usize],
    ys: impl Iterator<Item = (f64, i128)>,
) -> Result<Tensor, OpError> {
    let (low, high) = range(dtype)?;
    // The sum is limited in f64: what divided to infinity has no integer.
    let levels: Vec<i128> = ys.map(|(y, zero)| (y.round_ties_even() + zero as f64).clamp(low, high) as i128).collect();
    store_integers(dtype, shape, &levels)
}

impl Operator for QuantizeLinear {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (x, scale, zero) = (args.at(0)?, args.at(1)?, args.get(2));
        if x.dtype() != DType::I32 {
            expect_dtype(&x, "x", FLOATS)?;
        }
        expect_dtype(&scale, "the scale", FLOATS)?;
        let dtype = zero.map(|zero| zero.dtype()).or(self.output_dtype).unwrap_or(DType::U8);
        if self.output_dtype.is_some_and(|asked| asked != dtype) {
            return Err(OpError::invalid(format!("output_dtype is not the zero point's {dtype}")));
        }
        range(dtype)?;
        check_zero_point(zero, &scale, LEVELS)?;
        Granularity::of(self.axis, self.block_size, &x, &scale)?;
        Ok(vec![ValueType { dtype, shape: x.ty.shape.clone() }])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let (dtype, shape) = output_type(self, inputs)?;
        let (x, scale) = (operand(inputs, 0)?, operand(inputs, 1)?);
        let index = granularity(self.axis, self.block_size, x, scale)?.index(&shape);
        let zeros = optional(inputs, 2).map(integers).transpose()?;
        let scales = reals(scale)?;
        let precision = self.precision.unwrap_or(scale.dtype());
        let xs = match Numbers::of(x)? {
            Numbers::Real(xs) => xs,
            Numbers::Int(xs) => xs.into_iter().map(|x| round_to(precision, x as f64)).collect(),
        };
        let level = |(i, x): (usize, &f64)| {
            let part = index(i);
            (round_to(precision, x / scales[part]), zeros.as_ref().map_or(0, |zeros| zeros[part]))
        };
        Ok(vec![store_levels(dtype, &shape, xs.iter().enumerate().map(level))?])
    }
}

impl Operator for DequantizeLinear {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (x, scale) = (args.at(0)?, args.at(1)?);
        expect_dtype(&x, "x", SUMS)?;
        expect_dtype(&scale, "the scale", FLOATS)?;
        check_zero_point(args.get(2), &scale, &[x.dtype()])?;
        Granularity::of(self.axis, self.block_size, &x, &scale)?;
        let dtype = self.output_dtype.unwrap_or(scale.dtype());
        if !FLOATS.contains(&dtype) {
            return Err(OpError::invalid(format!("output_dtype {dtype} is no floating-point type")));
        }
        Ok(vec![ValueType { dtype, shape: x.ty.shape.clone() }])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let (dtype, shape) = output_type(self, inputs)?;
        let (x, scale) = (operand(inputs, 0)?, operand(inputs, 1)?);
        let index = granularity(self.axis, self.block_size, x, scale)?.index(&shape);
        let (levels, scales) = (integers(x)?, reals(scale)?);
        let zeros = optional(inputs, 2).map(integers).transpose()?;
        let real = |(i, level): (usize, &i128)| {
            let part = index(i);
            (level - zeros.as_ref().map_or(0, |zeros| zeros[part])) as f64 * scales[part]
        };
        let y: Vec<f64> = levels.iter().enumerate().map(real).collect();
        Ok(vec![store_reals(dtype, &shape, &y)?])
    }
}

/// [`Granularity::of`] for tensors.
fn granularity(axis: i64, block_size: usize, x: &Tensor, scale: &Tensor) -> Result<Granularity, OpError> {
    let types = [x, scale].map(|tensor| ValueType::known(tensor.dtype(), tensor.shape()));
    let [x, scale] = [&types[0], &types[1]].map(|ty| Arg { ty, value: None });
    Ok(Granularity::of(axis, block_size, &x, &scale)?.unwrap_or(Granularity::Whole))
}

impl Operator for DynamicQuantizeLinear {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let x = args.at(0)?;
        expect_dtype(&x, "x", &[DType::F32])?;
        let levels = ValueType { dtype: DType::U8, shape: x.ty.shape.clone() };
        Ok(vec![levels, ValueType::known(DType::F32, &[]), ValueType::known(DType::U8, &[])])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        output_types(self, inputs)?;
        let x = operand(inputs, 0)?;
        let values = x.values::<f32>()?;
        let (low, high) = values.iter().fold((0.0f32, 0.0f32), |(low, high), &x| (low.min(x), high.max(x)));
        // Zeros alone quantize with any scale.
        let span = if high == low { 1.0 } else { high - low };
        let scale = span / 255.0;
        let zero = (-low / scale).clamp(0.0, 255.0).round_ties_even();
        let levels = values.iter().map(|x| (f64::from(x / scale), zero as i128));
        Ok(vec![store_levels(DType::U8, x.shape(), levels)?, Tensor::scalar(scale), Tensor::scalar(zero as u8)])
    }
}
