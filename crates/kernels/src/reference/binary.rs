//! Functions of two numbers, by the standard library in f64, with broadcasting by index arithmetic.

use super::unary;
use crate::Unary;
use crate::eltwise::Binary;

/// `act(op(a, b))` over the broadcast of two dense row-major arrays, each with its shape.
///
/// # Panics
/// When the shapes do not broadcast.
pub fn binary(op: Binary, act: Unary, a: (&[f32], &[usize]), b: (&[f32], &[usize])) -> Vec<f32> {
    let shape = tilewise_tensor::broadcast(a.1, b.1).expect("shapes that broadcast");
    let at = |shape_of: &[usize], mut index: usize| {
        let (mut at, mut step) = (0, 1);
        for (axis, &extent) in shape.iter().enumerate().rev() {
            let own = (axis + shape_of.len()).checked_sub(shape.len()).map_or(1, |i| shape_of[i]);
            if own != 1 {
                at += index % extent * step;
            }
            step *= own;
            index /= extent;
        }
        at
    };
    let len = shape.iter().product();
    (0..len).map(|i| unary(act, pair(op, a.0[at(a.1, i)].into(), b.0[at(b.1, i)].into())) as f32).collect()
}

fn pair(op: Binary, a: f64, b: f64) -> f64 {
    match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Min | Binary::Max if a.is_nan() || b.is_nan() => f64::NAN,
        Binary::Min => a.min(b),
        Binary::Max => a.max(b),
        Binary::Pow => a.powf(b),
        Binary::PRelu => {
            if a < 0.0 {
                a * b
            } else {
                a
            }
        }
    }
}
