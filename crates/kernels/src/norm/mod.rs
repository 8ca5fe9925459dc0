//! Normalisations: local response across channels, softmax, and by mean and variance of rows.

mod lrn;
mod rows;
mod softmax;

pub use lrn::{Lrn, LrnKernel, choose_lrn};
pub use rows::{Affine, NormRows, NormRowsArgs, NormRowsKernel, choose_rows};
pub use softmax::{Softmax, SoftmaxKernel, choose_softmax};

pub(crate) use lrn::ROWS as LRN_ROWS;
pub(crate) use rows::ROWS as ROWS_ROWS;
pub(crate) use softmax::ROWS as SOFTMAX_ROWS;

/// Elements of one task, enough to pay for its dispatch many times.
const CHUNK: usize = 8192;
