//! The usual windows of the blocked layout, swept along an output row with their columns in registers.
//!
//! A column of a window is folded once, down its rows, and serves all windows that it lies in: a 3x3 mean at stride 1
//! takes four additions and three loads a vector, not nine of each. Columns beside the image are the neutral value.

use std::marker::PhantomData;
use std::ops::Range;

use super::kernel::Fold;
use super::{Pool2d, Windows};
use crate::conv::Layout;
use crate::{Isa, SimdOp};

/// The most rows of a window.
const MOST: usize = 3;

/// True for the problems that [`Sweep`] computes.
pub(super) fn accepts(p: &Pool2d) -> bool {
    let shape = p.kernel[0] == p.kernel[1] && p.stride[0] == p.stride[1] && p.dilation == [1, 1];
    p.layout == Layout::Nchwc && shape && matches!((p.kernel[0], p.stride[0]), (2, 2) | (3, 1) | (3, 2))
}

/// Some output rows of all planes.
pub(super) struct Sweep<'a, F> {
    p: &'a Pool2d,
    windows: &'a [Windows; 2],
    /// Outputs of a row whose windows lie in the image, as far as columns go.
    inner: Range<usize>,
    /// Which rows, of all planes one after the other.
    rows: Range<usize>,
    /// The whole input.
    x: &'a [f32],
    /// The output rows.
    y: &'a mut [f32],
    fold: PhantomData<F>,
}

impl<'a, F: Fold> Sweep<'a, F> {
    /// The output rows `rows`, of all planes one after the other, into `y`.
    pub(super) fn new(
        p: &'a Pool2d,
        windows: &'a [Windows; 2],
        rows: Range<usize>,
        x: &'a [f32],
        y: &'a mut [f32],
    ) -> Self {
        Sweep { p, windows, inner: windows[1].inner(p.ow), rows, x, y, fold: PhantomData }
    }
}

impl<F: Fold> SimdOp for Sweep<'_, F> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(mut self, isa: I) {
        match (self.p.kernel[0], self.p.stride[0]) {
            (2, _) => self.all::<I, 2, 2>(isa),
            (_, 1) => self.all::<I, 3, 1>(isa),
            _ => self.all::<I, 3, 2>(isa),
        }
    }
}

impl<F: Fold> Sweep<'_, F> {
    /// All rows, and once more where a value is not a number and the fold is for numbers.
    #[inline(always)]
    fn all<I: Isa, const K: usize, const S: usize>(&mut self, isa: I) {
        if !self.pass::<I, F, K, S>(isa) {
            self.pass::<I, F::Exact, K, S>(isa);
        }
    }

    /// All rows. False where the fold is for numbers and a value may be none.
    #[inline(always)]
    fn pass<I: Isa, G: Fold, const K: usize, const S: usize>(&mut self, isa: I) -> bool {
        let (p, vertical) = (self.p, &self.windows[0]);
        let line = p.iw * I::LANES;
        let mut watch = [isa.zero(); 2];
        let (mut plane, mut oy) = (self.rows.start / p.oh * p.ih * line, self.rows.start % p.oh);
        for y in self.y.chunks_exact_mut(p.ow * I::LANES) {
            let taps = vertical.taps(oy);
            let first = plane + (oy * S + taps.start).saturating_sub(p.pads.top) * line;
            let row = Line { p, horizontal: &self.windows[1], inner: &self.inner, rows: p.counted(vertical, oy) };
            match taps.len() {
                0 => y.fill(G::START),
                1 => row.sweep::<I, G, K, S, 1>(isa, &self.x[first..first + line], y, &mut watch),
                2 => row.sweep::<I, G, K, S, 2>(isa, &self.x[first..first + 2 * line], y, &mut watch),
                _ => row.sweep::<I, G, K, S, MOST>(isa, &self.x[first..first + MOST * line], y, &mut watch),
            }
            oy += 1;
            if oy == p.oh {
                (plane, oy) = (plane + p.ih * line, 0);
            }
        }
        // A sum of products is NaN where a factor is (and maybe where one is infinite, which costs time alone).
        let [a, b] = watch;
        !G::NUMBERS_ONLY || !isa.sum(isa.add(a, b)).is_nan()
    }
}

/// What one output row needs to know.
struct Line<'a> {
    p: &'a Pool2d,
    horizontal: &'a Windows,
    inner: &'a Range<usize>,
    /// The rows that a mean's divisor counts.
    rows: usize,
}

impl Line<'_> {
    /// One output row from the `R` rows of the image under its windows.
    ///
    /// Columns have names, not numbers: an array that a loop moves on stays in memory.
    #[inline(always)]
    fn sweep<I: Isa, G: Fold, const K: usize, const S: usize, const R: usize>(
        &self,
        isa: I,
        x: &[f32],
        y: &mut [f32],
        watch: &mut [I::F; 2],
    ) {
        let (p, inner) = (self.p, self.inner.clone());
        let (iw, left) = (p.iw, p.pads.left);
        assert!(x.len() == R * iw * I::LANES && inner.end * I::LANES <= y.len());
        assert!(inner.is_empty() || inner.start * S >= left && (inner.end - 1) * S + K <= iw + left);
        let mut watched = *watch;
        // The last two columns of the window before the first one; S = K reads them not.
        let none = isa.splat(G::START);
        let mut last = [none; 2];
        if K - S > 1 {
            last[0] = self.border::<I, G, R>(isa, x, 0, &mut watched);
        }
        if K > S {
            last[1] = self.border::<I, G, R>(isa, x, K - S - 1, &mut watched);
        }
        for ox in 0..inner.start {
            last = self.output::<I, G, K, S, R>(isa, (x, &mut *y), ox, last, &mut watched);
        }
        // All columns lie in the image, so these outputs share one divisor.
        let reciprocal = 1.0 / (self.rows * K).max(1) as f32;
        for ox in inner.clone() {
            let at = ox * S + (K - S) - left;
            // SAFETY: the first window of the range begins at or behind column 0, as asserted, and the last one
            // ends with the image.
            let first = unsafe { column::<I, G, R>(isa, x, iw, at, &mut watched) };
            // SAFETY: as above; this is the last column of the window.
            let second = if S > 1 { unsafe { column::<I, G, R>(isa, x, iw, at + 1, &mut watched) } } else { none };
            let value;
            (value, last) = across::<I, G, K, S>(isa, last, [first, second]);
            // SAFETY: `ox` is below the end asserted above.
            unsafe { isa.store_at(y, ox * I::LANES, G::finish(isa, value, reciprocal)) };
        }
        for ox in inner.end..p.ow {
            last = self.output::<I, G, K, S, R>(isa, (x, &mut *y), ox, last, &mut watched);
        }
        *watch = watched;
    }

    /// One output whose window may reach past the image, from the columns before it; returns those before the next.
    #[inline(always)]
    fn output<I: Isa, G: Fold, const K: usize, const S: usize, const R: usize>(
        &self,
        isa: I,
        (x, y): (&[f32], &mut [f32]),
        ox: usize,
        last: [I::F; 2],
        watch: &mut [I::F; 2],
    ) -> [I::F; 2] {
        let at = ox * S + (K - S);
        let first = self.border::<I, G, R>(isa, x, at, watch);
        let second = if S > 1 { self.border::<I, G, R>(isa, x, at + 1, watch) } else { first };
        let (value, last) = across::<I, G, K, S>(isa, last, [first, second]);
        let reciprocal = 1.0 / (self.rows * self.p.counted(self.horizontal, ox)).max(1) as f32;
        isa.store(&mut y[ox * I::LANES..], G::finish(isa, value, reciprocal));
        last
    }

    /// The column at a place of the padded image.
    #[inline(always)]
    fn border<I: Isa, G: Fold, const R: usize>(&self, isa: I, x: &[f32], place: usize, watch: &mut [I::F; 2]) -> I::F {
        let iw = self.p.iw;
        assert!(x.len() == R * iw * I::LANES);
        match place.checked_sub(self.p.pads.left) {
            // SAFETY: all rows have `iw` vectors.
            Some(at) if at < iw => unsafe { column::<I, G, R>(isa, x, iw, at, watch) },
            _ => isa.splat(G::START),
        }
    }
}

/// The fold of column `at` of `R` rows of `iw` vectors.
///
/// # Safety
/// `x` holds `R * iw` vectors, and `at < iw`.
#[inline(always)]
unsafe fn column<I: Isa, G: Fold, const R: usize>(
    isa: I,
    x: &[f32],
    iw: usize,
    at: usize,
    watch: &mut [I::F; 2],
) -> I::F {
    // SAFETY: row * iw + at < R * iw for each row below R.
    let load = |row: usize| unsafe { isa.load_at(x, (row * iw + at) * I::LANES) };
    let a = load(0);
    if R == 1 {
        note::<I, G>(isa, &mut watch[0], [a, a]);
        return a;
    }
    let b = load(1);
    note::<I, G>(isa, &mut watch[0], [a, b]);
    let ab = G::fold(isa, a, b);
    if R == 2 {
        return ab;
    }
    let c = load(2);
    note::<I, G>(isa, &mut watch[1], [c, c]);
    G::fold(isa, ab, c)
}

/// Takes two values into a sum that shows whether all were numbers, where the fold needs to know.
#[inline(always)]
fn note<I: Isa, G: Fold>(isa: I, watch: &mut I::F, [a, b]: [I::F; 2]) {
    if G::NUMBERS_ONLY {
        *watch = isa.fma(a, b, *watch);
    }
}

/// The fold of a window's columns, the last ones of the window before and `S` new ones, and the last ones of this.
#[inline(always)]
fn across<I: Isa, G: Fold, const K: usize, const S: usize>(
    isa: I,
    [older, old]: [I::F; 2],
    [first, second]: [I::F; 2],
) -> (I::F, [I::F; 2]) {
    match (K, S) {
        (2, _) => (G::fold(isa, first, second), [older, old]),
        (_, 1) => (G::fold(isa, G::fold(isa, older, old), first), [old, first]),
        _ => (G::fold(isa, G::fold(isa, old, first), second), [older, second]),
    }
}
