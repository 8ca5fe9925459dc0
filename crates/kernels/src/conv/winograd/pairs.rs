//! Minimal filtering on many points: zero, pairs of one size, and infinity.
//!
//! A pair's two rows of the input transform are `(x^2 +- q x) e(x^2)`, where e vanishes at the squares of the other pairs:
//! they share a sum over the even and one over the odd inputs.

use super::minimal::Minimal;
use crate::Isa;

/// F(4, 7): of the pairs of sizes with few bits, whose factors are exact, those that round least.
pub(super) struct F4By7;

impl Minimal<4, 10> for F4By7 {
    const POINTS: &'static [f64] = &[0.0, 1.0, -1.0, 0.375, -0.375, 1.25, -1.25, 2.5, -2.5];
    const OPERATIONS: [usize; 2] = [40, 22];

    #[inline(always)]
    fn input<I: Isa>(isa: I, d: [I::F; 10]) -> [I::F; 10] {
        const ROWS: Rows<4> = Rows::new(F4By7::POINTS);
        ROWS.input(isa, d)
    }

    #[inline(always)]
    fn output<I: Isa>(isa: I, m: [I::F; 10]) -> [I::F; 4] {
        const ROWS: Rows<4> = Rows::new(F4By7::POINTS);
        ROWS.output(isa, m)
    }
}

/// F(6, 7).
pub(super) struct F6By7;

impl Minimal<6, 12> for F6By7 {
    const POINTS: &'static [f64] = &[0.0, 1.0, -1.0, 0.375, -0.375, 0.75, -0.75, 1.25, -1.25, 3.0, -3.0];
    const OPERATIONS: [usize; 2] = [60, 36];

    #[inline(always)]
    fn input<I: Isa>(isa: I, d: [I::F; 12]) -> [I::F; 12] {
        const ROWS: Rows<5> = Rows::new(F6By7::POINTS);
        ROWS.input(isa, d)
    }

    #[inline(always)]
    fn output<I: Isa>(isa: I, m: [I::F; 12]) -> [I::F; 6] {
        const ROWS: Rows<5> = Rows::new(F6By7::POINTS);
        ROWS.output(isa, m)
    }
}

/// The factors of the transforms for K pairs, the first of which is 1 and -1.
struct Rows<const K: usize> {
    /// The positive one of each pair.
    size: [f32; K],
    /// For each pair, the product of `x^2 - q^2` over the other pairs: the factors of 1, x^2, ...; the last is 1.
    pair: [[f32; K]; K],
    /// The product over all pairs, without its last factor, which is 1.
    all: [f32; K],
}

impl<const K: usize> Rows<K> {
    const fn new(points: &[f64]) -> Self {
        assert!(points.len() == 2 * K + 1 && points[0] == 0.0 && points[1] == 1.0);
        let mut rows = Rows { size: [0.0; K], pair: [[0.0; K]; K], all: product(points, K) };
        let mut k = 0;
        while k < K {
            assert!(points[2 * k + 1] == -points[2 * k + 2]);
            rows.size[k] = points[2 * k + 1] as f32;
            rows.pair[k] = product(points, k);
            k += 1;
        }
        rows
    }

    /// The input transform, in the order of the points.
    #[inline(always)]
    fn input<I: Isa, const N: usize>(&self, isa: I, d: [I::F; N]) -> [I::F; N] {
        const { assert!(N == 2 * K + 2) };
        let mut v = [isa.zero(); N];
        v[0] = sum(isa, &self.all, 0, &d);
        for (k, (factors, &size)) in self.pair.iter().zip(&self.size).enumerate() {
            let (even, odd) = (sum(isa, &factors[..K - 1], 2, &d), sum(isa, &factors[..K - 1], 1, &d));
            v[2 * k + 1] = isa.fma(isa.splat(size), odd, even);
            v[2 * k + 2] = isa.fma(isa.splat(-size), odd, even);
        }
        v[N - 1] = sum(isa, &self.all, 1, &d);
        v
    }

    /// The output transform.
    #[inline(always)]
    fn output<I: Isa, const M: usize, const N: usize>(&self, isa: I, m: [I::F; N]) -> [I::F; M] {
        const { assert!(N == 2 * K + 2) };
        let mut parts = [[isa.zero(); K]; 2];
        for k in 0..K {
            parts[0][k] = isa.add(m[2 * k + 1], m[2 * k + 2]);
            parts[1][k] = isa.sub(m[2 * k + 1], m[2 * k + 2]);
        }
        let mut y = [isa.zero(); M];
        let mut power = [1f32; K];
        for (i, y) in y.iter_mut().enumerate() {
            *y = parts[i % 2][0];
            for k in 1..K {
                *y = isa.fma(isa.splat(power[k]), parts[i % 2][k], *y);
                power[k] *= self.size[k];
            }
        }
        y[0] = isa.add(y[0], m[0]);
        y[M - 1] = isa.add(y[M - 1], m[N - 1]);
        y
    }
}

/// The product of `x^2 - q^2` over the pairs of points but pair `but`: the factors of 1, x^2, ..., as many as there is
/// room for.
const fn product<const K: usize>(points: &[f64], but: usize) -> [f32; K] {
    let mut factors = [0f64; 8];
    factors[0] = 1.0;
    let mut k = 0;
    while k < K {
        let square = points[2 * k + 1] * points[2 * k + 1];
        let mut power = if k == but { 0 } else { K };
        while power > 0 {
            factors[power] = factors[power - 1] - square * factors[power];
            power -= 1;
        }
        if k != but {
            factors[0] *= -square;
        }
        k += 1;
    }
    let mut rounded = [0f32; K];
    let mut power = 0;
    while power < K {
        rounded[power] = factors[power] as f32;
        power += 1;
    }
    rounded
}

/// The sum of every second input from `first` on with the factors, and of the one that follows.
#[inline(always)]
fn sum<I: Isa>(isa: I, factors: &[f32], first: usize, d: &[I::F]) -> I::F {
    let mut sum = d[first + 2 * factors.len()];
    for (k, &factor) in factors.iter().enumerate().rev() {
        sum = isa.fma(isa.splat(factor), d[first + 2 * k], sum);
    }
    sum
}
