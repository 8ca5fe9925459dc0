//! The discrete Fourier transform of a line of complex vectors.
//!
//! T = 4 R values as R x 4 (Cooley and Tukey, 1965): transforms of R values, four apart; a rotation of each result; and
//! transforms of four. The way back is the same with real and imaginary parts swapped, before and after.

use std::f64::consts::FRAC_1_SQRT_2;

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

/// The T that the rotations are tabled for; a smaller one takes each second, or fourth.
const TABLE: usize = 32;

/// Rotation j: cos, -sin and sin of j / TABLE of a turn.
static ROTATIONS: [[f32; 3]; TABLE] = rotations();

/// cos of 0 to 8 / TABLE of a turn: `(TAU * j / 32).cos()`, which is no constant function.
const COS: [f64; 9] = [
    1.0,
    0.980_785_280_403_230_4,
    0.923_879_532_511_286_7,
    0.831_469_612_302_545_2,
    FRAC_1_SQRT_2,
    0.555_570_233_019_602_2,
    0.382_683_432_365_089_8,
    0.195_090_322_016_128_27,
    0.0,
];

const fn rotations() -> [[f32; 3]; TABLE] {
    /// cos of j / TABLE of a turn, from the first quarter.
    const fn cos(j: usize) -> f64 {
        let j = j % TABLE;
        match j / (TABLE / 4) {
            0 => COS[j],
            1 => -COS[TABLE / 2 - j],
            2 => -COS[j - TABLE / 2],
            _ => COS[TABLE - j],
        }
    }
    let (mut all, mut j) = ([[0.0; 3]; TABLE], 0);
    while j < TABLE {
        let sin = cos(j + TABLE * 3 / 4);
        all[j] = [cos(j) as f32, -sin as f32, sin as f32];
        j += 1;
    }
    all
}

/// Vector operations of a transform of 4 R values: R = 4 takes 16, R = 8 takes 56, a rotation 4.
pub(super) const fn operations(r: usize) -> usize {
    let first = if r == 4 { 16 } else { 56 };
    4 * first + 3 * (r - 1) * 4 + r * 16
}

/// Elements of scratch of a transform of T values.
pub(super) const fn room(t: usize) -> usize {
    2 * t
}

/// `X[k] = sum over n of x[n] e^(-2 pi i k n / T)` for T = 4 R and R = 4 or 8; `room` for T complex vectors.
#[inline(always)]
pub(super) fn transform<I: Isa, const R: usize>(isa: I, from: &impl Source, to: &mut impl Sink, room: &mut [f32]) {
    const { assert!(R == 4 || R == 8) };
    let place = Place::at::<I>(0);
    for n in 0..4 {
        let mut values = [[isa.zero(); 2]; R];
        for (i, value) in values.iter_mut().enumerate() {
            // SAFETY: 4 i + n is less than T.
            *value = unsafe { from.load(isa, 4 * i + n) };
        }
        let mut values = if R == 4 { four(isa, values) } else { eight(isa, values) };
        if n > 0 {
            for (k, value) in values.iter_mut().enumerate().skip(1) {
                *value = rotated(isa, *value, &ROTATIONS[n * k * (TABLE / (4 * R))]);
            }
        }
        let mut to = To::new::<I>(room, place, 4 * R);
        for (k, &value) in values.iter().enumerate() {
            // SAFETY: 4 k + n is less than T.
            unsafe { to.store(isa, 4 * k + n, value) };
        }
    }
    let room = From::new::<I>(room, place, 4 * R);
    for k in 0..R {
        let mut values = [[isa.zero(); 2]; 4];
        for (n, value) in values.iter_mut().enumerate() {
            // SAFETY: 4 k + n is less than T.
            *value = unsafe { room.load(isa, 4 * k + n) };
        }
        for (i, &value) in four(isa, values).iter().enumerate() {
            // SAFETY: R i + k is less than T.
            unsafe { to.store(isa, R * i + k, value) };
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

/// The transform of the first four values.
#[inline(always)]
fn four<I: Isa, const N: usize>(isa: I, x: [Complex<I>; N]) -> [Complex<I>; N] {
    let (s02, d02) = (add(isa, x[0], x[2]), sub(isa, x[0], x[2]));
    let (s13, [dr, di]) = (add(isa, x[1], x[3]), sub(isa, x[1], x[3]));
    let mut y = x;
    y[0] = add(isa, s02, s13);
    y[2] = sub(isa, s02, s13);
    // -i d13 and i d13.
    y[1] = [isa.add(d02[0], di), isa.sub(d02[1], dr)];
    y[3] = [isa.sub(d02[0], di), isa.add(d02[1], dr)];
    y
}

/// The transform of eight values: those of the even and of the odd ones.
#[inline(always)]
fn eight<I: Isa, const N: usize>(isa: I, x: [Complex<I>; N]) -> [Complex<I>; N] {
    let even = four(isa, [x[0], x[2], x[4], x[6]]);
    let [o0, [r1, i1], [r2, i2], [r3, i3]] = four(isa, [x[1], x[3], x[5], x[7]]);
    // Rotations by 0, 1, 2 and 3 eighths of a turn; the last has its sign changed.
    let root = isa.splat(FRAC_1_SQRT_2 as f32);
    let o1 = [isa.mul(root, isa.add(r1, i1)), isa.mul(root, isa.sub(i1, r1))];
    let minus_o3 = [isa.mul(root, isa.sub(r3, i3)), isa.mul(root, isa.add(r3, i3))];
    let mut y = x;
    (y[0], y[4]) = (add(isa, even[0], o0), sub(isa, even[0], o0));
    (y[1], y[5]) = (add(isa, even[1], o1), sub(isa, even[1], o1));
    y[2] = [isa.add(even[2][0], i2), isa.sub(even[2][1], r2)];
    y[6] = [isa.sub(even[2][0], i2), isa.add(even[2][1], r2)];
    (y[3], y[7]) = (sub(isa, even[3], minus_o3), add(isa, even[3], minus_o3));
    y
}
