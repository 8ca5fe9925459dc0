//! Elements written at indices: ScatterElements and ScatterND. Negative indices count from the end.

use tilewise_tensor::{DType, Element, Tensor, bf16, f16, numel, strides};

use super::gather::{check_elementwise, slice_starts};
use super::movement::copied;
use super::support::{
    INDEX, Positions, expect_type, merge_dims, operand, resolve_axis, resolve_indices, result_shape, typed,
};
use super::{Arg, Args, Operator};
use crate::attr::{attr_enum, operator};
use crate::{Dim, OpError, ValueType};

attr_enum! {
    /// What an update does to the element it meets. Updates of one element follow each other in row-major order.
    Reduction {
        /// Takes its place.
        None = "none",
        /// Their sum.
        Add = "add",
        /// Their product.
        Mul = "mul",
        /// The larger.
        Max = "max",
        /// The smaller.
        Min = "min",
    }
}

operator! {
    /// Inputs: data, indices, updates of the indices' shape. Output: the data, with each update at its own place, but
    /// along one axis at the index.
    ScatterElements {
        /// The axis; negative counts from the end.
        axis: i64 = 0,
        /// How updates meet the data.
        reduction: Reduction = Reduction::None,
    }
}

operator! {
    /// Inputs: data, indices whose last axis holds the first places of a slice of the data, updates: a slice for each.
    /// Output: the data with the updates at their places.
    ScatterND {
        /// How updates meet the data.
        reduction: Reduction = Reduction::None,
    }
}

/// The three inputs, their element types checked.
fn operands<'a>(args: &Args<'a>, reduction: Reduction) -> Result<[Arg<'a>; 3], OpError> {
    let (data, indices, updates) = (args.at(0)?, args.at(1)?, args.at(2)?);
    expect_type(&indices, "indices", INDEX)?;
    if updates.dtype() != data.dtype() || (data.dtype() == DType::Bool && reduction != Reduction::None) {
        return Err(OpError::invalid(format!("updates of {} to {}", updates.dtype(), data.dtype())));
    }
    Ok([data, indices, updates])
}

/// An error unless updates have the shape that the indices ask for.
fn check_updates(updates: &Arg<'_>, wanted: &[Dim]) -> Result<(), OpError> {
    let Some(shape) = updates.shape() else { return Ok(()) };
    if shape.len() != wanted.len() {
        return Err(OpError::invalid(format!("updates {} for indices of {} axes", updates.ty, wanted.len())));
    }
    shape.iter().zip(wanted).try_for_each(|(a, b)| merge_dims(a, b).map(drop))
}

impl Operator for ScatterElements {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let [data, indices, updates] = operands(args, self.reduction)?;
        if let (Some(shape), Some(indices)) = (data.shape(), indices.shape()) {
            check_elementwise(shape, indices, self.axis)?;
            check_updates(&updates, indices)?;
        }
        Ok(vec![data.ty.clone()])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let (data, indices, updates) = (operand(inputs, 0)?, operand(inputs, 1)?, operand(inputs, 2)?);
        let axis = resolve_axis(self.axis, shape.len())?;
        let mut steps = strides(&shape);
        let places = resolve_indices(indices, shape[axis])?;
        let step = std::mem::take(&mut steps[axis]);
        let targets = Positions::new(indices.shape(), &steps).zip(places).map(|(at, place)| at + place * step);
        Ok(vec![scatter(self.reduction, data, updates, targets)?])
    }
}

impl Operator for ScatterND {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let [data, indices, updates] = operands(args, self.reduction)?;
        if let (Some(shape), Some(indices)) = (data.shape(), indices.shape()) {
            let wrong = || OpError::invalid(format!("the indices name no slices of {}", data.ty));
            let (depth, outer) = indices.split_last().ok_or_else(wrong)?;
            if let Some(depth) = depth.known() {
                check_updates(&updates, &[outer, shape.get(depth..).ok_or_else(wrong)?].concat())?;
            }
        }
        Ok(vec![data.ty.clone()])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let (data, indices, updates) = (operand(inputs, 0)?, operand(inputs, 1)?, operand(inputs, 2)?);
        let depth = indices.shape().last().copied().unwrap_or(0);
        let slice = numel(&shape[depth..]).unwrap_or(0);
        let starts = slice_starts(data, indices, 0)?;
        let targets = starts.into_iter().flat_map(|start| start..start + slice);
        Ok(vec![scatter(self.reduction, data, updates, targets)?])
    }
}

/// `data` with the updates at their targets, in order.
fn scatter(
    reduction: Reduction,
    data: &Tensor,
    updates: &Tensor,
    targets: impl Iterator<Item = usize>,
) -> Result<Tensor, OpError> {
    let mut out = copied(data)?;
    typed!(data.dtype(), T => {
        let elements = out.as_mut_slice::<T>();
        for (at, &update) in targets.zip(updates.values::<T>()?.iter()) {
            elements[at] = meet(reduction, elements[at], update);
        }
    });
    Ok(Tensor::from_bytes(data.dtype(), data.shape(), out.into())?)
}

fn meet<T: Arithmetic>(reduction: Reduction, old: T, update: T) -> T {
    match reduction {
        Reduction::None => update,
        Reduction::Add => old.sum(update),
        Reduction::Mul => old.product(update),
        Reduction::Max if update > old => update,
        Reduction::Min if update < old => update,
        Reduction::Max | Reduction::Min => old,
    }
}

/// Sum and product of every element type; integers wrap.
trait Arithmetic: Element {
    fn sum(self, other: Self) -> Self;
    fn product(self, other: Self) -> Self;
}

macro_rules! arithmetic {
    ($($rust:ty: $sum:expr, $product:expr;)*) => {
        $(impl Arithmetic for $rust {
            fn sum(self, other: Self) -> Self {
                $sum(self, other)
            }

            fn product(self, other: Self) -> Self {
                $product(self, other)
            }
        })*
    };
}

arithmetic! {
    f32: std::ops::Add::add, std::ops::Mul::mul;
    f64: std::ops::Add::add, std::ops::Mul::mul;
    f16: std::ops::Add::add, std::ops::Mul::mul;
    bf16: std::ops::Add::add, std::ops::Mul::mul;
    i64: i64::wrapping_add, i64::wrapping_mul;
    i32: i32::wrapping_add, i32::wrapping_mul;
    i16: i16::wrapping_add, i16::wrapping_mul;
    i8: i8::wrapping_add, i8::wrapping_mul;
    u64: u64::wrapping_add, u64::wrapping_mul;
    u32: u32::wrapping_add, u32::wrapping_mul;
    u16: u16::wrapping_add, u16::wrapping_mul;
    u8: u8::wrapping_add, u8::wrapping_mul;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{b, case, check, f, i, iota, refused};

    #[test]
    fn elements_are_written_along_an_axis() {
        let (x, at) = (f(&[3, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]), i(&[2, 2], &[2, 0, -1, 1]));
        let new = f(&[2, 2], &[10.0, -20.0, 30.0, 40.0]);
        let rows = [
            (Reduction::None, [0.0, -20.0, 2.0, 40.0, 30.0, 5.0]),
            (Reduction::Add, [0.0, -19.0, 2.0, 43.0, 44.0, 5.0]),
            (Reduction::Mul, [0.0, -20.0, 2.0, 120.0, 1200.0, 5.0]),
            (Reduction::Max, [0.0, 1.0, 2.0, 40.0, 30.0, 5.0]),
            (Reduction::Min, [0.0, -20.0, 2.0, 3.0, 4.0, 5.0]),
        ];
        let op = |reduction| ScatterElements { axis: 0, reduction };
        check(rows.map(|(r, y)| case(op(r), &[&x, &at, &new], &[f(&[3, 2], &y)])).into());
        check(vec![
            case(
                ScatterElements { axis: -1, reduction: Reduction::None },
                &[&b(&[1, 2], &[0, 0]), &i(&[1, 1], &[1]), &b(&[1, 1], &[1])],
                &[b(&[1, 2], &[0, 1])],
            ),
            refused(op(Reduction::None), &[&x, &i(&[1, 2], &[3, 0]), &f(&[1, 2], &[0.0; 2])]),
            refused(op(Reduction::None), &[&x, &at, &f(&[1, 2], &[0.0; 2])]),
            refused(op(Reduction::None), &[&x, &i(&[1], &[0]), &f(&[1], &[0.0])]),
            refused(op(Reduction::Add), &[&b(&[1], &[0]), &i(&[1], &[0]), &b(&[1], &[0])]),
            refused(op(Reduction::Add), &[&x, &at, &i(&[2, 2], &[0; 4])]),
        ]);
    }

    #[test]
    fn slices_are_written_at_first_places() {
        let op = |reduction| ScatterND { reduction };
        let (x, at, new) = (iota(&[3, 2]), i(&[2, 1], &[2, -1]), f(&[2, 2], &[1.0, 2.0, 3.0, 4.0]));
        check(vec![
            case(op(Reduction::None), &[&x, &at, &new], &[f(&[3, 2], &[0.0, 1.0, 2.0, 3.0, 3.0, 4.0])]),
            case(op(Reduction::Add), &[&x, &at, &new], &[f(&[3, 2], &[0.0, 1.0, 2.0, 3.0, 8.0, 11.0])]),
            case(
                op(Reduction::None),
                &[&x, &i(&[2], &[0, 1]), &f(&[], &[9.0])],
                &[f(&[3, 2], &[0., 9., 2., 3., 4., 5.])],
            ),
            refused(op(Reduction::None), &[&x, &i(&[1, 1], &[3]), &f(&[1, 2], &[0.0; 2])]),
            refused(op(Reduction::None), &[&x, &at, &f(&[2], &[0.0; 2])]),
            refused(op(Reduction::None), &[&x, &i(&[1, 3], &[0; 3]), &f(&[1], &[0.0])]),
        ]);
    }
}
