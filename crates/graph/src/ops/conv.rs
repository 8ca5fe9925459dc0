//! Convolution over any number of spatial axes.

use std::iter::Sum;

use tilewise_tensor::{Tensor, Unary, numel};

use super::numeric::{check_extras, expect_dtype, output_type, reals, store_reals};
use super::spatial::{AutoPad, Window, window_dims};
use super::support::{expect_float, floats, operand, optional};
use super::{Arg, Args, Operator};
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

impl Conv {
    /// The shape of the output; `None` where the number of axes is not known.
    pub(super) fn output_shape(&self, x: &Arg<'_>, w: &Arg<'_>) -> Result<Option<Vec<Dim>>, OpError> {
        let (Some(xs), Some(ws)) = (x.shape(), w.shape()) else { return Ok(None) };
        if xs.len() < 3 || ws.len() != xs.len() {
            return Err(OpError::invalid(format!("x has {} axes and w {}", xs.len(), ws.len())));
        }
        if let (Some(ic), Some(icg), Some(oc)) = (xs[1].known(), ws[1].known(), ws[0].known())
            && (self.group == 0 || icg.checked_mul(self.group) != Some(ic) || !oc.is_multiple_of(self.group))
        {
            return Err(OpError::invalid(format!("{ic} channels in {} groups do not fit w {}", self.group, w.ty)));
        }
        let mut shape = vec![xs[0].clone(), ws[0].clone()];
        let kernel: Option<Vec<usize>> = ws[2..].iter().map(Dim::known).collect();
        match kernel {
            Some(kernel) => shape.extend(window_dims(&xs[2..], |spatial| self.window(spatial, &kernel))?),
            None => shape.extend(vec![Dim::Unknown; xs.len() - 2]),
        }
        Ok(Some(shape))
    }

    /// Multiply-adds: each output is a sum over the weights of its channel.
    pub(super) fn macs_of(w: Option<Arg<'_>>, outputs: &[ValueType]) -> u64 {
        let weights = w.and_then(|w| w.ty.known_shape()).and_then(|w| numel(w.get(1..)?));
        let (Some(weights), Some(out)) = (weights, outputs.first().and_then(ValueType::numel)) else { return 0 };
        (out as u64).saturating_mul(weights as u64)
    }
}

impl Operator for Conv {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (x, w) = (args.at(0)?, args.at(1)?);
        expect_float(&x)?;
        expect_dtype(&w, "w", &[x.dtype()])?;
        let shape = self.output_shape(&x, &w)?;
        check_extras(args, 2, x.dtype(), shape.as_deref().map(|shape| (shape, &shape[1])))?;
        Ok(vec![ValueType { dtype: x.dtype(), shape }])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let (dtype, shape) = output_type(self, inputs)?;
        let (x, w) = (operand(inputs, 0)?, operand(inputs, 1)?);
        let window = self.window(&x.shape()[2..], &w.shape()[2..])?;
        let bias = optional(inputs, 2).map(reals).transpose()?;
        let residual = optional(inputs, 3).map(reals).transpose()?;
        let operands = Convolution {
            window: &window,
            group: self.group,
            x: (x.shape(), &floats(x)?),
            w: (w.shape(), &floats(w)?),
        };
        let mut y = operands.sums(|x, w| f64::from(x) * f64::from(w));
        let plane = window.output.iter().product::<usize>().max(1);
        for (i, y) in y.iter_mut().enumerate() {
            let added = bias.as_ref().map_or(0.0, |b| b[i / plane % shape[1]]);
            *y = self.activation.at(*y + added + residual.as_ref().map_or(0.0, |r| r[i]));
        }
        Ok(vec![store_reals(dtype, &shape, &y)?])
    }

    fn macs(&self, args: &Args<'_>, outputs: &[ValueType]) -> u64 {
        Conv::macs_of(args.get(1), outputs)
    }
}

/// The operands of a convolution: shapes and elements that fit each other.
pub(super) struct Convolution<'a, X, W> {
    pub(super) window: &'a Window,
    pub(super) group: usize,
    pub(super) x: (&'a [usize], &'a [X]),
    pub(super) w: (&'a [usize], &'a [W]),
}

impl<X: Copy, W: Copy> Convolution<'_, X, W> {
    /// The sum of `term` over the channels and taps of each output `[n, oc, spatial..]`.
    pub(super) fn sums<S: Sum<S>>(&self, term: impl Fn(X, W) -> S) -> Vec<S> {
        let (&[n, ic, ..], &[oc, icg, ..]) = (self.x.0, self.w.0) else { return Vec::new() };
        let mut sums = Vec::new();
        if n * oc == 0 {
            return sums;
        }
        let plane = numel(&self.window.input).unwrap_or(0);
        let taps: usize = self.window.kernel.iter().product();
        // Without a channel there is no tap, whatever lengths stand beside the zero.
        let places =
            if icg == 0 { vec![Vec::new(); self.window.output.iter().product()] } else { self.window.places() };
        let ocg = oc / self.group;
        for (image, o) in (0..n).flat_map(|image| (0..oc).map(move |o| (image, o))) {
            for place in &places {
                let channel = |i: usize| {
                    let (at, from) = ((image * ic + o / ocg * icg + i) * plane, (o * icg + i) * taps);
                    place.iter().map(move |&(tap, pixel)| (at + pixel, from + tap))
                };
                sums.push((0..icg).flat_map(channel).map(|(x, w)| term(self.x.1[x], self.w.1[w])).sum());
            }
        }
        sums
    }
}
