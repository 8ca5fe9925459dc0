//! Trigonometric and hyperbolic functions.

use tilewise_tensor::Tensor;

use super::support::{expect_float, map_floats, operand, result_shape};
use super::{Args, Operator};
use crate::attr::family;
use crate::{OpError, ValueType};

family! {
    /// `y = f(x)`, element by element, on floating-point elements; angles are in radians.
    Trig,
    /// A trigonometric or hyperbolic function.
    TrigFn {
        /// Inverse cosine
        Acos,
        /// Inverse hyperbolic cosine
        Acosh,
        /// Inverse sine
        Asin,
        /// Inverse hyperbolic sine
        Asinh,
        /// Inverse tangent
        Atan,
        /// Inverse hyperbolic tangent
        Atanh,
        /// Cosine
        Cos,
        /// Hyperbolic cosine
        Cosh,
        /// Sine
        Sin,
        /// Hyperbolic sine
        Sinh,
        /// Tangent
        Tan,
    }
}

impl TrigFn {
    /// The value at `x`.
    pub fn at(self, x: f64) -> f64 {
        match self {
            TrigFn::Acos => x.acos(),
            TrigFn::Acosh => x.acosh(),
            TrigFn::Asin => x.asin(),
            TrigFn::Asinh => x.asinh(),
            TrigFn::Atan => x.atan(),
            TrigFn::Atanh => x.atanh(),
            TrigFn::Cos => x.cos(),
            TrigFn::Cosh => x.cosh(),
            TrigFn::Sin => x.sin(),
            TrigFn::Sinh => x.sinh(),
            TrigFn::Tan => x.tan(),
        }
    }
}

impl Operator for Trig {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let x = args.at(0)?;
        expect_float(&x)?;
        Ok(vec![x.ty.clone()])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        result_shape(self, inputs)?;
        Ok(vec![map_floats(operand(inputs, 0)?, |x| self.0.at(x))?])
    }
}

#[cfg(test)]
mod tests {
    use std::f32::consts::{FRAC_PI_3, FRAC_PI_6};

    use super::*;
    use crate::ops::testing::{case, check, f, i, refused};

    #[test]
    fn every_function_at_one_point() {
        let rows = [
            (TrigFn::Acos, 0.5, FRAC_PI_3),
            (TrigFn::Acosh, 1.5, 0.962_423_6),
            (TrigFn::Asin, 0.5, FRAC_PI_6),
            (TrigFn::Asinh, 0.5, 0.481_211_84),
            (TrigFn::Atan, 0.5, 0.463_647_6),
            (TrigFn::Atanh, 0.5, 0.549_306_15),
            (TrigFn::Cos, 0.5, 0.877_582_55),
            (TrigFn::Cosh, 0.5, 1.127_626),
            (TrigFn::Sin, 0.5, 0.479_425_55),
            (TrigFn::Sinh, 0.5, 0.521_095_3),
            (TrigFn::Tan, 0.5, 0.546_302_5),
        ];
        assert_eq!(rows.len(), TrigFn::ALL.len());
        check(rows.map(|(op, x, y)| case(Trig(op), &[&f(&[1, 1], &[x])], &[f(&[1, 1], &[y])])).into());
        check(vec![refused(Trig(TrigFn::Sin), &[&i(&[], &[1])])]);
    }
}
