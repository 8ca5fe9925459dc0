//! Where: one of two elements by a condition.

use tilewise_tensor::{DType, Tensor};

use super::support::{broadcast_dims, broadcast_positions, buffer, expect_type, operand, result_shape};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{OpError, ValueType};

operator! {
    /// Inputs: condition (bool), x, y, which broadcast. Output: x where the condition is true, else y.
    Where {}
}

impl Operator for Where {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (condition, x, y) = (args.at(0)?, args.at(1)?, args.at(2)?);
        expect_type(&condition, "the condition", &[DType::Bool])?;
        if x.dtype() != y.dtype() {
            return Err(OpError::invalid(format!("one of {} and {} cannot be chosen", x.dtype(), y.dtype())));
        }
        let shape = match (condition.shape(), x.shape(), y.shape()) {
            (Some(condition), Some(x), Some(y)) => Some(broadcast_dims(&broadcast_dims(condition, x)?, y)?),
            _ => None,
        };
        Ok(vec![ValueType { dtype: x.dtype(), shape }])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let (condition, x, y) = (operand(inputs, 0)?, operand(inputs, 1)?, operand(inputs, 2)?);
        let size = x.dtype().size();
        let mut out = buffer(x.dtype(), &shape)?;
        let choices = broadcast_positions(condition.shape(), &shape)
            .zip(broadcast_positions(x.shape(), &shape).zip(broadcast_positions(y.shape(), &shape)));
        for (place, (c, (i, j))) in out.bytes_mut().chunks_exact_mut(size).zip(choices) {
            let (from, at) = if condition.bytes()[c] != 0 { (x, i) } else { (y, j) };
            place.copy_from_slice(&from.bytes()[at * size..(at + 1) * size]);
        }
        Ok(vec![Tensor::from_bytes(x.dtype(), &shape, out.into())?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{b, case, check, f, i, refused};

    #[test]
    fn three_operands_broadcast() {
        let (c, x, y) = (b(&[2, 1], &[0, 1]), i(&[3], &[1, 2, 3]), i(&[], &[9]));
        check(vec![
            case(Where {}, &[&c, &x, &y], &[i(&[2, 3], &[9, 9, 9, 1, 2, 3])]),
            refused(Where {}, &[&c, &x, &f(&[], &[9.0])]),
            refused(Where {}, &[&x, &x, &y]),
            refused(Where {}, &[&b(&[2], &[0, 1]), &x, &y]),
        ]);
    }
}
