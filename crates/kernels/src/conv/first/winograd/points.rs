//! Minimal filtering on nested points: filters of different lengths whose products are summed before they are transformed
//! back.
//!
//! F(m, r) is evaluated at n - 1 finite points and at infinity, n = m + r - 1 (see `conv::winograd::minimal`). A shorter
//! filter takes the first of the same points, so that its products are values of the same polynomial of outputs as those
//! of a longer one. Infinity stands first.

use crate::conv::winograd::minimal;

/// The finite points. Each beginning of the list rounds within a quarter of the least that as many points of few bits do,
/// for phases of r and r - 1 taps. All are powers of two: no factor of a transform is rounded.
const POINTS: [f64; 7] = [0.0, 1.0, -1.0, 0.5, -2.0, -0.5, 2.0];

/// The most products.
pub(super) const MOST: usize = POINTS.len() + 1;

/// For each n the input transform of n inputs: value `i` is the sum of input `j` times `[n][i][j]`. A row is the
/// polynomial, from the constant term up, with leading coefficient 1 that vanishes at all finite points but its own.
pub(super) static INPUT: [[[f32; MOST]; MOST]; MOST + 1] = {
    let (mut all, mut n) = ([[[0.0; MOST]; MOST]; MOST + 1], 1);
    while n <= MOST {
        let mut i = 0;
        while i < n {
            let mut j = 1;
            all[n][i][0] = 1.0;
            while j < n {
                if i != j {
                    all[n][i] = times(all[n][i], POINTS[j - 1] as f32);
                }
                j += 1;
            }
            i += 1;
        }
        n += 1;
    }
    all
};

/// A polynomial times x - `point`.
const fn times(polynomial: [f32; MOST], point: f32) -> [f32; MOST] {
    let (mut product, mut i) = (polynomial, 0);
    while i < MOST {
        product[i] = if i == 0 { 0.0 } else { polynomial[i - 1] } - point * polynomial[i];
        i += 1;
    }
    product
}

/// The output transform: output `i` is the sum of product `j` times `[j][i]`, its point to the power of `i`. Infinity, which
/// has no powers, is a part of the last output alone.
pub(super) static POWERS: [[f32; MOST]; MOST] = {
    let (mut all, mut j) = ([[0.0; MOST]; MOST], 1);
    while j < MOST {
        let (mut power, mut i) = (1.0, 0);
        while i < MOST {
            all[j][i] = power;
            power *= POINTS[j - 1] as f32;
            i += 1;
        }
        j += 1;
    }
    all
};

/// The filter transform: the n values of some taps, for n = `values.len()`.
pub(super) fn filter(taps: &[f64], values: &mut [f64]) {
    minimal::filter(&POINTS[..values.len() - 1], taps, values);
    values.rotate_right(1);
}
