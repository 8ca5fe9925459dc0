//! FFT convolution: far fewer products for large kernels without stride.
//!
//! A square has T x T inputs, whose two-dimensional discrete Fourier transform, multiplied at each frequency with that of
//! the kernel, transforms back to the (T + 1 - kh) x (T + 1 - kw) outputs whose windows do not wrap around (overlap-save).
//! Pixels are vectors of channels: every lane is a transform of its own.
//!
//! Of real inputs the transform has T^2 numbers: four frequencies are real, and the others come in conjugate pairs, of
//! which one is kept. A complex product is made of three real ones (Gauss), each of which has a position of its own
//! (Zlateski, Jia, Li and Durand, "FFT Convolutions are Faster than Winograd on Modern CPUs", 2018):
//!
//! ```text
//! k1 = cr (xr + xi)    k2 = (ci - cr) xr    k3 = (cr + ci) xi    yr = k1 - k3    yi = k1 + k2
//! ```

mod filter;
mod line;
mod plane;

use super::ConvKernel;
use super::transformed::{Filter, Method, Products, Square, Target, Transform, Values, fused, nonfused};
use crate::catalog::KernelId;
use crate::{Avx2, Avx512, Isa, Scalar};

/// The first part of the kernel names.
const OP: &str = "conv-fft16";
const NONFUSED: &str = "conv-fft16-nonfused";

/// The rows: narrow tiles first, whose products take the least room beside the values.
pub(super) static ROWS: [ConvKernel; 7] = [
    fused::row::<Avx512, Fft, 1>(OP, "conv-fft16_f32_28x16_avx512"),
    fused::row::<Avx512, Fft, 2>(OP, "conv-fft16_f32_14x32_avx512"),
    fused::row::<Avx2, Fft, 2>(OP, "conv-fft16_f32_6x16_avx2"),
    fused::row::<Scalar, Fft, 2>(OP, "conv-fft16_f32_4x8_scalar"),
    nonfused::row::<Avx512, Fft, 2>(NONFUSED, "conv-fft16-nonfused_f32_14x32_avx512"),
    nonfused::row::<Avx2, Fft, 2>(NONFUSED, "conv-fft16-nonfused_f32_6x16_avx2"),
    nonfused::row::<Scalar, Fft, 2>(NONFUSED, "conv-fft16-nonfused_f32_4x8_scalar"),
];

/// The method of a row of this table; `None` for other rows.
pub(super) fn method(id: &KernelId) -> Option<Method> {
    let method = match id.op {
        OP => Method::fused::<Fft>,
        NONFUSED => Method::nonfused::<Fft>,
        _ => return None,
    };
    Some(method(id.tile, id.tier.lanes()))
}

/// Inputs of a square along one axis. Squares of 32 have half the products for the largest kernels, but four times the
/// weights, which pass through the caches for each block of squares: no layer was faster with them (AVX-512 and AVX2 of a
/// Granite Rapids, November 2026, 5 x 5 to 11 x 11 taps on 64 and more channels).
const T: usize = 16;

/// Squares of T x T inputs.
struct Fft;

/// The largest kernel along an axis: six rows and columns of outputs are left then.
const MOST: usize = 11;

impl Transform for Fft {
    const INPUTS: [usize; 2] = [T; 2];
    const POSITIONS: usize = plane::REAL + 3 * plane::COMPLEX;
    const ROOM: usize = plane::ROOM;
    type Factors = filter::Factors;

    /// At 3 x 3 taps and fewer, Winograd needs no more products and has shorter transforms.
    fn accepts([kh, kw]: [usize; 2]) -> bool {
        kh.max(kw) <= MOST && kh * kw > 9
    }

    fn operations([rows, _]: [usize; 2]) -> [usize; 2] {
        let (line, half, pairs) = (line::OPERATIONS, plane::SPLIT * (T / 2 - 1), rows.div_ceil(2));
        let input = T * line + (T / 2 + 1) * half + plane::COMPLEX;
        let output = (T / 2 + pairs) * line + (pairs + 1) * half + 2 * plane::COMPLEX;
        [input, output]
    }

    fn factors(kernel: [usize; 2]) -> Self::Factors {
        filter::Factors::new(kernel)
    }

    #[inline(always)]
    fn filter<I: Isa>(_isa: I, factors: &Self::Factors, filter: Filter<'_>) {
        filter::transform::<I>(factors, filter);
    }

    #[inline(always)]
    fn input<I: Isa>(isa: I, square: &Square<'_>, values: &mut Values<'_>, room: &mut [f32]) {
        plane::forward::<I>(isa, square, values, room);
    }

    #[inline(always)]
    fn output<I: Isa>(isa: I, products: &Products<'_>, target: &Target<'_>, room: &mut [f32]) {
        plane::backward::<I>(isa, products, target, room);
    }
}
