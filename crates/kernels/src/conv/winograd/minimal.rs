//! Minimal filtering F(m, r): m outputs of a filter of r taps from n = m + r - 1 products, along one axis.
//!
//! The Toom-Cook construction (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016): input and
//! filter are taken as polynomials and evaluated at n - 1 finite points and at infinity. A row of the input transform
//! is the polynomial with leading coefficient 1 that vanishes at all finite points but its own; the filter transform
//! has the divisors, which are exact to f64; the output transform has the powers of the points.

use crate::Isa;

/// One choice of m, n and points.
pub(super) trait Minimal<const M: usize, const N: usize>: 'static {
    /// The finite points, n - 1 of them without stride.
    const POINTS: &'static [f64];
    /// Values of a transformed filter. The last one multiplies at all positions from there on.
    const FILTERS: usize = N;
    /// Inputs from one output to the next.
    const STRIDE: usize = 1;
    /// Vector operations of `input` and of `output`.
    const OPERATIONS: [usize; 2];

    /// The input transform: n values of n inputs.
    fn input<I: Isa>(isa: I, d: [I::F; N]) -> [I::F; N];

    /// The output transform: m outputs of n products.
    fn output<I: Isa>(isa: I, m: [I::F; N]) -> [I::F; M];

    /// The filter transform: the values of the taps.
    fn filter(taps: &[f64], to: &mut [f64]) {
        filter(Self::POINTS, taps, to);
    }
}

/// The filter transform of `taps`, into as many values as there are points and infinity.
pub(in crate::conv) fn filter(points: &[f64], taps: &[f64], to: &mut [f64]) {
    for (i, (&point, to)) in points.iter().zip(to.iter_mut()).enumerate() {
        let others = points.iter().enumerate().filter(|&(j, _)| j != i);
        let divisor: f64 = others.map(|(_, other)| point - other).product();
        *to = taps.iter().rev().fold(0.0, |sum, tap| sum * point + tap) / divisor;
    }
    to[points.len()] = taps[taps.len() - 1];
}

/// F(2, 3): all factors are powers of two.
pub(super) struct F2;

impl Minimal<2, 4> for F2 {
    const POINTS: &'static [f64] = &[0.0, 1.0, -1.0];
    const OPERATIONS: [usize; 2] = [4, 4];

    #[inline(always)]
    fn input<I: Isa>(isa: I, [d0, d1, d2, d3]: [I::F; 4]) -> [I::F; 4] {
        [isa.sub(d2, d0), isa.add(d2, d1), isa.sub(d2, d1), isa.sub(d3, d1)]
    }

    #[inline(always)]
    fn output<I: Isa>(isa: I, [m0, m1, m2, m3]: [I::F; 4]) -> [I::F; 2] {
        [isa.add(m0, isa.add(m1, m2)), isa.add(isa.sub(m1, m2), m3)]
    }
}

/// F(4, 3). These points round about a quarter less than 0, +-1, +-2.
pub(super) struct F4;

impl Minimal<4, 6> for F4 {
    const POINTS: &'static [f64] = &[0.0, 1.0, -1.0, 0.5, -2.0];
    const OPERATIONS: [usize; 2] = [16, 13];

    /// The rows, from the constant term up:
    ///
    /// ```text
    /// point  0:    1 -3/2   -2  3/2   1   .
    /// point  1:    .   -1  1/2  5/2   1   .
    /// point -1:    .    1 -5/2  1/2   1   .
    /// point 1/2:   .   -2   -1    2   1   .
    /// point -2:    .  1/2   -1 -1/2   1   .
    /// infinity:    .    1 -3/2   -2 3/2   1
    /// ```
    #[inline(always)]
    fn input<I: Isa>(isa: I, [d0, d1, d2, d3, d4, d5]: [I::F; 6]) -> [I::F; 6] {
        let c = |x: f32| isa.splat(x);
        let (u, v) = (isa.sub(d4, d2), isa.sub(d3, d1));
        [
            isa.fma(c(1.5), v, isa.fma(c(-2.0), d2, isa.add(d0, d4))),
            isa.fma(c(1.5), isa.add(d2, d3), isa.add(u, v)),
            isa.fma(c(1.5), isa.sub(d3, d2), isa.sub(u, v)),
            isa.fma(c(2.0), v, u),
            isa.fma(c(-0.5), v, u),
            isa.fma(c(1.5), u, isa.fma(c(-2.0), d3, isa.add(d1, d5))),
        ]
    }

    #[inline(always)]
    fn output<I: Isa>(isa: I, [m0, m1, m2, m3, m4, m5]: [I::F; 6]) -> [I::F; 4] {
        let c = |x: f32| isa.splat(x);
        let (s, d) = (isa.add(m1, m2), isa.sub(m1, m2));
        [
            isa.add(isa.add(m0, s), isa.add(m3, m4)),
            isa.fma(c(0.5), m3, isa.fma(c(-2.0), m4, d)),
            isa.fma(c(0.25), m3, isa.fma(c(4.0), m4, s)),
            isa.fma(c(0.125), m3, isa.fma(c(-8.0), m4, isa.add(d, m5))),
        ]
    }
}

/// F(6, 3).
pub(super) struct F6;

impl Minimal<6, 8> for F6 {
    const POINTS: &'static [f64] = &[0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5];
    const OPERATIONS: [usize; 2] = [26, 23];

    /// The rows, from the constant term up; those of a pair of points differ in the sign of the odd terms:
    ///
    /// ```text
    /// point 0:     -1    .  21/4     . -21/4     .  1  .
    /// points +-1:   .    1     1 -17/4 -17/4     1  1  .
    /// points +-2:   .  1/2   1/4  -5/2  -5/4     2  1  .
    /// points +-1/2: .    2     4  -5/2    -5   1/2  1  .
    /// infinity:     .   -1     .  21/4     . -21/4  .  1
    /// ```
    #[inline(always)]
    fn input<I: Isa>(isa: I, [d0, d1, d2, d3, d4, d5, d6, d7]: [I::F; 8]) -> [I::F; 8] {
        let c = |x: f32| isa.splat(x);
        let even = |x2: f32, x4: f32| isa.fma(c(x2), d2, isa.fma(c(x4), d4, d6));
        let odd = |x1: f32, x3: f32, x5: f32| isa.fma(c(x1), d1, isa.fma(c(x3), d3, isa.mul(c(x5), d5)));
        let (a1, b1) = (isa.fma(c(-4.25), d4, isa.add(d2, d6)), isa.fma(c(-4.25), d3, isa.add(d1, d5)));
        let (a2, b2) = (even(0.25, -1.25), odd(0.5, -2.5, 2.0));
        let (a3, b3) = (even(4.0, -5.0), odd(2.0, -2.5, 0.5));
        [
            isa.fma(c(5.25), isa.sub(d2, d4), isa.sub(d6, d0)),
            isa.add(a1, b1),
            isa.sub(a1, b1),
            isa.add(a2, b2),
            isa.sub(a2, b2),
            isa.add(a3, b3),
            isa.sub(a3, b3),
            isa.fma(c(5.25), isa.sub(d3, d5), isa.sub(d7, d1)),
        ]
    }

    #[inline(always)]
    fn output<I: Isa>(isa: I, [m0, m1, m2, m3, m4, m5, m6, m7]: [I::F; 8]) -> [I::F; 6] {
        let (s1, s2, s3) = (isa.add(m1, m2), isa.add(m3, m4), isa.add(m5, m6));
        let (d1, d2, d3) = (isa.sub(m1, m2), isa.sub(m3, m4), isa.sub(m5, m6));
        [
            isa.add(isa.add(m0, s1), isa.add(s2, s3)),
            powers(isa, d1, [d2, d3], 2.0),
            powers(isa, s1, [s2, s3], 4.0),
            powers(isa, d1, [d2, d3], 8.0),
            powers(isa, s1, [s2, s3], 16.0),
            powers(isa, isa.add(d1, m7), [d2, d3], 32.0),
        ]
    }
}

/// The sums of a pair of points each, by a power of 2 and of 1/2.
#[inline(always)]
fn powers<I: Isa>(isa: I, one: I::F, [two, half]: [I::F; 2], power: f32) -> I::F {
    isa.fma(isa.splat(power), two, isa.fma(isa.splat(1.0 / power), half, one))
}

/// F(2, 5), on the points of F(4, 3): they have the same input transform.
pub(super) struct F2By5;

impl Minimal<2, 6> for F2By5 {
    const POINTS: &'static [f64] = F4::POINTS;
    const OPERATIONS: [usize; 2] = [16, 8];

    #[inline(always)]
    fn input<I: Isa>(isa: I, d: [I::F; 6]) -> [I::F; 6] {
        F4::input(isa, d)
    }

    #[inline(always)]
    fn output<I: Isa>(isa: I, [m0, m1, m2, m3, m4, m5]: [I::F; 6]) -> [I::F; 2] {
        let c = |x: f32| isa.splat(x);
        let (s, d) = (isa.add(m1, m2), isa.sub(m1, m2));
        [isa.add(isa.add(m0, s), isa.add(m3, m4)), isa.fma(c(0.5), m3, isa.fma(c(-2.0), m4, isa.add(d, m5)))]
    }
}

/// F(4, 5), on the points of F(6, 3).
pub(super) struct F4By5;

impl Minimal<4, 8> for F4By5 {
    const POINTS: &'static [f64] = F6::POINTS;
    const OPERATIONS: [usize; 2] = [26, 17];

    #[inline(always)]
    fn input<I: Isa>(isa: I, d: [I::F; 8]) -> [I::F; 8] {
        F6::input(isa, d)
    }

    #[inline(always)]
    fn output<I: Isa>(isa: I, [m0, m1, m2, m3, m4, m5, m6, m7]: [I::F; 8]) -> [I::F; 4] {
        let (s1, s2, s3) = (isa.add(m1, m2), isa.add(m3, m4), isa.add(m5, m6));
        let (d1, d2, d3) = (isa.sub(m1, m2), isa.sub(m3, m4), isa.sub(m5, m6));
        [
            isa.add(isa.add(m0, s1), isa.add(s2, s3)),
            powers(isa, d1, [d2, d3], 2.0),
            powers(isa, s1, [s2, s3], 4.0),
            powers(isa, isa.add(d1, m7), [d2, d3], 8.0),
        ]
    }
}
