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
use super::direct::Tiles;
use super::transformed::{Filter, Method, Products, Square, Target, Transform, Values, row};
use crate::catalog::KernelId;
use crate::{Avx2, Avx512, Isa, Scalar};

/// The rows: the smaller squares first; then the widest pixel tile.
pub(super) static ROWS: [ConvKernel; 14] = [
    row::<Avx512, Fft16, 2>("conv-fft16_f32_14x32_avx512"),
    row::<Avx512, Fft16, 3>("conv-fft16_f32_9x48_avx512"),
    row::<Avx512, Fft16, 4>("conv-fft16_f32_6x64_avx512"),
    row::<Avx512, Fft16, 1>("conv-fft16_f32_28x16_avx512"),
    row::<Avx512, Fft32, 2>("conv-fft32_f32_14x32_avx512"),
    row::<Avx512, Fft32, 3>("conv-fft32_f32_9x48_avx512"),
    row::<Avx512, Fft32, 4>("conv-fft32_f32_6x64_avx512"),
    row::<Avx512, Fft32, 1>("conv-fft32_f32_28x16_avx512"),
    row::<Avx2, Fft16, 2>("conv-fft16_f32_6x16_avx2"),
    row::<Avx2, Fft16, 1>("conv-fft16_f32_12x8_avx2"),
    row::<Avx2, Fft32, 2>("conv-fft32_f32_6x16_avx2"),
    row::<Avx2, Fft32, 1>("conv-fft32_f32_12x8_avx2"),
    row::<Scalar, Fft16, 2>("conv-fft16_f32_4x8_scalar"),
    row::<Scalar, Fft32, 2>("conv-fft32_f32_4x8_scalar"),
];

/// The method of a row of this table; `None` for other rows.
pub(super) fn method(id: &KernelId) -> Option<Method> {
    let all = [Method::new::<Fft16>, Method::new::<Fft32>];
    all.into_iter().map(|new| new(id.tile, id.tier.lanes())).find(|method| method.op == id.op)
}

/// T = 16, as 4 x 4.
type Fft16 = Fft<16, 4>;

/// T = 32, as 8 x 4.
type Fft32 = Fft<32, 8>;

/// Squares of T x T inputs; a line's transform is made of those of R and of 4, with T = 4 R.
struct Fft<const T: usize, const R: usize>;

/// The largest kernel along an axis: half the inputs of the smaller squares are outputs then.
const MOST: usize = 11;

impl<const T: usize, const R: usize> Transform for Fft<T, R> {
    const OP: &'static str = if T == 16 { "conv-fft16" } else { "conv-fft32" };
    const INPUTS: [usize; 2] = [T; 2];
    const POSITIONS: usize = plane::REAL + 3 * plane::complex(T);
    const ROOM: usize = plane::room(T);
    type Factors = filter::Factors<T>;

    /// At 3 x 3 taps and fewer, Winograd needs no more products and has shorter transforms.
    fn accepts([kh, kw]: [usize; 2]) -> bool {
        kh.max(kw) <= MOST && kh * kw > 9
    }

    fn operations([rows, _]: [usize; 2]) -> [usize; 2] {
        let (line, half, pairs) = (line::operations(R), plane::SPLIT * (T / 2 - 1), rows.div_ceil(2));
        let input = T * line + (T / 2 + 1) * half + plane::complex(T);
        let output = (T / 2 + pairs) * line + (pairs + 1) * half + 2 * plane::complex(T);
        [input, output]
    }

    fn factors(kernel: [usize; 2]) -> Self::Factors {
        filter::Factors::new(kernel)
    }

    #[inline(always)]
    fn filter<I: Isa>(_isa: I, factors: &Self::Factors, filter: Filter<'_>) {
        filter::transform::<I, T>(factors, filter);
    }

    #[inline(always)]
    fn input<I: Isa>(isa: I, square: &Square<'_>, values: &mut Values<'_>, room: &mut [f32]) {
        plane::forward::<I, T, R>(isa, square, values, room);
    }

    #[inline(always)]
    fn output<I: Isa>(isa: I, products: &Products<'_>, target: &Target<'_>, room: &mut [f32]) {
        plane::backward::<I, T, R>(isa, products, target, room);
    }
}

#[cfg(test)]
mod tests;
