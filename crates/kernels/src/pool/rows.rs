//! Windows of any size, stride, dilation and layout: each output row folds its columns into a buffer, then across.

use std::marker::PhantomData;
use std::ops::Range;

use super::kernel::Fold;
use super::{Pool2d, Windows};
use crate::conv::Layout;
use crate::{Isa, SimdOp};

/// Elements of the buffer: 8 KiB, a quarter of the smallest L1.
const BUFFER: usize = 2048;

/// Vectors of columns that are in flight together, to cover the latency of the additions.
const BLOCK: usize = 4;

/// Some output rows of all planes.
pub(super) struct Rows<'a, F> {
    p: &'a Pool2d,
    windows: &'a [Windows; 2],
    /// Which rows, of all planes one after the other.
    rows: Range<usize>,
    /// The whole input.
    x: &'a [f32],
    /// The output rows.
    y: &'a mut [f32],
    fold: PhantomData<F>,
}

impl<'a, F: Fold> Rows<'a, F> {
    /// The output rows `rows`, of all planes one after the other, into `y`.
    pub(super) fn new(
        p: &'a Pool2d,
        windows: &'a [Windows; 2],
        rows: Range<usize>,
        x: &'a [f32],
        y: &'a mut [f32],
    ) -> Self {
        Rows { p, windows, rows, x, y, fold: PhantomData }
    }
}

impl<F: Fold> SimdOp for Rows<'_, F> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let Rows { p, windows, rows, x, y, fold } = self;
        // Elements of one place: all lanes, or one.
        let pixel = if p.layout == Layout::Nchwc { I::LANES } else { 1 };
        let plane = p.ih * p.iw * pixel;
        let mut columns = [0.0; BUFFER];
        for (at, y) in rows.zip(y.chunks_exact_mut(p.ow * pixel)) {
            let x = &x[at / p.oh * plane..][..plane];
            let row = Row { p, windows, pixel, oy: at % p.oh, x, fold };
            let outputs = (BUFFER / pixel).checked_sub(windows[1].reach()).map_or(0, |rest| rest / p.stride[1] + 1);
            if outputs == 0 {
                row.wide(isa, y);
                continue;
            }
            for (i, y) in y.chunks_mut(outputs * pixel).enumerate() {
                let (first, count) = (i * outputs, y.len() / pixel);
                row.columns(isa, first * p.stride[1], &mut columns[..row.places(count) * pixel]);
                row.across(isa, &columns, first, y);
            }
        }
    }
}

/// One output row.
struct Row<'a, F> {
    p: &'a Pool2d,
    windows: &'a [Windows; 2],
    pixel: usize,
    oy: usize,
    /// The plane (or block of planes).
    x: &'a [f32],
    fold: PhantomData<F>,
}

impl<F: Fold> Row<'_, F> {
    /// Places that the windows of `outputs` neighbouring outputs reach over.
    #[inline(always)]
    fn places(&self, outputs: usize) -> usize {
        (outputs - 1) * self.p.stride[1] + self.windows[1].reach()
    }

    /// Folds the columns from place `first` of the padded image on, each down the rows of the windows.
    #[inline(always)]
    fn columns<I: Isa>(&self, isa: I, first: usize, to: &mut [f32]) {
        let (p, pixel, vertical) = (self.p, self.pixel, &self.windows[0]);
        let places = to.len() / pixel;
        let begin = p.pads.left.saturating_sub(first).min(places);
        let end = (p.iw + p.pads.left).saturating_sub(first).clamp(begin, places);
        to[..begin * pixel].fill(F::START);
        to[end * pixel..].fill(F::START);
        let from = (first + begin).saturating_sub(p.pads.left) * pixel;
        let to = &mut to[begin * pixel..end * pixel];
        let blocks = to.len() / (BLOCK * I::LANES) * BLOCK * I::LANES;
        let taps = vertical.taps(self.oy);
        let pitch = p.dilation[0] * p.iw * pixel;
        // The first row under the windows; where there is none the sums stay as they begin.
        let x = &self.x[if taps.is_empty() { 0 } else { vertical.place(self.oy, taps.start) * p.iw * pixel + from }..];
        for at in (0..blocks).step_by(BLOCK * I::LANES) {
            let mut acc = [isa.splat(F::START); BLOCK];
            for row in 0..taps.len() {
                let x = &x[row * pitch + at..][..BLOCK * I::LANES];
                for (i, acc) in acc.iter_mut().enumerate() {
                    // SAFETY: the slice holds BLOCK vectors.
                    *acc = F::fold(isa, *acc, unsafe { isa.load_at(x, i * I::LANES) });
                }
            }
            for (acc, to) in acc.into_iter().zip(to[at..].chunks_exact_mut(I::LANES)) {
                isa.store(to, acc);
            }
        }
        for at in (blocks..to.len()).step_by(I::LANES) {
            let to = &mut to[at..];
            let len = to.len().min(I::LANES);
            let mut acc = isa.splat(F::START);
            for row in 0..taps.len() {
                acc = F::fold(isa, acc, load(isa, &x[row * pitch + at..][..len]));
            }
            store(isa, &mut to[..len], acc);
        }
    }

    /// The outputs `y` from output `first` on, from the folded columns, which begin where its window does.
    #[inline(always)]
    fn across<I: Isa>(&self, isa: I, columns: &[f32], first: usize, y: &mut [f32]) {
        let (p, pixel) = (self.p, self.pixel);
        let count = y.len() / pixel;
        let inner = self.windows[1].inner(p.ow);
        let begin = inner.start.clamp(first, first + count) - first;
        let end = inner.end.clamp(first + begin, first + count) - first;
        for i in (0..begin).chain(end..count) {
            let reciprocal = p.reciprocal(self.windows, self.oy, first + i);
            self.fold(isa, columns, i, reciprocal, &mut y[i * pixel..(i + 1) * pixel]);
        }
        // All columns lie in the image, so these outputs share one divisor.
        let reciprocal = p.reciprocal(self.windows, self.oy, inner.start);
        // Neighbouring outputs make a vector where their inputs are neighbours too.
        let step = if pixel == 1 && p.stride[1] == 1 { I::LANES } else { 1 };
        for i in (begin..end).step_by(step) {
            let y = &mut y[i * pixel..end.min(i + step) * pixel];
            self.fold(isa, columns, i, reciprocal, y);
        }
    }

    /// At most a vector of outputs, from output `i` of the buffer.
    #[inline(always)]
    fn fold<I: Isa>(&self, isa: I, columns: &[f32], i: usize, reciprocal: f32, y: &mut [f32]) {
        let p = self.p;
        let mut acc = isa.splat(F::START);
        for kx in 0..p.kernel[1] {
            let at = (i * p.stride[1] + kx * p.dilation[1]) * self.pixel;
            acc = F::fold(isa, acc, load(isa, &columns[at..at + y.len()]));
        }
        store(isa, y, F::finish(isa, acc, reciprocal));
    }

    /// Outputs one by one, for windows wider than the buffer.
    #[inline(always)]
    fn wide<I: Isa>(&self, isa: I, y: &mut [f32]) {
        let [vertical, horizontal] = self.windows;
        for (ox, y) in y.chunks_exact_mut(self.pixel).enumerate() {
            let mut acc = isa.splat(F::START);
            for kx in horizontal.taps(ox) {
                let mut column = isa.splat(F::START);
                for ky in vertical.taps(self.oy) {
                    let at = (vertical.place(self.oy, ky) * self.p.iw + horizontal.place(ox, kx)) * self.pixel;
                    column = F::fold(isa, column, isa.load_part(&self.x[at..at + self.pixel]));
                }
                acc = F::fold(isa, acc, column);
            }
            isa.store_part(y, F::finish(isa, acc, self.p.reciprocal(self.windows, self.oy, ox)));
        }
    }
}

/// At most a vector. A load that follows a masked store to the same place waits for it, so whole vectors go without.
#[inline(always)]
fn load<I: Isa>(isa: I, s: &[f32]) -> I::F {
    if s.len() == I::LANES { isa.load(s) } else { isa.load_part(s) }
}

/// At most a vector, as [`load`].
#[inline(always)]
fn store<I: Isa>(isa: I, s: &mut [f32], v: I::F) {
    if s.len() == I::LANES { isa.store(s, v) } else { isa.store_part(s, v) }
}
