//! Layer normalization, with and without the mean taken off: all axes from one on together.

use tilewise_tensor::{DType, Tensor};

use super::numeric::{Lines, expect_broadcast, expect_dtype, moments, output_type, output_types, reals, store_reals};
use super::support::{broadcast_positions, expect_float, operand, optional, resolve_axis};
use super::{Arg, Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Inputs: x, scale, optional bias; the last two broadcast to x. Outputs:
    /// `(x - mean) / sqrt(variance + epsilon) * scale + bias`, the mean, and the inverse of the deviation; both of the
    /// latter have length 1 along the normalized axes.
    LayerNormalization {
        /// First of the normalized axes; negative counts from the end.
        axis: i64 = -1,
        /// Added to the variance.
        epsilon: f32 = 1e-5,
        /// Type of the last two outputs, by its number in the definition: 1 is f32, 16 is bf16. Evaluation computes
        /// in f64 whatever it says.
        stash_type: i64 = 1,
    }
}

operator! {
    /// Inputs: x, scale that broadcasts to x. Computes `x / sqrt(mean(x^2) + epsilon) * scale`.
    RMSNormalization {
        /// First of the normalized axes; negative counts from the end.
        axis: i64 = -1,
        /// Added to the mean of squares.
        epsilon: f32 = 1e-5,
        /// The element type, by its number in the definition, to compute in; evaluation takes f64 whatever it says.
        stash_type: i64 = 1,
    }
}

/// Checks x and what broadcasts to it.
fn check<'a>(args: &Args<'a>, axis: i64, extras: &[(usize, &str)]) -> Result<Arg<'a>, OpError> {
    let x = args.at(0)?;
    expect_float(&x)?;
    for &(index, what) in extras {
        let Some(arg) = args.get(index) else { continue };
        expect_float(&arg)?;
        if let Some(shape) = x.shape() {
            expect_broadcast(&arg, what, shape)?;
        }
    }
    if let Some(rank) = x.rank() {
        resolve_axis(axis, rank)?;
    }
    Ok(x)
}

/// Multiplies by what broadcasts from input 1 and adds what does from input 2.
fn scale(values: &mut [f64], shape: &[usize], inputs: &[Option<&Tensor>]) -> Result<(), OpError> {
    if values.is_empty() {
        return Ok(());
    }
    for (index, bias) in [(1, false), (2, true)] {
        let Some(tensor) = optional(inputs, index) else { continue };
        let factors = reals(tensor)?;
        for (x, at) in values.iter_mut().zip(broadcast_positions(tensor.shape(), shape)) {
            *x = if bias { *x + factors[at] } else { *x * factors[at] };
        }
    }
    Ok(())
}

impl Operator for LayerNormalization {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        args.at(1)?;
        let x = check(args, self.axis, &[(1, "the scale"), (2, "the bias")])?;
        for index in [1, 2] {
            args.get(index).map_or(Ok(()), |arg| expect_dtype(&arg, "scale or bias", &[x.dtype()]))?;
        }
        let dtype = match self.stash_type {
            1 => DType::F32,
            16 => DType::BF16,
            other => return Err(OpError::unsupported(format!("stash_type {other}"))),
        };
        let shape = match x.shape() {
            Some(shape) => {
                let axis = resolve_axis(self.axis, shape.len())?;
                let mut kept = shape[..axis].to_vec();
                kept.resize(shape.len(), Dim::Known(1));
                Some(kept)
            }
            None => None,
        };
        let moment = ValueType { dtype, shape };
        Ok(vec![x.ty.clone(), moment.clone(), moment])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let types = output_types(self, inputs)?;
        let x = operand(inputs, 0)?;
        let axis = resolve_axis(self.axis, x.shape().len())?;
        let lines = Lines::along(x.shape(), &(axis..x.shape().len()).collect::<Vec<_>>());
        let mut values = reals(x)?;
        let (mut means, mut inverses) = (Vec::new(), Vec::new());
        lines.update(&mut values, |line| {
            let (mean, inverse) = moments(line, self.epsilon.into());
            means.push(mean);
            inverses.push(inverse);
            line.iter_mut().for_each(|x| *x = (*x - mean) * inverse);
        });
        scale(&mut values, x.shape(), inputs)?;
        let outputs = types.iter().zip([values, means, inverses]);
        outputs.map(|((dtype, shape), values)| store_reals(*dtype, shape, &values)).collect()
    }
}

impl Operator for RMSNormalization {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        // The scale's type is the output's.
        let dtype = args.at(1)?.dtype();
        let x = check(args, self.axis, &[(1, "the scale")])?;
        Ok(vec![ValueType { dtype, shape: x.ty.shape.clone() }])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let (dtype, shape) = output_type(self, inputs)?;
        let mut values = reals(operand(inputs, 0)?)?;
        let axis = resolve_axis(self.axis, shape.len())?;
        Lines::along(&shape, &(axis..shape.len()).collect::<Vec<_>>()).update(&mut values, |line| {
            let mean = line.iter().map(|x| x * x).sum::<f64>() / line.len() as f64;
            line.iter_mut().for_each(|x| *x /= (mean + f64::from(self.epsilon)).sqrt());
        });
        scale(&mut values, &shape, &inputs[..2])?;
        Ok(vec![store_reals(dtype, &shape, &values)?])
    }
}
