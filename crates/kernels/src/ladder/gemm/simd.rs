//! Matrix multiplication in blocks of vectors, three ways. All vector operations here are the checked ones.

use std::ops::Range;

use super::Product;
use crate::{Isa, MAX_LANES, SimdOp};

/// A product cut to blocks of a side.
pub(super) struct Blocked<'a> {
    pub(super) p: Product,
    pub(super) side: usize,
    pub(super) a: &'a [f32],
    pub(super) b: &'a [f32],
    pub(super) c: &'a mut [f32],
    /// Two blocks.
    pub(super) scratch: &'a mut [f32],
}

/// The pieces of `0..len`.
fn pieces(len: usize, side: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(side).map(move |start| start..len.min(start + side))
}

/// Vectors of columns.
pub(super) struct Columns<'a>(pub(super) Blocked<'a>);

impl SimdOp for Columns<'_> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let Blocked { p, side, a, b, c, .. } = self.0;
        c.fill(0.0);
        for rows in pieces(p.m, side) {
            for columns in pieces(p.n, side) {
                for depth in pieces(p.k, side) {
                    for i in rows.clone() {
                        for j in columns.clone().step_by(I::LANES) {
                            let end = columns.end.min(j + I::LANES);
                            let c = &mut c[i * p.n + j..i * p.n + end];
                            let mut sum = isa.load_part(c);
                            for k in depth.clone() {
                                let right = isa.load_part(&b[k * p.n + j..k * p.n + end]);
                                sum = isa.fma(isa.splat(a[i * p.k + k]), right, sum);
                            }
                            isa.store_part(c, sum);
                        }
                    }
                }
            }
        }
    }
}

/// Vectors of the depth, with B's blocks transposed.
pub(super) struct Dot<'a>(pub(super) Blocked<'a>);

impl SimdOp for Dot<'_> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let Blocked { p, side, a, b, c, scratch } = self.0;
        c.fill(0.0);
        for columns in pieces(p.n, side) {
            for depth in pieces(p.k, side) {
                for (k, row) in depth.clone().enumerate() {
                    for (j, &value) in b[row * p.n..][columns.clone()].iter().enumerate() {
                        scratch[j * side + k] = value;
                    }
                }
                for i in 0..p.m {
                    let left = &a[i * p.k..][depth.clone()];
                    for (j, column) in columns.clone().enumerate() {
                        let right = &scratch[j * side..][..depth.len()];
                        let mut sums = isa.zero();
                        for (left, right) in left.chunks(I::LANES).zip(right.chunks(I::LANES)) {
                            sums = isa.fma(isa.load_part(left), isa.load_part(right), sums);
                        }
                        c[i * p.n + column] += isa.sum(sums);
                    }
                }
            }
        }
    }
}

/// Vectors of rows, with the blocks of A and C transposed.
pub(super) struct Transposed<'a>(pub(super) Blocked<'a>);

impl SimdOp for Transposed<'_> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let Blocked { p, side, a, b, c, scratch } = self.0;
        let (left, sums) = scratch.split_at_mut(side * side);
        for rows in pieces(p.m, side) {
            for columns in pieces(p.n, side) {
                sums.fill(0.0);
                for depth in pieces(p.k, side) {
                    for (i, row) in rows.clone().enumerate() {
                        for (k, &value) in a[row * p.k..][depth.clone()].iter().enumerate() {
                            left[k * side + i] = value;
                        }
                    }
                    for (j, column) in columns.clone().enumerate().step_by(I::LANES) {
                        let right = Right { b, pitch: p.n, depth: depth.clone(), columns: column..columns.end };
                        for i in (0..rows.len()).step_by(I::LANES) {
                            square(isa, side, &left[i..], &right, &mut sums[j * side + i..]);
                        }
                    }
                }
                for (i, row) in rows.clone().enumerate() {
                    for (j, value) in c[row * p.n..][columns.clone()].iter_mut().enumerate() {
                        *value = sums[j * side + i];
                    }
                }
            }
        }
    }
}

/// Rows of a block of B, from the columns of a square on.
struct Right<'a> {
    b: &'a [f32],
    pitch: usize,
    depth: Range<usize>,
    columns: Range<usize>,
}

/// Adds the products of a vector of rows with as many columns, one vector of sums a column. `left` and `sums` are
/// transposed blocks of a side, from the square's first value on.
#[inline(always)]
fn square<I: Isa>(isa: I, side: usize, left: &[f32], right: &Right<'_>, sums: &mut [f32]) {
    let count = I::LANES.min(right.columns.len());
    let mut square = [isa.zero(); MAX_LANES];
    for (j, sum) in square.iter_mut().enumerate().take(count) {
        *sum = isa.load(&sums[j * side..]);
    }
    for (k, row) in right.depth.clone().enumerate() {
        let start = row * right.pitch + right.columns.start;
        let mut values = [0.0; MAX_LANES];
        isa.store(&mut values, isa.load_part(&right.b[start..start + count]));
        let left = isa.load(&left[k * side..]);
        for (sum, &value) in square.iter_mut().zip(&values).take(I::LANES) {
            *sum = isa.fma(left, isa.splat(value), *sum);
        }
    }
    for (j, &sum) in square.iter().enumerate().take(count) {
        isa.store(&mut sums[j * side..], sum);
    }
}
