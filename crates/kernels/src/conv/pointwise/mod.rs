//! Pointwise convolution, at any stride: the direct tiles over the pixels of a strip as one long row.
//!
//! Without a stride the input is read in place. With one, a strip's pixels are gathered next to each other first,
//! which each of them pays once for all output channels.

use super::direct::{Family, is_pointwise, row, whole_groups};
use super::{ConvKernel, Layout};
use crate::{Avx2, Avx512, Conv2d, Scalar};

/// Kernels of one tap.
pub(super) struct Pointwise;

impl Family for Pointwise {
    const OP: &'static str = "conv-pointwise";
    const X: Layout = Layout::Nchwc;

    fn accepts(p: &Conv2d, lanes: usize) -> bool {
        is_pointwise(p) && whole_groups(p, lanes)
    }
}

/// The rows: widest pixel tile first, which loads least for each multiply-add.
pub(super) static ROWS: [ConvKernel; 7] = [
    row::<Avx512, Pointwise, 2>("conv-pointwise_f32_14x32_avx512"),
    row::<Avx512, Pointwise, 3>("conv-pointwise_f32_9x48_avx512"),
    row::<Avx512, Pointwise, 4>("conv-pointwise_f32_6x64_avx512"),
    row::<Avx512, Pointwise, 1>("conv-pointwise_f32_28x16_avx512"),
    row::<Avx2, Pointwise, 2>("conv-pointwise_f32_6x16_avx2"),
    row::<Avx2, Pointwise, 1>("conv-pointwise_f32_12x8_avx2"),
    row::<Scalar, Pointwise, 2>("conv-pointwise_f32_4x8_scalar"),
];
