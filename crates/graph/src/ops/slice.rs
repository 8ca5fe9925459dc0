//! Slice: regular parts of axes.

use tilewise_tensor::Tensor;

use super::movement::pick_by_axis;
use super::support::{INDEX, expect_type, ints_or, known_args, list_len, operand, resolve_axes, result_shape};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Inputs: data, starts, ends, optional axes, optional steps (i64 or i32 lists). Along each axis: the places from
    /// start up to, not with, end, by steps that are not 0; negative places count from the end, and what lies outside
    /// is cut off.
    Slice {}
}

/// The part of one axis: `count` places from `first` by `step`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Part {
    first: usize,
    count: usize,
    step: i64,
}

impl Part {
    fn new(len: usize, start: i64, end: i64, step: i64) -> Part {
        // i128: no sum of two i64 overflows.
        let n = len as i128;
        let place = |at: i64| if at < 0 { i128::from(at) + n } else { i128::from(at) };
        let (low, high) = if step < 0 { (-1, n - 1) } else { (0, n) };
        let (start, end) = (place(start).max(low.max(0)).min(high), place(end).max(low).min(high));
        let (reach, stride) = if step < 0 { (start - end, -i128::from(step)) } else { (end - start, step.into()) };
        let count = if reach <= 0 { 0 } else { (reach + stride - 1) / stride };
        Part { first: start.max(0) as usize, count: count as usize, step }
    }

    fn place(self, i: usize) -> usize {
        (self.first as i64 + i as i64 * self.step) as usize
    }
}

/// What is taken of one axis.
#[derive(Clone, Copy)]
enum Range {
    /// All of it.
    Whole,
    /// What numbers say that are not known yet.
    Open,
    /// From start to end by step.
    Of(i64, i64, i64),
}

impl Range {
    fn length(self, dim: &Dim) -> Dim {
        match (self, dim.known()) {
            (Range::Whole, _) => dim.clone(),
            // All of the axis, whatever its length: exporters write any large number for its end.
            (Range::Of(0, end, 1), None) if end >= i64::from(i32::MAX) => dim.clone(),
            (Range::Of(start, end, step), Some(len)) => Dim::Known(Part::new(len, start, end, step).count),
            (Range::Open, _) | (Range::Of(..), None) => Dim::Unknown,
        }
    }
}

/// What is taken of each of `rank` axes.
fn ranges(args: &Args<'_>, rank: usize) -> Result<Vec<Range>, OpError> {
    let (starts, ends) = (args.at(1)?, args.at(2)?);
    let mut count = None;
    for list in [Some(starts), Some(ends), args.get(3), args.get(4)].into_iter().flatten() {
        expect_type(&list, "a list of places", INDEX)?;
        let len = list_len(&list)?;
        if count.zip(len).is_some_and(|(a, b)| a != b) || len.is_some_and(|len| len > rank) {
            return Err(OpError::invalid(format!("starts, ends, axes and steps do not fit each other or {rank} axes")));
        }
        count = count.or(len);
    }
    let Some(count) = count else { return Ok(vec![Range::Open; rank]) };
    let Some(axes) = ints_or(args, 3, &(0..count as i64).collect::<Vec<_>>())? else {
        return Ok(vec![Range::Open; rank]);
    };
    let axes = resolve_axes(&axes, rank)?;
    let steps = ints_or(args, 4, &vec![1; count])?;
    if steps.as_ref().is_some_and(|steps| steps.contains(&0)) {
        return Err(OpError::invalid("a slice by steps of 0"));
    }
    let (starts, ends) = (starts.ints()?, ends.ints()?);
    let mut ranges = vec![Range::Whole; rank];
    for (i, axis) in axes.into_iter().enumerate() {
        ranges[axis] = match (&starts, &ends, &steps) {
            (Some(starts), Some(ends), Some(steps)) => Range::Of(starts[i], ends[i], steps[i]),
            _ => Range::Open,
        };
    }
    Ok(ranges)
}

impl Operator for Slice {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let data = args.at(0)?;
        let Some(shape) = data.shape() else { return Ok(vec![ValueType::unranked(data.dtype())]) };
        let ranges = ranges(args, shape.len())?;
        let shape = shape.iter().zip(ranges).map(|(dim, range)| range.length(dim)).collect();
        Ok(vec![ValueType::new(data.dtype(), shape)])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let data = operand(inputs, 0)?;
        let ranges = known_args(inputs, |args| ranges(args, shape.len()))?;
        let part = |(&len, range): (&usize, Range)| match range {
            Range::Of(start, end, step) => Part::new(len, start, end, step),
            Range::Whole | Range::Open => Part { first: 0, count: len, step: 1 },
        };
        let parts: Vec<Part> = data.shape().iter().zip(ranges).map(part).collect();
        Ok(vec![pick_by_axis(data, &shape, |axis, i| parts[axis].place(i))?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{case, case_of, check, f, i, iota, refused};

    #[test]
    fn places_are_counted_and_cut_as_numpy_does() {
        let all = i64::MAX;
        let rows: [(i64, i64, i64, &[i64]); 9] = [
            (1, 3, 1, &[1, 2]),
            (-2, all, 1, &[3, 4]),
            (0, 5, 2, &[0, 2, 4]),
            (-1, i64::MIN, -1, &[4, 3, 2, 1, 0]),
            (all, 0, -2, &[4, 2]),
            (3, 1, 1, &[]),
            (1, 3, -1, &[]),
            (i64::MIN, all, all, &[0]),
            (9, all, 1, &[]),
        ];
        let x = i(&[5], &[0, 1, 2, 3, 4]);
        let list = |n| i(&[1], &[n]);
        check(
            rows.map(|(start, end, step, y)| {
                let (start, end, step) = (list(start), list(end), list(step));
                case_of(Slice {}, &[Some(&x), Some(&start), Some(&end), None, Some(&step)], &[i(&[y.len()], y)])
            })
            .into(),
        );
        let none = i(&[0], &[]);
        check(vec![
            case(Slice {}, &[&none, &list(-1), &list(-9), &list(0), &list(-1)], &[none.clone()]),
            case(Slice {}, &[&iota(&[2, 2]), &list(1), &list(2), &list(-2)], &[f(&[1, 2], &[2., 3.])]),
            refused(Slice {}, &[&x, &list(0), &list(1), &list(0), &list(0)]),
            refused(Slice {}, &[&x, &list(0), &list(1), &list(1)]),
            refused(Slice {}, &[&x, &list(0), &i(&[2], &[1, 1])]),
            refused(Slice {}, &[&x, &i(&[], &[0]), &list(1)]),
            refused(Slice {}, &[&iota(&[2, 2]), &i(&[2], &[0, 0]), &i(&[2], &[1, 1]), &i(&[2], &[1, -1])]),
        ]);
    }
}
