//! Functions of truth values: And, Or, Xor with NumPy broadcasting, and Not.

use tilewise_tensor::{DType, Tensor};

use super::support::{broadcast_positions, broadcast_type, collect, expect_type, operand, result_shape};
use super::{Args, Operator};
use crate::attr::{family, operator};
use crate::{OpError, ValueType};

family! {
    /// A function of two bools, element by element after broadcasting.
    Logic,
    /// A function of two truth values.
    LogicFn {
        /// Both
        And,
        /// One or both
        Or,
        /// One, not both
        Xor,
    }
}

impl LogicFn {
    /// Of bytes that are 0 or 1.
    fn at(self, x: u8, y: u8) -> u8 {
        match self {
            LogicFn::And => x & y,
            LogicFn::Or => x | y,
            LogicFn::Xor => x ^ y,
        }
    }
}

impl Operator for Logic {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (x, y) = (args.at(0)?, args.at(1)?);
        expect_type(&x, "the first operand", &[DType::Bool])?;
        expect_type(&y, "the second operand", &[DType::Bool])?;
        Ok(vec![broadcast_type(&x, &y, DType::Bool)?])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let (x, y) = (operand(inputs, 0)?, operand(inputs, 1)?);
        let pairs = broadcast_positions(x.shape(), &shape).zip(broadcast_positions(y.shape(), &shape));
        let (a, b) = (x.bytes(), y.bytes());
        Ok(vec![collect(DType::Bool, &shape, pairs.map(|(i, j)| self.0.at(a[i], b[j])))?])
    }
}

operator! {
    /// The other truth value of each element.
    Not {}
}

impl Operator for Not {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let x = args.at(0)?;
        expect_type(&x, "the operand", &[DType::Bool])?;
        Ok(vec![x.ty.clone()])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let x = operand(inputs, 0)?;
        Ok(vec![collect(DType::Bool, &shape, x.bytes().iter().map(|&x| u8::from(x == 0)))?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{b, case, check, i, refused};

    #[test]
    fn truth_tables() {
        let (x, y) = (b(&[2, 1], &[0, 1]), b(&[2], &[0, 1]));
        check(vec![
            case(Logic(LogicFn::And), &[&x, &y], &[b(&[2, 2], &[0, 0, 0, 1])]),
            case(Logic(LogicFn::Or), &[&x, &y], &[b(&[2, 2], &[0, 1, 1, 1])]),
            case(Logic(LogicFn::Xor), &[&x, &y], &[b(&[2, 2], &[0, 1, 1, 0])]),
            case(Not {}, &[&x], &[b(&[2, 1], &[1, 0])]),
            refused(Logic(LogicFn::Or), &[&x, &i(&[], &[1])]),
            refused(Not {}, &[&i(&[], &[1])]),
        ]);
    }
}
