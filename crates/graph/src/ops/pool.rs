//! Poolings: one number of each window that slides over the spatial axes.

use tilewise_tensor::{DType, Tensor, numel};

use super::numeric::{Numbers, output_type, reals, store_integers, store_reals};
use super::spatial::{AutoPad, Window, window_dims};
use super::support::{Positions, expect_float, operand};
use super::{Arg, Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Input: x `[n, c, spatial..]`, floating-point or 8-bit. Outputs: the largest element of each window (NaN where
    /// it holds one), and where that stands in x, as i64: its position in row-major order, -1 for a window wholly in
    /// the padding, which yields the lowest value.
    MaxPool {
        /// Lengths of the window.
        kernel_shape: Vec<usize>,
        /// Steps; empty: 1.
        strides: Vec<usize> = Vec::new(),
        /// Distances of taps; empty: 1.
        dilations: Vec<usize> = Vec::new(),
        /// Places before each axis, then after each; they never win; empty: 0.
        pads: Vec<usize> = Vec::new(),
        /// How pads follow from the input instead.
        auto_pad: AutoPad = AutoPad::NotSet,
        /// A last window may hang over the end.
        ceil_mode: bool = false,
        /// Positions count the spatial axes in column-major order.
        storage_order: bool = false,
    }
}

operator! {
    /// Input: x `[n, c, spatial..]`. Output: the mean of each window, over its elements that are in x; 0 where there
    /// is none.
    AveragePool {
        /// Lengths of the window.
        kernel_shape: Vec<usize>,
        /// Steps; empty: 1.
        strides: Vec<usize> = Vec::new(),
        /// Distances of taps; empty: 1.
        dilations: Vec<usize> = Vec::new(),
        /// Places before each axis, then after each; empty: 0.
        pads: Vec<usize> = Vec::new(),
        /// How pads follow from the input instead.
        auto_pad: AutoPad = AutoPad::NotSet,
        /// A last window may hang over the end.
        ceil_mode: bool = false,
        /// Padding counts as zeros; what hangs over the padding never counts.
        count_include_pad: bool = false,
    }
}

operator! {
    /// Input: x `[n, c, spatial..]`. Output: the p-norm of each window.
    LpPool {
        /// Lengths of the window.
        kernel_shape: Vec<usize>,
        /// Steps; empty: 1.
        strides: Vec<usize> = Vec::new(),
        /// Distances of taps; empty: 1.
        dilations: Vec<usize> = Vec::new(),
        /// Zeros before each axis, then after each; empty: 0.
        pads: Vec<usize> = Vec::new(),
        /// How pads follow from the input instead.
        auto_pad: AutoPad = AutoPad::NotSet,
        /// A last window may hang over the end.
        ceil_mode: bool = false,
        /// The norm: the p-th root of the sum of p-th powers; from 1.
        p: usize = 2,
    }
}

macro_rules! windows {
    ($($name:ident),*) => {
        $(impl $name {
            /// The sliding window over inputs whose spatial lengths are `spatial`.
            ///
            /// # Errors
            /// [`OpError::Invalid`] for attributes that do not fit the number of axes.
            pub fn window(&self, spatial: &[usize]) -> Result<Window, OpError> {
                let Self { kernel_shape, strides, dilations, pads, auto_pad, .. } = self;
                let window = Window::new(spatial, kernel_shape, strides, dilations, pads, *auto_pad)?;
                // By the definition of the sizes, rounding up concerns given pads alone.
                let up = self.ceil_mode && *auto_pad == AutoPad::NotSet;
                Ok(if up { window.rounded_up() } else { window })
            }

            fn output(&self, x: &Arg<'_>) -> Result<ValueType, OpError> {
                let Some(shape) = x.shape() else { return Ok(ValueType::unranked(x.dtype())) };
                let [n, c, spatial @ ..] = shape else {
                    return Err(OpError::invalid(format!("{} has no spatial axis", x.ty)));
                };
                if spatial.is_empty() {
                    return Err(OpError::invalid(format!("{} has no spatial axis", x.ty)));
                }
                let mut dims: Vec<Dim> = vec![n.clone(), c.clone()];
                dims.extend(window_dims(spatial, |lengths| self.window(lengths))?);
                Ok(ValueType::new(x.dtype(), dims))
            }
        })*
    };
}

windows!(MaxPool, AveragePool, LpPool);

/// `f` of each window of each plane: the place's number, the plane's elements, and the pixels in the window.
fn pool<T, U>(window: &Window, x: &[T], mut f: impl FnMut(usize, &[T], &[(usize, usize)]) -> U) -> Vec<U> {
    if x.is_empty() {
        return Vec::new();
    }
    let places = window.places();
    let planes = x.chunks(window.input.iter().product());
    planes
        .flat_map(|plane| places.iter().enumerate().map(|(i, place)| f(i, plane, place)).collect::<Vec<_>>())
        .collect()
}

impl Operator for MaxPool {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let x = args.at(0)?;
        if !x.dtype().is_float() && !matches!(x.dtype(), DType::I8 | DType::U8) {
            return Err(OpError::invalid(format!("no MaxPool of {}", x.dtype())));
        }
        let y = self.output(&x)?;
        let indices = ValueType { dtype: DType::I64, shape: y.shape.clone() };
        Ok(vec![y, indices])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let (dtype, shape) = output_type(self, inputs)?;
        let x = operand(inputs, 0)?;
        let window = self.window(&x.shape()[2..])?;
        let values = Numbers::of(x)?;
        let winners = match &values {
            Numbers::Real(values) => winners(&window, values),
            Numbers::Int(values) => winners(&window, values),
        };
        // No window of an empty plane has an element.
        let winners = if winners.is_empty() { vec![None; numel(&shape).unwrap_or(0)] } else { winners };
        let (plane, outputs) = (numel(&window.input).unwrap_or(0), numel(&window.output).unwrap_or(1));
        let at = |i: usize, pixel: usize| i / outputs * plane + pixel;
        let chosen = winners.iter().enumerate();
        let y = match &values {
            Numbers::Real(x) => {
                Numbers::Real(chosen.map(|(i, w)| w.map_or(f64::NEG_INFINITY, |pixel| x[at(i, pixel)])).collect())
            }
            Numbers::Int(x) => {
                let lowest = if dtype == DType::I8 { i8::MIN.into() } else { 0 };
                Numbers::Int(chosen.map(|(i, w)| w.map_or(lowest, |pixel| x[at(i, pixel)])).collect())
            }
        };
        let order = if self.storage_order && plane > 0 { column_major(&window.input) } else { (0..plane).collect() };
        let indices = winners.iter().enumerate().map(|(i, w)| w.map_or(-1, |pixel| at(i, order[pixel]) as i128));
        let indices: Vec<i128> = indices.collect();
        Ok(vec![y.store(dtype, &shape)?, store_integers(DType::I64, &shape, &indices)?])
    }
}

/// For each window of each plane the pixel of the largest element, the first of equals; NaN is larger than all.
fn winners<T: PartialOrd + Copy>(window: &Window, x: &[T]) -> Vec<Option<usize>> {
    pool(window, x, |_, plane, place| {
        let pixels = place.iter().map(|&(_, pixel)| pixel);
        pixels.reduce(|best, pixel| {
            let (held, new) = (plane[best], plane[pixel]);
            let is_nan = |x: T| x.partial_cmp(&x).is_none();
            if new > held || (is_nan(new) && !is_nan(held)) { pixel } else { best }
        })
    })
}

/// The column-major number of each place in row-major order.
fn column_major(lengths: &[usize]) -> Vec<usize> {
    let steps: Vec<usize> = lengths.iter().scan(1, |step, &len| Some(std::mem::replace(step, *step * len))).collect();
    Positions::new(lengths, &steps).collect()
}

impl Operator for AveragePool {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let x = args.at(0)?;
        expect_float(&x)?;
        Ok(vec![self.output(&x)?])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let (dtype, shape) = output_type(self, inputs)?;
        let x = operand(inputs, 0)?;
        if x.numel() == 0 {
            return Ok(vec![Tensor::zeros(dtype, &shape)?]);
        }
        let window = self.window(&x.shape()[2..])?;
        let padded = window.padded_taps();
        let y = pool(&window, &reals(x)?, |i, plane, place| {
            let count = if self.count_include_pad { padded[i] } else { place.len() };
            place.iter().map(|&(_, pixel)| plane[pixel]).sum::<f64>() / count.max(1) as f64
        });
        Ok(vec![store_reals(dtype, &shape, &y)?])
    }
}

impl Operator for LpPool {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let x = args.at(0)?;
        expect_float(&x)?;
        expect_norm(self.p)?;
        Ok(vec![self.output(&x)?])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let (dtype, shape) = output_type(self, inputs)?;
        let x = operand(inputs, 0)?;
        if x.numel() == 0 {
            return Ok(vec![Tensor::zeros(dtype, &shape)?]);
        }
        let window = self.window(&x.shape()[2..])?;
        let y = pool(&window, &reals(x)?, |_, plane, place| norm(self.p, place.iter().map(|&(_, pixel)| plane[pixel])));
        Ok(vec![store_reals(dtype, &shape, &y)?])
    }
}

/// An error unless p is the order of a norm.
pub(super) fn expect_norm(p: usize) -> Result<(), OpError> {
    if p > 0 { Ok(()) } else { Err(OpError::invalid("p is 0, expected an integer from 1")) }
}

/// The p-norm.
pub(super) fn norm(p: usize, xs: impl Iterator<Item = f64>) -> f64 {
    let p = p as f64;
    xs.map(|x| x.abs().powf(p)).sum::<f64>().powf(1.0 / p)
}
