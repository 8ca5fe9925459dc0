//! ArgMax and ArgMin: where the largest or smallest element along an axis stands.

use tilewise_tensor::{DType, Tensor};

use super::numeric::{Lines, Numbers, output_type, store_integers};
use super::reduce::reduced;
use super::support::{operand, resolve_axis};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

macro_rules! rows {
    ($($(#[$meta:meta])* $name:ident: |$new:ident, $held:ident| $better:expr;)*) => {
        $(operator! {
            $(#[$meta])*
            $name {
                /// The axis to go along; negative counts from the end.
                axis: i64 = 0,
                /// Keep the axis with length 1.
                keepdims: bool = true,
                /// Of equal elements take the last, not the first.
                select_last_index: bool = false,
            }
        }

        impl Operator for $name {
            fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
                infer(args, self.axis, self.keepdims)
            }

            fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
                let (dtype, shape) = output_type(self, inputs)?;
                let data = operand(inputs, 0)?;
                let lines = Lines::along(data.shape(), &[resolve_axis(self.axis, data.shape().len())?]);
                let last = self.select_last_index;
                let places = match Numbers::of(data)? {
                    Numbers::Real(xs) => best(&lines, &xs, last, |$new, $held| $better),
                    Numbers::Int(xs) => best(&lines, &xs, last, |$new, $held| $better),
                };
                Ok(vec![store_integers(dtype, &shape, &places)?])
            }
        })*
    };
}

rows! {
    /// Input: data. Output: the index of the largest element along an axis, i64; NaN is larger than all.
    ArgMax: |new, held| new > held;
    /// Input: data. Output: the index of the smallest element along an axis, i64; NaN is smaller than all.
    ArgMin: |new, held| new < held;
}

fn infer(args: &Args<'_>, axis: i64, keepdims: bool) -> Result<Vec<ValueType>, OpError> {
    let data = args.at(0)?;
    if data.dtype() == DType::Bool {
        return Err(OpError::invalid("bools have no order"));
    }
    let Some(shape) = data.shape() else { return Ok(vec![ValueType::unranked(DType::I64)]) };
    let axis = resolve_axis(axis, shape.len())?;
    if shape[axis] == Dim::Known(0) {
        return Err(OpError::invalid(format!("axis {axis} of {} has no element", data.ty)));
    }
    Ok(vec![ValueType::new(DType::I64, reduced(shape, &[axis], keepdims, Dim::Known(1)))])
}

fn best<T: PartialOrd + Copy>(lines: &Lines, xs: &[T], last: bool, better: impl Fn(T, T) -> bool) -> Vec<i128> {
    let is_nan = |x: T| x.partial_cmp(&x).is_none();
    let index = |line: Vec<T>| {
        let wins = |new: T, held: T| match (is_nan(new), is_nan(held)) {
            (false, false) => better(new, held) || (last && new == held),
            (new, held) => new && (last || !held),
        };
        (0..line.len()).reduce(|best, i| if wins(line[i], line[best]) { i } else { best }).unwrap_or(0) as i128
    };
    lines.gather(xs).map(index).collect()
}
