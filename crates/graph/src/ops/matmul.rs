//! Matrix products: MatMul over batches, and the loop that Gemm and the quantized products share.

use std::iter::Sum;
use std::num::Wrapping;

use tilewise_tensor::{DType, Tensor, Unary};

use super::numeric::{Numbers, check_extras, expect_dtype, integers, output_type, reals};
use super::support::{broadcast_dims, broadcast_positions, floats, operand, optional};
use super::{Arg, Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Inputs: a `[.., m, k]`, b `[.., k, n]`, optional bias `[n]`, optional residual (like the output). Computes
    /// `activation(a b + bias + residual)`; leading axes broadcast, and an operand with one axis is a row a or a
    /// column b whose axis of length 1 is left out of the result (NumPy's `matmul`). Integers wrap, and take no
    /// activation.
    MatMul {
        /// Applied last.
        activation: Unary = Unary::Identity,
    }
}

impl Operator for MatMul {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (a, b) = (args.at(0)?, args.at(1)?);
        if a.dtype() == DType::Bool || (!a.dtype().is_float() && self.activation != Unary::Identity) {
            return Err(OpError::invalid(format!("no product of {} with {}", a.dtype(), self.activation)));
        }
        expect_dtype(&b, "b", &[a.dtype()])?;
        let shape = product_shape(&a, &b)?;
        let one = Dim::Known(1);
        check_extras(args, 2, a.dtype(), shape.as_deref().map(|shape| (shape, shape.last().unwrap_or(&one))))?;
        Ok(vec![ValueType { dtype: a.dtype(), shape }])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let (dtype, shape) = output_type(self, inputs)?;
        let (a, b) = (operand(inputs, 0)?, operand(inputs, 1)?);
        let product = Product::of(a.shape(), b.shape(), &shape);
        let (bias, residual) = (optional(inputs, 2), optional(inputs, 3));
        let n = shape.last().copied().unwrap_or(1);
        if !dtype.is_float() {
            let mut sums = product.sums(&integers(a)?, &integers(b)?, |a, b| Wrapping(a) * Wrapping(b));
            add_extras(&mut sums, n, &bias.map(wrapped).transpose()?, &residual.map(wrapped).transpose()?);
            let sums = sums.into_iter().map(|sum| sum.0).collect();
            return Ok(vec![Numbers::Int(sums).store(dtype, &shape)?]);
        }
        let mut sums = if dtype == DType::F64 {
            product.sums(&a.values::<f64>()?, &b.values::<f64>()?, |a, b| a * b)
        } else {
            product.sums(&floats(a)?, &floats(b)?, |a, b| f64::from(a) * f64::from(b))
        };
        add_extras(&mut sums, n, &bias.map(reals).transpose()?, &residual.map(reals).transpose()?);
        let y = sums.into_iter().map(|sum| self.activation.at(sum)).collect();
        Ok(vec![Numbers::Real(y).store(dtype, &shape)?])
    }

    fn macs(&self, args: &Args<'_>, outputs: &[ValueType]) -> u64 {
        product_macs(args.get(0), outputs)
    }
}

fn wrapped(tensor: &Tensor) -> Result<Vec<Wrapping<i128>>, OpError> {
    Ok(integers(tensor)?.into_iter().map(Wrapping).collect())
}

fn add_extras<S: Copy + std::ops::AddAssign>(
    sums: &mut [S],
    n: usize,
    bias: &Option<Vec<S>>,
    residual: &Option<Vec<S>>,
) {
    for (i, sum) in sums.iter_mut().enumerate() {
        if let Some(bias) = bias {
            *sum += bias[i % n];
        }
        if let Some(residual) = residual {
            *sum += residual[i];
        }
    }
}

/// The shape of NumPy's `matmul`; `None` where a number of axes is not known.
pub(super) fn product_shape(a: &Arg<'_>, b: &Arg<'_>) -> Result<Option<Vec<Dim>>, OpError> {
    let (Some(x), Some(y)) = (a.shape(), b.shape()) else { return Ok(None) };
    let ([x_batch @ .., x_k], [y_rest @ .., y_last]) = (x, y) else {
        return Err(OpError::invalid(format!("a product of {} and {} needs an axis of each", a.ty, b.ty)));
    };
    let (x_batch, m) = match x_batch {
        [batch @ .., m] => (batch, Some(m)),
        [] => (x_batch, None),
    };
    let (y_batch, y_k, n) = match y_rest {
        [batch @ .., k] => (batch, k, Some(y_last)),
        [] => (y_rest, y_last, None),
    };
    if let (Some(p), Some(q)) = (x_k.known(), y_k.known())
        && p != q
    {
        return Err(OpError::invalid(format!("a product of {} and {}: {p} columns, {q} rows", a.ty, b.ty)));
    }
    let mut shape = broadcast_dims(x_batch, y_batch)?;
    shape.extend(m.into_iter().chain(n).cloned());
    Ok(Some(shape))
}

/// Multiply-adds of `a [.., k]` times anything: k for each output.
pub(super) fn product_macs(a: Option<Arg<'_>>, outputs: &[ValueType]) -> u64 {
    let k = a.and_then(|a| a.shape()?.last()?.known());
    let (Some(k), Some(out)) = (k, outputs.first().and_then(ValueType::numel)) else { return 0 };
    (out as u64).saturating_mul(k as u64)
}

/// A batch of products `[m, k] [k, n]`: where the matrices stand, and the steps of their rows and columns.
pub(super) struct Product {
    /// First element of a and of b for each product.
    pub(super) starts: Vec<(usize, usize)>,
    pub(super) m: usize,
    pub(super) k: usize,
    pub(super) n: usize,
    /// Step from row to row and from column to column of a.
    pub(super) a_steps: (usize, usize),
    /// Step from row to row and from column to column of b.
    pub(super) b_steps: (usize, usize),
}

impl Product {
    /// NumPy's `matmul` of shapes that [`product_shape`] has accepted, with its result `shape`.
    pub(super) fn of(a: &[usize], b: &[usize], shape: &[usize]) -> Product {
        let (m, k) = (if a.len() > 1 { a[a.len() - 2] } else { 1 }, a.last().copied().unwrap_or(1));
        let n = if b.len() > 1 { b[b.len() - 1] } else { 1 };
        let batch = &shape[..shape.len() - usize::from(a.len() > 1) - usize::from(b.len() > 1)];
        let starts = |operand: &[usize], size: usize| {
            let lead = &operand[..operand.len().saturating_sub(2)];
            broadcast_positions(lead, batch).map(move |at| at * size)
        };
        // Without an element no product is walked, whatever lengths stand beside the zero.
        let empty = shape.contains(&0);
        let starts = if empty { Vec::new() } else { starts(a, m * k).zip(starts(b, k * n)).collect() };
        Product { starts, m, k, n, a_steps: (k, 1), b_steps: (n, 1) }
    }

    /// The sums of `term` over k for each product, row and column.
    pub(super) fn sums<A: Copy, B: Copy, S: Sum<S>>(&self, a: &[A], b: &[B], term: impl Fn(A, B) -> S) -> Vec<S> {
        let mut sums = Vec::with_capacity(self.starts.len() * self.m * self.n);
        for &(a_start, b_start) in &self.starts {
            for (row, column) in (0..self.m).flat_map(|row| (0..self.n).map(move |column| (row, column))) {
                let a_at = |i: usize| a[a_start + row * self.a_steps.0 + i * self.a_steps.1];
                let b_at = |i: usize| b[b_start + i * self.b_steps.0 + column * self.b_steps.1];
                sums.push((0..self.k).map(|i| term(a_at(i), b_at(i))).sum());
            }
        }
        sums
    }
}
