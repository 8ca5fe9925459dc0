//! Instance and group normalization: each image's planes, alone or in groups of channels, to mean 0 and variance 1.

use tilewise_tensor::Tensor;

use super::numeric::{Lines, expect_dtype, expect_shape, output_type, reals, standardize, store_reals};
use super::support::{expect_float, operand};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{OpError, ValueType};

operator! {
    /// Inputs: x `[n, c, spatial..]`, scale `[c]`, bias `[c]`. Each plane is normalized by itself, then scaled and
    /// shifted.
    InstanceNormalization {
        /// Added to the variance.
        epsilon: f32 = 1e-5,
    }
}

operator! {
    /// Inputs: x `[n, c, spatial..]`, scale `[c]`, bias `[c]`. The planes of each group of neighbouring channels are
    /// normalized together, then each is scaled and shifted.
    GroupNormalization {
        /// Groups of channels.
        num_groups: usize,
        /// Added to the variance.
        epsilon: f32 = 1e-5,
        /// The element type, by its number in the definition, to compute in; evaluation takes f64 whatever it says.
        stash_type: i64 = 1,
    }
}

impl Operator for InstanceNormalization {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        infer(args, 3, None)
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        output_type(self, inputs)?;
        let channels = operand(inputs, 0)?.shape()[1];
        eval(inputs, channels, self.epsilon)
    }
}

impl Operator for GroupNormalization {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        infer(args, 2, Some(self.num_groups))
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        output_type(self, inputs)?;
        eval(inputs, self.num_groups, self.epsilon)
    }
}

fn infer(args: &Args<'_>, least_rank: usize, groups: Option<usize>) -> Result<Vec<ValueType>, OpError> {
    let x = args.at(0)?;
    expect_float(&x)?;
    let channels = match x.shape() {
        Some(shape) if shape.len() < least_rank => {
            return Err(OpError::invalid(format!("{} has fewer than {least_rank} axes", x.ty)));
        }
        Some(shape) => shape[1].clone(),
        None => crate::Dim::Unknown,
    };
    if let Some(groups) = groups
        && (groups == 0 || channels.known().is_some_and(|c| !c.is_multiple_of(groups)))
    {
        return Err(OpError::invalid(format!("{groups} groups of {channels} channels")));
    }
    for (index, what) in [(1, "the scale"), (2, "the bias")] {
        let arg = args.at(index)?;
        expect_dtype(&arg, what, &[x.dtype()])?;
        expect_shape(&arg, what, std::slice::from_ref(&channels))?;
    }
    Ok(vec![x.ty.clone()])
}

fn eval(inputs: &[Option<&Tensor>], groups: usize, epsilon: f32) -> Result<Vec<Tensor>, OpError> {
    let x = operand(inputs, 0)?;
    let (n, c) = (x.shape()[0], x.shape()[1]);
    let mut values = reals(x)?;
    if !values.is_empty() {
        let size = values.len() / (n * groups);
        Lines::along(&[n, groups, size], &[2]).update(&mut values, |line| standardize(line, epsilon.into()));
        let (scale, bias) = (reals(operand(inputs, 1)?)?, reals(operand(inputs, 2)?)?);
        for (row, line) in values.chunks_mut(x.numel() / (n * c)).enumerate() {
            line.iter_mut().for_each(|x| *x = *x * scale[row % c] + bias[row % c]);
        }
    }
    Ok(vec![store_reals(x.dtype(), x.shape(), &values)?])
}
