//! How many is decided by the data: NonZero and Compress.

use tilewise_tensor::{DType, Tensor, strides};

use super::cast::convert;
use super::movement::{pick, position};
use super::support::{collect, expect_type, list_len, operand, product_dims, resolve_axis, result_shape};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Input: data. Output i64 `[rank, count]`: the indices of the elements that are not zero, one in each column, in
    /// row-major order.
    NonZero {}
}

/// The positions of the elements that are not zero.
fn truths(x: &Tensor) -> Result<Vec<usize>, OpError> {
    let truth = convert(x, DType::Bool)?;
    Ok(truth.bytes().iter().enumerate().filter(|(_, byte)| **byte != 0).map(|(at, _)| at).collect())
}

impl Operator for NonZero {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let x = args.at(0)?;
        let count = x.value.map(truths).transpose()?.map_or(Dim::Unknown, |found| Dim::Known(found.len()));
        Ok(vec![ValueType::new(DType::I64, vec![x.rank().map_or(Dim::Unknown, Dim::Known), count])])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let x = operand(inputs, 0)?;
        let (found, steps) = (truths(x)?, strides(x.shape()));
        let index = |axis: usize| found.iter().map(move |at| (at, axis));
        let values = (0..shape[0]).flat_map(index).map(|(at, axis)| (at / steps[axis] % x.shape()[axis]) as i64);
        Ok(vec![collect(DType::I64, &shape, values)?])
    }
}

operator! {
    /// Inputs: data, condition (bool list, not longer than the axis). Output: the slices along the axis where the
    /// condition is true; without an axis, the elements of the data as a list.
    Compress {
        /// The axis; negative counts from the end.
        axis: Option<i64> = None,
    }
}

impl Operator for Compress {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (data, condition) = (args.at(0)?, args.at(1)?);
        expect_type(&condition, "the condition", &[DType::Bool])?;
        let length = list_len(&condition)?;
        let count = condition.value.map(truths).transpose()?.map_or(Dim::Unknown, |found| Dim::Known(found.len()));
        let longer = |whole: &Dim| {
            let longer = whole.known().zip(length).is_some_and(|(whole, length)| length > whole);
            if longer { Err(OpError::invalid("the condition is longer than the axis")) } else { Ok(()) }
        };
        let shape = match (self.axis, data.shape()) {
            (None, shape) => {
                longer(&shape.map_or(Dim::Unknown, product_dims))?;
                Some(vec![count])
            }
            (Some(_), None) => None,
            (Some(axis), Some(shape)) => {
                let axis = resolve_axis(axis, shape.len())?;
                longer(&shape[axis])?;
                let mut shape = shape.to_vec();
                shape[axis] = count;
                Some(shape)
            }
        };
        Ok(vec![ValueType { dtype: data.dtype(), shape }])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let (data, found) = (operand(inputs, 0)?, truths(operand(inputs, 1)?)?);
        let Some(axis) = self.axis else { return Ok(vec![pick(data, &shape, |index| found[index[0]])?]) };
        let (axis, from) = (resolve_axis(axis, shape.len())?, strides(data.shape()));
        let source =
            |index: &[usize]| position(index, &from) - index[axis] * from[axis] + found[index[axis]] * from[axis];
        Ok(vec![pick(data, &shape, source)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{b, case, check, f, i, iota, refused};

    #[test]
    fn indices_of_what_is_not_zero() {
        check(vec![
            case(NonZero {}, &[&i(&[2, 2], &[1, 0, 5, -1])], &[i(&[2, 3], &[0, 1, 1, 0, 0, 1])]),
            case(NonZero {}, &[&f(&[2], &[f32::NAN, 0.0])], &[i(&[1, 1], &[0])]),
            case(NonZero {}, &[&b(&[], &[1])], &[i(&[0, 1], &[])]),
            case(NonZero {}, &[&f(&[0, 2], &[])], &[i(&[2, 0], &[])]),
        ]);
    }

    #[test]
    fn slices_where_the_condition_holds() {
        let (x, condition) = (iota(&[3, 2]), b(&[2], &[0, 1]));
        check(vec![
            case(Compress { axis: Some(0) }, &[&x, &condition], &[f(&[1, 2], &[2.0, 3.0])]),
            case(Compress { axis: Some(-1) }, &[&x, &condition], &[f(&[3, 1], &[1.0, 3.0, 5.0])]),
            case(Compress { axis: None }, &[&x, &b(&[5], &[0, 1, 0, 0, 1])], &[f(&[2], &[1.0, 4.0])]),
            refused(Compress { axis: Some(1) }, &[&x, &b(&[3], &[0, 0, 0])]),
            refused(Compress { axis: Some(2) }, &[&x, &condition]),
            refused(Compress { axis: None }, &[&x, &x]),
        ]);
    }
}
