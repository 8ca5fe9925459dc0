//! Reductions as three loops.

use crate::reduce::{Reduce, ReduceOp};

/// Reduces `x` `[outer][len][inner]` to `[outer][inner]`.
pub fn reduce(p: &Reduce, x: &[f32]) -> Vec<f32> {
    let mut y = Vec::with_capacity(p.outer * p.inner);
    for outer in 0..p.outer {
        for inner in 0..p.inner {
            let values = (0..p.len).map(|i| f64::from(x[(outer * p.len + i) * p.inner + inner]));
            y.push(total(p.op, values) as f32);
        }
    }
    y
}

fn total(op: ReduceOp, values: impl Iterator<Item = f64> + Clone) -> f64 {
    // NaN where one element is: `f64::max` alone would pass over it.
    let nan = values.clone().find(|x| x.is_nan());
    let largest = nan.unwrap_or_else(|| values.clone().fold(f64::NEG_INFINITY, f64::max));
    let shift = if largest.is_finite() { largest } else { 0.0 };
    let count = values.clone().count() as f64;
    match op {
        ReduceOp::Sum => values.sum(),
        ReduceOp::Mean => values.sum::<f64>() / count,
        ReduceOp::Max => largest,
        ReduceOp::Min => nan.unwrap_or_else(|| values.fold(f64::INFINITY, f64::min)),
        ReduceOp::Prod => values.product(),
        ReduceOp::SumSquare => values.map(|x| x * x).sum(),
        ReduceOp::L1 => values.map(f64::abs).sum(),
        ReduceOp::L2 => values.map(|x| x * x).sum::<f64>().sqrt(),
        ReduceOp::LogSum => values.sum::<f64>().ln(),
        ReduceOp::LogSumExp => values.map(|x| (x - shift).exp()).sum::<f64>().ln() + shift,
    }
}
