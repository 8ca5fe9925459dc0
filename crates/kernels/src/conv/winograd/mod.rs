//! Winograd convolution: fewer products for small kernels without stride.
//!
//! A square of m x m outputs comes from n x n inputs (n = m + r - 1 for a kernel of r x r), whose transform gives as many
//! values: n^2 multiply-adds in place of m^2 r^2.

mod input;
mod minimal;
mod output;

use std::marker::PhantomData;

use self::minimal::{F2, F2By5, F4, F4By5, F6, Minimal};
use super::ConvKernel;
use super::direct::Tiles;
use super::transformed::{self, Filter, Method, Products, Square, Target, Transform, Values, add_scaled};
use crate::catalog::KernelId;
use crate::{Avx2, Avx512, Isa, MAX_LANES, Scalar};

/// The rows: smallest squares first, which round least; then the widest pixel tile.
pub(super) static ROWS: [ConvKernel; 35] = [
    row::<Avx512, F2, 2, 4, 2>("conv-winograd2_f32_14x32_avx512"),
    row::<Avx512, F2, 2, 4, 3>("conv-winograd2_f32_9x48_avx512"),
    row::<Avx512, F2, 2, 4, 4>("conv-winograd2_f32_6x64_avx512"),
    row::<Avx512, F2, 2, 4, 1>("conv-winograd2_f32_28x16_avx512"),
    row::<Avx512, F4, 4, 6, 2>("conv-winograd4_f32_14x32_avx512"),
    row::<Avx512, F4, 4, 6, 3>("conv-winograd4_f32_9x48_avx512"),
    row::<Avx512, F4, 4, 6, 4>("conv-winograd4_f32_6x64_avx512"),
    row::<Avx512, F4, 4, 6, 1>("conv-winograd4_f32_28x16_avx512"),
    row::<Avx512, F6, 6, 8, 2>("conv-winograd6_f32_14x32_avx512"),
    row::<Avx512, F6, 6, 8, 3>("conv-winograd6_f32_9x48_avx512"),
    row::<Avx512, F6, 6, 8, 4>("conv-winograd6_f32_6x64_avx512"),
    row::<Avx512, F6, 6, 8, 1>("conv-winograd6_f32_28x16_avx512"),
    row::<Avx2, F2, 2, 4, 2>("conv-winograd2_f32_6x16_avx2"),
    row::<Avx2, F2, 2, 4, 1>("conv-winograd2_f32_12x8_avx2"),
    row::<Avx2, F4, 4, 6, 2>("conv-winograd4_f32_6x16_avx2"),
    row::<Avx2, F4, 4, 6, 1>("conv-winograd4_f32_12x8_avx2"),
    row::<Avx2, F6, 6, 8, 2>("conv-winograd6_f32_6x16_avx2"),
    row::<Avx2, F6, 6, 8, 1>("conv-winograd6_f32_12x8_avx2"),
    row::<Scalar, F2, 2, 4, 2>("conv-winograd2_f32_4x8_scalar"),
    row::<Scalar, F4, 4, 6, 2>("conv-winograd4_f32_4x8_scalar"),
    row::<Scalar, F6, 6, 8, 2>("conv-winograd6_f32_4x8_scalar"),
    row::<Avx512, F2By5, 2, 6, 2>("conv-winograd2r5_f32_14x32_avx512"),
    row::<Avx512, F2By5, 2, 6, 3>("conv-winograd2r5_f32_9x48_avx512"),
    row::<Avx512, F2By5, 2, 6, 4>("conv-winograd2r5_f32_6x64_avx512"),
    row::<Avx512, F2By5, 2, 6, 1>("conv-winograd2r5_f32_28x16_avx512"),
    row::<Avx512, F4By5, 4, 8, 2>("conv-winograd4r5_f32_14x32_avx512"),
    row::<Avx512, F4By5, 4, 8, 3>("conv-winograd4r5_f32_9x48_avx512"),
    row::<Avx512, F4By5, 4, 8, 4>("conv-winograd4r5_f32_6x64_avx512"),
    row::<Avx512, F4By5, 4, 8, 1>("conv-winograd4r5_f32_28x16_avx512"),
    row::<Avx2, F2By5, 2, 6, 2>("conv-winograd2r5_f32_6x16_avx2"),
    row::<Avx2, F2By5, 2, 6, 1>("conv-winograd2r5_f32_12x8_avx2"),
    row::<Avx2, F4By5, 4, 8, 2>("conv-winograd4r5_f32_6x16_avx2"),
    row::<Avx2, F4By5, 4, 8, 1>("conv-winograd4r5_f32_12x8_avx2"),
    row::<Scalar, F2By5, 2, 6, 2>("conv-winograd2r5_f32_4x8_scalar"),
    row::<Scalar, F4By5, 4, 8, 2>("conv-winograd4r5_f32_4x8_scalar"),
];

/// The row of an instruction set, a transform F(M, N + 1 - M), and tiles of `NV` vectors of output channels.
const fn row<I: Tiles, T: Minimal<M, N>, const M: usize, const N: usize, const NV: usize>(
    name: &'static str,
) -> ConvKernel {
    transformed::row::<I, Winograd<T, M, N>, NV>(name)
}

/// The method of a row of this table; `None` for other rows.
pub(super) fn method(id: &KernelId) -> Option<Method> {
    let all = [
        Method::new::<Winograd<F2, 2, 4>>,
        Method::new::<Winograd<F4, 4, 6>>,
        Method::new::<Winograd<F6, 6, 8>>,
        Method::new::<Winograd<F2By5, 2, 6>>,
        Method::new::<Winograd<F4By5, 4, 8>>,
    ];
    all.into_iter().map(|new| new(id.tile, id.tier.lanes())).find(|method| method.op == id.op)
}

/// F(M x M, R x R) with R = N + 1 - M.
struct Winograd<T, const M: usize, const N: usize>(PhantomData<T>);

/// The largest n and the largest r.
const MOST: [usize; 2] = [8, 5];

impl<T: Minimal<M, N>, const M: usize, const N: usize> Transform for Winograd<T, M, N> {
    const OP: &'static str = T::OP;
    const INPUTS: [usize; 2] = [N; 2];
    const POSITIONS: usize = N * N;
    const ROOM: usize = 0;
    /// What tap `a` gives to value `i` along one axis: `factors[a][i]`.
    type Factors = [[f64; MOST[0]]; MOST[1]];

    fn accepts(kernel: [usize; 2]) -> bool {
        kernel == [N + 1 - M; 2]
    }

    fn operations(_outputs: [usize; 2]) -> [usize; 2] {
        let [input, output] = T::OPERATIONS;
        [2 * N * input, (N + M) * output]
    }

    fn factors([r, _]: [usize; 2]) -> Self::Factors {
        let mut factors = [[0.0; MOST[0]]; MOST[1]];
        for (tap, factors) in factors.iter_mut().enumerate().take(r) {
            let mut unit = [0.0; MOST[1]];
            unit[tap] = 1.0;
            minimal::filter(T::POINTS, &unit[..r], &mut factors[..N]);
        }
        factors
    }

    #[inline(always)]
    fn filter<I: Isa>(_isa: I, factors: &Self::Factors, mut filter: Filter<'_>) {
        let r = N + 1 - M;
        for i in 0..N {
            let mut row = [[0f64; MAX_LANES]; MOST[1]];
            for (tap, taps) in filter.taps.iter().enumerate() {
                add_scaled::<I>(&mut row[tap % r], factors[tap / r][i], taps);
            }
            for j in 0..N {
                let mut value = [0f64; MAX_LANES];
                for (row, factors) in row.iter().zip(factors).take(r) {
                    add_scaled::<I>(&mut value, factors[j], row);
                }
                filter.store::<I>(i * N + j, &value);
            }
        }
    }

    #[inline(always)]
    fn input<I: Isa>(isa: I, square: &Square<'_>, values: &mut Values<'_>, _room: &mut [f32]) {
        input::transform::<I, T, M, N>(isa, square, values);
    }

    #[inline(always)]
    fn output<I: Isa>(isa: I, products: &Products<'_>, target: &Target<'_>, _room: &mut [f32]) {
        output::transform::<I, T, M, N>(isa, products, target);
    }
}

#[cfg(test)]
pub(super) mod tests;
