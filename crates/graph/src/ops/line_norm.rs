//! Normalizations without weights: to norm 1 along an axis, or to mean 0 and variance 1 over some axes.

use tilewise_tensor::Tensor;

use super::numeric::{Lines, output_type, reals, resolve_axes, store_reals};
use super::pool::norm;
use super::support::{expect_float, operand, resolve_axis};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{OpError, ValueType};

operator! {
    /// Input: x. Divides by the p-norm along an axis; where that is 0, so is the result.
    LpNormalization {
        /// The axis; negative counts from the end.
        axis: i64 = -1,
        /// The norm: 1 or 2.
        p: usize = 2,
    }
}

operator! {
    /// Input: x. Computes `(x - mean) / (deviation + 1e-9)`, both taken over the axes together.
    MeanVarianceNormalization {
        /// The axes; negative ones count from the end.
        axes: Vec<i64> = vec![0, 2, 3],
    }
}

impl Operator for LpNormalization {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let x = args.at(0)?;
        expect_float(&x)?;
        if !(1..=2).contains(&self.p) {
            return Err(OpError::invalid(format!("p is {}, expected 1 or 2", self.p)));
        }
        if let Some(rank) = x.rank() {
            resolve_axis(self.axis, rank)?;
        }
        Ok(vec![x.ty.clone()])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let (dtype, shape) = output_type(self, inputs)?;
        let mut values = reals(operand(inputs, 0)?)?;
        Lines::along(&shape, &[resolve_axis(self.axis, shape.len())?]).update(&mut values, |line| {
            let norm = norm(self.p, line.iter().copied());
            line.iter_mut().for_each(|x| *x = if norm == 0.0 { 0.0 } else { *x / norm });
        });
        Ok(vec![store_reals(dtype, &shape, &values)?])
    }
}

impl Operator for MeanVarianceNormalization {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let x = args.at(0)?;
        expect_float(&x)?;
        if let Some(rank) = x.rank() {
            resolve_axes(&self.axes, rank)?;
        }
        Ok(vec![x.ty.clone()])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let (dtype, shape) = output_type(self, inputs)?;
        let mut values = reals(operand(inputs, 0)?)?;
        Lines::along(&shape, &resolve_axes(&self.axes, shape.len())?).update(&mut values, |line| {
            let count = line.len() as f64;
            let mean = line.iter().sum::<f64>() / count;
            let deviation = (line.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count).sqrt();
            line.iter_mut().for_each(|x| *x = (*x - mean) / (deviation + 1e-9));
        });
        Ok(vec![store_reals(dtype, &shape, &values)?])
    }
}
