//! Convolution over any number of spatial axes.

use tilewise_tensor::{Tensor, Unary, numel};

use super::spatial::{AutoPad, Window};
use super::support::{expect_float, floats, from_floats, merge_dims, operand, optional};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Inputs: x `[n, ic, spatial..]`, w `[oc, ic / group, kernel..]`, optional bias `[oc]`, optional residual (like
    /// the output). Computes `activation(conv(x, w) + bias + residual)`; passes put the last two there.
    Conv {
        /// Lengths of the kernel; empty: those of w.
        kernel_shape: Vec<usize> = Vec::new(),
        /// Steps; empty: 1.
        strides: Vec<usize> = Vec::new(),
        /// Distances of taps; empty: 1.
        dilations: Vec<usize> = Vec::new(),
        /// Zeros before each axis, then after each; empty: 0.
        pads: Vec<usize> = Vec::new(),
        /// How pads follow from the input instead.
        auto_pad: AutoPad = AutoPad::NotSet,
        /// Groups of channels.
        group: usize = 1,
        /// Applied last.
        activation: Unary = Unary::Identity,
    }
}

impl Conv {
    /// The sliding window over inputs whose spatial lengths are `spatial`, with the kernel of `w`.
    ///
    /// # Errors
    /// [`OpError::Invalid`] for attributes that do not fit the number of axes.
    pub fn window(&self, spatial: &[usize], kernel: &[usize]) -> Result<Window, OpError> {
        if !self.kernel_shape.is_empty() && self.kernel_shape != kernel {
            return Err(OpError::invalid(format!("kernel_shape {:?} is not that of w {kernel:?}", self.kernel_shape)));
        }
        Window::new(spatial, kernel, &self.strides, &self.dilations, &self.pads, self.auto_pad)
    }
}

impl Operator for Conv {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (x, w) = (args.at(0)?, args.at(1)?);
        expect_float(&x)?;
        let (Some(xs), Some(ws)) = (x.shape(), w.shape()) else { return Ok(vec![ValueType::unranked(x.dtype())]) };
        if xs.len() < 3 || ws.len() != xs.len() {
            return Err(OpError::invalid(format!("x has {} axes and w {}", xs.len(), ws.len())));
        }
        if let (Some(ic), Some(icg), Some(oc)) = (xs[1].known(), ws[1].known(), ws[0].known())
            && (self.group == 0 || ic != icg * self.group || !oc.is_multiple_of(self.group))
        {
            return Err(OpError::invalid(format!("{ic} channels in {} groups do not fit w {}", self.group, w.ty)));
        }
        let mut shape = vec![xs[0].clone(), ws[0].clone()];
        let kernel: Option<Vec<usize>> = ws[2..].iter().map(Dim::known).collect();
        match kernel {
            Some(kernel) => shape.extend(self.output_dims(&xs[2..], &kernel)?),
            None => shape.extend(vec![Dim::Unknown; xs.len() - 2]),
        }
        for (index, wanted) in [(2, &shape[1..2]), (3, &shape[..])] {
            let Some(added) = args.get(index) else { continue };
            let fits = added.shape().is_none_or(|dims| {
                dims.len() == wanted.len() && dims.iter().zip(wanted).all(|(a, b)| merge_dims(a, b).is_ok())
            });
            if !fits {
                return Err(OpError::invalid(format!("{} cannot be added to the output", added.ty)));
            }
        }
        Ok(vec![ValueType::new(x.dtype(), shape)])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let (x, w) = (operand(inputs, 0)?, operand(inputs, 1)?);
        let window = self.window(&x.shape()[2..], &w.shape()[2..])?;
        let (xs, ws) = (floats(x)?, floats(w)?);
        let bias = optional(inputs, 2).map(floats).transpose()?;
        let residual = optional(inputs, 3).map(floats).transpose()?;
        let (n, ic, oc, icg) = (x.shape()[0], x.shape()[1], w.shape()[0], w.shape()[1]);
        let (plane, taps) = (numel(&x.shape()[2..]).unwrap_or(0), numel(&w.shape()[2..]).unwrap_or(0));
        let ocg = oc / self.group;
        let mut shape = vec![n, oc];
        shape.extend(&window.output);
        let mut y = Vec::with_capacity(numel(&shape).unwrap_or(0));
        let places = window.places();
        for image in 0..n {
            for o in 0..oc {
                let start = bias.as_ref().map_or(0.0, |b| f64::from(b[o]));
                for place in &places {
                    let mut sum = start;
                    for i in 0..icg {
                        let at = (image * ic + o / ocg * icg + i) * plane;
                        let from = (o * icg + i) * taps;
                        let products =
                            place.iter().map(|&(tap, pixel)| f64::from(xs[at + pixel]) * f64::from(ws[from + tap]));
                        sum += products.sum::<f64>();
                    }
                    sum += residual.as_ref().map_or(0.0, |r| f64::from(r[y.len()]));
                    y.push(self.activation.at(sum) as f32);
                }
            }
        }
        Ok(vec![from_floats(x.dtype(), &shape, y)?])
    }

    fn macs(&self, args: &Args<'_>, outputs: &[ValueType]) -> u64 {
        let weights = args.get(1).and_then(|w| w.ty.known_shape());
        let (Some(w), Some(out)) = (weights, outputs.first().and_then(ValueType::numel)) else { return 0 };
        out as u64 * w[1..].iter().product::<usize>() as u64
    }
}

impl Conv {
    fn output_dims(&self, spatial: &[Dim], kernel: &[usize]) -> Result<Vec<Dim>, OpError> {
        // Each axis by itself: a free height does not hide the width. An unknown length is checked as one that fits.
        let lengths: Vec<usize> = spatial.iter().map(|d| d.known().unwrap_or(1 << 20)).collect();
        let window = self.window(&lengths, kernel)?;
        Ok(spatial.iter().zip(&window.output).map(|(d, &out)| d.map(|_| out)).collect())
    }
}
