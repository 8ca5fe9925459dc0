//! The output transform: products to finished pixels, for a block of squares.

use std::marker::PhantomData;
use std::ops::Range;

use super::grid::{Grid, Panel, Place};
use super::minimal::Minimal;
use crate::conv::epilogue::Finish;
use crate::parallel::Shards;
use crate::{Conv2d, Isa, SimdOp};

/// Transforms the products of a block of squares, for some vectors of output channels, finishes and stores them.
pub(super) struct Output<'a, T, const M: usize, const N: usize> {
    pub(super) p: &'a Conv2d,
    pub(super) grid: Grid,
    pub(super) squares: Range<usize>,
    pub(super) panel: Panel,
    /// The products: a panel.
    pub(super) m: &'a [f32],
    /// The first output channel, and vectors from there.
    pub(super) channel: usize,
    pub(super) vectors: usize,
    pub(super) finish: &'a Finish<'a>,
    /// Only the caller's task reaches the outputs of these squares and channels.
    pub(super) y: &'a Shards<'a, f32>,
    pub(super) minimal: PhantomData<T>,
}

/// Where a square's outputs go.
#[derive(Clone, Copy)]
struct Target {
    place: Place,
    /// The first pixel of the image's plane of channel vectors.
    image: usize,
    channel: usize,
}

impl<T: Minimal<M, N>, const M: usize, const N: usize> SimdOp for Output<'_, T, M, N> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let (blocks, plane) = (self.p.oc.div_ceil(I::LANES), self.p.oh() * self.p.ow());
        let last = (self.vectors * self.panel.squares - 1) * I::LANES;
        assert!(last + (N * N - 1) * self.panel.pitch + I::LANES <= self.m.len(), "the panel is complete");
        assert!(self.squares.len() <= self.panel.squares);
        for vector in 0..self.vectors {
            let block = self.channel / I::LANES + vector;
            let places = self.grid.places(self.squares.start);
            for (square, place) in (0..self.squares.len()).zip(places) {
                let at = (vector * self.panel.squares + square) * I::LANES;
                let image = (place.n * blocks + block) * plane;
                self.square(isa, at, Target { place, image, channel: self.channel + vector * I::LANES });
            }
        }
    }
}

impl<T: Minimal<M, N>, const M: usize, const N: usize> Output<'_, T, M, N> {
    /// Transforms the products from `at` on, columns and then rows.
    ///
    /// First for the even and then for the odd rows: half of the values between the two transforms fit into registers,
    /// and even and odd powers of the points have no sums in common. Columns and rows are written out, as constants.
    #[inline(always)]
    fn square<I: Isa>(&self, isa: I, at: usize, target: Target) {
        self.rows(isa, 0, at, target);
        self.rows(isa, 1, at, target);
    }

    #[inline(always)]
    fn rows<I: Isa>(&self, isa: I, first: usize, at: usize, target: Target) {
        const { assert!(N <= 8 && N.is_multiple_of(2) && M <= 6 && M.is_multiple_of(2)) };
        let mut half = [[isa.zero(); M]; N];
        half[0] = self.column(isa, 0, at);
        half[1] = self.column(isa, 1, at);
        half[2] = self.column(isa, 2, at);
        half[3] = self.column(isa, 3, at);
        if N > 4 {
            half[4] = self.column(isa, 4, at);
            half[5] = self.column(isa, 5, at);
        }
        if N > 6 {
            half[6] = self.column(isa, 6, at);
            half[7] = self.column(isa, 7, at);
        }
        self.row(isa, first, &half, target);
        if M > 2 {
            self.row(isa, first + 2, &half, target);
        }
        if M > 4 {
            self.row(isa, first + 4, &half, target);
        }
    }

    /// The transform of column j of the products.
    #[inline(always)]
    fn column<I: Isa>(&self, isa: I, j: usize, at: usize) -> [I::F; M] {
        let mut column = [isa.zero(); N];
        for (i, value) in column.iter_mut().enumerate() {
            // SAFETY: `at` is at most the `last` of the panel and i N + j at most N N - 1; `call` asserts that these
            // are there.
            *value = unsafe { isa.load_at(self.m, at + (i * N + j) * self.panel.pitch) };
        }
        T::output(isa, column)
    }

    /// Transforms, finishes and stores row i, where it is in the image.
    #[inline(always)]
    fn row<I: Isa>(&self, isa: I, i: usize, half: &[[I::F; M]; N], target: Target) {
        let Target { place, image, channel } = target;
        let (oh, ow) = (self.p.oh(), self.p.ow());
        if place.y + i >= oh {
            return;
        }
        let mut row = [isa.zero(); N];
        for (value, half) in row.iter_mut().zip(half) {
            *value = half[i];
        }
        let mut row = T::output(isa, row);
        let to = (image + (place.y + i) * ow + place.x) * I::LANES;
        self.store(isa, channel, to, &mut row, M.min(ow - place.x));
    }

    /// Finishes the first `columns` pixels of a row of a square and stores them from `to` on.
    #[inline(always)]
    fn store<I: Isa>(&self, isa: I, channel: usize, to: usize, row: &mut [I::F; M], columns: usize) {
        if columns == M {
            self.finish.apply(isa, channel, to, row);
            // SAFETY: the task alone reaches these outputs, and the range ends with this block.
            let y = unsafe { self.y.range(to..to + M * I::LANES) };
            for (j, &value) in row.iter().enumerate() {
                // SAFETY: the range holds M vectors and j < M.
                unsafe { isa.store_at(y, j * I::LANES, value) };
            }
        } else {
            for (j, &value) in row.iter().take(columns).enumerate() {
                let (to, mut value) = (to + j * I::LANES, [value]);
                self.finish.apply(isa, channel, to, &mut value);
                // SAFETY: as above.
                isa.store(unsafe { self.y.range(to..to + I::LANES) }, value[0]);
            }
        }
        // SAFETY: as above.
        unsafe { self.finish.pass(isa, self.y, to..to + columns * I::LANES) };
    }
}
