//! Clamp: limits that are inputs.

use tilewise_tensor::{DType, Tensor};

use super::support::{collect, operand, optional, result_shape, typed};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Inputs: x, optional min, optional max (one number each, of x's element type). ONNX calls it Clip; here `Clip`
    /// is the function whose limits are fixed. Where min is above max, the result is max. NaN stays.
    Clamp {}
}

impl Operator for Clamp {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let x = args.at(0)?;
        if x.dtype() == DType::Bool {
            return Err(OpError::invalid("bools have no limits"));
        }
        for limit in [args.get(1), args.get(2)].into_iter().flatten() {
            let one = limit.shape().is_none_or(|dims| dims.iter().all(|d| matches!(d.known(), None | Some(1))));
            if limit.dtype() != x.dtype() || !one {
                return Err(OpError::invalid(format!("{} is no limit for {}", limit.ty, x.ty)));
            }
        }
        let shape = x.shape().map(<[Dim]>::to_vec);
        Ok(vec![ValueType { dtype: x.dtype(), shape }])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let shape = result_shape(self, inputs)?;
        let x = operand(inputs, 0)?;
        typed!(x.dtype(), T => {
            let limit = |index| optional(inputs, index).map(|t| Ok::<_, OpError>(t.values::<T>()?[0])).transpose();
            let (min, max) = (limit(1)?, limit(2)?);
            let values = x.values::<T>()?;
            let limited = values.iter().map(|&x| {
                let x = min.filter(|min| x < *min).unwrap_or(x);
                max.filter(|max| x > *max).unwrap_or(x)
            });
            Ok(vec![collect(x.dtype(), &shape, limited)?])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{b, case, case_of, check, f, i, refused};

    #[test]
    fn either_limit_may_be_missing() {
        let x = f(&[3], &[-1.0, f32::NAN, 5.0]);
        let (zero, two) = (f(&[], &[0.0]), f(&[1], &[2.0]));
        check(vec![
            case(Clamp {}, &[&x, &zero, &two], &[f(&[3], &[0.0, f32::NAN, 2.0])]),
            case(Clamp {}, &[&x, &two, &zero], &[f(&[3], &[0.0, f32::NAN, 0.0])]),
            case_of(Clamp {}, &[Some(&x), None, Some(&two)], &[f(&[3], &[-1.0, f32::NAN, 2.0])]),
            case(Clamp {}, &[&i(&[2], &[1, -9]), &i(&[], &[-3])], &[i(&[2], &[1, -3])]),
            refused(Clamp {}, &[&x, &f(&[2], &[0.0, 1.0])]),
            refused(Clamp {}, &[&x, &i(&[], &[0])]),
            refused(Clamp {}, &[&b(&[], &[0])]),
        ]);
    }
}
