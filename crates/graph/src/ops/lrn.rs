//! LRN: local response normalization over neighbouring channels (Krizhevsky et al., 2012, section 3.3).

use tilewise_tensor::Tensor;

use super::numeric::{Lines, output_type, reals, store_reals};
use super::support::{expect_float, operand};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{OpError, ValueType};

operator! {
    /// Input: x `[n, c, spatial..]`. Computes `x / (bias + alpha / size * s)^beta`, where s is the sum of squares over
    /// the `size` channels around.
    LRN {
        /// Channels in the sum.
        size: usize,
        /// Scales the sum.
        alpha: f32 = 1e-4,
        /// The exponent.
        beta: f32 = 0.75,
        /// Added to the sum.
        bias: f32 = 1.0,
    }
}

impl Operator for LRN {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let x = args.at(0)?;
        expect_float(&x)?;
        if self.size == 0 || x.rank().is_some_and(|rank| rank < 2) {
            return Err(OpError::invalid(format!("{} channels around each of {}", self.size, x.ty)));
        }
        Ok(vec![x.ty.clone()])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let (dtype, shape) = output_type(self, inputs)?;
        let mut values = reals(operand(inputs, 0)?)?;
        let (alpha, beta, bias) = (f64::from(self.alpha), f64::from(self.beta), f64::from(self.bias));
        // An even size has one channel more after than before.
        let (before, after) = ((self.size - 1) / 2, self.size / 2);
        Lines::along(&shape, &[1]).update(&mut values, |line| {
            let squares: Vec<f64> = line.iter().map(|x| x * x).collect();
            for (c, x) in line.iter_mut().enumerate() {
                let around = &squares[c.saturating_sub(before)..c.saturating_add(after + 1).min(squares.len())];
                *x /= (bias + alpha / self.size as f64 * around.iter().sum::<f64>()).powf(beta);
            }
        });
        Ok(vec![store_reals(dtype, &shape, &values)?])
    }
}
