//! The input transform of a square: its n x n inputs to n x n values.

use super::minimal::Minimal;
use crate::Isa;
use crate::conv::transformed::{Square, Values};

/// Transforms columns, then rows, and stores value (i, j) at position `i n + j`.
///
/// Two of the n rows at a time, the last alone where n is odd: 2 n values between the two transforms fit into registers,
/// n^2 do not, and loading the input again costs less than storing them. The rows of two points of one size share most of
/// their sums.
///
/// Rows and columns are written out: what a pair does not need of its columns is left out by the compiler only
/// where their numbers are constants.
#[inline(always)]
pub(super) fn transform<I: Isa, T: Minimal<M, N>, const M: usize, const N: usize>(
    isa: I,
    square: &Square<'_>,
    values: &mut Values<'_>,
) {
    const { assert!(N >= 4 && N <= 9) };
    let last = square.at + (N - 1) * (square.pitch + I::LANES);
    assert!(last + I::LANES <= square.data.len(), "the square's input is there");
    assert!(values.at + (N * N - 1) * values.step + I::LANES <= values.data.len(), "the panel has room");
    rows::<I, T, M, N, 2>(isa, [0, N - 1], square, values);
    rows::<I, T, M, N, 2>(isa, [1, 2], square, values);
    if N == 5 {
        rows::<I, T, M, N, 1>(isa, [3], square, values);
    }
    if N > 5 {
        rows::<I, T, M, N, 2>(isa, [3, 4], square, values);
    }
    if N > 7 {
        rows::<I, T, M, N, 2>(isa, [5, 6], square, values);
    }
    if N > 8 {
        rows::<I, T, M, N, 1>(isa, [7], square, values);
    }
}

#[inline(always)]
fn rows<I: Isa, T: Minimal<M, N>, const M: usize, const N: usize, const K: usize>(
    isa: I,
    rows: [usize; K],
    square: &Square<'_>,
    values: &mut Values<'_>,
) {
    let mut half = [[isa.zero(); K]; N];
    half[0] = column::<I, T, M, N, K>(isa, 0, rows, square);
    half[1] = column::<I, T, M, N, K>(isa, 1, rows, square);
    half[2] = column::<I, T, M, N, K>(isa, 2, rows, square);
    half[3] = column::<I, T, M, N, K>(isa, 3, rows, square);
    if N > 4 {
        half[4] = column::<I, T, M, N, K>(isa, 4, rows, square);
    }
    if N > 5 {
        half[5] = column::<I, T, M, N, K>(isa, 5, rows, square);
    }
    if N > 6 {
        half[6] = column::<I, T, M, N, K>(isa, 6, rows, square);
        half[7] = column::<I, T, M, N, K>(isa, 7, rows, square);
    }
    if N > 8 {
        half[8] = column::<I, T, M, N, K>(isa, 8, rows, square);
    }
    for (which, i) in rows.into_iter().enumerate() {
        let mut row = [isa.zero(); N];
        for (value, half) in row.iter_mut().zip(&half) {
            *value = half[which];
        }
        for (j, &value) in T::input(isa, row).iter().enumerate() {
            // SAFETY: i N + j is at most N N - 1, so the index is within the length that `transform` asserts.
            unsafe { isa.store_at(values.data, values.at + (i * N + j) * values.step, value) };
        }
    }
}

/// Some values of the transform of column j.
#[inline(always)]
fn column<I: Isa, T: Minimal<M, N>, const M: usize, const N: usize, const K: usize>(
    isa: I,
    j: usize,
    rows: [usize; K],
    square: &Square<'_>,
) -> [I::F; K] {
    let mut column = [isa.zero(); N];
    for (i, d) in column.iter_mut().enumerate() {
        // SAFETY: i and j are at most N - 1, so the index is within the length that `transform` asserts.
        *d = unsafe { isa.load_at(square.data, square.at + i * square.pitch + j * I::LANES) };
    }
    let column = T::input(isa, column);
    rows.map(|row| column[row])
}
