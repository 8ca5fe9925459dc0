//! TopK: the largest or smallest elements along an axis.

use std::cmp::Ordering;

use tilewise_tensor::{DType, Tensor, strides};

use super::movement::{each_index, pick, position};
use super::support::{INDEX, buffer, collect, expect_type, int_or, operand, resolve_axis, result_shapes, typed};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Inputs: x, k (i64, one number). Outputs: the k largest (or smallest) elements along the axis, the first ones
    /// first, and their places (i64). Of equal elements the one at the lower place is taken; NaN is above all numbers.
    TopK {
        /// The axis; negative counts from the end.
        axis: i64 = -1,
        /// The largest, not the smallest.
        largest: bool = true,
        /// They must come in order; they always do.
        sorted: bool = true,
    }
}

/// An order of all elements, NaN above all numbers.
fn order<T: PartialOrd>(a: &T, b: &T) -> Ordering {
    let is_nan = |x: &T| x.partial_cmp(x).is_none();
    a.partial_cmp(b).unwrap_or_else(|| is_nan(a).cmp(&is_nan(b)))
}

impl Operator for TopK {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (x, k) = (args.at(0)?, args.at(1)?);
        expect_type(&k, "k", INDEX)?;
        let wrong = |k: i64| OpError::invalid(format!("{k} elements of {} along axis {}", x.ty, self.axis));
        let k = int_or(args, 1, 0)?.map(|k| usize::try_from(k).map_err(|_| wrong(k))).transpose()?;
        let shape = match x.shape() {
            None => None,
            Some(shape) => {
                let axis = resolve_axis(self.axis, shape.len())?;
                if let Some(k) = k.filter(|&k| shape[axis].known().is_some_and(|n| k > n)) {
                    return Err(wrong(k as i64));
                }
                let mut shape = shape.to_vec();
                shape[axis] = k.map_or(Dim::Unknown, Dim::Known);
                Some(shape)
            }
        };
        Ok(vec![ValueType { dtype: x.dtype(), shape: shape.clone() }, ValueType { dtype: DType::I64, shape }])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shapes(self, inputs)?.swap_remove(0);
        let x = operand(inputs, 0)?;
        let axis = resolve_axis(self.axis, shape.len())?;
        let (steps, k) = (strides(x.shape()), shape[axis]);
        let mut lines = shape.clone();
        lines[axis] = usize::from(k > 0);
        let mut places = buffer(DType::I64, &shape)?;
        let out = places.as_mut_slice::<i64>();
        let out_steps = strides(&shape);
        typed!(x.dtype(), T => {
            let values = x.values::<T>()?;
            each_index(&lines, |line| {
                let (start, to) = (position(line, &steps), position(line, &out_steps));
                let mut order_of: Vec<usize> = (0..x.shape()[axis]).collect();
                order_of.sort_by(|&a, &b| {
                    let upwards = order(&values[start + a * steps[axis]], &values[start + b * steps[axis]]);
                    if self.largest { upwards.reverse() } else { upwards }
                });
                for (i, &place) in order_of[..k].iter().enumerate() {
                    out[to + i * out_steps[axis]] = place as i64;
                }
            });
        });
        let mut next = out.iter();
        let found = pick(x, &shape, |index| {
            let place = next.next().map_or(0, |&place| place as usize);
            position(index, &steps) - index[axis] * steps[axis] + place * steps[axis]
        })?;
        Ok(vec![found, collect(DType::I64, &shape, out.iter().copied())?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{case, check, f, i, refused};

    #[test]
    fn the_first_of_equals_and_nan_first() {
        let x = f(&[2, 4], &[3.0, 1.0, 3.0, f32::NAN, 0.0, -1.0, 2.0, 2.0]);
        let op = |axis, largest| TopK { axis, largest, sorted: true };
        check(vec![
            case(
                op(-1, true),
                &[&x, &i(&[1], &[3])],
                &[f(&[2, 3], &[f32::NAN, 3.0, 3.0, 2.0, 2.0, 0.0]), i(&[2, 3], &[3, 0, 2, 2, 3, 0])],
            ),
            case(op(1, false), &[&x, &i(&[1], &[2])], &[f(&[2, 2], &[1.0, 3.0, -1.0, 0.0]), i(&[2, 2], &[1, 0, 1, 0])]),
            case(
                op(0, true),
                &[&i(&[2, 2], &[1, 9, 5, 2]), &i(&[1], &[1])],
                &[i(&[1, 2], &[5, 9]), i(&[1, 2], &[1, 0])],
            ),
            case(op(0, true), &[&x, &i(&[1], &[0])], &[f(&[0, 4], &[]), i(&[0, 4], &[])]),
            refused(op(0, true), &[&x, &i(&[1], &[3])]),
            refused(op(0, true), &[&x, &i(&[1], &[-1])]),
            refused(op(2, true), &[&x, &i(&[1], &[1])]),
            refused(op(0, true), &[&x, &i(&[2], &[1, 1])]),
        ]);
    }
}
