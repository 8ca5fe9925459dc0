//! Moving elements: changes of layout, permutations and strided copies, fills, and images into tensors.

mod copy;
mod image;
mod reorder;
mod strided;

pub use copy::{CopyKernel, choose_copy};
pub use image::{ImageKernel, ImageProblem, choose_image};
pub use reorder::{Reorder, ReorderKernel, choose_reorder};
pub use strided::{CopyAxis, StridedCopy};

pub(crate) use copy::ROWS as COPY_ROWS;
pub(crate) use image::ROWS as IMAGE_ROWS;
pub(crate) use reorder::ROWS as REORDER_ROWS;

/// Bytes of one task, enough to pay for its dispatch many times.
const CHUNK: usize = 32 * 1024;
