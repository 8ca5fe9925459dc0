//! The input transform: the images' pixels to the values that are multiplied, for a block of squares.

use std::marker::PhantomData;
use std::ops::Range;

use super::grid::{Grid, Panel, Place};
use super::minimal::Minimal;
use crate::{Conv2d, Isa, SimdOp};

/// Transforms the input of a block of squares, for all input channels of a group.
pub(super) struct Input<'a, T, const M: usize, const N: usize> {
    pub(super) p: &'a Conv2d,
    pub(super) grid: Grid,
    pub(super) x: &'a [f32],
    pub(super) group: usize,
    pub(super) squares: Range<usize>,
    pub(super) panel: Panel,
    /// The transformed values: a panel.
    pub(super) v: &'a mut [f32],
    /// Room for one square's input: n x n vectors.
    pub(super) patch: &'a mut [f32],
    pub(super) minimal: PhantomData<T>,
}

impl<T: Minimal<M, N>, const M: usize, const N: usize> SimdOp for Input<'_, T, M, N> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let p = self.p;
        let (blocks, plane) = (p.ic.div_ceil(I::LANES), p.ih * p.iw * I::LANES);
        let vectors = (p.ic / p.groups).div_ceil(I::LANES);
        let panel = self.panel;
        assert!(self.v.len() >= N * N * panel.pitch && self.patch.len() >= N * N * I::LANES);
        assert!(panel.pitch >= vectors * panel.squares * I::LANES && self.squares.len() <= panel.squares);
        for vector in 0..vectors {
            let places = self.grid.places(self.squares.start);
            for (index, place) in (0..self.squares.len()).zip(places) {
                let image = &self.x[(place.n * blocks + self.group * vectors + vector) * plane..][..plane];
                let to = (vector * panel.squares + index) * I::LANES;
                let inside = |first: usize, pad: usize, size: usize| first >= pad && first - pad + N <= size;
                if inside(place.y, p.pads.top, p.ih) && inside(place.x, p.pads.left, p.iw) {
                    let at = (place.y - p.pads.top) * p.iw + place.x - p.pads.left;
                    let square = Square { data: image, at: at * I::LANES, pitch: p.iw * I::LANES };
                    square.transform::<I, T, M, N>(isa, self.v, to, panel.pitch);
                } else {
                    copy_padded::<I, N>(isa, p, place, image, self.patch);
                    let square = Square { data: self.patch, at: 0, pitch: N * I::LANES };
                    square.transform::<I, T, M, N>(isa, self.v, to, panel.pitch);
                }
            }
        }
    }
}

/// The n x n inputs of a square.
struct Square<'a> {
    data: &'a [f32],
    /// The first, and from one row to the next.
    at: usize,
    pitch: usize,
}

impl Square<'_> {
    /// Transforms columns, then rows, and stores value (i, j) at `to + (i n + j) step`.
    ///
    /// Two of the n rows at a time: 2 n values between the two transforms fit into registers, n^2 do not, and loading
    /// the input again costs less than storing them. The rows of two points of one size share most of their sums.
    ///
    /// Rows and columns are written out: what a pair does not need of its columns is left out by the compiler only
    /// where their numbers are constants.
    #[inline(always)]
    fn transform<I: Isa, T: Minimal<M, N>, const M: usize, const N: usize>(
        &self,
        isa: I,
        v: &mut [f32],
        to: usize,
        step: usize,
    ) {
        const { assert!(N <= 8 && N.is_multiple_of(2)) };
        assert!(
            self.at + (N - 1) * (self.pitch + I::LANES) + I::LANES <= self.data.len(),
            "the square's input is there"
        );
        assert!(to + (N * N - 1) * step + I::LANES <= v.len(), "the panel has room");
        self.rows::<I, T, M, N>(isa, [0, N - 1], v, [to, step]);
        self.rows::<I, T, M, N>(isa, [1, 2], v, [to, step]);
        if N > 4 {
            self.rows::<I, T, M, N>(isa, [3, 4], v, [to, step]);
        }
        if N > 6 {
            self.rows::<I, T, M, N>(isa, [5, 6], v, [to, step]);
        }
    }

    #[inline(always)]
    fn rows<I: Isa, T: Minimal<M, N>, const M: usize, const N: usize>(
        &self,
        isa: I,
        rows: [usize; 2],
        v: &mut [f32],
        [to, step]: [usize; 2],
    ) {
        let mut half = [[isa.zero(); 2]; N];
        half[0] = self.column::<I, T, M, N>(isa, 0, rows);
        half[1] = self.column::<I, T, M, N>(isa, 1, rows);
        half[2] = self.column::<I, T, M, N>(isa, 2, rows);
        half[3] = self.column::<I, T, M, N>(isa, 3, rows);
        if N > 4 {
            half[4] = self.column::<I, T, M, N>(isa, 4, rows);
            half[5] = self.column::<I, T, M, N>(isa, 5, rows);
        }
        if N > 6 {
            half[6] = self.column::<I, T, M, N>(isa, 6, rows);
            half[7] = self.column::<I, T, M, N>(isa, 7, rows);
        }
        for (which, i) in rows.into_iter().enumerate() {
            let mut row = [isa.zero(); N];
            for (value, half) in row.iter_mut().zip(&half) {
                *value = half[which];
            }
            for (j, &value) in T::input(isa, row).iter().enumerate() {
                // SAFETY: i N + j is at most N N - 1, so the index is within the length that `transform` asserts.
                unsafe { isa.store_at(v, to + (i * N + j) * step, value) };
            }
        }
    }

    /// Two values of the transform of column j.
    #[inline(always)]
    fn column<I: Isa, T: Minimal<M, N>, const M: usize, const N: usize>(
        &self,
        isa: I,
        j: usize,
        rows: [usize; 2],
    ) -> [I::F; 2] {
        let mut column = [isa.zero(); N];
        for (i, d) in column.iter_mut().enumerate() {
            // SAFETY: i and j are at most N - 1, so the index is within the length that `transform` asserts.
            *d = unsafe { isa.load_at(self.data, self.at + i * self.pitch + j * I::LANES) };
        }
        let column = T::input(isa, column);
        [column[rows[0]], column[rows[1]]]
    }
}

/// Copies the n x n inputs of a square that hangs over the image's edge, zeros where there is no image.
#[inline(always)]
fn copy_padded<I: Isa, const N: usize>(isa: I, p: &Conv2d, place: Place, image: &[f32], patch: &mut [f32]) {
    // Columns of the square that are in the image.
    let begin = p.pads.left.saturating_sub(place.x).min(N);
    let end = (p.iw + p.pads.left).saturating_sub(place.x).clamp(begin, N);
    for (i, row) in patch.chunks_exact_mut(N * I::LANES).take(N).enumerate() {
        let y = (place.y + i).checked_sub(p.pads.top).filter(|&y| y < p.ih && begin < end);
        let (begin, end) = if y.is_some() { (begin, end) } else { (N, N) };
        for to in row[..begin * I::LANES].chunks_exact_mut(I::LANES) {
            isa.store(to, isa.zero());
        }
        for to in row[end * I::LANES..].chunks_exact_mut(I::LANES) {
            isa.store(to, isa.zero());
        }
        let Some(y) = y else { continue };
        let from = &image[(y * p.iw + place.x + begin - p.pads.left) * I::LANES..];
        let inside = row[begin * I::LANES..end * I::LANES].chunks_exact_mut(I::LANES);
        for (to, from) in inside.zip(from.chunks_exact(I::LANES)) {
            isa.store(to, isa.load(from));
        }
    }
}
