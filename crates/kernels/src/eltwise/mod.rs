//! Elementwise kernels: functions of one number, of two numbers with broadcasting, and a factor and an offset a channel.

mod affine;
mod binary;
mod broadcast;
mod unary;

use crate::catalog::KernelId;

pub use affine::{AffineFn, AffineKernel, AffineProblem, choose_affine};
pub use binary::{Binary, BinaryKernel, BinaryProblem, choose_binary};
pub use broadcast::Broadcast;
pub use unary::{UnaryKernel, choose_unary};

/// Elements of one task: 32 KiB of output, enough to pay for its dispatch many times, and few enough that what a
/// second pass reads is still in the first-level cache.
const CHUNK: usize = 8192;

/// What identifies each kernel of the family.
pub(crate) fn ids() -> impl Iterator<Item = &'static KernelId> {
    let two = binary::ROWS.iter().map(|row| &row.id).chain(affine::ROWS.iter().map(|row| &row.id));
    unary::ROWS.iter().map(|row| &row.id).chain(two)
}
