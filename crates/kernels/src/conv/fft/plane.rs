//! The transform of a square: lines along the rows, then along the columns, and back.
//!
//! Two real rows are transformed as one complex line, `z = a + i b`, and told apart by the symmetry of real lines:
//! `2 A[k] = Z[k] + conj Z[-k]` and `2 i B[k] = Z[k] - conj Z[-k]`. Columns 0 and T/2 of what results are real, so that
//! they pass as one complex column and are told apart likewise. The factors of two are left to the weights' transform:
//! complex frequencies are doubled, real ones are not.

use super::T;
use super::line::{self, Complex, From, Place, Sink, Source, Swapped, To};
use crate::Isa;
use crate::conv::transformed::{Products, Square, Target, Values};

/// Real frequencies: (0, 0), (0, T/2), (T/2, 0), (T/2, T/2) by row and column, the first positions in this order.
pub(super) const REAL: usize = 4;

/// Complex frequencies of a square: T of each column from 1 to T/2 - 1, and T/2 - 1 of columns 0 and T/2.
pub(super) const COMPLEX: usize = (T / 2 - 1) * (T + 2);

/// The first of the three positions of the complex frequency in row `k` of column `column`, from 1 to T/2 - 1.
pub(super) const fn inner(k: usize, column: usize) -> usize {
    REAL + 3 * ((column - 1) * T + k)
}

/// The first of the three positions of the complex frequency in row `k`, from 1 to T/2 - 1, of column 0 (0) or T/2 (1).
pub(super) const fn outer(k: usize, which: usize) -> usize {
    REAL + 3 * ((T / 2 - 1) * T + 2 * (k - 1) + which)
}

/// Operations of telling apart, or putting together, two values and their mirror images.
pub(super) const SPLIT: usize = 4;

/// Vectors of scratch: half of the columns, a line, a pair of rows, and what a line's transform needs.
pub(super) const ROOM: usize = T / 2 * PITCH + 2 * T + 2 * T + line::ROOM;

/// Vectors from one column to the next: an odd number, so that a row does not fall into one set of the cache.
const PITCH: usize = 2 * T + 1;

/// The room of a transform.
struct Room<'a> {
    /// Columns 0 and T/2 as one complex column, and columns 1 to T/2 - 1.
    columns: &'a mut [f32],
    /// A complex line, and a pair of rows.
    line: &'a mut [f32],
    pair: &'a mut [f32],
    /// For the transform of a line.
    room: &'a mut [f32],
}

impl<'a> Room<'a> {
    #[inline(always)]
    fn new<I: Isa>(room: &'a mut [f32]) -> Self {
        let (columns, rest) = room.split_at_mut(T / 2 * PITCH * I::LANES);
        let (line, rest) = rest.split_at_mut(2 * T * I::LANES);
        let (pair, room) = rest.split_at_mut(2 * T * I::LANES);
        Room { columns, line, pair, room }
    }
}

/// Where a column stands among the columns.
#[inline(always)]
fn column<I: Isa>(column: usize) -> Place {
    Place::at::<I>(column * PITCH * I::LANES)
}

/// `2 A[k]` and `2 B[k]` from `Z[k]` and `Z[-k]`.
#[inline(always)]
fn split<I: Isa>(isa: I, [ar, ai]: Complex<I>, [br, bi]: Complex<I>) -> [Complex<I>; 2] {
    [[isa.add(ar, br), isa.sub(ai, bi)], [isa.add(ai, bi), isa.sub(br, ar)]]
}

/// `Z[k]` and `Z[-k]` from `A[k]` and `B[k]`.
#[inline(always)]
fn join<I: Isa>(isa: I, [ar, ai]: Complex<I>, [br, bi]: Complex<I>) -> [Complex<I>; 2] {
    [[isa.sub(ar, bi), isa.add(ai, br)], [isa.add(ar, bi), isa.sub(br, ai)]]
}

/// Transforms the inputs of a square.
#[inline(always)]
pub(super) fn forward<I: Isa>(isa: I, square: &Square<'_>, values: &mut Values<'_>, room: &mut [f32]) {
    let Room { columns, line, room, .. } = Room::new::<I>(room);
    let whole = Place::at::<I>(0);
    for y in (0..T).step_by(2) {
        let row = square.at + y * square.pitch;
        let rows = From::new::<I>(square.data, Place { parts: [row, row + square.pitch], step: I::LANES }, T);
        line::transform::<I>(isa, &rows, &mut To::new::<I>(line, whole, T), room);
        split_rows::<I>(isa, &From::new::<I>(line, whole, T), columns, y);
    }
    for k in 1..T / 2 {
        let from = From::new::<I>(columns, column::<I>(k), T);
        line::transform::<I>(isa, &from, &mut Spectrum::new::<I>(values, inner(0, k), T), room);
    }
    let from = From::new::<I>(columns, column::<I>(0), T);
    line::transform::<I>(isa, &from, &mut To::new::<I>(line, whole, T), room);
    split_outer::<I>(isa, &From::new::<I>(line, whole, T), values);
}

/// Tells rows `y` and `y + 1` apart and stores them across the columns.
#[inline(always)]
fn split_rows<I: Isa>(isa: I, line: &From<'_>, columns: &mut [f32], y: usize) {
    // SAFETY: the line has T values.
    let ([r0, i0], [rh, ih]) = unsafe { (line.load(isa, 0), line.load(isa, T / 2)) };
    let mut store = |k: usize, a: Complex<I>, b: Complex<I>| {
        let mut to = To::new::<I>(columns, column::<I>(k), T);
        // SAFETY: a column has T values, and y is even and less than T.
        unsafe { to.store(isa, y, a) };
        // SAFETY: as above.
        unsafe { to.store(isa, y + 1, b) };
    };
    store(0, [r0, rh], [i0, ih]);
    for k in 1..T / 2 {
        // SAFETY: the line has T values.
        let [a, b] = unsafe { split(isa, line.load(isa, k), line.load(isa, T - k)) };
        store(k, a, b);
    }
}

/// Tells columns 0 and T/2 apart and stores their frequencies.
#[inline(always)]
fn split_outer<I: Isa>(isa: I, line: &From<'_>, values: &mut Values<'_>) {
    // SAFETY: the line has T values.
    let (top, middle) = unsafe { (line.load(isa, 0), line.load(isa, T / 2)) };
    for (position, real) in [top, middle].into_iter().flatten().enumerate() {
        isa.store(&mut values.data[values.at + position * values.step..], real);
    }
    for k in 1..T / 2 {
        // SAFETY: the line has T values.
        let pair = unsafe { split(isa, line.load(isa, k), line.load(isa, T - k)) };
        let mut to = Spectrum::new::<I>(values, outer(k, 0), 2);
        // SAFETY: the sink takes two values.
        unsafe { to.store(isa, 0, pair[0]) };
        // SAFETY: as above.
        unsafe { to.store(isa, 1, pair[1]) };
    }
}

/// Complex frequencies side by side, as what Gauss's three products multiply.
struct Spectrum<'a> {
    data: &'a mut [f32],
    at: usize,
    step: usize,
}

impl<'a> Spectrum<'a> {
    /// `len` frequencies from position `first` on.
    #[inline(always)]
    fn new<I: Isa>(values: &'a mut Values<'_>, first: usize, len: usize) -> Self {
        let (at, step) = (values.at + first * values.step, values.step);
        assert!(at + (3 * len - 1) * step + I::LANES <= values.data.len(), "the panel has room");
        Spectrum { data: &mut *values.data, at, step }
    }
}

impl Sink for Spectrum<'_> {
    #[inline(always)]
    unsafe fn store<I: Isa>(&mut self, isa: I, k: usize, [re, im]: Complex<I>) {
        for (i, value) in [isa.add(re, im), re, im].into_iter().enumerate() {
            // SAFETY: `new` asserts that there is room for all three values of the last frequency.
            unsafe { isa.store_at(self.data, self.at + (3 * k + i) * self.step, value) };
        }
    }
}

/// Transforms the products of a square back.
#[inline(always)]
pub(super) fn backward<I: Isa>(isa: I, products: &Products<'_>, target: &Target<'_>, room: &mut [f32]) {
    let Room { columns, line, pair, room } = Room::new::<I>(room);
    let whole = Place::at::<I>(0);
    join_outer::<I>(isa, products, &mut To::new::<I>(line, whole, T));
    let from = From::new::<I>(line, whole.swapped(), T);
    line::transform::<I>(isa, &from, &mut To::new::<I>(columns, column::<I>(0).swapped(), T), room);
    for k in 1..T / 2 {
        let from = Swapped(Sums::new::<I>(products, inner(0, k), T));
        line::transform::<I>(isa, &from, &mut To::new::<I>(columns, column::<I>(k).swapped(), T), room);
    }
    for y in (0..target.rows).step_by(2) {
        join_rows::<I>(isa, columns, y, &mut To::new::<I>(line, whole, T));
        let from = From::new::<I>(line, whole.swapped(), T);
        // The pair of rows, one after the other.
        let to = Place { parts: [T * I::LANES, 0], step: I::LANES };
        line::transform::<I>(isa, &from, &mut To::new::<I>(pair, to, T), room);
        for (i, row) in (y..target.rows).zip(pair.chunks_exact(T * I::LANES)) {
            store_row(isa, target, i, row);
        }
    }
}

/// Finishes and stores row `i` of the outputs.
#[inline(always)]
fn store_row<I: Isa>(isa: I, target: &Target<'_>, i: usize, row: &[f32]) {
    for (j, from) in (0..target.columns).step_by(4).zip(row.chunks_exact(4 * I::LANES)) {
        let mut outputs = [isa.zero(); 4];
        for (output, from) in outputs.iter_mut().zip(from.chunks_exact(I::LANES)) {
            *output = isa.load(from);
        }
        target.store(isa, [i, j], &mut outputs);
    }
}

/// Puts columns 0 and T/2 together from their products.
#[inline(always)]
fn join_outer<I: Isa>(isa: I, products: &Products<'_>, line: &mut To<'_>) {
    let real = |position: usize| isa.load(&products.data[products.at + position * products.step..]);
    // SAFETY: the line takes T values.
    unsafe { line.store(isa, 0, [real(0), real(1)]) };
    // SAFETY: as above.
    unsafe { line.store(isa, T / 2, [real(2), real(3)]) };
    for k in 1..T / 2 {
        let sums = Sums::new::<I>(products, outer(k, 0), 2);
        // SAFETY: the source has two values.
        let (a, b) = unsafe { (sums.load(isa, 0), sums.load(isa, 1)) };
        let [value, mirrored] = join(isa, a, b);
        // SAFETY: the line takes T values.
        unsafe { line.store(isa, k, value) };
        // SAFETY: as above.
        unsafe { line.store(isa, T - k, mirrored) };
    }
}

/// Puts rows `y` and `y + 1` together from the columns.
#[inline(always)]
fn join_rows<I: Isa>(isa: I, columns: &[f32], y: usize, line: &mut To<'_>) {
    let load = |k: usize| {
        let from = From::new::<I>(columns, column::<I>(k), T);
        // SAFETY: a column has T values, and y is even and less than T.
        unsafe { [from.load(isa, y), from.load(isa, y + 1)] }
    };
    let [[a0, ah], [b0, bh]] = load(0);
    // SAFETY: the line takes T values.
    unsafe { line.store(isa, 0, [a0, b0]) };
    // SAFETY: as above.
    unsafe { line.store(isa, T / 2, [ah, bh]) };
    for k in 1..T / 2 {
        let [a, b] = load(k);
        let [value, mirrored] = join(isa, a, b);
        // SAFETY: as above.
        unsafe { line.store(isa, k, value) };
        // SAFETY: as above.
        unsafe { line.store(isa, T - k, mirrored) };
    }
}

/// Complex frequencies side by side, as sums of Gauss's three products.
struct Sums<'a> {
    data: &'a [f32],
    at: usize,
    step: usize,
}

impl<'a> Sums<'a> {
    /// `len` frequencies from position `first` on.
    #[inline(always)]
    fn new<I: Isa>(products: &Products<'a>, first: usize, len: usize) -> Self {
        let (data, at, step) = (products.data, products.at + first * products.step, products.step);
        assert!(at + (3 * len - 1) * step + I::LANES <= data.len(), "the panel is complete");
        Sums { data, at, step }
    }
}

impl Source for Sums<'_> {
    #[inline(always)]
    unsafe fn load<I: Isa>(&self, isa: I, n: usize) -> Complex<I> {
        // SAFETY: `new` asserts that all three products of the last frequency are there.
        let product = |i: usize| unsafe { isa.load_at(self.data, self.at + (3 * n + i) * self.step) };
        [isa.sub(product(0), product(2)), isa.add(product(0), product(1))]
    }
}
