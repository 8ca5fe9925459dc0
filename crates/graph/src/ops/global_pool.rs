//! Poolings of a whole plane to one number.

use tilewise_tensor::Tensor;

use super::numeric::{Lines, output_type, reals, store_reals};
use super::pool::{expect_norm, norm};
use super::support::{expect_float, operand};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Input: x `[n, c, spatial..]`. Output: the mean of each plane, `[n, c, 1..]`.
    GlobalAveragePool {}
}

operator! {
    /// Input: x `[n, c, spatial..]`. Output: the largest element of each plane, `[n, c, 1..]`.
    GlobalMaxPool {}
}

operator! {
    /// Input: x `[n, c, spatial..]`. Output: the p-norm of each plane, `[n, c, 1..]`.
    GlobalLpPool {
        /// The norm: the p-th root of the sum of p-th powers; from 1.
        p: usize = 2,
    }
}

macro_rules! global {
    ($($name:ident: |$op:ident, $xs:ident| $check:expr, $value:expr;)*) => {
        $(impl Operator for $name {
            fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
                let $op = self;
                $check?;
                infer(args)
            }

            fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
                let (dtype, shape) = output_type(self, inputs)?;
                let x = operand(inputs, 0)?;
                let axes: Vec<usize> = (2..shape.len()).collect();
                let values = reals(x)?;
                let $op = self;
                let f = |$xs: Vec<f64>| $value;
                let y: Vec<f64> = Lines::along(x.shape(), &axes).gather(&values).map(f).collect();
                Ok(vec![store_reals(dtype, &shape, &y)?])
            }
        })*
    };
}

global! {
    GlobalAveragePool: |_op, xs| Ok::<_, OpError>(()), xs.iter().sum::<f64>() / xs.len() as f64;
    GlobalMaxPool: |_op, xs| Ok::<_, OpError>(()),
        xs.into_iter().fold(f64::NEG_INFINITY, |y, x| if x > y || x.is_nan() { x } else { y });
    GlobalLpPool: |op, xs| expect_norm(op.p), norm(op.p, xs.into_iter());
}

fn infer(args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
    let x = args.at(0)?;
    expect_float(&x)?;
    let Some(shape) = x.shape() else { return Ok(vec![x.ty.clone()]) };
    if shape.len() < 2 {
        return Err(OpError::invalid(format!("{} has no channels", x.ty)));
    }
    if shape[2..].contains(&Dim::Known(0)) {
        return Err(OpError::invalid(format!("{} has planes without an element", x.ty)));
    }
    let mut dims = shape[..2].to_vec();
    dims.extend(vec![Dim::Known(1); shape.len() - 2]);
    Ok(vec![ValueType::new(x.dtype(), dims)])
}
