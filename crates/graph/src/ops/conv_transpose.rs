//! Transposed convolution: what a convolution reads from, this writes to.

use tilewise_tensor::{Tensor, Unary, numel};

use super::numeric::{check_extras, expect_dtype, output_type, reals, store_reals};
use super::spatial::{AutoPad, Window};
use super::support::{expect_float, operand, optional};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Inputs: x `[n, ic, spatial..]`, w `[ic, oc / group, kernel..]`, optional bias `[oc]`. Each element of x adds
    /// its multiple of the kernel to the output `[n, oc, ..]`; then bias and activation.
    ConvTranspose {
        /// Lengths of the kernel; empty: those of w.
        kernel_shape: Vec<usize> = Vec::new(),
        /// Distances between the kernels of neighbours; empty: 1.
        strides: Vec<usize> = Vec::new(),
        /// Distances of taps; empty: 1.
        dilations: Vec<usize> = Vec::new(),
        /// Places cut from the beginning of each axis, then from the end; empty: 0.
        pads: Vec<usize> = Vec::new(),
        /// Places added at the end of each axis; empty: 0.
        output_padding: Vec<usize> = Vec::new(),
        /// Lengths of the output, from which pads follow; empty: they follow from pads.
        output_shape: Vec<usize> = Vec::new(),
        /// How pads follow from the input instead.
        auto_pad: AutoPad = AutoPad::NotSet,
        /// Groups of channels.
        group: usize = 1,
        /// Applied last.
        activation: Unary = Unary::Identity,
    }
}

impl ConvTranspose {
    /// The window of the convolution that this is the transpose of: it slides over this operator's *output*, and its
    /// places are the elements of `spatial`.
    ///
    /// # Errors
    /// [`OpError::Invalid`] for attributes that do not fit the number of axes, and for pads that cut all away.
    pub fn window(&self, spatial: &[usize], kernel: &[usize]) -> Result<Window, OpError> {
        let rank = spatial.len();
        if !self.kernel_shape.is_empty() && self.kernel_shape != kernel {
            return Err(OpError::invalid(format!("kernel_shape {:?} is not that of w {kernel:?}", self.kernel_shape)));
        }
        for (what, lengths) in [("output_padding", &self.output_padding), ("output_shape", &self.output_shape)] {
            if !(lengths.is_empty() || lengths.len() == rank && lengths.iter().all(|&n| n < 1 << 31)) {
                return Err(OpError::invalid(format!("{what} {lengths:?} does not fit {rank} spatial axes")));
            }
        }
        // Checks and resolves the attributes over lengths that fit; the lengths themselves are put in below.
        let ample = vec![(1 << 31) - 1; rank];
        let mut window =
            Window::new(&ample, kernel, &self.strides, &self.dilations, &self.cut(kernel), AutoPad::NotSet)?;
        for (axis, &length) in spatial.iter().enumerate() {
            if length >= 1 << 31 {
                return Err(OpError::invalid(format!("length {length} of a spatial axis")));
            }
            let reach = (window.kernel[axis] - 1) * window.dilations[axis] + 1;
            let extra = self.output_padding.get(axis).copied().unwrap_or(0);
            let full = if length == 0 { 0 } else { (length - 1) * window.strides[axis] + reach + extra };
            let same = matches!(self.auto_pad, AutoPad::SameUpper | AutoPad::SameLower);
            let wanted = self.output_shape.get(axis).copied().or(same.then(|| length * window.strides[axis]));
            if let Some(wanted) = wanted {
                let total = full.saturating_sub(wanted);
                let less = total / 2;
                let upper = self.auto_pad == AutoPad::SameUpper;
                (window.before[axis], window.after[axis]) =
                    if upper { (less, total - less) } else { (total - less, less) };
            }
            let cut = window.before[axis] + window.after[axis];
            let left = full.checked_sub(cut);
            window.input[axis] = wanted
                .or(left)
                .ok_or_else(|| OpError::invalid(format!("pads cut {cut} places from an output of {full}")))?;
            window.output[axis] = length;
        }
        Ok(window)
    }

    /// The pads as given; none where they follow from something else.
    fn cut(&self, kernel: &[usize]) -> Vec<usize> {
        let given = self.auto_pad == AutoPad::NotSet && self.output_shape.is_empty();
        if given { self.pads.clone() } else { vec![0; 2 * kernel.len()] }
    }

    fn output_dims(&self, spatial: &[Dim], kernel: &[usize]) -> Result<Vec<Dim>, OpError> {
        // An unknown length is checked as one that fits.
        let lengths: Vec<usize> = spatial.iter().map(|d| d.known().unwrap_or(1 << 20)).collect();
        let window = self.window(&lengths, kernel)?;
        let fixed = !self.output_shape.is_empty();
        let dims = spatial.iter().zip(&window.input);
        Ok(dims.map(|(d, &out)| if fixed { Dim::Known(out) } else { d.map(|_| out) }).collect())
    }
}

impl Operator for ConvTranspose {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (x, w) = (args.at(0)?, args.at(1)?);
        expect_float(&x)?;
        expect_dtype(&w, "w", &[x.dtype()])?;
        let (Some(xs), Some(ws)) = (x.shape(), w.shape()) else {
            check_extras(args, 2, x.dtype(), None)?;
            return Ok(vec![ValueType::unranked(x.dtype())]);
        };
        if xs.len() < 3 || ws.len() != xs.len() {
            return Err(OpError::invalid(format!("x has {} axes and w {}", xs.len(), ws.len())));
        }
        if let (Some(ic), Some(wic)) = (xs[1].known(), ws[0].known())
            && (self.group == 0 || ic != wic || !ic.is_multiple_of(self.group))
        {
            return Err(OpError::invalid(format!("{ic} channels in {} groups do not fit w {}", self.group, w.ty)));
        }
        let oc = match ws[1].known().map(|ocg| ocg.checked_mul(self.group)) {
            Some(Some(oc)) => Dim::Known(oc),
            Some(None) => return Err(OpError::invalid(format!("{} groups of channels are too many", self.group))),
            None => Dim::Unknown,
        };
        let mut shape = vec![xs[0].clone(), oc];
        let kernel: Option<Vec<usize>> = ws[2..].iter().map(Dim::known).collect();
        match kernel {
            Some(kernel) => shape.extend(self.output_dims(&xs[2..], &kernel)?),
            None => shape.extend(vec![Dim::Unknown; xs.len() - 2]),
        }
        check_extras(args, 2, x.dtype(), Some((&shape, &shape[1])))?;
        Ok(vec![ValueType::new(x.dtype(), shape)])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let (dtype, shape) = output_type(self, inputs)?;
        let (x, w) = (operand(inputs, 0)?, operand(inputs, 1)?);
        let window = self.window(&x.shape()[2..], &w.shape()[2..])?;
        let (xs, ws) = (reals(x)?, reals(w)?);
        let bias = optional(inputs, 2).map(reals).transpose()?;
        let (ic, oc, ocg) = (x.shape()[1], shape[1], w.shape()[1]);
        if shape.contains(&0) {
            return Ok(vec![Tensor::zeros(dtype, &shape)?]);
        }
        let (plane, taps) = (window.input.iter().product::<usize>(), window.kernel.iter().product::<usize>());
        let start = |i: usize| bias.as_ref().map_or(0.0, |b| b[i / plane % oc]);
        let mut y: Vec<f64> = (0..shape.iter().product()).map(start).collect();
        let places = if xs.is_empty() { Vec::new() } else { window.places() };
        for (row, line) in xs.chunks(places.len().max(1)).enumerate() {
            let (image, i) = (row / ic, row % ic);
            for (&x, place) in line.iter().zip(&places) {
                for o in 0..ocg {
                    let to = (image * oc + i / (ic / self.group) * ocg + o) * plane;
                    let from = (i * ocg + o) * taps;
                    for &(tap, pixel) in place {
                        y[to + pixel] += x * ws[from + tap];
                    }
                }
            }
        }
        for y in &mut y {
            *y = self.activation.at(*y);
        }
        Ok(vec![store_reals(dtype, &shape, &y)?])
    }

    fn macs(&self, args: &Args<'_>, _: &[ValueType]) -> u64 {
        let weights = args.get(1).and_then(|w| w.ty.known_shape()).and_then(|w| numel(w.get(1..)?));
        let (Some(weights), Some(x)) = (weights, args.get(0).and_then(|x| x.ty.numel())) else { return 0 };
        (x as u64).saturating_mul(weights as u64)
    }
}
