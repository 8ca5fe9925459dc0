//! Reshape: the same elements under another shape.

use tilewise_tensor::Tensor;

use super::support::{ints, operand};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Inputs: data, shape (i64). In the shape, -1 stands for what is left over, and 0 for the data's own length at
    /// that place unless `allowzero`.
    Reshape {
        /// A zero in the shape is a length of zero.
        allowzero: bool = false,
    }
}

impl Operator for Reshape {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (data, target) = (args.at(0)?, args.at(1)?);
        if target.rank().is_some_and(|rank| rank != 1) {
            return Err(OpError::invalid(format!("the shape is {}, expected one axis", target.ty)));
        }
        let shape = match target.ints()? {
            Some(target) => match data.shape() {
                Some(shape) => Some(self.resolve(shape, &target)?),
                None => Some(target.iter().map(|&d| usize::try_from(d).map_or(Dim::Unknown, Dim::Known)).collect()),
            },
            // The length of the target is the rank of the result, where it can be one.
            None => {
                let rank = target.shape().and_then(|s| s.first()?.known()).filter(|&rank| rank < 1 << 10);
                rank.map(|rank| vec![Dim::Unknown; rank])
            }
        };
        Ok(vec![ValueType { dtype: data.dtype(), shape }])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let (data, target) = (operand(inputs, 0)?, operand(inputs, 1)?);
        let from: Vec<Dim> = data.shape().iter().map(|&n| Dim::Known(n)).collect();
        let shape: Option<Vec<usize>> = self.resolve(&from, &ints(target)?)?.iter().map(Dim::known).collect();
        let shape = shape.ok_or_else(|| OpError::invalid("the shape does not follow from the data"))?;
        Ok(vec![data.reshaped(&shape)?])
    }
}

impl Reshape {
    fn resolve(&self, from: &[Dim], target: &[i64]) -> Result<Vec<Dim>, OpError> {
        let mut left_over = None;
        let mut shape = Vec::with_capacity(target.len());
        for (axis, &length) in target.iter().enumerate() {
            shape.push(match (length, usize::try_from(length)) {
                (0, _) if !self.allowzero => from.get(axis).cloned().ok_or_else(|| {
                    OpError::invalid(format!("length 0 at axis {axis} copies an axis that the data does not have"))
                })?,
                (_, Ok(length)) => Dim::Known(length),
                (-1, _) if left_over.is_none() => {
                    left_over = Some(axis);
                    Dim::Unknown
                }
                _ => return Err(OpError::invalid(format!("{target:?} is no shape"))),
            });
        }
        let (mut have, mut want) = (from.to_vec(), shape.clone());
        if let Some(axis) = left_over {
            want.remove(axis);
        }
        cancel(&mut have, &mut want);
        let (have_rest, want_rest) = (product(&have), product(&want));
        if let (Some(have), Some(want)) = (have_rest, want_rest) {
            let fits = if left_over.is_some() { want != 0 && have.is_multiple_of(want) } else { have == want };
            if !fits {
                let shown = from.iter().map(Dim::to_string).collect::<Vec<_>>().join(",");
                return Err(OpError::invalid(format!("[{shown}] cannot take the shape {target:?}")));
            }
        }
        if let Some(axis) = left_over {
            // Everything but one symbol cancels: the free length is that symbol, or a number.
            shape[axis] = match (have.as_slice(), have_rest, want_rest) {
                (_, Some(have), Some(want)) => Dim::Known(have / want),
                ([rest], None, Some(1)) => rest.clone(),
                _ => Dim::Unknown,
            };
        }
        Ok(shape)
    }
}

/// Removes symbols that stand on both sides, and divides the numbers of both sides by each other where that goes.
fn cancel(have: &mut Vec<Dim>, want: &mut Vec<Dim>) {
    want.retain(|dim| match (dim, have.iter().position(|other| other == dim)) {
        (Dim::Symbol(_), Some(at)) => {
            have.remove(at);
            false
        }
        _ => true,
    });
    let numbers = |dims: &[Dim]| dims.iter().filter_map(Dim::known).try_fold(1usize, usize::checked_mul);
    if let (Some(have_number), Some(want_number)) = (numbers(have), numbers(want))
        && want_number != 0
        && have_number.is_multiple_of(want_number)
        && want.iter().all(|dim| dim.known().is_some())
        && have.iter().any(|dim| dim.known().is_none())
    {
        have.retain(|dim| dim.known().is_none());
        want.clear();
        if have_number != want_number {
            have.push(Dim::Known(have_number / want_number));
        }
    }
}

fn product(dims: &[Dim]) -> Option<usize> {
    dims.iter().try_fold(1usize, |n, dim| n.checked_mul(dim.known()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(from: &str, target: &[i64]) -> Result<String, OpError> {
        let from: Vec<Dim> =
            from.split(',').map(|d| d.parse().map_or_else(|_| Dim::Symbol(d.into()), Dim::Known)).collect();
        let shape = Reshape { allowzero: false }.resolve(&from, target)?;
        Ok(shape.iter().map(Dim::to_string).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn free_lengths_and_symbols_follow_from_the_data() {
        assert_eq!(resolve("2,3,4", &[-1, 4]).unwrap(), "6,4");
        assert_eq!(resolve("N,1280,1,1", &[0, -1]).unwrap(), "N,1280");
        assert_eq!(resolve("N,1280,1,1", &[-1, 1280]).unwrap(), "N,1280");
        assert_eq!(resolve("N,4,4", &[-1, 8]).unwrap(), "?,8");
        assert!(resolve("2,3", &[-1, 4]).is_err());
        assert!(resolve("2,3", &[-1, -1]).is_err());
        assert!(resolve("2,3", &[5]).is_err());
    }
}
