//! Functions of one number.

use tilewise_tensor::Unary;

/// `f(x)`, rounded once.
pub fn unary(f: Unary, x: f64) -> f64 {
    f.at(x)
}
