//! Softmax, its logarithm and its limit: what turns scores into shares of 1.

use tilewise_tensor::Tensor;

use super::numeric::{Lines, output_type, reals, store_reals};
use super::support::{expect_float, operand, resolve_axis};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{OpError, ValueType};

macro_rules! rows {
    ($($(#[$meta:meta])* $name:ident: $f:expr;)*) => {
        $(operator! {
            $(#[$meta])*
            $name {
                /// The axis to go along; negative counts from the end.
                axis: i64 = -1,
                /// Go over all axes from `axis` on at once.
                flattened: bool = false,
            }
        }

        impl Operator for $name {
            fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
                let x = args.at(0)?;
                expect_float(&x)?;
                if let Some(rank) = x.rank() {
                    axes(self.axis, self.flattened, rank)?;
                }
                Ok(vec![x.ty.clone()])
            }

            fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
                let (dtype, shape) = output_type(self, inputs)?;
                let mut values = reals(operand(inputs, 0)?)?;
                Lines::along(&shape, &axes(self.axis, self.flattened, shape.len())?).update(&mut values, $f);
                Ok(vec![store_reals(dtype, &shape, &values)?])
            }
        })*
    };
}

rows! {
    /// `exp(x) / sum(exp(x))` along an axis.
    Softmax: |xs| {
        shift(xs);
        let sum: f64 = xs.iter().map(|x| x.exp()).sum();
        xs.iter_mut().for_each(|x| *x = x.exp() / sum);
    };
    /// `ln(Softmax(x))`.
    LogSoftmax: |xs| {
        shift(xs);
        let log = xs.iter().map(|x| x.exp()).sum::<f64>().ln();
        xs.iter_mut().for_each(|x| *x -= log);
    };
    /// 1 at the first largest element along an axis, 0 elsewhere.
    Hardmax: |xs| {
        let largest = (0..xs.len()).reduce(|best, i| if xs[i] > xs[best] { i } else { best });
        xs.iter_mut().enumerate().for_each(|(i, x)| *x = f64::from(u8::from(Some(i) == largest)));
    };
}

/// Subtracts the largest element: exp cannot overflow then, and the shares are the same.
fn shift(xs: &mut [f64]) {
    let largest = xs.iter().fold(f64::NEG_INFINITY, |y, &x| y.max(x));
    xs.iter_mut().for_each(|x| *x -= largest);
}

fn axes(axis: i64, flattened: bool, rank: usize) -> Result<Vec<usize>, OpError> {
    // Flattening at the very end is defined: each element by itself.
    if flattened && usize::try_from(axis).is_ok_and(|axis| axis == rank) {
        return Ok(Vec::new());
    }
    let axis = resolve_axis(axis, rank)?;
    Ok((axis..if flattened { rank } else { axis + 1 }).collect())
}
