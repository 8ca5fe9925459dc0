//! The first layer: few input channels straight from the planar image, without filling them up to a vector.
//!
//! The direct tiles broadcast pixels from planes; a strip of the padded image is copied with its columns in order,
//! so that neighbouring outputs read neighbouring floats at any stride. Large kernels take fewer products ([`winograd`]).

mod winograd;

use super::direct::{Family, row};
use super::{ConvKernel, Layout};
use crate::{Avx2, Avx512, Conv2d, Scalar};
pub use winograd::Bands;

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

/// The rows: widest pixel tile first, which loads least for each multiply-add; then those of each height of a band.
pub(super) static ROWS: [ConvKernel; 15] = [
    row::<Avx512, First, 2>("conv-first_f32_14x32_avx512"),
    row::<Avx512, First, 1>("conv-first_f32_28x16_avx512"),
    row::<Avx2, First, 2>("conv-first_f32_6x16_avx2"),
    row::<Avx2, First, 1>("conv-first_f32_12x8_avx2"),
    row::<Scalar, First, 2>("conv-first_f32_4x8_scalar"),
    winograd::row::<Avx512, 2, 2>("conv-first-winograd2", "conv-first-winograd2_f32_14x32_avx512"),
    winograd::row::<Avx512, 2, 1>("conv-first-winograd2", "conv-first-winograd2_f32_28x16_avx512"),
    winograd::row::<Avx2, 2, 2>("conv-first-winograd2", "conv-first-winograd2_f32_6x16_avx2"),
    winograd::row::<Avx2, 2, 1>("conv-first-winograd2", "conv-first-winograd2_f32_12x8_avx2"),
    winograd::row::<Scalar, 2, 2>("conv-first-winograd2", "conv-first-winograd2_f32_4x8_scalar"),
    winograd::row::<Avx512, 4, 2>("conv-first-winograd4", "conv-first-winograd4_f32_14x32_avx512"),
    winograd::row::<Avx512, 4, 1>("conv-first-winograd4", "conv-first-winograd4_f32_28x16_avx512"),
    winograd::row::<Avx2, 4, 2>("conv-first-winograd4", "conv-first-winograd4_f32_6x16_avx2"),
    winograd::row::<Avx2, 4, 1>("conv-first-winograd4", "conv-first-winograd4_f32_12x8_avx2"),
    winograd::row::<Scalar, 4, 2>("conv-first-winograd4", "conv-first-winograd4_f32_4x8_scalar"),
];
