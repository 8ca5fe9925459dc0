//! The transforms: of input rows, column by column, and of sums to output rows.

use super::points::{INPUT, MOST, POWERS};
use crate::conv::epilogue::Finish;
use crate::parallel::Shards;
use crate::{Isa, SimdOp};

/// Vectors that are transformed side by side, as their sums wait for each other.
const SIDE: usize = 4;

/// Transforms as many rows as a phase has products.
pub(super) struct Input<'a> {
    /// The rows, all of one length.
    pub(super) rows: &'a [&'a [f32]],
    /// The transformed rows, `pitch` apart.
    pub(super) values: &'a mut [f32],
    pub(super) pitch: usize,
}

impl SimdOp for Input<'_> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(mut self, isa: I) {
        let (len, count) = (self.rows[0].len(), self.rows.len());
        assert!(count <= MOST && self.rows.iter().all(|row| row.len() == len), "rows of one length");
        assert!(len.next_multiple_of(I::LANES) <= self.pitch && count * self.pitch <= self.values.len());
        let side = len / (SIDE * I::LANES) * SIDE * I::LANES;
        for at in (0..side).step_by(SIDE * I::LANES) {
            self.columns::<I, SIDE>(isa, at);
        }
        for at in (side..len).step_by(I::LANES) {
            self.columns::<I, 1>(isa, at);
        }
    }
}

impl Input<'_> {
    /// Transforms P vectors of columns; the last of a row may have fewer lanes.
    #[inline(always)]
    fn columns<I: Isa, const P: usize>(&mut self, isa: I, at: usize) {
        let count = self.rows.len();
        for (k, factors) in INPUT[count].iter().take(count).enumerate() {
            // All but point 0, which is the second, leave out the first row, and all but infinity the last one.
            let used = usize::from(k != 1)..count - usize::from(k != 0);
            let mut sums = [isa.zero(); P];
            for (row, &factor) in self.rows[used.clone()].iter().zip(&factors[used]) {
                let factor = isa.splat(factor);
                match row.get(at..at + P * I::LANES) {
                    Some(inputs) => {
                        for (p, sum) in sums.iter_mut().enumerate() {
                            // SAFETY: the slice holds P vectors and p < P.
                            *sum = isa.fma(factor, unsafe { isa.load_at(inputs, p * I::LANES) }, *sum);
                        }
                    }
                    None => sums[0] = isa.fma(factor, isa.load_part(&row[at..]), sums[0]),
                }
            }
            for (p, &sum) in sums.iter().enumerate() {
                // SAFETY: `at + p LANES` is below the length of a row, and a whole vector from there within `pitch`, of
                // which there are `count`, as `call` asserts.
                unsafe { isa.store_at(self.values, k * self.pitch + at + p * I::LANES, sum) };
            }
        }
    }
}

/// Transforms sums to M output rows, finishes and stores them.
pub(super) struct Output<'a, const M: usize> {
    /// `[product][vector of output channels][column]`
    pub(super) sums: &'a [f32],
    pub(super) size: [usize; 3],
    /// Rows that are in the image.
    pub(super) rows: usize,
    /// The first output channel.
    pub(super) channel: usize,
    /// The first output, and from one vector of channels and one row to the next, in elements.
    pub(super) at: usize,
    pub(super) pitch: [usize; 2],
    pub(super) finish: &'a Finish<'a>,
    /// Only the caller's task reaches these outputs.
    pub(super) y: &'a Shards<'a, f32>,
}

impl<const M: usize> SimdOp for Output<'_, M> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let [products, vectors, columns] = self.size;
        assert!((2..=MOST).contains(&products) && products * vectors * columns * I::LANES <= self.sums.len());
        for vector in 0..vectors {
            for column in 0..columns {
                self.column(isa, vector, column);
            }
            for row in 0..self.rows {
                let at = self.at + vector * self.pitch[0] + row * self.pitch[1];
                // SAFETY: the task alone reaches these outputs.
                unsafe { self.finish.pass(isa, self.y, at..at + columns * I::LANES) };
            }
        }
    }
}

impl<const M: usize> Output<'_, M> {
    #[inline(always)]
    fn column<I: Isa>(&self, isa: I, vector: usize, column: usize) {
        let [products, vectors, columns] = self.size;
        let (from, step) = ((vector * columns + column) * I::LANES, vectors * columns * I::LANES);
        let mut rows = [isa.zero(); M];
        // Infinity, and point 0.
        // SAFETY: the column is below `columns` and there are two products, so this is one of the vectors that `call` asserts.
        rows[M - 1] = unsafe { isa.load_at(self.sums, from) };
        // SAFETY: as above.
        rows[0] = unsafe { isa.load_at(self.sums, from + step) };
        for (k, powers) in POWERS.iter().enumerate().take(products).skip(2) {
            // SAFETY: as above, of product `k`.
            let product = unsafe { isa.load_at(self.sums, from + k * step) };
            for (row, &power) in rows.iter_mut().zip(powers) {
                *row = isa.fma(isa.splat(power), product, *row);
            }
        }
        for (i, row) in rows.into_iter().enumerate() {
            // Not a shorter loop, whose index would keep the rows in memory.
            if i < self.rows {
                let at = self.at + vector * self.pitch[0] + i * self.pitch[1] + column * I::LANES;
                let mut row = [row];
                self.finish.apply(isa, self.channel + vector * I::LANES, at, &mut row);
                // SAFETY: the task alone reaches these outputs.
                isa.store(unsafe { self.y.range(at..at + I::LANES) }, row[0]);
            }
        }
    }
}
