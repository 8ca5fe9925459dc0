//! Concat and Split: tensors joined and cut along one axis.

use tilewise_tensor::Tensor;

use super::movement::{pick, position};
use super::support::{buffer, ints_or, list_len, merge_dims, operand, resolve_axis, result_shape, result_shapes};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Inputs: one or more tensors of one element type that differ along one axis only. Output: them, one after the
    /// other.
    Concat {
        /// The axis; negative counts from the end.
        axis: i64,
    }
}

impl Operator for Concat {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let first = args.at(0)?;
        let mut joined: Option<Vec<Dim>> = None;
        let mut open = false;
        for index in 0..args.len() {
            let next = args.at(index)?;
            if next.dtype() != first.dtype() {
                return Err(OpError::invalid(format!("{} and {} cannot be joined", first.ty, next.ty)));
            }
            let Some(shape) = next.shape() else {
                open = true;
                continue;
            };
            let axis = resolve_axis(self.axis, shape.len())?;
            joined = Some(match joined {
                None => shape.to_vec(),
                Some(sum) => join(&sum, shape, axis)?,
            });
        }
        // An input of unknown rank has an unknown length along the axis; the other lengths are those of the rest.
        if open && let Some(shape) = &mut joined {
            let axis = resolve_axis(self.axis, shape.len())?;
            shape[axis] = Dim::Unknown;
        }
        Ok(vec![ValueType { dtype: first.dtype(), shape: joined }])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let parts = (0..inputs.len()).map(|i| operand(inputs, i)).collect::<Result<Vec<_>, _>>()?;
        let (axis, dtype) = (resolve_axis(self.axis, shape.len())?, parts[0].dtype());
        let mut out = buffer(dtype, &shape)?;
        let outer: usize = shape[..axis].iter().product();
        let (bytes, mut at) = (out.bytes_mut(), 0);
        for row in 0..outer {
            for part in &parts {
                let length = part.bytes().len() / outer;
                bytes[at..at + length].copy_from_slice(&part.bytes()[row * length..(row + 1) * length]);
                at += length;
            }
        }
        Ok(vec![Tensor::from_bytes(dtype, &shape, out.into())?])
    }
}

fn join(a: &[Dim], b: &[Dim], axis: usize) -> Result<Vec<Dim>, OpError> {
    if a.len() != b.len() {
        return Err(OpError::invalid(format!("tensors of {} and {} axes cannot be joined", a.len(), b.len())));
    }
    let length = |(at, (a, b)): (usize, (&Dim, &Dim))| {
        if at != axis {
            return merge_dims(a, b);
        }
        Ok(match (a, b) {
            (Dim::Known(0), other) | (other, Dim::Known(0)) => other.clone(),
            (a, b) => a.known().zip(b.known()).and_then(|(a, b)| a.checked_add(b)).map_or(Dim::Unknown, Dim::Known),
        })
    };
    a.iter().zip(b).enumerate().map(length).collect()
}

operator! {
    /// Inputs: data, optional split (i64 lengths, one an output). Without split, `num_outputs` parts of equal length,
    /// the last one shorter.
    Split {
        /// The axis; negative counts from the end.
        axis: i64 = 0,
        /// How many outputs, where split does not say.
        num_outputs: Option<usize> = None,
    }
}

/// More outputs than a node of any model has: a limit against sizes that no memory holds.
const MOST_OUTPUTS: usize = 1 << 16;

impl Split {
    /// The lengths of the outputs along the axis, as far as known.
    fn lengths(&self, args: &Args<'_>, whole: &Dim) -> Result<Vec<Dim>, OpError> {
        let wrong = |what: String| Err(OpError::invalid(what));
        let Some(split) = args.get(1) else {
            let Some(count) = self.num_outputs.filter(|count| (1..MOST_OUTPUTS).contains(count)) else {
                return wrong(format!("neither split nor a possible num_outputs: {:?}", self.num_outputs));
            };
            let Some(whole) = whole.known() else { return Ok(vec![Dim::Unknown; count]) };
            let each = whole.div_ceil(count);
            return Ok((0..count).map(|i| Dim::Known(whole.saturating_sub(i * each).min(each))).collect());
        };
        let count = list_len(&split)?;
        let Some(lengths) = ints_or(args, 1, &[])? else {
            return match count.or(self.num_outputs) {
                Some(count) if count < MOST_OUTPUTS => Ok(vec![Dim::Unknown; count]),
                count => {
                    Err(OpError::unsupported(format!("a split into an unknown or absurd number of parts: {count:?}")))
                }
            };
        };
        let parts: Option<Vec<usize>> = lengths.iter().map(|&n| usize::try_from(n).ok()).collect();
        let sum = parts.as_ref().and_then(|parts| parts.iter().try_fold(0usize, |sum, &n| sum.checked_add(n)));
        match (parts, sum) {
            (Some(parts), Some(sum)) if whole.known().is_none_or(|whole| whole == sum) => {
                Ok(parts.into_iter().map(Dim::Known).collect())
            }
            _ => wrong(format!("length {whole} cannot be split into {lengths:?}")),
        }
    }
}

impl Operator for Split {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let data = args.at(0)?;
        let Some(shape) = data.shape() else {
            let count = self.lengths(args, &Dim::Unknown)?.len();
            return Ok(vec![ValueType::unranked(data.dtype()); count]);
        };
        let axis = resolve_axis(self.axis, shape.len())?;
        let part = |length| {
            let mut shape = shape.to_vec();
            shape[axis] = length;
            ValueType::new(data.dtype(), shape)
        };
        Ok(self.lengths(args, &shape[axis])?.into_iter().map(part).collect())
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shapes = result_shapes(self, inputs)?;
        let data = operand(inputs, 0)?;
        let axis = resolve_axis(self.axis, data.shape().len())?;
        let strides = tilewise_tensor::strides(data.shape());
        let mut start = 0;
        let part = |shape: &Vec<usize>| {
            let base = start * strides[axis];
            start += shape[axis];
            pick(data, shape, |index| base + position(index, &strides))
        };
        shapes.iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{case, check, f, i, iota, refused};

    #[test]
    fn tensors_are_joined_along_any_axis() {
        let (x, y) = (iota(&[2, 2]), f(&[2, 1], &[8.0, 9.0]));
        check(vec![
            case(Concat { axis: -1 }, &[&x, &y], &[f(&[2, 3], &[0.0, 1.0, 8.0, 2.0, 3.0, 9.0])]),
            case(Concat { axis: 0 }, &[&x, &f(&[0, 2], &[]), &x], &[f(&[4, 2], &[0., 1., 2., 3., 0., 1., 2., 3.])]),
            case(Concat { axis: 1 }, &[&f(&[0, 2], &[])], &[f(&[0, 2], &[])]),
            refused(Concat { axis: 0 }, &[&x, &y]),
            refused(Concat { axis: 2 }, &[&x]),
            refused(Concat { axis: 0 }, &[&x, &i(&[2, 2], &[0; 4])]),
            refused(Concat { axis: 0 }, &[]),
        ]);
    }

    #[test]
    fn data_is_cut_into_given_or_equal_parts() {
        let x = iota(&[2, 3]);
        let (left, right) = (f(&[2, 2], &[0.0, 1.0, 3.0, 4.0]), f(&[2, 1], &[2.0, 5.0]));
        let split = |axis, num_outputs| Split { axis, num_outputs };
        check(vec![
            case(split(1, None), &[&x, &i(&[2], &[2, 1])], &[left.clone(), right.clone()]),
            case(split(-1, Some(2)), &[&x], &[left, right]),
            case(split(0, Some(3)), &[&i(&[2], &[5, 6])], &[i(&[1], &[5]), i(&[1], &[6]), i(&[0], &[])]),
            refused(split(1, None), &[&x]),
            refused(split(1, Some(0)), &[&x]),
            refused(split(1, Some(usize::MAX)), &[&x]),
            refused(split(1, None), &[&x, &i(&[2], &[2, 2])]),
            refused(split(1, None), &[&x, &i(&[2], &[-1, 4])]),
            refused(split(1, None), &[&x, &i(&[3], &[i64::MAX, i64::MAX, 5])]),
        ]);
    }
}
