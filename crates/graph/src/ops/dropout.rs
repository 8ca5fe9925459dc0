//! Dropout as a trained network applies it: not at all.

use tilewise_tensor::{DType, Tensor};

use super::numeric::{integers, output_types};
use super::support::operand;
use super::{Args, Operator};
use crate::attr::operator;
use crate::{OpError, ValueType};

operator! {
    /// Inputs: data, optional ratio, optional training_mode (bool). Outputs: the data, and a mask of what was kept:
    /// all of it.
    Dropout {
        /// Used in training alone.
        seed: i64 = 0,
    }
}

impl Operator for Dropout {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let data = args.at(0)?;
        if let Some(mode) = args.get(2).and_then(|mode| mode.value)
            && integers(mode)?.contains(&1)
        {
            return Err(OpError::unsupported("Dropout in training mode"));
        }
        Ok(vec![data.ty.clone(), ValueType { dtype: DType::Bool, shape: data.ty.shape.clone() }])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        output_types(self, inputs)?;
        let data = operand(inputs, 0)?;
        Ok(vec![data.clone(), Tensor::from_bools(data.shape(), &vec![true; data.numel()])?])
    }
}
