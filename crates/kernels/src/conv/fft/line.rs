//! The discrete Fourier transform of a line of complex vectors.
//!
//! T = 16 values as 4 x 4 (Cooley and Tukey, 1965): transforms of four values, four apart; a rotation of each result; and
//! transforms of four neighbours. The way back is the same with real and imaginary parts swapped, before and after.

use std::f64::consts::FRAC_1_SQRT_2;

use super::T;
use crate::Isa;

/// Real and imaginary parts.
pub(super) type Complex<I> = [<I as Isa>::F; 2];

/// What a transform reads.
pub(super) trait Source {
    /// Value `n`.
    ///
    /// # Safety
    /// `n` is less than the T that the source was made for.
    unsafe fn load<I: Isa>(&self, isa: I, n: usize) -> Complex<I>;
}

/// What a transform writes.
pub(super) trait Sink {
    /// Takes value `k`.
    ///
    /// # Safety
    /// `k` is less than the T that the sink was made for.
    unsafe fn store<I: Isa>(&mut self, isa: I, k: usize, value: Complex<I>);
}

/// Where the T values of a line stand in memory, in elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The first real and the first imaginary part.
    pub(super) parts: [usize; 2],
    /// From one value to the next.
    pub(super) step: usize,
}

impl Place {
    /// Real and imaginary parts side by side, from `at` on.
    pub(super) fn at<I: Isa>(at: usize) -> Self {
        Place { parts: [at, at + I::LANES], step: 2 * I::LANES }
    }

    /// The same with real and imaginary parts swapped.
    pub(super) fn swapped(self) -> Self {
        let [re, im] = self.parts;
        Place { parts: [im, re], ..self }
    }

    /// The elements up to the last one of `len` values.
    fn end<I: Isa>(&self, len: usize) -> usize {
        self.parts[0].max(self.parts[1]) + (len - 1) * self.step + I::LANES
    }
}

/// A line to be read.
pub(super) struct From<'a>(&'a [f32], Place);

impl<'a> From<'a> {
    /// `len` values.
    ///
    /// # Panics
    /// When they are not all in the data.
    #[inline(always)]
    pub(super) fn new<I: Isa>(data: &'a [f32], place: Place, len: usize) -> Self {
        assert!(place.end::<I>(len) <= data.len(), "the line is complete");
        From(data, place)
    }
}

impl Source for From<'_> {
    #[inline(always)]
    unsafe fn load<I: Isa>(&self, isa: I, n: usize) -> Complex<I> {
        let From(data, Place { parts: [re, im], step }) = *self;
        // SAFETY: `new` asserts that the values up to the last are in the data.
        unsafe { [isa.load_at(data, re + n * step), isa.load_at(data, im + n * step)] }
    }
}

/// A line to be written.
pub(super) struct To<'a>(&'a mut [f32], Place);

impl<'a> To<'a> {
    /// `len` values.
    ///
    /// # Panics
    /// When there is no room for them in the data.
    #[inline(always)]
    pub(super) fn new<I: Isa>(data: &'a mut [f32], place: Place, len: usize) -> Self {
        assert!(place.end::<I>(len) <= data.len(), "there is room for the line");
        To(data, place)
    }
}

impl Sink for To<'_> {
    #[inline(always)]
    unsafe fn store<I: Isa>(&mut self, isa: I, k: usize, [re, im]: Complex<I>) {
        let Place { parts, step } = self.1;
        // SAFETY: `new` asserts that the values up to the last are in the data.
        unsafe { isa.store_at(self.0, parts[0] + k * step, re) };
        // SAFETY: as above.
        unsafe { isa.store_at(self.0, parts[1] + k * step, im) };
    }
}

/// A source with real and imaginary parts swapped.
pub(super) struct Swapped<S>(pub(super) S);

impl<S: Source> Source for Swapped<S> {
    #[inline(always)]
    unsafe fn load<I: Isa>(&self, isa: I, n: usize) -> Complex<I> {
        // SAFETY: the caller's promise is that of the source within.
        let [re, im] = unsafe { self.0.load(isa, n) };
        [im, re]
    }
}

/// Rotation j: cos, -sin and sin of j / T of a turn.
static ROTATIONS: [[f32; 3]; T] = rotations();

/// cos of 0 to 4 / T of a turn: `(TAU * j / 16).cos()`, which is no constant function.
const COS: [f64; T / 4 + 1] = [1.0, 0.923_879_532_511_286_7, FRAC_1_SQRT_2, 0.382_683_432_365_089_8, 0.0];

const fn rotations() -> [[f32; 3]; T] {
    /// cos of j / T of a turn, from the first quarter.
    const fn cos(j: usize) -> f64 {
        let j = j % T;
        match j / (T / 4) {
            0 => COS[j],
            1 => -COS[T / 2 - j],
            2 => -COS[j - T / 2],
            _ => COS[T - j],
        }
    }
    let (mut all, mut j) = ([[0.0; 3]; T], 0);
    while j < T {
        let sin = cos(j + T * 3 / 4);
        all[j] = [cos(j) as f32, -sin as f32, sin as f32];
        j += 1;
    }
    all
}

/// Vector operations of a transform: eight of four values, of 16 each, and nine rotations, of 4 each.
pub(super) const OPERATIONS: usize = 8 * 16 + 9 * 4;

/// Vectors of scratch of a transform.
pub(super) const ROOM: usize = 2 * T;

/// `X[k] = sum over n of x[n] e^(-2 pi i k n / T)`; `room` for T complex vectors.
#[inline(always)]
pub(super) fn transform<I: Isa>(isa: I, from: &impl Source, to: &mut impl Sink, room: &mut [f32]) {
    const { assert!(T == 16) };
    let place = Place::at::<I>(0);
    for n in 0..4 {
        let mut values = [[isa.zero(); 2]; 4];
        for (i, value) in values.iter_mut().enumerate() {
            // SAFETY: 4 i + n is less than T.
            *value = unsafe { from.load(isa, 4 * i + n) };
        }
        let mut values = four(isa, values);
        if n > 0 {
            for (k, value) in values.iter_mut().enumerate().skip(1) {
                *value = rotated(isa, *value, &ROTATIONS[n * k]);
            }
        }
        let mut to = To::new::<I>(room, place, T);
        for (k, &value) in values.iter().enumerate() {
            // SAFETY: 4 k + n is less than T.
            unsafe { to.store(isa, 4 * k + n, value) };
        }
    }
    let room = From::new::<I>(room, place, T);
    for k in 0..4 {
        let mut values = [[isa.zero(); 2]; 4];
        for (n, value) in values.iter_mut().enumerate() {
            // SAFETY: 4 k + n is less than T.
            *value = unsafe { room.load(isa, 4 * k + n) };
        }
        for (i, &value) in four(isa, values).iter().enumerate() {
            // SAFETY: 4 i + k is less than T.
            unsafe { to.store(isa, 4 * i + k, value) };
        }
    }
}

#[inline(always)]
fn add<I: Isa>(isa: I, [ar, ai]: Complex<I>, [br, bi]: Complex<I>) -> Complex<I> {
    [isa.add(ar, br), isa.add(ai, bi)]
}

#[inline(always)]
fn sub<I: Isa>(isa: I, [ar, ai]: Complex<I>, [br, bi]: Complex<I>) -> Complex<I> {
    [isa.sub(ar, br), isa.sub(ai, bi)]
}

/// `a e^(-i angle)`
#[inline(always)]
fn rotated<I: Isa>(isa: I, [re, im]: Complex<I>, rotation: &[f32; 3]) -> Complex<I> {
    let [cos, minus_sin, sin] = rotation.map(|factor| isa.splat(factor));
    [isa.fma(im, sin, isa.mul(re, cos)), isa.fma(re, minus_sin, isa.mul(im, cos))]
}

/// The transform of four values.
#[inline(always)]
fn four<I: Isa>(isa: I, x: [Complex<I>; 4]) -> [Complex<I>; 4] {
    let (s02, d02) = (add(isa, x[0], x[2]), sub(isa, x[0], x[2]));
    let (s13, [dr, di]) = (add(isa, x[1], x[3]), sub(isa, x[1], x[3]));
    // d02 - i d13 and d02 + i d13.
    let one = [isa.add(d02[0], di), isa.sub(d02[1], dr)];
    let three = [isa.sub(d02[0], di), isa.add(d02[1], dr)];
    [add(isa, s02, s13), one, sub(isa, s02, s13), three]
}
