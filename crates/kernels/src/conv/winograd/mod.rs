//! Winograd convolution: fewer products for small kernels.
//!
//! A square of m x m outputs comes from n x n inputs (n = m + r - 1 for a kernel of r x r), whose transform gives as many
//! values: n^2 multiply-adds in place of m^2 r^2. For a kernel of one row or one column, a line of m outputs comes from n
//! inputs: n multiply-adds in place of m r. With a stride of two ([`strided`]) n is 2 m + 1 for r = 3.

mod filter;
mod input;
mod line;
pub(super) mod minimal;
mod output;
mod pairs;
mod strided;

use std::marker::PhantomData;

use self::filter::Axis;
use self::line::{Across, Down};
use self::minimal::{F2, F2By5, F4, F4By5, F6, Minimal};
use self::pairs::{F4By7, F6By7};
use self::strided::{F2Strided, F4Strided};
use super::ConvKernel;
use super::transformed::{Filter, Method, Products, Square, Target, Transform, Values, fused, nonfused};
use crate::catalog::KernelId;
use crate::{Avx2, Avx512, Isa, Scalar};

/// `rows! { fused: op transform, ..; nonfused: op transform, .. }`: for each fused transform a row of every register tile,
/// the widest pixel tile first; for the others the two that read least, and one of each other tier. And the method by the first part of the kernel names: m,
/// s and the stride where that is not 1, r where it is not 3, or rows and columns of the kernel where it is a line.
macro_rules! rows {
    (
        fused: $($op:literal $transform:ty),* $(,)?;
        nonfused: $($staged:literal $of:ty),* $(,)?
    ) => {
        const METHODS: &[(&str, fn([usize; 2], usize) -> Method)] =
            &[$(($op, Method::fused::<$transform>),)* $(($staged, Method::nonfused::<$of>)),*];

        const COUNT: usize = 7 * [$($op),*].len() + 4 * [$($staged),*].len();

        pub(super) static ROWS: [ConvKernel; COUNT] = [
            $(
                fused::row::<Avx512, $transform, 2>($op, concat!($op, "_f32_14x32_avx512")),
                fused::row::<Avx512, $transform, 3>($op, concat!($op, "_f32_9x48_avx512")),
                fused::row::<Avx512, $transform, 4>($op, concat!($op, "_f32_6x64_avx512")),
                fused::row::<Avx512, $transform, 1>($op, concat!($op, "_f32_28x16_avx512")),
                fused::row::<Avx2, $transform, 2>($op, concat!($op, "_f32_6x16_avx2")),
                fused::row::<Avx2, $transform, 1>($op, concat!($op, "_f32_12x8_avx2")),
                fused::row::<Scalar, $transform, 2>($op, concat!($op, "_f32_4x8_scalar")),
            )*
            $(
                nonfused::row::<Avx512, $of, 2>($staged, concat!($staged, "_f32_14x32_avx512")),
                nonfused::row::<Avx512, $of, 3>($staged, concat!($staged, "_f32_9x48_avx512")),
                nonfused::row::<Avx2, $of, 2>($staged, concat!($staged, "_f32_6x16_avx2")),
                nonfused::row::<Scalar, $of, 2>($staged, concat!($staged, "_f32_4x8_scalar")),
            )*
        ];
    };
}

// Of the transforms for one kernel the smallest come first, which round least.
rows! {
    fused:
    "conv-winograd2" Winograd<F2, 2, 4>,
    "conv-winograd4" Winograd<F4, 4, 6>,
    "conv-winograd6" Winograd<F6, 6, 8>,
    "conv-winograd2r5" Winograd<F2By5, 2, 6>,
    "conv-winograd4r5" Winograd<F4By5, 4, 8>,
    "conv-winograd2s2" Winograd<F2Strided, 2, 5>,
    "conv-winograd4s2" Winograd<F4Strided, 4, 9>,
    "conv-winograd2r1x3" Across<F2, 2, 4>,
    "conv-winograd2r3x1" Down<F2, 2, 4>,
    "conv-winograd4r1x3" Across<F4, 4, 6>,
    "conv-winograd4r3x1" Down<F4, 4, 6>,
    "conv-winograd6r1x3" Across<F6, 6, 8>,
    "conv-winograd6r3x1" Down<F6, 6, 8>,
    "conv-winograd4r1x5" Across<F4By5, 4, 8>,
    "conv-winograd4r5x1" Down<F4By5, 4, 8>,
    "conv-winograd4r1x7" Across<F4By7, 4, 10>,
    "conv-winograd4r7x1" Down<F4By7, 4, 10>,
    "conv-winograd6r1x7" Across<F6By7, 6, 12>,
    "conv-winograd6r7x1" Down<F6By7, 6, 12>;
    nonfused:
    "conv-winograd4-nonfused" Winograd<F4, 4, 6>,
    "conv-winograd6-nonfused" Winograd<F6, 6, 8>,
}

/// The method of a row of this table; `None` for other rows.
pub(super) fn method(id: &KernelId) -> Option<Method> {
    let (_, method) = METHODS.iter().find(|(op, _)| *op == id.op)?;
    Some(method(id.tile, id.tier.lanes()))
}

/// F(M x M, R x R), where N inputs give M outputs.
struct Winograd<T, const M: usize, const N: usize>(PhantomData<T>);

impl<T: Minimal<M, N>, const M: usize, const N: usize> Transform for Winograd<T, M, N> {
    const INPUTS: [usize; 2] = [N; 2];
    const STRIDE: usize = T::STRIDE;
    const POSITIONS: usize = N * N;
    const FILTERS: usize = T::FILTERS * T::FILTERS;
    const ROOM: usize = 0;
    type Factors = [Axis; 2];

    fn accepts(kernel: [usize; 2]) -> bool {
        kernel == [N - T::STRIDE * (M - 1); 2]
    }

    fn operations(_outputs: [usize; 2]) -> [usize; 2] {
        let [input, output] = T::OPERATIONS;
        [2 * N * input, (N + M) * output]
    }

    #[inline(always)]
    fn filter_at(position: usize) -> usize {
        let value = |k: usize| k.min(T::FILTERS - 1);
        value(position / N) * T::FILTERS + value(position % N)
    }

    fn factors(kernel: [usize; 2]) -> Self::Factors {
        kernel.map(Axis::new::<T, M, N>)
    }

    #[inline(always)]
    fn filter<I: Isa>(_isa: I, factors: &Self::Factors, filter: Filter<'_>) {
        filter::transform::<I>(factors, filter);
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
