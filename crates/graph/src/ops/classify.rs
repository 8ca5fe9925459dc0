//! What kind of number each element is: IsNaN, IsInf and Sign.

use tilewise_tensor::{DType, Tensor};

use super::support::{collect, expect_float, map_floats, operand, result_shape, typed};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{OpError, ValueType};

operator! {
    /// True where the element is not a number.
    IsNaN {}
}

operator! {
    /// True where the element is infinite.
    IsInf {
        /// Minus infinity counts.
        detect_negative: bool = true,
        /// Plus infinity counts.
        detect_positive: bool = true,
    }
}

fn truth_type(args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
    let x = args.at(0)?;
    expect_float(&x)?;
    Ok(vec![ValueType { dtype: DType::Bool, shape: x.ty.shape.clone() }])
}

fn truth(shape: &[usize], x: &Tensor, holds: impl Fn(f64) -> bool) -> Result<Vec<Tensor>, OpError> {
    // f64 holds every value of the narrower types.
    let wide = super::cast::convert(x, DType::F64)?;
    let truth = wide.values::<f64>()?.iter().map(|&x| u8::from(holds(x))).collect::<Vec<_>>();
    Ok(vec![collect(DType::Bool, shape, truth)?])
}

impl Operator for IsNaN {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        truth_type(args)
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        truth(&result_shape(self, inputs)?, operand(inputs, 0)?, f64::is_nan)
    }
}

impl Operator for IsInf {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        truth_type(args)
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        truth(&result_shape(self, inputs)?, operand(inputs, 0)?, |x| {
            x.is_infinite() && if x < 0.0 { self.detect_negative } else { self.detect_positive }
        })
    }
}

operator! {
    /// -1, 0 or 1 by the sign of each element; NaN stays.
    Sign {}
}

impl Operator for Sign {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let x = args.at(0)?;
        if x.dtype() == DType::Bool {
            return Err(OpError::invalid("a bool has no sign"));
        }
        Ok(vec![x.ty.clone()])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let x = operand(inputs, 0)?;
        if x.dtype().is_float() {
            let sign = |x: f64| if x == 0.0 || x.is_nan() { x } else { x.signum() };
            return Ok(vec![map_floats(x, sign)?]);
        }
        let signs: Vec<i8> = typed!(x.dtype(), T => {
            let zero = T::default();
            x.values::<T>()?.iter().map(|x| i8::from(*x > zero) - i8::from(*x < zero)).collect()
        });
        Ok(vec![super::cast::convert(&Tensor::from_slice(&shape, &signs)?, x.dtype())?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{b, case, check, f, i, refused};

    #[test]
    fn kinds_of_numbers() {
        let x = f(&[5], &[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -2.0, 0.0]);
        let positive = IsInf { detect_negative: false, detect_positive: true };
        check(vec![
            case(IsNaN {}, &[&x], &[b(&[5], &[1, 0, 0, 0, 0])]),
            case(IsInf { detect_negative: true, detect_positive: true }, &[&x], &[b(&[5], &[0, 1, 1, 0, 0])]),
            case(positive, &[&x], &[b(&[5], &[0, 1, 0, 0, 0])]),
            case(Sign {}, &[&x], &[f(&[5], &[f32::NAN, 1.0, -1.0, -1.0, 0.0])]),
            case(Sign {}, &[&i(&[3], &[i64::MIN, 0, 7])], &[i(&[3], &[-1, 0, 1])]),
            refused(Sign {}, &[&b(&[], &[1])]),
            refused(IsNaN {}, &[&i(&[], &[1])]),
        ]);
    }
}
