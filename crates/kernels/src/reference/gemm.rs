//! Matrix multiplication as three loops.

use super::unary;
use crate::gemm::{Gemm, Offsets};

/// One product of a batch, dense and row-major `[m][n]`; `bias` `[n]` and `residual` (indexed from `at.c`) are empty
/// where the epilogue has none.
pub fn gemm(p: &Gemm, a: &[f32], b: &[f32], bias: &[f32], residual: &[f32], at: Offsets) -> Vec<f32> {
    let mut c = Vec::with_capacity(p.m * p.n);
    for i in 0..p.m {
        for j in 0..p.n {
            let products = (0..p.k).map(|l| {
                let left = a[at.a + i * p.a.row + l * p.a.col];
                f64::from(left) * f64::from(b[at.b + l * p.b.row + j * p.b.col])
            });
            let mut sum = f64::from(p.alpha) * products.sum::<f64>();
            sum += bias.get(j).map_or(0.0, |&b| f64::from(b));
            sum += residual.get(at.c + c.len()).map_or(0.0, |&r| f64::from(r));
            c.push(unary(p.epilogue.act, sum) as f32);
        }
    }
    c
}
