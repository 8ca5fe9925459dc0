//! Elements repeated: Expand, Tile and ConstantOfShape.

use tilewise_tensor::{DType, Tensor, strides};

use super::movement::{pick, pick_by_axis, pick_or, position};
use super::support::{INDEX, broadcast_dims, expect_type, list_len, operand, optional, result_shape};
use super::{Arg, Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Inputs: data, shape (i64). Output: the data broadcast with that shape; a length of 1 in the shape keeps the
    /// data's own.
    Expand {}
}

operator! {
    /// Inputs: data, repeats (i64, one an axis). Output: the data so many times after itself along each axis.
    Tile {}
}

operator! {
    /// Inputs: shape (i64), optional value (one element; else an f32 zero). Output: the value at every place. ONNX
    /// writes the value as an attribute; as an input it is exact for every element type.
    ConstantOfShape {}
}

/// Most axes of a shape that is data.
const MOST_AXES: usize = 1 << 16;

/// The lengths that a list holds, `Unknown` for each that is not known; `None` where even their number is not.
fn lengths(list: &Arg<'_>) -> Result<Option<Vec<Dim>>, OpError> {
    expect_type(list, "a list of lengths", INDEX)?;
    let count = list_len(list)?;
    if count.is_some_and(|count| count > MOST_AXES) {
        return Err(OpError::invalid(format!("a shape {} of more than {MOST_AXES} axes", list.ty)));
    }
    let Some(values) = list.ints()? else { return Ok(count.map(|count| vec![Dim::Unknown; count])) };
    let known = |&n| usize::try_from(n).map(Dim::Known).map_err(|_| OpError::invalid(format!("a length of {n}")));
    values.iter().map(known).collect::<Result<_, _>>().map(Some)
}

impl Operator for Expand {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let data = args.at(0)?;
        let shape = match (data.shape(), lengths(&args.at(1)?)?) {
            (Some(shape), Some(target)) => Some(broadcast_dims(shape, &target)?),
            _ => None,
        };
        Ok(vec![ValueType { dtype: data.dtype(), shape }])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let data = operand(inputs, 0)?;
        let lead = shape.len() - data.shape().len();
        let steps: Vec<usize> =
            strides(data.shape()).iter().zip(data.shape()).map(|(&step, &n)| if n == 1 { 0 } else { step }).collect();
        Ok(vec![pick(data, &shape, |index| position(&index[lead..], &steps))?])
    }
}

impl Operator for Tile {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let data = args.at(0)?;
        let Some(shape) = data.shape() else {
            lengths(&args.at(1)?)?;
            return Ok(vec![ValueType::unranked(data.dtype())]);
        };
        let repeats = lengths(&args.at(1)?)?.unwrap_or_else(|| vec![Dim::Unknown; shape.len()]);
        if repeats.len() != shape.len() {
            return Err(OpError::invalid(format!("{} repeats of {}", repeats.len(), data.ty)));
        }
        let length = |(dim, repeat): (&Dim, Dim)| match (dim.known(), repeat.known()) {
            (_, Some(1)) => Ok(dim.clone()),
            (Some(dim), Some(repeat)) => {
                dim.checked_mul(repeat).map(Dim::Known).ok_or_else(|| OpError::invalid("too many repeats"))
            }
            _ => Ok(Dim::Unknown),
        };
        Ok(vec![ValueType::new(data.dtype(), shape.iter().zip(repeats).map(length).collect::<Result<_, _>>()?)])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let data = operand(inputs, 0)?;
        Ok(vec![pick_by_axis(data, &shape, |axis, i| i % data.shape()[axis])?])
    }
}

impl Operator for ConstantOfShape {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let value = args.get(1);
        if let Some(value) = value
            && value.ty.numel().is_some_and(|n| n != 1)
        {
            return Err(OpError::invalid(format!("{} is not one value", value.ty)));
        }
        let dtype = value.map_or(DType::F32, |value| value.dtype());
        Ok(vec![ValueType { dtype, shape: lengths(&args.at(0)?)? }])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        Ok(vec![match optional(inputs, 1) {
            Some(value) => pick_or(value, Some(value), &shape, |_| None)?,
            None => Tensor::zeros(DType::F32, &shape)?,
        }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{case, check, f, i, iota, refused};

    #[test]
    fn data_is_broadcast_with_a_shape() {
        let x = iota(&[2, 1]);
        check(vec![
            case(Expand {}, &[&x, &i(&[3], &[1, 1, 2])], &[f(&[1, 2, 2], &[0.0, 0.0, 1.0, 1.0])]),
            case(Expand {}, &[&x, &i(&[1], &[1])], &[x.clone()]),
            case(Expand {}, &[&x, &i(&[2], &[2, 0])], &[f(&[2, 0], &[])]),
            refused(Expand {}, &[&x, &i(&[2], &[3, 2])]),
            refused(Expand {}, &[&x, &i(&[2], &[2, -1])]),
            refused(Expand {}, &[&x, &x]),
        ]);
        let huge = i(&[2], &[2, 1 << 60]);
        assert!(matches!(Expand {}.eval(&[Some(&x), Some(&huge)]), Err(OpError::Tensor(_))));
    }

    #[test]
    fn data_is_repeated_along_axes() {
        let x = iota(&[1, 2]);
        check(vec![
            case(Tile {}, &[&x, &i(&[2], &[2, 2])], &[f(&[2, 4], &[0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0])]),
            case(Tile {}, &[&x, &i(&[2], &[0, 1])], &[f(&[0, 2], &[])]),
            refused(Tile {}, &[&x, &i(&[1], &[2])]),
            refused(Tile {}, &[&iota(&[1, 3]), &i(&[2], &[1, i64::MAX])]),
            refused(Tile {}, &[&x, &i(&[2], &[1, -1])]),
        ]);
    }

    #[test]
    fn a_value_fills_a_shape() {
        let large = i64::MAX - 1;
        check(vec![
            case(ConstantOfShape {}, &[&i(&[2], &[1, 2]), &i(&[1], &[large])], &[i(&[1, 2], &[large; 2])]),
            case(ConstantOfShape {}, &[&i(&[1], &[2])], &[f(&[2], &[0.0, 0.0])]),
            case(ConstantOfShape {}, &[&i(&[0], &[])], &[f(&[], &[0.0])]),
            refused(ConstantOfShape {}, &[&i(&[1], &[-1])]),
            refused(ConstantOfShape {}, &[&i(&[1], &[1]), &i(&[2], &[1, 2])]),
        ]);
        let huge = i(&[2], &[1 << 40, 1 << 40]);
        assert!(matches!(ConstantOfShape {}.eval(&[Some(&huge)]), Err(OpError::Tensor(_))));
    }
}
