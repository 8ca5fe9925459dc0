//! Naive safe loops, one a problem: the oracle of every kernel test and the last resort of every choice.
//!
//! Sums are accumulated in f64, so that a kernel's rounding is measured against something better than itself.

mod binary;
mod conv;
mod conv_transpose;
mod gemm;
mod movement;
mod norm;
mod pool;
mod reduce;
mod resize;
mod unary;

pub use binary::binary;
pub use conv::{conv2d, depthwise_pointwise};
pub use conv_transpose::conv_transpose2d;
pub use gemm::gemm;
pub use movement::{image, strided_copy};
pub use norm::{lrn, norm_rows, softmax};
pub use pool::pool2d;
pub use reduce::reduce;
pub use resize::resize2d;
pub use unary::unary;
