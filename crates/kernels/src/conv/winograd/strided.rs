//! Minimal filtering of three taps with a stride of two: m outputs from 2 m + 1 products, along one axis.
//!
//! Inputs and taps fall into two phases, whose convolutions have no stride and are summed: the even inputs with taps 0 and
//! 2, F(m, 2) on m + 1 products, and the odd inputs with tap 1, m products. Values and products stand in this order.

use super::minimal::{self, Minimal};
use crate::Isa;

/// F(2, 3) with a stride of two.
pub(super) struct F2Strided;

impl Minimal<2, 5> for F2Strided {
    const POINTS: &'static [f64] = &[0.0, 1.0];
    const FILTERS: usize = 4;
    const STRIDE: usize = 2;
    const OPERATIONS: [usize; 2] = [2, 4];

    #[inline(always)]
    fn input<I: Isa>(isa: I, [d0, d1, d2, d3, d4]: [I::F; 5]) -> [I::F; 5] {
        [isa.sub(d2, d0), d2, isa.sub(d4, d2), d1, d3]
    }

    #[inline(always)]
    fn output<I: Isa>(isa: I, [m0, m1, m2, o0, o1]: [I::F; 5]) -> [I::F; 2] {
        [isa.add(isa.add(m0, o0), m1), isa.add(isa.add(m2, o1), m1)]
    }

    fn filter(taps: &[f64], to: &mut [f64]) {
        phases(Self::POINTS, taps, to);
    }
}

/// F(4, 3) with a stride of two. These points round two fifths less than 0, +-1, 2.
pub(super) struct F4Strided;

impl Minimal<4, 9> for F4Strided {
    const POINTS: &'static [f64] = &[0.0, 1.0, -0.5, -2.0];
    const FILTERS: usize = 6;
    const STRIDE: usize = 2;
    const OPERATIONS: [usize; 2] = [12, 14];

    /// The rows over the even inputs, from the constant term up:
    ///
    /// ```text
    /// point  0:    -1 -3/2  3/2   1   .
    /// point  1:     .    1  5/2   1   .
    /// point -1/2:   .   -2    1   1   .
    /// point -2:     . -1/2 -1/2   1   .
    /// infinity:     .   -1 -3/2 3/2   1
    /// ```
    #[inline(always)]
    fn input<I: Isa>(isa: I, [d0, o0, d1, o1, d2, o2, d3, o3, d4]: [I::F; 9]) -> [I::F; 9] {
        let c = |x: f32| isa.splat(x);
        [
            isa.fma(c(1.5), isa.sub(d2, d1), isa.sub(d3, d0)),
            isa.fma(c(2.5), d2, isa.add(d1, d3)),
            isa.fma(c(-2.0), d1, isa.add(d2, d3)),
            isa.fma(c(-0.5), isa.add(d1, d2), d3),
            isa.fma(c(1.5), isa.sub(d3, d2), isa.sub(d4, d1)),
            o0,
            o1,
            o2,
            o3,
        ]
    }

    #[inline(always)]
    fn output<I: Isa>(isa: I, [m0, m1, m2, m3, m4, o0, o1, o2, o3]: [I::F; 9]) -> [I::F; 4] {
        let c = |x: f32| isa.splat(x);
        [
            isa.add(isa.add(m0, o0), isa.add(m1, isa.add(m2, m3))),
            isa.fma(c(-2.0), m3, isa.fma(c(-0.5), m2, isa.add(m1, o1))),
            isa.fma(c(4.0), m3, isa.fma(c(0.25), m2, isa.add(m1, o2))),
            isa.fma(c(-8.0), m3, isa.fma(c(-0.125), m2, isa.add(isa.add(m1, o3), m4))),
        ]
    }

    fn filter(taps: &[f64], to: &mut [f64]) {
        phases(Self::POINTS, taps, to);
    }
}

/// The filter transform of three taps: of the even ones, and the odd one.
fn phases(points: &[f64], taps: &[f64], to: &mut [f64]) {
    let even = points.len() + 1;
    minimal::filter(points, &[taps[0], taps[2]], &mut to[..even]);
    to[even] = taps[1];
}
