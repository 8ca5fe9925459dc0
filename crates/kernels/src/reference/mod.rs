//! Naive safe loops, one a problem: the oracle of every kernel test and the last resort of every choice.
//!
//! Sums are accumulated in f64, so that a kernel's rounding is measured against something better than itself.

mod conv;
mod conv_transpose;
mod gemm;
mod unary;

pub use conv::conv2d;
pub use conv_transpose::conv_transpose2d;
pub use gemm::gemm;
pub use unary::unary;
