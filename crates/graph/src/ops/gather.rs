//! Elements chosen by indices: Gather, GatherElements and GatherND. Negative indices count from the end.

use tilewise_tensor::{Tensor, strides};

use super::movement::{pick, position};
use super::support::{
    INDEX, expect_type, ints, merge_dims, operand, resolve_axis, resolve_index, resolve_indices, result_shape,
};
use super::{Arg, Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Inputs: data, indices. Output: the slices of the data along one axis that the indices name; the axes of the
    /// indices stand in place of that axis.
    Gather {
        /// The axis; negative counts from the end.
        axis: i64 = 0,
    }
}

/// The types and shapes of data and indices; no shapes where one of them is not known.
fn operands<'a>(args: &Args<'a>) -> Result<(Arg<'a>, Option<(&'a [Dim], &'a [Dim])>), OpError> {
    let (data, indices) = (args.at(0)?, args.at(1)?);
    expect_type(&indices, "indices", INDEX)?;
    Ok((data, data.shape().zip(indices.shape())))
}

impl Operator for Gather {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (data, shapes) = operands(args)?;
        let Some((shape, indices)) = shapes else { return Ok(vec![ValueType::unranked(data.dtype())]) };
        let axis = resolve_axis(self.axis, shape.len())?;
        Ok(vec![ValueType::new(data.dtype(), [&shape[..axis], indices, &shape[axis + 1..]].concat())])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let (data, indices) = (operand(inputs, 0)?, operand(inputs, 1)?);
        let axis = resolve_axis(self.axis, data.shape().len())?;
        let places = resolve_indices(indices, data.shape()[axis])?;
        let (from, of_index) = (strides(data.shape()), strides(indices.shape()));
        let source = |index: &[usize]| {
            let (before, rest) = index.split_at(axis);
            let (chosen, after) = rest.split_at(of_index.len());
            let place = places[position(chosen, &of_index)];
            position(before, &from) + place * from[axis] + position(after, &from[axis + 1..])
        };
        Ok(vec![pick(data, &shape, source)?])
    }
}

operator! {
    /// Inputs: data, indices of as many axes. Output, shaped as the indices: at each place the element of the data at
    /// the same place, but along one axis at the index.
    GatherElements {
        /// The axis; negative counts from the end.
        axis: i64 = 0,
    }
}

/// Checks that indices have as many axes as data, and lengths that are not larger but along `axis`.
pub(super) fn check_elementwise(data: &[Dim], indices: &[Dim], axis: i64) -> Result<(), OpError> {
    let axis = resolve_axis(axis, data.len())?;
    let larger = |at: usize| data[at].known().zip(indices[at].known()).is_some_and(|(d, i)| i > d);
    if data.len() != indices.len() || (0..data.len()).any(|at| at != axis && larger(at)) {
        return Err(OpError::invalid("the indices have other axes than the data"));
    }
    Ok(())
}

impl Operator for GatherElements {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (data, shapes) = operands(args)?;
        if let Some((shape, indices)) = shapes {
            check_elementwise(shape, indices, self.axis)?;
        }
        Ok(vec![ValueType { dtype: data.dtype(), shape: args.at(1)?.ty.shape.clone() }])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let (data, indices) = (operand(inputs, 0)?, operand(inputs, 1)?);
        let axis = resolve_axis(self.axis, shape.len())?;
        let mut places = resolve_indices(indices, data.shape()[axis])?.into_iter();
        let from = strides(data.shape());
        let source = |index: &[usize]| {
            let place = places.next().unwrap_or(0);
            position(&index[..axis], &from) + place * from[axis] + position(&index[axis + 1..], &from[axis + 1..])
        };
        Ok(vec![pick(data, &shape, source)?])
    }
}

operator! {
    /// Inputs: data, indices whose last axis holds the first places of a slice of the data. Output: the slices, under
    /// the other axes of the indices.
    GatherND {
        /// So many first axes are shared by data and indices.
        batch_dims: usize = 0,
    }
}

impl Operator for GatherND {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (data, shapes) = operands(args)?;
        let unranked = vec![ValueType::unranked(data.dtype())];
        let Some((shape, indices)) = shapes else { return Ok(unranked) };
        let wrong = || OpError::invalid(format!("{} names no slices of {}", shown(indices), data.ty));
        let (depth, places) = indices.split_last().ok_or_else(wrong)?;
        if self.batch_dims > places.len() || self.batch_dims > shape.len() {
            return Err(wrong());
        }
        let mut out = places.to_vec();
        for axis in 0..self.batch_dims {
            out[axis] = merge_dims(&places[axis], &shape[axis])?;
        }
        let Some(depth) = depth.known() else { return Ok(unranked) };
        let start = depth.checked_add(self.batch_dims).ok_or_else(wrong)?;
        out.extend_from_slice(shape.get(start..).ok_or_else(wrong)?);
        Ok(vec![ValueType::new(data.dtype(), out)])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let (data, indices) = (operand(inputs, 0)?, operand(inputs, 1)?);
        let places = slice_starts(data, indices, self.batch_dims)?;
        let (from, outer) = (strides(data.shape()), indices.shape().len() - 1);
        let inner = &from[from.len() - (shape.len() - outer)..];
        let of_place = strides(&shape[..outer]);
        let source = |index: &[usize]| places[position(&index[..outer], &of_place)] + position(&index[outer..], inner);
        Ok(vec![pick(data, &shape, source)?])
    }
}

fn shown(dims: &[Dim]) -> String {
    format!("[{}]", dims.iter().map(Dim::to_string).collect::<Vec<_>>().join(","))
}

/// The position in `data` of the first element of each slice that the last axis of `indices` names, after
/// `batch_dims` axes that both share. The last axis must not name more axes than there are.
pub(super) fn slice_starts(data: &Tensor, indices: &Tensor, batch_dims: usize) -> Result<Vec<usize>, OpError> {
    let (lengths, steps) = (data.shape(), strides(data.shape()));
    let (&depth, outer) = indices.shape().split_last().ok_or_else(|| OpError::invalid("indices without axes"))?;
    let batch_size: usize = outer[batch_dims..].iter().product();
    // The shared axes are the first of both: their number is the batch, whose slices follow each other.
    let batch_step: usize = lengths[batch_dims..].iter().product();
    let values = ints(indices)?;
    let count: usize = outer.iter().product();
    (0..count)
        .map(|place| {
            let index = &values[place * depth..(place + 1) * depth];
            index.iter().enumerate().try_fold(place / batch_size * batch_step, |sum, (i, &at)| {
                let axis = batch_dims + i;
                Ok(sum + resolve_index(at, lengths[axis])? * steps[axis])
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{case, check, f, i, iota, refused};

    #[test]
    fn slices_by_index() {
        let x = iota(&[3, 2]);
        check(vec![
            case(Gather { axis: 0 }, &[&x, &i(&[1, 2], &[2, -3])], &[f(&[1, 2, 2], &[4.0, 5.0, 0.0, 1.0])]),
            case(Gather { axis: 1 }, &[&x, &i(&[], &[1])], &[f(&[3], &[1.0, 3.0, 5.0])]),
            case(Gather { axis: -1 }, &[&x, &i(&[0], &[])], &[f(&[3, 0], &[])]),
            refused(Gather { axis: 0 }, &[&x, &i(&[1], &[3])]),
            refused(Gather { axis: 0 }, &[&x, &i(&[1], &[i64::MIN])]),
            refused(Gather { axis: 2 }, &[&x, &i(&[1], &[0])]),
            refused(Gather { axis: 0 }, &[&x, &x]),
        ]);
    }

    #[test]
    fn elements_by_index() {
        let x = iota(&[3, 2]);
        check(vec![
            case(GatherElements { axis: 0 }, &[&x, &i(&[2, 2], &[2, 0, -1, 1])], &[f(&[2, 2], &[4.0, 1.0, 4.0, 3.0])]),
            case(GatherElements { axis: 1 }, &[&x, &i(&[1, 3], &[1, 0, 1])], &[f(&[1, 3], &[1.0, 0.0, 1.0])]),
            refused(GatherElements { axis: 0 }, &[&x, &i(&[1, 3], &[0; 3])]),
            refused(GatherElements { axis: 0 }, &[&x, &i(&[1], &[0])]),
            refused(GatherElements { axis: 0 }, &[&x, &i(&[1, 1], &[3])]),
        ]);
    }

    #[test]
    fn slices_by_first_places() {
        let x = iota(&[2, 2, 2]);
        let nd = |batch_dims| GatherND { batch_dims };
        check(vec![
            case(nd(0), &[&x, &i(&[2, 2], &[0, 1, 1, 0])], &[f(&[2, 2], &[2.0, 3.0, 4.0, 5.0])]),
            case(nd(0), &[&x, &i(&[2, 1, 1], &[1, 0])], &[f(&[2, 1, 2, 2], &[4., 5., 6., 7., 0., 1., 2., 3.])]),
            case(nd(1), &[&x, &i(&[2, 1], &[1, 0])], &[f(&[2, 2], &[2.0, 3.0, 4.0, 5.0])]),
            case(nd(0), &[&x, &i(&[1, 3], &[1, 1, -1])], &[f(&[1], &[7.0])]),
            case(nd(1), &[&f(&[0, 2], &[]), &i(&[0, 1], &[])], &[f(&[0], &[])]),
            refused(nd(0), &[&x, &i(&[1, 4], &[0; 4])]),
            refused(nd(usize::MAX), &[&x, &i(&[1, 1], &[0])]),
            refused(nd(1), &[&x, &i(&[3, 1], &[0; 3])]),
            refused(nd(0), &[&x, &i(&[1, 1], &[2])]),
            refused(nd(0), &[&x, &i(&[], &[2])]),
        ]);
    }
}
