//! Reductions: one number for all elements along some axes.

use tilewise_tensor::{DType, Tensor};

use super::numeric::{Lines, Numbers, output_type, resolve_axes};
use super::support::{ints, operand, optional};
use super::{Args, Operator};
use crate::attr::{Attr, AttrMap, Attributes};
use crate::{Dim, OpError, ValueType};

macro_rules! functions {
    ($($(#[$meta:meta])* $name:ident = $text:literal: |$xs:ident| $real:expr, $int:expr;)*) => {
        /// A function of any number of numbers.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum ReduceFn { $($(#[$meta])* $name),* }

        impl ReduceFn {
            /// Every function.
            pub const ALL: &'static [ReduceFn] = &[$(ReduceFn::$name),*];

            /// The operator's name.
            pub const fn name(self) -> &'static str {
                match self { $(ReduceFn::$name => $text),* }
            }

            /// The value in f64.
            pub fn of(self, xs: &[f64]) -> f64 {
                match self { $(ReduceFn::$name => { let $xs = xs; $real })* }
            }

            /// The value in integers, cut towards zero.
            fn of_ints(self, xs: &[i128]) -> i128 {
                match self { $(ReduceFn::$name => { let $xs = xs; $int })* }
            }
        }

        const NAMES: &[&str] = &[$($text),*];
    };
}

functions! {
    /// Sum
    Sum = "ReduceSum": |xs| xs.iter().sum(), sum(xs.iter().copied());
    /// Mean
    Mean = "ReduceMean": |xs| xs.iter().sum::<f64>() / xs.len() as f64,
        sum(xs.iter().copied()).checked_div(xs.len() as i128).unwrap_or(0);
    /// Largest; NaN where one is NaN
    Max = "ReduceMax": |xs| xs.iter().fold(f64::NEG_INFINITY, |y, &x| if x > y || x.is_nan() { x } else { y }),
        xs.iter().copied().max().unwrap_or(0);
    /// Smallest; NaN where one is NaN
    Min = "ReduceMin": |xs| xs.iter().fold(f64::INFINITY, |y, &x| if x < y || x.is_nan() { x } else { y }),
        xs.iter().copied().min().unwrap_or(0);
    /// Product
    Prod = "ReduceProd": |xs| xs.iter().product(), xs.iter().fold(1, |y: i128, &x| y.wrapping_mul(x));
    /// Sum of squares
    SumSquare = "ReduceSumSquare": |xs| xs.iter().map(|x| x * x).sum(), sum(xs.iter().map(|&x| x.wrapping_mul(x)));
    /// Sum of magnitudes
    L1 = "ReduceL1": |xs| xs.iter().map(|x| x.abs()).sum(), sum(xs.iter().map(|&x| x.wrapping_abs()));
    /// Square root of the sum of squares
    L2 = "ReduceL2": |xs| xs.iter().map(|x| x * x).sum::<f64>().sqrt(), ReduceFn::L2.of(&wide(xs)) as i128;
    /// Logarithm of the sum
    LogSum = "ReduceLogSum": |xs| xs.iter().sum::<f64>().ln(), ReduceFn::LogSum.of(&wide(xs)) as i128;
    /// Logarithm of the sum of exponentials
    LogSumExp = "ReduceLogSumExp": |xs| log_sum_exp(xs), log_sum_exp(&wide(xs)) as i128;
}

fn sum(xs: impl Iterator<Item = i128>) -> i128 {
    xs.fold(0, i128::wrapping_add)
}

fn wide(xs: &[i128]) -> Vec<f64> {
    xs.iter().map(|&x| x as f64).collect()
}

/// With the largest element taken out, so that exp cannot overflow.
fn log_sum_exp(xs: &[f64]) -> f64 {
    let largest = xs.iter().fold(f64::NEG_INFINITY, |y, &x| y.max(x));
    // All of them -inf, or one inf: the difference below would be no number.
    let base = if largest.is_finite() { largest } else { 0.0 };
    xs.iter().map(|x| (x - base).exp()).sum::<f64>().ln() + base
}

/// Inputs: data, optional axes (i64, negative from the end). Output: the function of all elements along the axes;
/// integers wrap. Without axes it is all of them, or with
/// `noop_with_empty_axes` the function of each element by itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reduce {
    /// The function.
    pub function: ReduceFn,
    /// Keep reduced axes with length 1.
    pub keepdims: bool,
    /// No axes: every element by itself.
    pub noop_with_empty_axes: bool,
}

impl Attributes for Reduce {
    const NAMES: &'static [&'static str] = NAMES;

    fn name(&self) -> &'static str {
        self.function.name()
    }

    fn read(name: &str, attrs: &mut AttrMap) -> Result<Self, OpError> {
        let function = ReduceFn::ALL.iter().copied().find(|f| f.name() == name);
        Ok(Reduce {
            function: function.ok_or_else(|| OpError::unsupported(format!("the reduction {name}")))?,
            keepdims: attrs.take("keepdims")?.unwrap_or(true),
            noop_with_empty_axes: attrs.take("noop_with_empty_axes")?.unwrap_or(false),
        })
    }

    fn write(&self) -> Vec<(&'static str, Attr)> {
        let fields = [("keepdims", self.keepdims, true), ("noop_with_empty_axes", self.noop_with_empty_axes, false)];
        let changed = fields.into_iter().filter(|(_, value, default)| value != default);
        changed.map(|(name, value, _)| (name, Attr::Int(i64::from(value)))).collect()
    }
}

impl Reduce {
    /// The axes that go, sorted; `axes` are the second input's, empty where it is not given.
    ///
    /// # Errors
    /// [`OpError::Invalid`] for axes outside of the rank, or named twice.
    pub fn axes(&self, axes: &[i64], rank: usize) -> Result<Vec<usize>, OpError> {
        match axes {
            [] if self.noop_with_empty_axes => Ok(Vec::new()),
            [] => Ok((0..rank).collect()),
            axes => resolve_axes(axes, rank),
        }
    }

    /// The shape where the number of axes is known and the axes are not: which go is open.
    fn open_shape(&self, rank: usize) -> Option<Vec<Dim>> {
        self.keepdims.then(|| vec![Dim::Unknown; rank])
    }
}

/// The lengths that stay when `axes` are reduced.
pub(super) fn reduced<D: Clone>(shape: &[D], axes: &[usize], keepdims: bool, one: D) -> Vec<D> {
    let kept = shape.iter().enumerate().filter_map(|(axis, dim)| match axes.contains(&axis) {
        true if keepdims => Some(one.clone()),
        true => None,
        false => Some(dim.clone()),
    });
    kept.collect()
}

impl Operator for Reduce {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (data, axes) = (args.at(0)?, args.get(1));
        let ordered = matches!(self.function, ReduceFn::Max | ReduceFn::Min);
        if data.dtype() == DType::Bool && !ordered {
            return Err(OpError::invalid(format!("no {} of bool", self.function.name())));
        }
        let axes = axes.map_or(Ok(Some(Vec::new())), |axes| axes.ints())?;
        let shape = match (data.shape(), axes) {
            (Some(shape), Some(axes)) => {
                let axes = self.axes(&axes, shape.len())?;
                if ordered && !data.dtype().is_float() && axes.iter().any(|&axis| shape[axis] == Dim::Known(0)) {
                    return Err(OpError::invalid(format!("no {} of no element of {}", self.function.name(), data.ty)));
                }
                Some(reduced(shape, &axes, self.keepdims, Dim::Known(1)))
            }
            (Some(shape), None) => self.open_shape(shape.len()),
            (None, _) => None,
        };
        Ok(vec![ValueType { dtype: data.dtype(), shape }])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let (dtype, shape) = output_type(self, inputs)?;
        let data = operand(inputs, 0)?;
        let axes = optional(inputs, 1).map_or(Ok(Vec::new()), ints)?;
        let lines = Lines::along(data.shape(), &self.axes(&axes, data.shape().len())?);
        let y = match Numbers::of(data)? {
            Numbers::Real(xs) => Numbers::Real(lines.gather(&xs).map(|line| self.function.of(&line)).collect()),
            Numbers::Int(xs) => Numbers::Int(lines.gather(&xs).map(|line| self.function.of_ints(&line)).collect()),
        };
        Ok(vec![y.store(dtype, &shape)?])
    }
}
