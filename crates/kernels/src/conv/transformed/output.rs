//! The output side: the products of a block of squares to finished pixels.

use std::marker::PhantomData;
use std::ops::Range;

use super::grid::{Grid, Panel};
use super::{Transform, outputs};
use crate::conv::epilogue::Finish;
use crate::parallel::Shards;
use crate::{Conv2d, Isa, SimdOp};

/// Transforms the products of a block of squares, for some vectors of output channels, finishes and stores them.
pub(super) struct Output<'a, T> {
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
    /// For the transform of a square.
    pub(super) room: &'a mut [f32],
    pub(super) transform: PhantomData<T>,
}

/// The products of a square.
pub(in crate::conv) struct Products<'a> {
    pub(in crate::conv) data: &'a [f32],
    /// The first, and from one position to the next, in elements.
    pub(in crate::conv) at: usize,
    pub(in crate::conv) step: usize,
}

/// Where a square's outputs go.
pub(in crate::conv) struct Target<'a> {
    /// Rows and columns of the square that are in the image.
    pub(in crate::conv) rows: usize,
    pub(in crate::conv) columns: usize,
    /// The first output, and from one row and one column to the next, in elements.
    at: usize,
    pitch: usize,
    step: usize,
    channel: usize,
    finish: &'a Finish<'a>,
    y: &'a Shards<'a, f32>,
}

impl<T: Transform> SimdOp for Output<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let (p, panel, (oh, ow)) = (self.p, self.panel, (self.p.oh(), self.p.ow()));
        let (blocks, [rows, columns], [y_step, x_step]) = (p.oc.div_ceil(I::LANES), outputs::<T>(p), self.grid.step);
        assert!(self.vectors * panel.vector <= self.m.len() && self.squares.len() <= panel.squares);
        for vector in 0..self.vectors {
            let block = self.channel / I::LANES + vector;
            let places = self.grid.places(self.squares.start);
            for (square, place) in (0..self.squares.len()).zip(places) {
                let at = vector * panel.vector + square * I::LANES;
                let products = Products { data: self.m, at, step: panel.pitch };
                let inside = |outputs: usize, at: usize, step: usize| outputs.saturating_sub(at).div_ceil(step);
                let target = Target {
                    rows: rows.min(inside(oh, place.y, y_step)),
                    columns: columns.min(inside(ow, place.x, x_step)),
                    at: (((place.n * blocks + block) * oh + place.y) * ow + place.x) * I::LANES,
                    pitch: y_step * ow * I::LANES,
                    step: x_step * I::LANES,
                    channel: self.channel + vector * I::LANES,
                    finish: self.finish,
                    y: self.y,
                };
                T::output(isa, &products, &target, self.room);
            }
        }
    }
}

impl Target<'_> {
    /// Finishes the outputs of row `i` from column `j` on, and stores those that are in the image.
    #[inline(always)]
    pub(in crate::conv) fn store<I: Isa, const M: usize>(&self, isa: I, [i, j]: [usize; 2], outputs: &mut [I::F; M]) {
        let to = self.at + i * self.pitch + j * self.step;
        let columns = M.min(self.columns.saturating_sub(j));
        if columns == M && self.step == I::LANES {
            self.finish.apply(isa, self.channel, to, outputs);
            // SAFETY: the task alone reaches these outputs, and the range ends with this block.
            let y = unsafe { self.y.range(to..to + M * I::LANES) };
            for (j, &value) in outputs.iter().enumerate() {
                // SAFETY: the range holds M vectors and j < M.
                unsafe { isa.store_at(y, j * I::LANES, value) };
            }
            // SAFETY: as above.
            unsafe { self.finish.pass(isa, self.y, to..to + M * I::LANES) };
            return;
        }
        for (j, &value) in outputs.iter().take(columns).enumerate() {
            let (to, mut value) = (to + j * self.step, [value]);
            self.finish.apply(isa, self.channel, to, &mut value);
            // SAFETY: as above.
            isa.store(unsafe { self.y.range(to..to + I::LANES) }, value[0]);
            // SAFETY: as above.
            unsafe { self.finish.pass(isa, self.y, to..to + I::LANES) };
        }
    }
}
