//! Range: numbers at equal distances.

use tilewise_tensor::{DType, Tensor};

use super::cast::convert;
use super::support::{collect, operand, result_shape};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Inputs: start, limit, delta (one number each, of one element type). Output: start, start + delta, .. up to,
    /// not with, limit.
    Range {}
}

/// One number of a type with or without fraction.
fn one(tensor: &Tensor, wide: DType) -> Result<Tensor, OpError> {
    if tensor.numel() != 1 {
        return Err(OpError::invalid(format!("{} numbers instead of one", tensor.numel())));
    }
    convert(tensor, wide)
}

fn integer(tensor: &Tensor) -> Result<i64, OpError> {
    Ok(one(tensor, DType::I64)?.values::<i64>()?[0])
}

fn float(tensor: &Tensor) -> Result<f64, OpError> {
    Ok(one(tensor, DType::F64)?.values::<f64>()?[0])
}

fn count(start: &Tensor, limit: &Tensor, delta: &Tensor) -> Result<usize, OpError> {
    let count = if start.dtype().is_float() {
        let steps = ((float(limit)? - float(start)?) / float(delta)?).ceil();
        // Neither a step of zero nor an infinite range comes to an end.
        steps.is_finite().then_some(steps.max(0.0) as usize)
    } else {
        // i128: no difference of two i64 overflows.
        let (delta, reach) = (i128::from(integer(delta)?), i128::from(integer(limit)?) - i128::from(integer(start)?));
        let steps = if delta < 0 { (-reach, -delta) } else { (reach, delta) };
        (delta != 0).then(|| if steps.0 <= 0 { 0 } else { (steps.0 + steps.1 - 1) / steps.1 } as usize)
    };
    count.ok_or_else(|| OpError::invalid("a range without end"))
}

impl Operator for Range {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (start, limit, delta) = (args.at(0)?, args.at(1)?, args.at(2)?);
        let dtype = start.dtype();
        if limit.dtype() != dtype || delta.dtype() != dtype || matches!(dtype, DType::Bool | DType::U64) {
            return Err(OpError::invalid(format!("no range of {dtype}, {} and {}", limit.dtype(), delta.dtype())));
        }
        let len = match (start.value, limit.value, delta.value) {
            (Some(start), Some(limit), Some(delta)) => Dim::Known(count(start, limit, delta)?),
            _ => Dim::Unknown,
        };
        Ok(vec![ValueType::new(dtype, vec![len])])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let (start, delta) = (operand(inputs, 0)?, operand(inputs, 2)?);
        let wide = if start.dtype().is_float() {
            let (first, step) = (float(start)?, float(delta)?);
            collect(DType::F64, &shape, (0..shape[0]).map(|i| first + i as f64 * step))?
        } else {
            let (first, step) = (integer(start)?, integer(delta)?);
            collect(DType::I64, &shape, (0..shape[0]).map(|i| first.wrapping_add((i as i64).wrapping_mul(step))))?
        };
        Ok(vec![convert(&wide, start.dtype())?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{case, check, f, i, refused};

    #[test]
    fn ranges_end_before_their_limit() {
        let (int, num) = (|n| i(&[], &[n]), |x| f(&[], &[x]));
        check(vec![
            case(Range {}, &[&int(1), &int(6), &int(2)], &[i(&[3], &[1, 3, 5])]),
            case(Range {}, &[&int(3), &int(0), &int(-2)], &[i(&[2], &[3, 1])]),
            case(Range {}, &[&int(3), &int(0), &int(1)], &[i(&[0], &[])]),
            case(
                Range {},
                &[&int(i64::MIN), &int(i64::MAX), &int(i64::MAX)],
                &[i(&[3], &[i64::MIN, -1, i64::MAX - 1])],
            ),
            case(Range {}, &[&num(0.0), &num(1.0), &num(0.3)], &[f(&[4], &[0.0, 0.3, 0.6, 0.9])]),
            refused(Range {}, &[&int(0), &int(1), &int(0)]),
            refused(Range {}, &[&num(0.0), &num(f32::INFINITY), &num(1.0)]),
            refused(Range {}, &[&num(0.0), &int(1), &int(1)]),
            refused(Range {}, &[&int(0), &i(&[2], &[1, 2]), &int(1)]),
        ]);
        let huge = Range {}.eval(&[Some(&int(0)), Some(&int(i64::MAX)), Some(&int(1))]);
        assert!(matches!(huge, Err(OpError::Tensor(_))));
    }
}
