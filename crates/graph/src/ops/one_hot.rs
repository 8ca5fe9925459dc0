//! OneHot: an index as the place of one value among others.

use tilewise_tensor::{DType, Tensor};

use super::cast::convert;
use super::movement::{pick, position};
use super::support::{operand, resolve_axis, result_shape};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Inputs: indices, depth (one number), values `[off, on]`. Output: the indices' axes and one more of length
    /// depth, along which the place that the index names is on and all others are off. Negative indices count from the
    /// end; an index outside is nowhere on.
    OneHot {
        /// The new axis, of the output; negative counts from the end.
        axis: i64 = -1,
    }
}

impl Operator for OneHot {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (indices, depth, values) = (args.at(0)?, args.at(1)?, args.at(2)?);
        if values.ty.known_shape().is_some_and(|shape| shape != [2]) {
            return Err(OpError::invalid(format!("values {} instead of off and on", values.ty)));
        }
        if depth.ty.numel().is_some_and(|n| n != 1) {
            return Err(OpError::invalid(format!("a depth of {}", depth.ty)));
        }
        let length = match depth.value {
            None => Dim::Unknown,
            Some(depth) => {
                let depth = convert(depth, DType::I64)?.values::<i64>()?[0];
                Dim::Known(usize::try_from(depth).map_err(|_| OpError::invalid(format!("a depth of {depth}")))?)
            }
        };
        let Some(shape) = indices.shape() else { return Ok(vec![ValueType::unranked(values.dtype())]) };
        let axis = resolve_axis(self.axis, shape.len() + 1)?;
        let mut shape = shape.to_vec();
        shape.insert(axis, length);
        Ok(vec![ValueType::new(values.dtype(), shape)])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let (indices, values) = (convert(operand(inputs, 0)?, DType::I64)?, operand(inputs, 2)?);
        let axis = resolve_axis(self.axis, shape.len())?;
        let mut steps = tilewise_tensor::strides(indices.shape());
        steps.insert(axis, 0);
        let (indices, depth) = (indices.values::<i64>()?, shape[axis] as i64);
        let source = |index: &[usize]| {
            let hot = indices[position(index, &steps)];
            let place = index[axis] as i64;
            usize::from(place == if hot < 0 { hot.saturating_add(depth) } else { hot })
        };
        Ok(vec![pick(values, &shape, source)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{case, check, f, i, refused};

    #[test]
    fn one_place_is_on() {
        let (x, depth, values) = (i(&[3], &[1, -1, 3]), i(&[], &[3]), f(&[2], &[0.0, 5.0]));
        let op = |axis| OneHot { axis };
        check(vec![
            case(op(-1), &[&x, &depth, &values], &[f(&[3, 3], &[0., 5., 0., 0., 0., 5., 0., 0., 0.])]),
            case(op(0), &[&x, &depth, &values], &[f(&[3, 3], &[0., 0., 0., 5., 0., 0., 0., 5., 0.])]),
            case(op(0), &[&i(&[], &[i64::MIN]), &f(&[1], &[2.0]), &i(&[2], &[8, 9])], &[i(&[2], &[8, 8])]),
            refused(op(2), &[&x, &depth, &values]),
            refused(op(0), &[&x, &i(&[], &[-1]), &values]),
            refused(op(0), &[&x, &x, &values]),
            refused(op(0), &[&x, &depth, &f(&[3], &[0.0; 3])]),
        ]);
        let huge = op(0).eval(&[Some(&x), Some(&i(&[], &[i64::MAX])), Some(&values)]);
        assert!(matches!(huge, Err(OpError::Tensor(_))));
    }
}
