//! Pad: elements added before and after axes, or cut off.

use tilewise_tensor::Tensor;

use super::movement::pick_or;
use super::support::{
    INDEX, expect_type, ints_or, known_args, list_len, operand, optional, resolve_axes, result_shape,
};
use super::{Args, Operator};
use crate::attr::{attr_enum, operator};
use crate::{Dim, OpError, ValueType};

attr_enum! {
    /// What is added.
    PadMode {
        /// A value.
        Constant = "constant",
        /// The data mirrored at its first and last element, which are not repeated.
        Reflect = "reflect",
        /// The first and last element.
        Edge = "edge",
        /// The data from its other end.
        Wrap = "wrap",
    }
}

operator! {
    /// Inputs: data, pads (i64: places before each axis, then after each; negative ones are cut off first), optional
    /// value (one element; else zero), optional axes that pads speak of (else all).
    Pad {
        /// What is added.
        mode: PadMode = PadMode::Constant,
    }
}

/// The places added before and after one axis.
#[derive(Clone, Copy)]
struct Places {
    before: i64,
    after: i64,
}

impl Places {
    /// What is left of an axis when negative places are cut off: its first place and its length.
    fn kept(self, len: usize) -> Option<(usize, usize)> {
        let cut = |places: i64| usize::try_from(places.min(0).unsigned_abs()).ok();
        let (start, end) = (cut(self.before)?, cut(self.after)?);
        Some((start, len.checked_sub(start)?.checked_sub(end)?))
    }

    fn length(self, len: usize, mode: PadMode) -> Result<usize, OpError> {
        let wrong = || OpError::invalid(format!("places {} and {} around {len} elements", self.before, self.after));
        let (_, kept) = self.kept(len).ok_or_else(wrong)?;
        let added = [self.before, self.after].map(|places| usize::try_from(places).unwrap_or(0));
        if kept == 0 && mode != PadMode::Constant && added != [0, 0] {
            return Err(wrong());
        }
        kept.checked_add(added[0]).and_then(|n| n.checked_add(added[1])).ok_or_else(wrong)
    }

    /// The place of the data that stands at place `i` of the result.
    fn source(self, i: usize, len: usize, mode: PadMode) -> Option<usize> {
        let (start, kept) = self.kept(len)?;
        let (at, n) = (i as i64 - self.before.max(0), kept as i64);
        if (0..n).contains(&at) {
            return Some(start + at as usize);
        }
        let inside = match mode {
            PadMode::Constant => return None,
            PadMode::Edge => at.clamp(0, n - 1),
            PadMode::Wrap => at.rem_euclid(n),
            PadMode::Reflect => {
                // Forth and back, without the two ends twice.
                let round = (2 * n - 2).max(1);
                let turn = at.rem_euclid(round);
                turn.min(round - turn).min(n - 1)
            }
        };
        Some(start + inside as usize)
    }
}

/// The places of each of `rank` axes, `None` where they are not known.
fn places(args: &Args<'_>, rank: usize) -> Result<Vec<Option<Places>>, OpError> {
    let pads = args.at(1)?;
    expect_type(&pads, "pads", INDEX)?;
    let count = list_len(&pads)?;
    let Some(axes) = ints_or(args, 3, &(0..rank as i64).collect::<Vec<_>>())? else { return Ok(vec![None; rank]) };
    let axes = resolve_axes(&axes, rank)?;
    if count.is_some_and(|count| count != 2 * axes.len()) {
        return Err(OpError::invalid(format!("pads of {} axes are {:?} numbers", axes.len(), count.unwrap_or(0))));
    }
    let pads = pads.ints()?;
    let mut places = vec![Some(Places { before: 0, after: 0 }); rank];
    for (i, &axis) in axes.iter().enumerate() {
        places[axis] = pads.as_ref().map(|pads| Places { before: pads[i], after: pads[axes.len() + i] });
    }
    Ok(places)
}

impl Operator for Pad {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let data = args.at(0)?;
        if let Some(value) = args.get(2)
            && (value.dtype() != data.dtype() || value.ty.numel().is_some_and(|n| n != 1))
        {
            return Err(OpError::invalid(format!("{} is no value for {}", value.ty, data.ty)));
        }
        let Some(shape) = data.shape() else { return Ok(vec![ValueType::unranked(data.dtype())]) };
        let length = |(dim, places): (&Dim, Option<Places>)| match (places, dim.known()) {
            (Some(Places { before: 0, after: 0 }), _) => Ok(dim.clone()),
            (Some(places), Some(len)) => places.length(len, self.mode).map(Dim::Known),
            (None, _) | (_, None) => Ok(Dim::Unknown),
        };
        let shape = shape.iter().zip(places(args, shape.len())?).map(length).collect::<Result<_, _>>()?;
        Ok(vec![ValueType::new(data.dtype(), shape)])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let data = operand(inputs, 0)?;
        let places = known_args(inputs, |args| places(args, shape.len()))?;
        let places: Vec<Places> = places.into_iter().flatten().collect();
        let strides = tilewise_tensor::strides(data.shape());
        let source = |index: &[usize]| {
            index.iter().enumerate().try_fold(0, |sum, (axis, &i)| {
                Some(sum + places[axis].source(i, data.shape()[axis], self.mode)? * strides[axis])
            })
        };
        Ok(vec![pick_or(data, optional(inputs, 2), &shape, source)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{case, case_of, check, f, i, iota, refused};

    #[test]
    fn every_mode_pads_and_cuts() {
        let x = i(&[4], &[0, 1, 2, 3]);
        let pads = i(&[2], &[5, -1]);
        let pad = |mode| Pad { mode };
        check(vec![
            case(pad(PadMode::Constant), &[&x, &pads, &i(&[], &[7])], &[i(&[8], &[7, 7, 7, 7, 7, 0, 1, 2])]),
            case(pad(PadMode::Edge), &[&x, &pads], &[i(&[8], &[0, 0, 0, 0, 0, 0, 1, 2])]),
            case(pad(PadMode::Wrap), &[&x, &pads], &[i(&[8], &[1, 2, 0, 1, 2, 0, 1, 2])]),
            case(pad(PadMode::Reflect), &[&x, &pads], &[i(&[8], &[1, 0, 1, 2, 1, 0, 1, 2])]),
            case(pad(PadMode::Reflect), &[&i(&[1], &[3]), &i(&[2], &[1, 1])], &[i(&[3], &[3, 3, 3])]),
            case(pad(PadMode::Constant), &[&i(&[0], &[]), &i(&[2], &[1, 0])], &[i(&[1], &[0])]),
        ]);
    }

    #[test]
    fn pads_speak_of_the_axes_given() {
        let (x, pads, axis) = (iota(&[2, 2]), i(&[2], &[1, 0]), i(&[1], &[-1]));
        let constant = Pad { mode: PadMode::Constant };
        check(vec![
            case_of(
                constant.clone(),
                &[Some(&x), Some(&pads), None, Some(&axis)],
                &[f(&[2, 3], &[0.0, 0.0, 1.0, 0.0, 2.0, 3.0])],
            ),
            refused(constant.clone(), &[&x, &pads]),
            refused(constant.clone(), &[&x, &i(&[4], &[0, -3, 0, 4])]),
            refused(constant.clone(), &[&x, &i(&[4], &[0, i64::MIN, 0, 4])]),
            refused(constant.clone(), &[&x, &i(&[4], &[0, i64::MAX, 0, i64::MAX]), &i(&[], &[0])]),
            refused(Pad { mode: PadMode::Edge }, &[&i(&[0], &[]), &i(&[2], &[1, 0])]),
        ]);
        let huge = i(&[4], &[0, 1 << 60, 0, 0]);
        assert!(matches!(constant.eval(&[Some(&x), Some(&huge)]), Err(OpError::Tensor(_))));
    }
}
