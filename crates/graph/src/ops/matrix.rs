//! Diagonals of matrices: EyeLike and Trilu.

use tilewise_tensor::{DType, Tensor};

use super::cast::convert;
use super::movement::{pick_or, position};
use super::support::{int_or, known_args, operand, result_shape};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{OpError, ValueType};

operator! {
    /// Input: a matrix. Output, of its shape: ones on a diagonal, else zeros.
    EyeLike {
        /// Element type; none: that of the input.
        dtype: Option<DType> = None,
        /// Which diagonal: so many places to the right of the main one.
        k: i64 = 0,
    }
}

/// How far an element is to the right of the main diagonal.
fn diagonal(row: usize, column: usize) -> i64 {
    column as i64 - row as i64
}

impl Operator for EyeLike {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let x = args.at(0)?;
        if x.rank().is_some_and(|rank| rank != 2) {
            return Err(OpError::invalid(format!("{} is no matrix", x.ty)));
        }
        Ok(vec![ValueType { dtype: self.dtype.unwrap_or(x.dtype()), shape: x.ty.shape.clone() }])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let one = convert(&Tensor::scalar(1i64), self.dtype.unwrap_or(operand(inputs, 0)?.dtype()))?;
        Ok(vec![pick_or(&one, None, &shape, |index| (diagonal(index[0], index[1]) == self.k).then_some(0))?])
    }
}

operator! {
    /// Inputs: x, whose last two axes are matrices, optional k (i64). Output: the part of each matrix from diagonal k
    /// on to the right (`upper`), or up to it; else zeros.
    Trilu {
        /// Which part.
        upper: bool = true,
    }
}

impl Operator for Trilu {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let x = args.at(0)?;
        if x.rank().is_some_and(|rank| rank < 2) {
            return Err(OpError::invalid(format!("{} is no matrix", x.ty)));
        }
        int_or(args, 1, 0)?;
        Ok(vec![x.ty.clone()])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let x = operand(inputs, 0)?;
        let k = known_args(inputs, |args| int_or(args, 1, 0))?.unwrap_or(0);
        let (strides, row) = (tilewise_tensor::strides(&shape), shape.len() - 2);
        let source = |index: &[usize]| {
            let at = diagonal(index[row], index[row + 1]);
            let kept = if self.upper { at >= k } else { at <= k };
            kept.then(|| position(index, &strides))
        };
        Ok(vec![pick_or(x, None, &shape, source)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{b, case, check, f, i, iota, refused};

    #[test]
    fn diagonals() {
        let x = iota(&[1, 2, 3]);
        check(vec![
            case(EyeLike { dtype: None, k: 1 }, &[&iota(&[2, 3])], &[f(&[2, 3], &[0.0, 1.0, 0.0, 0.0, 0.0, 1.0])]),
            case(EyeLike { dtype: Some(DType::Bool), k: -1 }, &[&iota(&[2, 2])], &[b(&[2, 2], &[0, 0, 1, 0])]),
            case(EyeLike { dtype: None, k: i64::MIN }, &[&i(&[1, 1], &[5])], &[i(&[1, 1], &[0])]),
            refused(EyeLike { dtype: None, k: 0 }, &[&x]),
            case(Trilu { upper: true }, &[&x, &i(&[], &[1])], &[f(&[1, 2, 3], &[0.0, 1.0, 2.0, 0.0, 0.0, 5.0])]),
            case(Trilu { upper: false }, &[&x], &[f(&[1, 2, 3], &[0.0, 0.0, 0.0, 3.0, 4.0, 0.0])]),
            refused(Trilu { upper: true }, &[&iota(&[3])]),
            refused(Trilu { upper: true }, &[&x, &i(&[2], &[0, 0])]),
        ]);
    }
}
