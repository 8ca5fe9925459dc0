//! Normalisations: local response across channels, softmax, and by mean and variance of rows.

mod lrn;
mod rows;
mod softmax;

use crate::catalog::KernelId;

pub use lrn::{Lrn, LrnKernel, choose_lrn};
pub use rows::{Affine, NormRows, NormRowsArgs, NormRowsKernel, choose_rows};
pub use softmax::{Softmax, SoftmaxKernel, choose_softmax};

/// Elements of one task, enough to pay for its dispatch many times.
const CHUNK: usize = 8192;

/// What identifies each kernel of the family.
pub(crate) fn ids() -> impl Iterator<Item = &'static KernelId> {
    let columns = lrn::ROWS.iter().map(|row| &row.id).chain(softmax::ROWS.iter().map(|row| &row.id));
    columns.chain(rows::ROWS.iter().map(|row| &row.id))
}
