//! The first layer: few input channels straight from the planar image, without filling them up to a vector.
//!
//! The direct tiles broadcast pixels from planes; a strip of the padded image is copied with its columns in order,
//! so that neighbouring outputs read neighbouring floats at any stride.

use super::direct::{Family, row};
use super::{ConvKernel, Layout};
use crate::{Avx2, Avx512, Conv2d, Scalar};

/// More channels are better off in the blocked layout, whose lanes they share a cache line in.
const MOST_CHANNELS: usize = 4;

struct First;

impl Family for First {
    const OP: &'static str = "conv-first";
    const X: Layout = Layout::Nchw;

    fn accepts(p: &Conv2d, _lanes: usize) -> bool {
        p.groups == 1 && p.ic <= MOST_CHANNELS
    }
}

/// The rows: widest pixel tile first, which loads least for each multiply-add.
pub(super) static ROWS: [ConvKernel; 5] = [
    row::<Avx512, First, 2>("conv-first_f32_14x32_avx512"),
    row::<Avx512, First, 1>("conv-first_f32_28x16_avx512"),
    row::<Avx2, First, 2>("conv-first_f32_6x16_avx2"),
    row::<Avx2, First, 1>("conv-first_f32_12x8_avx2"),
    row::<Scalar, First, 2>("conv-first_f32_4x8_scalar"),
];
