//! The transform of the weights, in f64: the conjugate of the kernel's, as a convolution network correlates.

use std::f64::consts::TAU;

use super::plane::{inner, outer};
use super::{MOST, T};
use crate::conv::transformed::{Filter, add_scaled};
use crate::{Isa, MAX_LANES};

/// What the transform needs to know of a kernel size.
pub(super) struct Factors {
    /// Rows and columns of the kernel.
    kernel: [usize; 2],
    /// cos and sin of j / T of a turn.
    turns: [[f64; 2]; T],
}

impl Factors {
    pub(super) fn new(kernel: [usize; 2]) -> Self {
        let turn = |j: usize| [(TAU * j as f64 / T as f64).cos(), (TAU * j as f64 / T as f64).sin()];
        Factors { kernel, turns: std::array::from_fn(turn) }
    }
}

/// Real and imaginary parts, of a lane each.
type Complex = [[f64; MAX_LANES]; 2];

/// Transforms rows, then columns, and stores what the positions multiply with.
///
/// The values come doubled where they are complex, and two transforms of T x T values of which none divides by T have
/// a factor of T^2: both are taken off here, exactly, as T is a power of two.
#[inline(always)]
pub(super) fn transform<I: Isa>(factors: &Factors, mut filter: Filter<'_>) {
    let [kh, kw] = factors.kernel;
    for column in 0..=T / 2 {
        let mut rows = [[[0.0; MAX_LANES]; 2]; MOST];
        for (row, taps) in rows.iter_mut().zip(filter.taps.chunks_exact(kw)) {
            for (j, tap) in taps.iter().enumerate() {
                let [cos, sin] = factors.turns[j * column % T];
                add_scaled::<I>(&mut row[0], cos, tap);
                add_scaled::<I>(&mut row[1], sin, tap);
            }
        }
        let rows = &rows[..kh];
        if column % (T / 2) > 0 {
            for k in 0..T {
                store::<I>(&mut filter, inner(k, column), &frequency::<I>(factors, rows, k));
            }
        } else {
            let which = column / (T / 2);
            for (half, k) in [0, T / 2].into_iter().enumerate() {
                let real = frequency::<I>(factors, rows, k)[0].map(|value| value / (T * T) as f64);
                filter.store::<I>(2 * half + which, &real);
            }
            for k in 1..T / 2 {
                store::<I>(&mut filter, outer(k, which), &frequency::<I>(factors, rows, k));
            }
        }
    }
}

/// Frequency `k` of a column that holds one value for each row of the kernel.
#[inline(always)]
fn frequency<I: Isa>(factors: &Factors, rows: &[Complex], k: usize) -> Complex {
    let mut sum = [[0.0; MAX_LANES]; 2];
    for (i, [re, im]) in rows.iter().enumerate() {
        let [cos, sin] = factors.turns[i * k % T];
        add_scaled::<I>(&mut sum[0], cos, re);
        add_scaled::<I>(&mut sum[0], -sin, im);
        add_scaled::<I>(&mut sum[1], sin, re);
        add_scaled::<I>(&mut sum[1], cos, im);
    }
    sum
}

/// Stores the three values of a complex frequency, the first at `position`.
#[inline(always)]
fn store<I: Isa>(filter: &mut Filter<'_>, position: usize, [re, im]: &Complex) {
    let scale = 1.0 / (2 * T * T) as f64;
    let of = |value: fn(f64, f64) -> f64| std::array::from_fn(|lane| scale * value(re[lane], im[lane]));
    filter.store::<I>(position, &of(|re, _| re));
    filter.store::<I>(position + 1, &of(|re, im| im - re));
    filter.store::<I>(position + 2, &of(|re, im| re + im));
}
