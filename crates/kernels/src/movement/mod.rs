//! Moving elements: changes of layout, permutations and strided copies, fills, and images into tensors.

mod channels;
mod copy;
mod image;
mod reorder;
mod strided;

use crate::catalog::KernelId;

pub use channels::{ChannelCopy, ChannelKernel, choose_channels};
pub use copy::{CopyKernel, choose_copy};
pub use image::{ImageKernel, ImageProblem, choose_image};
pub use reorder::{Reorder, ReorderKernel, choose_reorder};
pub use strided::{CopyAxis, StridedCopy};

/// Bytes of one task, enough to pay for its dispatch many times.
const CHUNK: usize = 32 * 1024;

/// What identifies each kernel of the family.
pub(crate) fn ids() -> impl Iterator<Item = &'static KernelId> {
    let planes = reorder::ROWS.iter().map(|row| &row.id).chain(image::ROWS.iter().map(|row| &row.id));
    planes.chain(copy::ROWS.iter().map(|row| &row.id)).chain(channels::ROWS.iter().map(|row| &row.id))
}
