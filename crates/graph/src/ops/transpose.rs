//! Transpose: axes in another order.

use tilewise_tensor::{Tensor, strides};

use super::movement::{pick, position};
use super::support::{operand, result_shape};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{OpError, ValueType};

operator! {
    /// Axis `i` of the output is axis `perm[i]` of the input.
    Transpose {
        /// The order of the axes; empty: reversed.
        perm: Vec<usize> = Vec::new(),
    }
}

impl Transpose {
    /// The order for so many axes.
    ///
    /// # Errors
    /// [`OpError::Invalid`] when `perm` is no order of them.
    pub fn order(&self, rank: usize) -> Result<Vec<usize>, OpError> {
        if self.perm.is_empty() {
            return Ok((0..rank).rev().collect());
        }
        let mut sorted = self.perm.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..rank) {
            return Err(OpError::invalid(format!("perm {:?} is no order of {rank} axes", self.perm)));
        }
        Ok(self.perm.clone())
    }
}

impl Operator for Transpose {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let x = args.at(0)?;
        let Some(shape) = x.shape() else { return Ok(vec![ValueType::unranked(x.dtype())]) };
        let order = self.order(shape.len())?;
        Ok(vec![ValueType::new(x.dtype(), order.iter().map(|&axis| shape[axis].clone()).collect())])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let x = operand(inputs, 0)?;
        let from = strides(x.shape());
        let steps: Vec<usize> = self.order(shape.len())?.into_iter().map(|axis| from[axis]).collect();
        Ok(vec![pick(x, &shape, |index| position(index, &steps))?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{b, case, check, f, iota, refused};

    #[test]
    fn axes_change_places() {
        let x = iota(&[1, 2, 3]);
        let columns = [0.0, 3.0, 1.0, 4.0, 2.0, 5.0];
        let to = |perm: &[usize]| Transpose { perm: perm.to_vec() };
        check(vec![
            case(to(&[]), &[&x], &[f(&[3, 2, 1], &columns)]),
            case(to(&[2, 0, 1]), &[&x], &[f(&[3, 1, 2], &columns)]),
            case(to(&[]), &[&iota(&[])], &[iota(&[])]),
            case(to(&[1, 0]), &[&b(&[2, 2], &[0, 1, 0, 0])], &[b(&[2, 2], &[0, 0, 1, 0])]),
            refused(to(&[0, 1]), &[&x]),
            refused(to(&[0, 1, 1]), &[&x]),
        ]);
    }
}
