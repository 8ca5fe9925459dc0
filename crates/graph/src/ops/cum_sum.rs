//! CumSum: running sums along an axis.

use std::num::Wrapping;
use std::ops::Add;

use tilewise_tensor::{DType, Tensor};

use super::numeric::{Lines, Numbers, expect_dtype, integers, output_type, reals};
use super::support::{ints, operand, resolve_axis};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{OpError, ValueType};

operator! {
    /// Inputs: x, axis (one i64 or i32, negative from the end). Output: for each element the sum of all up to it
    /// along the axis; integers wrap.
    CumSum {
        /// Leave the element itself out.
        exclusive: bool = false,
        /// Go from the end.
        reverse: bool = false,
    }
}

impl CumSum {
    fn run<T: Copy + Default + Add<Output = T>>(&self, lines: &Lines, values: &mut [T]) {
        lines.update(values, |line| {
            if self.reverse {
                line.reverse();
            }
            let mut sum = T::default();
            for x in line.iter_mut() {
                let with = sum + *x;
                *x = if self.exclusive { sum } else { with };
                sum = with;
            }
            if self.reverse {
                line.reverse();
            }
        });
    }
}

fn single(axis: &[i64]) -> Result<i64, OpError> {
    match axis {
        [axis] => Ok(*axis),
        axis => Err(OpError::invalid(format!("axis {axis:?}, expected one"))),
    }
}

impl Operator for CumSum {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (x, axis) = (args.at(0)?, args.at(1)?);
        if x.dtype() == DType::Bool {
            return Err(OpError::invalid("no sums of bools"));
        }
        expect_dtype(&axis, "axis", &[DType::I64, DType::I32])?;
        if let (Some(rank), Some(axis)) = (x.rank(), axis.ints()?) {
            resolve_axis(single(&axis)?, rank)?;
        }
        Ok(vec![x.ty.clone()])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let (dtype, shape) = output_type(self, inputs)?;
        let axis = resolve_axis(single(&ints(operand(inputs, 1)?)?)?, shape.len())?;
        let lines = Lines::along(&shape, &[axis]);
        let x = operand(inputs, 0)?;
        let y = if dtype.is_float() {
            let mut values = reals(x)?;
            self.run(&lines, &mut values);
            Numbers::Real(values)
        } else {
            let mut values: Vec<Wrapping<i128>> = integers(x)?.into_iter().map(Wrapping).collect();
            self.run(&lines, &mut values);
            Numbers::Int(values.into_iter().map(|x| x.0).collect())
        };
        Ok(vec![y.store(dtype, &shape)?])
    }
}
