//! Activations that change their formula at a threshold and that no other operator applies last: Celu, Shrink,
//! ThresholdedRelu.

use tilewise_tensor::Tensor;

use super::support::{expect_float, map_floats, operand, result_shape};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{OpError, ValueType};

operator! {
    /// max(0, x) + min(0, alpha (exp(x / alpha) - 1))
    Celu {
        /// Minus the value at minus infinity.
        alpha: f32 = 1.0,
    }
}

operator! {
    /// x + bias below -lambd, x - bias above lambd, else 0
    Shrink {
        /// What values are moved towards zero by.
        bias: f32 = 0.0,
        /// Values up to this distance from zero become zero.
        lambd: f32 = 0.5,
    }
}

operator! {
    /// x above alpha, else 0
    ThresholdedRelu {
        /// The threshold.
        alpha: f32 = 1.0,
    }
}

/// The formulas, in f64: all that the operators differ in.
trait Formula {
    fn at(&self, x: f64) -> f64;
}

impl Formula for Celu {
    fn at(&self, x: f64) -> f64 {
        let alpha = f64::from(self.alpha);
        if x < 0.0 { alpha * (x / alpha).exp_m1() } else { x }
    }
}

impl Formula for Shrink {
    fn at(&self, x: f64) -> f64 {
        let (bias, lambd) = (f64::from(self.bias), f64::from(self.lambd));
        if x < -lambd {
            x + bias
        } else if x > lambd {
            x - bias
        } else {
            0.0
        }
    }
}

impl Formula for ThresholdedRelu {
    fn at(&self, x: f64) -> f64 {
        if x > f64::from(self.alpha) { x } else { 0.0 }
    }
}

macro_rules! activations {
    ($($name:ident),*) => {
        $(impl Operator for $name {
            fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
                let x = args.at(0)?;
                expect_float(&x)?;
                Ok(vec![x.ty.clone()])
            }

            fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
                result_shape(self, inputs)?;
                Ok(vec![map_floats(operand(inputs, 0)?, |x| self.at(x))?])
            }
        })*
    };
}

activations! { Celu, Shrink, ThresholdedRelu }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{case, check, f, i, refused};

    #[test]
    fn formulas_hold_on_both_sides_of_the_threshold() {
        let x = f(&[4], &[-2.0, -0.5, 0.5, 2.0]);
        check(vec![
            case(Celu { alpha: 2.0 }, &[&x], &[f(&[4], &[-1.264_241_1, -0.442_398_43, 0.5, 2.0])]),
            case(Shrink { bias: 0.5, lambd: 1.5 }, &[&x], &[f(&[4], &[-1.5, 0.0, 0.0, 1.5])]),
            case(ThresholdedRelu { alpha: 0.5 }, &[&x], &[f(&[4], &[0.0, 0.0, 0.0, 2.0])]),
            refused(Celu { alpha: 1.0 }, &[&i(&[], &[1])]),
        ]);
    }
}
