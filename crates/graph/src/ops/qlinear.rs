//! Convolutions and matrix products of quantized numbers: integer sums, left as they are or quantized again.

use tilewise_tensor::{DType, Tensor};

use super::conv::{Conv, Convolution};
use super::matmul::{Product, product_macs, product_shape};
use super::numeric::{expect_dtype, expect_shape, integers, output_type, reals, store_integers};
use super::quantize::{BYTES, store_levels};
use super::spatial::AutoPad;
use super::support::{operand, optional};
use super::{Arg, Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Inputs: x and w as of [`Conv`] (u8 or i8), optional x_zero_point, optional w_zero_point (one, or `[oc]`).
    /// Output: the convolution of levels less their zero points, i32.
    ConvInteger {
        /// Lengths of the kernel; empty: those of w.
        kernel_shape: Vec<usize> = Vec::new(),
        /// Steps; empty: 1.
        strides: Vec<usize> = Vec::new(),
        /// Distances of taps; empty: 1.
        dilations: Vec<usize> = Vec::new(),
        /// Zeros before each axis, then after each; empty: 0.
        pads: Vec<usize> = Vec::new(),
        /// How pads follow from the input instead.
        auto_pad: AutoPad = AutoPad::NotSet,
        /// Groups of channels.
        group: usize = 1,
    }
}

operator! {
    /// Inputs: x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, optional bias `[oc]` (i32,
    /// its scale x_scale w_scale). Output: the convolution of the real numbers, quantized as y; w has one scale or
    /// `[oc]`.
    QLinearConv {
        /// Lengths of the kernel; empty: those of w.
        kernel_shape: Vec<usize> = Vec::new(),
        /// Steps; empty: 1.
        strides: Vec<usize> = Vec::new(),
        /// Distances of taps; empty: 1.
        dilations: Vec<usize> = Vec::new(),
        /// Zeros before each axis, then after each; empty: 0.
        pads: Vec<usize> = Vec::new(),
        /// How pads follow from the input instead.
        auto_pad: AutoPad = AutoPad::NotSet,
        /// Groups of channels.
        group: usize = 1,
    }
}

operator! {
    /// Inputs: a, b (u8 or i8), optional a_zero_point (one, or one a row), optional b_zero_point (one, or one a
    /// column). Output: the product of levels less their zero points, i32, by NumPy's `matmul`.
    MatMulInteger {}
}

operator! {
    /// Inputs: a, a_scale, a_zero_point, b, b_scale, b_zero_point, y_scale, y_zero_point. Output: the product of the
    /// real numbers, quantized as y; a has one scale or one a row, b one or one a column.
    QLinearMatMul {}
}

macro_rules! convolutions {
    ($($name:ident),*) => {
        $(impl $name {
            /// The same convolution of real numbers.
            pub fn conv(&self) -> Conv {
                let Self { kernel_shape, strides, dilations, pads, auto_pad, group } = self.clone();
                Conv { kernel_shape, strides, dilations, pads, auto_pad, group, activation: Default::default() }
            }
        })*
    };
}

convolutions!(ConvInteger, QLinearConv);

/// Checks a scale or zero point: one number, or one for each index of the axis of length `each`.
pub(super) fn check_parameter(arg: &Arg<'_>, what: &str, types: &[DType], each: Option<&Dim>) -> Result<(), OpError> {
    expect_dtype(arg, what, types)?;
    match (arg.shape(), each) {
        (None | Some([] | [Dim::Known(1)]), _) => Ok(()),
        (Some([_]), Some(each)) => expect_shape(arg, what, std::slice::from_ref(each)),
        (Some([_]), None) => Err(OpError::invalid(format!("{what} is {}, expected one number", arg.ty))),
        (Some(_), _) => Err(OpError::unsupported(format!("{what} as {}", arg.ty))),
    }
}

/// The levels less their zero points; `part` says which of several zero points holds for an element.
fn centered(x: &Tensor, zero: Option<&Tensor>, part: impl Fn(usize) -> usize) -> Result<Vec<i64>, OpError> {
    let zeros = zero.map(integers).transpose()?.unwrap_or_else(|| vec![0]);
    let zero = |i: usize| if zeros.len() == 1 { zeros[0] } else { zeros[part(i)] };
    Ok(integers(x)?.into_iter().enumerate().map(|(i, x)| (x - zero(i)) as i64).collect())
}

/// The only element, or the one of a part.
fn at<T: Copy>(values: &[T], part: usize) -> T {
    if values.len() == 1 { values[0] } else { values[part] }
}

/// The integer sums of a convolution of checked operands, row-major.
fn convolve(conv: &Conv, x: (&Tensor, Option<&Tensor>), w: (&Tensor, Option<&Tensor>)) -> Result<Vec<i64>, OpError> {
    let window = conv.window(&x.0.shape()[2..], &w.0.shape()[2..])?;
    let filter = (w.0.numel() / w.0.shape()[0].max(1)).max(1);
    let (xs, ws) = (centered(x.0, x.1, |_| 0)?, centered(w.0, w.1, |i| i / filter)?);
    let operands = Convolution { window: &window, group: conv.group, x: (x.0.shape(), &xs), w: (w.0.shape(), &ws) };
    Ok(operands.sums(|x, w| x * w))
}

/// The integer sums of a product of checked operands, row-major.
fn multiply(
    a: (&Tensor, Option<&Tensor>),
    b: (&Tensor, Option<&Tensor>),
    shape: &[usize],
) -> Result<Vec<i64>, OpError> {
    let product = Product::of(a.0.shape(), b.0.shape(), shape);
    let (m, k, n) = (product.m.max(1), product.k.max(1), product.n.max(1));
    let (xs, ys) = (centered(a.0, a.1, |i| i / k % m)?, centered(b.0, b.1, |i| i % n)?);
    Ok(product.sums(&xs, &ys, |a, b| a * b))
}

/// The i32 tensor of sums, wrapped.
fn store_sums(shape: &[usize], sums: &[i64]) -> Result<Vec<Tensor>, OpError> {
    let sums: Vec<i128> = sums.iter().map(|&sum| sum.into()).collect();
    Ok(vec![store_integers(DType::I32, shape, &sums)?])
}

/// The second to last length of a, or 1; the last of b, or 1: what has a parameter of its own in a product.
fn rows_and_columns(a: &Arg<'_>, b: &Arg<'_>) -> (Dim, Dim) {
    let side = |arg: &Arg<'_>, from_end: usize| match arg.shape() {
        Some([_] | []) => Dim::Known(1),
        Some(shape) => shape[shape.len() - from_end].clone(),
        None => Dim::Unknown,
    };
    (side(a, 2), side(b, 1))
}

impl Operator for ConvInteger {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (x, w) = (args.at(0)?, args.at(1)?);
        expect_dtype(&x, "x", BYTES)?;
        expect_dtype(&w, "w", BYTES)?;
        let shape = self.conv().output_shape(&x, &w)?;
        if let Some(zero) = args.get(2) {
            check_parameter(&zero, "x's zero point", &[x.dtype()], None)?;
        }
        if let Some(zero) = args.get(3) {
            check_parameter(&zero, "w's zero point", &[w.dtype()], w.shape().and_then(<[Dim]>::first))?;
        }
        Ok(vec![ValueType { dtype: DType::I32, shape }])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let (_, shape) = output_type(self, inputs)?;
        let (x, w) = (operand(inputs, 0)?, operand(inputs, 1)?);
        store_sums(&shape, &convolve(&self.conv(), (x, optional(inputs, 2)), (w, optional(inputs, 3)))?)
    }

    fn macs(&self, args: &Args<'_>, outputs: &[ValueType]) -> u64 {
        Conv::macs_of(args.get(1), outputs)
    }
}

impl Operator for QLinearConv {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (x, w, y_zero) = (args.at(0)?, args.at(3)?, args.at(7)?);
        expect_dtype(&x, "x", BYTES)?;
        expect_dtype(&w, "w", BYTES)?;
        let shape = self.conv().output_shape(&x, &w)?;
        let channels = w.shape().and_then(<[Dim]>::first);
        check_parameter(&args.at(1)?, "x's scale", &[DType::F32], None)?;
        check_parameter(&args.at(2)?, "x's zero point", &[x.dtype()], None)?;
        check_parameter(&args.at(4)?, "w's scale", &[DType::F32], channels)?;
        check_parameter(&args.at(5)?, "w's zero point", &[w.dtype()], channels)?;
        check_parameter(&args.at(6)?, "y's scale", &[DType::F32], None)?;
        check_parameter(&y_zero, "y's zero point", BYTES, None)?;
        if let (Some(bias), Some(channels)) = (args.get(8), channels) {
            expect_dtype(&bias, "the bias", &[DType::I32])?;
            expect_shape(&bias, "the bias", std::slice::from_ref(channels))?;
        }
        Ok(vec![ValueType { dtype: y_zero.dtype(), shape }])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let (dtype, shape) = output_type(self, inputs)?;
        let (x, w) = (operand(inputs, 0)?, operand(inputs, 3)?);
        let sums = convolve(&self.conv(), (x, optional(inputs, 2)), (w, optional(inputs, 5)))?;
        let scale = |index| reals(operand(inputs, index)?);
        let (x_scale, w_scale, y_scale) = (scale(1)?[0], scale(4)?, scale(6)?[0]);
        let zero = integers(operand(inputs, 7)?)?[0];
        let bias = optional(inputs, 8).map(integers).transpose()?;
        let plane = shape[2..].iter().fold(1usize, |n, &len| n.saturating_mul(len));
        let reals = sums.iter().enumerate().map(|(i, &sum)| {
            let o = i / plane % shape[1];
            let sum = i128::from(sum) + bias.as_ref().map_or(0, |bias| bias[o]);
            (sum as f64 * (x_scale * at(&w_scale, o) / y_scale), zero)
        });
        Ok(vec![store_levels(dtype, &shape, reals)?])
    }

    fn macs(&self, args: &Args<'_>, outputs: &[ValueType]) -> u64 {
        Conv::macs_of(args.get(3), outputs)
    }
}

impl Operator for MatMulInteger {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (a, b) = (args.at(0)?, args.at(1)?);
        expect_dtype(&a, "a", BYTES)?;
        expect_dtype(&b, "b", BYTES)?;
        let shape = product_shape(&a, &b)?;
        let (rows, columns) = rows_and_columns(&a, &b);
        if let Some(zero) = args.get(2) {
            check_parameter(&zero, "a's zero point", &[a.dtype()], Some(&rows))?;
        }
        if let Some(zero) = args.get(3) {
            check_parameter(&zero, "b's zero point", &[b.dtype()], Some(&columns))?;
        }
        Ok(vec![ValueType { dtype: DType::I32, shape }])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let (_, shape) = output_type(self, inputs)?;
        let (a, b) = (operand(inputs, 0)?, operand(inputs, 1)?);
        store_sums(&shape, &multiply((a, optional(inputs, 2)), (b, optional(inputs, 3)), &shape)?)
    }

    fn macs(&self, args: &Args<'_>, outputs: &[ValueType]) -> u64 {
        product_macs(args.get(0), outputs)
    }
}

impl Operator for QLinearMatMul {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (a, b, y_zero) = (args.at(0)?, args.at(3)?, args.at(7)?);
        expect_dtype(&a, "a", BYTES)?;
        expect_dtype(&b, "b", BYTES)?;
        let shape = product_shape(&a, &b)?;
        let (rows, columns) = rows_and_columns(&a, &b);
        let scales = &[DType::F32, DType::F16, DType::BF16];
        check_parameter(&args.at(1)?, "a's scale", scales, Some(&rows))?;
        check_parameter(&args.at(2)?, "a's zero point", &[a.dtype()], Some(&rows))?;
        check_parameter(&args.at(4)?, "b's scale", scales, Some(&columns))?;
        check_parameter(&args.at(5)?, "b's zero point", &[b.dtype()], Some(&columns))?;
        check_parameter(&args.at(6)?, "y's scale", scales, None)?;
        check_parameter(&y_zero, "y's zero point", BYTES, None)?;
        Ok(vec![ValueType { dtype: y_zero.dtype(), shape }])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let (dtype, shape) = output_type(self, inputs)?;
        let (a, b) = (operand(inputs, 0)?, operand(inputs, 3)?);
        let sums = multiply((a, optional(inputs, 2)), (b, optional(inputs, 5)), &shape)?;
        let scale = |index| reals(operand(inputs, index)?);
        let (a_scale, b_scale, y_scale) = (scale(1)?, scale(4)?, scale(6)?[0]);
        let zero = integers(operand(inputs, 7)?)?[0];
        let Product { m, n, .. } = Product::of(a.shape(), b.shape(), &shape);
        let reals = sums.iter().enumerate().map(|(i, &sum)| {
            let factor = at(&a_scale, i / n % m) * at(&b_scale, i % n) / y_scale;
            (sum as f64 * factor, zero)
        });
        Ok(vec![store_levels(dtype, &shape, reals)?])
    }

    fn macs(&self, args: &Args<'_>, outputs: &[ValueType]) -> u64 {
        product_macs(args.get(0), outputs)
    }
}
