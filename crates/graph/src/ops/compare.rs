//! Comparisons of two operands with NumPy broadcasting.

use tilewise_tensor::{DType, Tensor};

use super::support::{broadcast_positions, broadcast_type, collect, operand, result_shape, typed};
use super::{Args, Operator};
use crate::attr::family;
use crate::{OpError, ValueType};

family! {
    /// `x ? y`, element by element after broadcasting; both operands hold the same element type. NaN compares false.
    Compare,
    /// A relation of two numbers.
    CompareFn {
        /// x = y
        Equal,
        /// x > y
        Greater,
        /// x >= y
        GreaterOrEqual,
        /// x < y
        Less,
        /// x <= y
        LessOrEqual,
    }
}

impl CompareFn {
    fn holds<T: PartialOrd>(self, x: &T, y: &T) -> bool {
        match self {
            CompareFn::Equal => x == y,
            CompareFn::Greater => x > y,
            CompareFn::GreaterOrEqual => x >= y,
            CompareFn::Less => x < y,
            CompareFn::LessOrEqual => x <= y,
        }
    }
}

impl Operator for Compare {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (x, y) = (args.at(0)?, args.at(1)?);
        if x.dtype() != y.dtype() {
            return Err(OpError::invalid(format!("no {} of {} and {}", self.0.name(), x.dtype(), y.dtype())));
        }
        Ok(vec![broadcast_type(&x, &y, DType::Bool)?])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let (x, y) = (operand(inputs, 0)?, operand(inputs, 1)?);
        let pairs = broadcast_positions(x.shape(), &shape).zip(broadcast_positions(y.shape(), &shape));
        typed!(x.dtype(), T => {
            let (a, b) = (x.values::<T>()?, y.values::<T>()?);
            let truth = pairs.map(|(i, j)| u8::from(self.0.holds(&a[i], &b[j])));
            Ok(vec![collect(DType::Bool, &shape, truth)?])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{b, case, check, f, i, refused};

    #[test]
    fn relations_broadcast_and_are_false_for_nan() {
        let (x, y) = (f(&[2, 1], &[1.0, f32::NAN]), f(&[3], &[0.0, 1.0, 2.0]));
        let rows = [
            (CompareFn::Equal, [0, 1, 0, 0, 0, 0]),
            (CompareFn::Greater, [1, 0, 0, 0, 0, 0]),
            (CompareFn::GreaterOrEqual, [1, 1, 0, 0, 0, 0]),
            (CompareFn::Less, [0, 0, 1, 0, 0, 0]),
            (CompareFn::LessOrEqual, [0, 1, 1, 0, 0, 0]),
        ];
        check(rows.map(|(op, truth)| case(Compare(op), &[&x, &y], &[b(&[2, 3], &truth)])).into());
        let large = i64::MAX;
        check(vec![
            case(Compare(CompareFn::Less), &[&i(&[1], &[large - 1]), &i(&[], &[large])], &[b(&[1], &[1])]),
            case(Compare(CompareFn::Equal), &[&b(&[2], &[0, 1]), &b(&[2], &[1, 1])], &[b(&[2], &[0, 1])]),
            refused(Compare(CompareFn::Equal), &[&x, &i(&[], &[1])]),
            refused(Compare(CompareFn::Equal), &[&x, &f(&[3, 1], &[0.0; 3])]),
            refused(Compare(CompareFn::Equal), &[&x]),
        ]);
    }
}
