//! ReverseSequence: the first part of each sequence of a batch, backwards.

use tilewise_tensor::{Tensor, strides};

use super::movement::{pick, position};
use super::support::{INDEX, expect_type, ints, list_len, merge_dims, operand, resolve_axis, result_shape};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Inputs: x, lengths (i64, one a sequence). The first so many places of each sequence come in reverse order.
    ReverseSequence {
        /// The axis that counts sequences.
        batch_axis: i64 = 1,
        /// The axis along a sequence.
        time_axis: i64 = 0,
    }
}

impl ReverseSequence {
    fn axes(&self, rank: usize) -> Result<(usize, usize), OpError> {
        let (batch, time) = (resolve_axis(self.batch_axis, rank)?, resolve_axis(self.time_axis, rank)?);
        if batch == time {
            return Err(OpError::invalid(format!("axis {batch} is both batch and time")));
        }
        Ok((batch, time))
    }
}

impl Operator for ReverseSequence {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (x, lengths) = (args.at(0)?, args.at(1)?);
        expect_type(&lengths, "the lengths", INDEX)?;
        if let Some(shape) = x.shape() {
            let (batch, _) = self.axes(shape.len())?;
            merge_dims(&shape[batch], &list_len(&lengths)?.map_or(Dim::Unknown, Dim::Known))?;
        }
        Ok(vec![x.ty.clone()])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let (x, (batch, time)) = (operand(inputs, 0)?, self.axes(shape.len())?);
        let length = |n: i64| {
            let wrong = || OpError::invalid(format!("a sequence of {n} places among {}", shape[time]));
            usize::try_from(n).ok().filter(|&n| n <= shape[time]).ok_or_else(wrong)
        };
        let lengths = ints(operand(inputs, 1)?)?.into_iter().map(length).collect::<Result<Vec<_>, _>>()?;
        let steps = strides(&shape);
        let source = |index: &[usize]| {
            let (now, end) = (index[time], lengths[index[batch]]);
            let from = if now < end { end - 1 - now } else { now };
            position(index, &steps) - now * steps[time] + from * steps[time]
        };
        Ok(vec![pick(x, &shape, source)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{case, check, f, i, iota, refused};

    #[test]
    fn the_first_places_come_backwards() {
        let (x, lengths) = (iota(&[3, 2]), i(&[2], &[3, 2]));
        let op = |batch_axis, time_axis| ReverseSequence { batch_axis, time_axis };
        check(vec![
            case(op(1, 0), &[&x, &lengths], &[f(&[3, 2], &[4.0, 3.0, 2.0, 1.0, 0.0, 5.0])]),
            case(op(0, 1), &[&x, &i(&[3], &[0, 1, 2])], &[f(&[3, 2], &[0.0, 1.0, 2.0, 3.0, 5.0, 4.0])]),
            refused(op(0, 1), &[&x, &lengths]),
            refused(op(1, 0), &[&x, &i(&[2], &[4, 0])]),
            refused(op(1, 0), &[&x, &i(&[2], &[-1, 0])]),
            refused(op(1, 1), &[&x, &lengths]),
        ]);
    }
}
