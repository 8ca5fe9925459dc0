//! The same elements under other axes: Flatten, Squeeze and Unsqueeze.

use tilewise_tensor::Tensor;

use super::support::{list_len, operand, product_dims, resolve_axes, resolve_axis, result_shape};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Two axes: those of the input before `axis` as one, and the others as one.
    Flatten {
        /// The first axis of the second part; negative counts from the end, the rank is possible too.
        axis: i64 = 1,
    }
}

impl Operator for Flatten {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let x = args.at(0)?;
        let Some(shape) = x.shape() else { return Ok(vec![ValueType::new(x.dtype(), vec![Dim::Unknown; 2])]) };
        let axis = if self.axis == shape.len() as i64 { shape.len() } else { resolve_axis(self.axis, shape.len())? };
        Ok(vec![ValueType::new(x.dtype(), vec![product_dims(&shape[..axis]), product_dims(&shape[axis..])])])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![operand(inputs, 0)?.reshaped(&result_shape(self, inputs)?)?])
    }
}

operator! {
    /// Inputs: data, optional axes (i64). Removes these axes, or all of length 1; each must have length 1.
    Squeeze {}
}

impl Operator for Squeeze {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let data = args.at(0)?;
        let unranked = vec![ValueType::unranked(data.dtype())];
        let Some(shape) = data.shape() else { return Ok(unranked) };
        let gone = match args.get(1) {
            Some(axes) => match (axes.ints()?, list_len(&axes)?) {
                (Some(axes), _) => resolve_axes(&axes, shape.len())?,
                (None, Some(count)) if count <= shape.len() => {
                    return Ok(vec![ValueType::new(data.dtype(), vec![Dim::Unknown; shape.len() - count])]);
                }
                (None, _) => return Ok(unranked),
            },
            // An open length may turn out to be 1.
            None if shape.iter().any(|dim| dim.known().is_none()) => return Ok(unranked),
            None => (0..shape.len()).filter(|&axis| shape[axis] == Dim::Known(1)).collect(),
        };
        if let Some(axis) = gone.iter().find(|&&axis| shape[axis].known().is_some_and(|n| n != 1)) {
            return Err(OpError::invalid(format!("axis {axis} of {} has more or less than one place", data.ty)));
        }
        let kept = shape.iter().enumerate().filter(|(axis, _)| !gone.contains(axis)).map(|(_, dim)| dim.clone());
        Ok(vec![ValueType::new(data.dtype(), kept.collect())])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![operand(inputs, 0)?.reshaped(&result_shape(self, inputs)?)?])
    }
}

operator! {
    /// Inputs: data, axes (i64, of the result). Adds axes of length 1.
    Unsqueeze {}
}

impl Operator for Unsqueeze {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (data, axes) = (args.at(0)?, args.at(1)?);
        let (Some(shape), Some(count)) = (data.shape(), axes.ty.numel()) else {
            return Ok(vec![ValueType::unranked(data.dtype())]);
        };
        let too_many = || OpError::invalid(format!("{count} new axes"));
        let rank = count.checked_add(shape.len()).filter(|&rank| rank < 1 << 16).ok_or_else(too_many)?;
        let Some(axes) = axes.ints()? else {
            return Ok(vec![ValueType::new(data.dtype(), vec![Dim::Unknown; rank])]);
        };
        let added = resolve_axes(&axes, rank)?;
        let mut old = shape.iter().cloned();
        let dim = |axis| if added.contains(&axis) { Some(Dim::Known(1)) } else { old.next() };
        Ok(vec![ValueType::new(data.dtype(), (0..rank).filter_map(dim).collect())])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        Ok(vec![operand(inputs, 0)?.reshaped(&result_shape(self, inputs)?)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{case, check, i, iota, refused};

    #[test]
    fn axes_come_and_go() {
        let x = iota(&[1, 2, 1, 3]);
        let to = |shape: &[usize]| [iota(shape)];
        check(vec![
            case(Flatten { axis: 1 }, &[&x], &to(&[1, 6])),
            case(Flatten { axis: -2 }, &[&x], &to(&[2, 3])),
            case(Flatten { axis: 4 }, &[&x], &to(&[6, 1])),
            case(Flatten { axis: 0 }, &[&iota(&[])], &to(&[1, 1])),
            refused(Flatten { axis: 5 }, &[&x]),
            case(Squeeze {}, &[&x, &i(&[1], &[-2])], &to(&[1, 2, 3])),
            refused(Squeeze {}, &[&x, &i(&[1], &[1])]),
            refused(Squeeze {}, &[&x, &i(&[2], &[0, -4])]),
            case(Unsqueeze {}, &[&x, &i(&[2], &[0, -1])], &to(&[1, 1, 2, 1, 3, 1])),
            case(Unsqueeze {}, &[&iota(&[]), &i(&[], &[0])], &to(&[1])),
            refused(Unsqueeze {}, &[&x, &i(&[1], &[5])]),
            refused(Unsqueeze {}, &[&x, &i(&[2], &[0, -6])]),
        ]);
        assert_eq!(Squeeze {}.eval(&[Some(&x)]).unwrap()[0].shape(), [2, 3]);
    }

    #[test]
    fn symbols_pass() {
        let ty = ValueType::new(tilewise_tensor::DType::F32, vec![Dim::Symbol("N".into()), 4.into(), 1.into()]);
        let args = [Some(crate::Arg { ty: &ty, value: None })];
        let flat = Flatten { axis: 1 }.infer(&Args::new(&args)).unwrap();
        assert_eq!(flat[0].to_string(), "f32[N,4]");
    }
}
