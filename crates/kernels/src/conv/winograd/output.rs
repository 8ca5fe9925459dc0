//! The output transform of a square: its n x n products to m x m finished outputs.

use super::minimal::Minimal;
use crate::Isa;
use crate::conv::transformed::{Products, Target};

/// Transforms columns and then rows.
///
/// First for the even and then for the odd rows: half of the values between the two transforms fit into registers,
/// and even and odd powers of the points have no sums in common. Columns and rows are written out, as constants.
#[inline(always)]
pub(super) fn transform<I: Isa, T: Minimal<M, N>, const M: usize, const N: usize>(
    isa: I,
    products: &Products<'_>,
    target: &Target<'_>,
) {
    let last = products.at + (N * N - 1) * products.step;
    assert!(last + I::LANES <= products.data.len(), "the panel is complete");
    rows::<I, T, M, N>(isa, 0, products, target);
    rows::<I, T, M, N>(isa, 1, products, target);
}

/// Each second row from `first` on.
#[inline(always)]
fn rows<I: Isa, T: Minimal<M, N>, const M: usize, const N: usize>(
    isa: I,
    first: usize,
    products: &Products<'_>,
    target: &Target<'_>,
) {
    const { assert!(N >= 4 && N <= 9 && M <= 6 && M.is_multiple_of(2)) };
    let mut half = [[isa.zero(); M]; N];
    half[0] = column::<I, T, M, N>(isa, 0, products);
    half[1] = column::<I, T, M, N>(isa, 1, products);
    half[2] = column::<I, T, M, N>(isa, 2, products);
    half[3] = column::<I, T, M, N>(isa, 3, products);
    if N > 4 {
        half[4] = column::<I, T, M, N>(isa, 4, products);
    }
    if N > 5 {
        half[5] = column::<I, T, M, N>(isa, 5, products);
    }
    if N > 6 {
        half[6] = column::<I, T, M, N>(isa, 6, products);
        half[7] = column::<I, T, M, N>(isa, 7, products);
    }
    if N > 8 {
        half[8] = column::<I, T, M, N>(isa, 8, products);
    }
    row::<I, T, M, N>(isa, first, &half, target);
    if M > 2 {
        row::<I, T, M, N>(isa, first + 2, &half, target);
    }
    if M > 4 {
        row::<I, T, M, N>(isa, first + 4, &half, target);
    }
}

/// The transform of column j of the products.
#[inline(always)]
fn column<I: Isa, T: Minimal<M, N>, const M: usize, const N: usize>(
    isa: I,
    j: usize,
    products: &Products<'_>,
) -> [I::F; M] {
    let mut column = [isa.zero(); N];
    for (i, value) in column.iter_mut().enumerate() {
        // SAFETY: i N + j is at most N N - 1; `transform` asserts that these products are there.
        *value = unsafe { isa.load_at(products.data, products.at + (i * N + j) * products.step) };
    }
    T::output(isa, column)
}

/// Transforms, finishes and stores row i, where it is in the image.
#[inline(always)]
fn row<I: Isa, T: Minimal<M, N>, const M: usize, const N: usize>(
    isa: I,
    i: usize,
    half: &[[I::F; M]; N],
    target: &Target<'_>,
) {
    if i >= target.rows {
        return;
    }
    let mut row = [isa.zero(); N];
    for (value, half) in row.iter_mut().zip(half) {
        *value = half[i];
    }
    target.store(isa, [i, 0], &mut T::output(isa, row));
}
