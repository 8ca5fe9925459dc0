//! Gemm: the product of two matrices, scaled, transposed and added to.

use tilewise_tensor::{DType, Tensor, Unary};

use super::matmul::Product;
use super::numeric::{expect_broadcast, expect_dtype, output_type, reals, store_reals};
use super::support::{broadcast_positions, floats, operand, optional};
use super::{Args, Operator};
use crate::attr::operator;
use crate::{Dim, OpError, ValueType};

operator! {
    /// Inputs: a `[m, k]` (`[k, m]` if `transA`), b `[k, n]` (`[n, k]` if `transB`), optional c that broadcasts to
    /// `[m, n]`. Computes `activation(alpha a b + beta c)`.
    #[expect(non_snake_case, reason = "the fields are named as the attributes")]
    Gemm {
        /// Scales the product.
        alpha: f32 = 1.0,
        /// Scales c.
        beta: f32 = 1.0,
        /// Transpose a.
        transA: bool = false,
        /// Transpose b.
        transB: bool = false,
        /// Applied last.
        activation: Unary = Unary::Identity,
    }
}

impl Gemm {
    /// `[m, k]` of a left operand with these rows and columns.
    pub fn left<T>(&self, [rows, columns]: [T; 2]) -> [T; 2] {
        if self.transA { [columns, rows] } else { [rows, columns] }
    }

    /// `[k, n]` of a right operand with these rows and columns.
    pub fn right<T>(&self, [rows, columns]: [T; 2]) -> [T; 2] {
        if self.transB { [columns, rows] } else { [rows, columns] }
    }
}

impl Operator for Gemm {
    fn infer(&self, args: &Args<'_>) -> Result<Vec<ValueType>, OpError> {
        let (a, b) = (args.at(0)?, args.at(1)?);
        let dtype = a.dtype();
        if !dtype.is_float() {
            return Err(OpError::unsupported(format!("Gemm of {dtype}")));
        }
        expect_dtype(&b, "b", &[dtype])?;
        let sides = |shape: Option<&[Dim]>, what: &str| match shape {
            Some([rows, columns]) => Ok([rows.clone(), columns.clone()]),
            Some(shape) => Err(OpError::invalid(format!("{what} has {} axes, expected 2", shape.len()))),
            None => Ok([Dim::Unknown, Dim::Unknown]),
        };
        let [m, a_k] = self.left(sides(a.shape(), "a")?);
        let [b_k, n] = self.right(sides(b.shape(), "b")?);
        if let (Some(p), Some(q)) = (a_k.known(), b_k.known())
            && p != q
        {
            return Err(OpError::invalid(format!("a product of {} and {}: {p} columns, {q} rows", a.ty, b.ty)));
        }
        let shape = vec![m, n];
        if let Some(c) = args.get(2) {
            expect_dtype(&c, "c", &[dtype])?;
            expect_broadcast(&c, "c", &shape)?;
        }
        Ok(vec![ValueType::new(dtype, shape)])
    }

    fn eval(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, OpError> {
        let (dtype, shape) = output_type(self, inputs)?;
        let (a, b) = (operand(inputs, 0)?, operand(inputs, 1)?);
        let (m, n) = (shape[0], shape[1]);
        let k = if self.transA { a.shape()[0] } else { a.shape()[1] };
        let starts = if m * n == 0 { Vec::new() } else { vec![(0, 0)] };
        let a_steps = if self.transA { (1, m) } else { (k, 1) };
        let b_steps = if self.transB { (1, k) } else { (n, 1) };
        let product = Product { starts, m, k, n, a_steps, b_steps };
        let mut y = if dtype == DType::F64 {
            product.sums(&a.values::<f64>()?, &b.values::<f64>()?, |a, b| a * b)
        } else {
            product.sums(&floats(a)?, &floats(b)?, |a, b| f64::from(a) * f64::from(b))
        };
        let (alpha, beta) = (f64::from(self.alpha), f64::from(self.beta));
        let added = match optional(inputs, 2) {
            Some(c) if !y.is_empty() => Some((reals(c)?, broadcast_positions(c.shape(), &shape).collect::<Vec<_>>())),
            _ => None,
        };
        for (i, y) in y.iter_mut().enumerate() {
            let c = added.as_ref().map_or(0.0, |(c, at)| beta * c[at[i]]);
            *y = self.activation.at(alpha * *y + c);
        }
        Ok(vec![store_reals(dtype, &shape, &y)?])
    }

    fn macs(&self, args: &Args<'_>, outputs: &[ValueType]) -> u64 {
        let inner = if self.transA { 0 } else { 1 };
        let k = args.get(0).and_then(|a| a.shape()?.get(inner)?.known());
        let (Some(k), Some(out)) = (k, outputs.first().and_then(ValueType::numel)) else { return 0 };
        (out as u64).saturating_mul(k as u64)
    }
}
