//! BatchNormalization as a trained network applies it.

use tilewise_tensor::Tensor;

use super::numeric::{expect_shape, output_type, reals, store_reals};
use super::support::{expect_float, operand};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Inputs: x `[n, c, spatial..]`, scale `[c]`, bias `[c]`, mean `[c]`, variance `[c]`. Computes
    /// `(x - mean) / sqrt(variance + epsilon) * scale + bias`; x with one axis has one channel.
    BatchNormalization {
        /// Added to the variance.
        epsilon: f32 = 1e-5,
        /// Used in training alone.
        momentum: f32 = 0.9,
        /// Take mean and variance from x; not built.
        training_mode: bool = false,
    }
}

impl Operator for BatchNormalization {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        if self.training_mode {
            return Err(OpError::unsupported("BatchNormalization in training mode"));
        }
        let x = args.at(0)?;
        expect_float(&x)?;
        let channels = match x.shape() {
            None => Dim::Unknown,
            Some([]) => return Err(OpError::invalid(format!("{} has no channels", x.ty))),
            Some([_]) => Dim::Known(1),
            Some([_, c, ..]) => c.clone(),
        };
        for (index, what) in [(1, "the scale"), (2, "the bias"), (3, "the mean"), (4, "the variance")] {
            let arg = args.at(index)?;
            expect_float(&arg)?;
            expect_shape(&arg, what, std::slice::from_ref(&channels))?;
        }
        Ok(vec![x.ty.clone()])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let (dtype, shape) = output_type(self, inputs)?;
        let vector = |index| reals(operand(inputs, index)?);
        let (scale, bias, mean, variance) = (vector(1)?, vector(2)?, vector(3)?, vector(4)?);
        let mut values = vector(0)?;
        let channels = scale.len();
        let plane = values.len() / (shape[0] * channels).max(1);
        for (row, line) in values.chunks_mut(plane.max(1)).enumerate() {
            let c = row % channels;
            let factor = scale[c] / (variance[c] + f64::from(self.epsilon)).sqrt();
            line.iter_mut().for_each(|x| *x = (*x - mean[c]) * factor + bias[c]);
        }
        Ok(vec![store_reals(dtype, &shape, &values)?])
    }
}
