//! Elementwise kernels: functions of one number, and of two numbers with broadcasting.

mod binary;
mod broadcast;
mod unary;

pub use binary::{Binary, BinaryKernel, BinaryProblem, choose_binary};
pub use broadcast::Broadcast;
pub use unary::{UnaryKernel, choose_unary};

pub(crate) use binary::ROWS as BINARY_ROWS;
pub(crate) use unary::ROWS as UNARY_ROWS;

/// Elements of one task: 32 KiB of output, enough to pay for its dispatch many times, and few enough that what a
/// second pass reads is still in the first-level cache.
const CHUNK: usize = 8192;
