//! What numbers are: element types, shapes, 64-byte-aligned buffers, tensors, views and comparisons.
//!
//! Every other room builds on this one; it knows no operator, no machine and no file format.

mod buffer;
mod compare;
mod dtype;
mod shape;
mod tensor;
mod unary;

pub use buffer::{ALIGN, AlignedBuffer, Bytes, Slab};
pub use compare::{Difference, difference};
pub use dtype::{DType, Element, UnknownDType};
pub use half::{bf16, f16};
pub use shape::{broadcast, broadcast_position, numel, strides};
pub use tensor::{Tensor, TensorError, View};
pub use unary::{Unary, UnknownUnary};
