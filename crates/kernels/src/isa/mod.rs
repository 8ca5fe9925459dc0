//! Instruction sets: a capability token each, with the vector operations that kernels are written in.
//!
//! A kernel is generic over [`Isa`] and runs inside [`Isa::dispatch`], which compiles it with the instruction set
//! switched on. Whatever is called from there must be `#[inline(always)]`, or it is compiled without.

mod avx2;
mod avx512;
mod scalar;

use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
use std::fmt;
use std::str::FromStr;

pub use avx2::Avx2;
pub use avx512::Avx512;
pub use scalar::Scalar;

/// The lanes of the widest tier.
pub const MAX_LANES: usize = 16;

/// Bits of sqrt(1/2): `Isa::split` counts exponents from here, which centres the mantissa on 1.
const SQRT_HALF: i32 = 0x3f35_04f3;

/// An instruction-set tier, from least to most capable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Tier {
    /// Plain Rust, four lanes.
    Scalar,
    /// AVX2 with FMA, eight lanes, 16 registers.
    Avx2,
    /// AVX-512 F, BW, DQ and VL, sixteen lanes, 32 registers.
    Avx512,
}

impl Tier {
    /// Every tier, least capable first.
    pub const ALL: [Tier; 3] = [Tier::Scalar, Tier::Avx2, Tier::Avx512];

    /// The name used in kernel names and in `--isa`.
    pub const fn name(self) -> &'static str {
        match self {
            Tier::Scalar => "scalar",
            Tier::Avx2 => "avx2",
            Tier::Avx512 => "avx512",
        }
    }

    /// 32-bit lanes of one vector: the `V` of the blocked layout `nChwVc`.
    pub const fn lanes(self) -> usize {
        match self {
            Tier::Scalar => Scalar::LANES,
            Tier::Avx2 => Avx2::LANES,
            Tier::Avx512 => Avx512::LANES,
        }
    }

    /// True where this machine can run kernels of the tier.
    pub fn available(self) -> bool {
        match self {
            Tier::Scalar => true,
            Tier::Avx2 => Avx2::get().is_some(),
            Tier::Avx512 => Avx512::get().is_some(),
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no tier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no instruction set; expected scalar, avx2 or avx512")]
pub struct UnknownTier(pub String);

impl FromStr for Tier {
    type Err = UnknownTier;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Tier::ALL.into_iter().find(|t| t.name() == text).ok_or_else(|| UnknownTier(text.to_owned()))
    }
}

/// Work that is generic over the instruction set; see [`Isa::dispatch`].
pub trait SimdOp {
    /// What the work returns.
    type Output;

    /// Does the work. Implementations are `#[inline(always)]`.
    fn call<I: Isa>(self, isa: I) -> Self::Output;
}

/// A token that proves that this machine has the instruction set, with its operations on vectors of `LANES` f32.
///
/// Vectors follow IEEE 754 single precision; `min` and `max` return the second operand where one is NaN, so that
/// `max(zero, x)` keeps a NaN in `x`.
pub trait Isa: Copy + Send + Sync + 'static {
    /// Which tier this is.
    const TIER: Tier;
    /// f32 lanes of a vector.
    const LANES: usize;
    /// A vector of f32.
    type F: Copy;
    /// A lane mask.
    type M: Copy;
    /// An order of lanes.
    type O: Copy;

    /// The token, where the machine has the instruction set.
    fn get() -> Option<Self>;

    /// Runs `op` compiled for this instruction set.
    fn dispatch<O: SimdOp>(self, op: O) -> O::Output;

    /// All lanes `x`.
    fn splat(self, x: f32) -> Self::F;

    /// Loads `LANES` values from `s[at..]`.
    ///
    /// # Safety
    /// `at + LANES <= s.len()`.
    unsafe fn load_at(self, s: &[f32], at: usize) -> Self::F;

    /// Stores `LANES` values to `s[at..]`.
    ///
    /// # Safety
    /// `at + LANES <= s.len()`.
    unsafe fn store_at(self, s: &mut [f32], at: usize, v: Self::F);

    /// Loads the first `LANES` values; fewer are filled up with zeros.
    fn load_part(self, s: &[f32]) -> Self::F;

    /// Stores the first `s.len()` lanes, at most `LANES`.
    fn store_part(self, s: &mut [f32], v: Self::F);

    /// a + b
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    /// a - b
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    /// a * b
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// a / b
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// a * b + c, rounded once where the instruction set fuses (everywhere but in the scalar tier).
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The smaller; `b` where one is NaN.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// The larger; `b` where one is NaN.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// Square root.
    fn sqrt(self, a: Self::F) -> Self::F;
    /// Clears the sign.
    fn abs(self, a: Self::F) -> Self::F;
    /// Largest integer not above.
    fn floor(self, a: Self::F) -> Self::F;
    /// Nearest integer, ties to even.
    fn round(self, a: Self::F) -> Self::F;
    /// Lanes where a < b.
    fn lt(self, a: Self::F, b: Self::F) -> Self::M;
    /// Lanes where a = b; a NaN is equal to nothing.
    fn eq(self, a: Self::F, b: Self::F) -> Self::M;
    /// `yes` where the mask is set, else `no`.
    fn select(self, mask: Self::M, yes: Self::F, no: Self::F) -> Self::F;
    /// 2 to the power of `n`, for integral `n` from -126 to 127.
    fn pow2(self, n: Self::F) -> Self::F;
    /// Splits a positive normal number into `(m, e)` with `x = m 2^e` and `m` from sqrt(1/2) to sqrt(2), by its bits:
    /// other numbers give a meaningless pair.
    fn split(self, x: Self::F) -> (Self::F, Self::F);
    /// The order in which lane `i` of a vector comes from lane `from[i]`, for the first `LANES` of `from`; numbers from
    /// `LANES` on count again from 0.
    fn order(self, from: [u32; MAX_LANES]) -> Self::O;
    /// The lanes in another order.
    fn permute(self, v: Self::F, order: Self::O) -> Self::F;
    /// Transposes the square of `LANES` vectors at the front of `rows`; the rest is passed through.
    fn transpose(self, rows: [Self::F; MAX_LANES]) -> [Self::F; MAX_LANES];
    /// Sum of the lanes, added in pairs.
    fn sum(self, a: Self::F) -> f32;
    /// Largest lane.
    fn largest(self, a: Self::F) -> f32;

    /// The token, for a kernel that is about to run.
    ///
    /// # Panics
    /// When the machine lacks the instruction set: the kernel was chosen for another machine.
    fn require() -> Self {
        Self::get().unwrap_or_else(|| panic!("a kernel for {} was run on a machine without it", Self::TIER))
    }

    /// x times 2 to the power of `n`, for integral `n` from -252 to 254, rounded once more where that is subnormal.
    #[inline(always)]
    fn scale(self, x: Self::F, n: Self::F) -> Self::F {
        let half = self.floor(self.mul(n, self.splat(0.5)));
        self.mul(self.mul(x, self.pow2(half)), self.pow2(self.sub(n, half)))
    }

    /// All lanes zero.
    #[inline(always)]
    fn zero(self) -> Self::F {
        self.splat(0.0)
    }

    /// Broadcasts `s[at]`.
    ///
    /// # Safety
    /// `at < s.len()`.
    #[inline(always)]
    unsafe fn splat_at(self, s: &[f32], at: usize) -> Self::F {
        debug_assert!(at < s.len());
        // SAFETY: the caller holds `at < s.len()`.
        self.splat(unsafe { *s.get_unchecked(at) })
    }

    /// Asks for the cache line of `s[at]` before it is needed. Any `at` will do: nothing is read.
    #[inline(always)]
    fn prefetch(self, s: &[f32], at: usize) {
        // SAFETY: a prefetch touches no memory, wherever it points, and is in the base instruction set.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(s.as_ptr().wrapping_add(at).cast()) };
    }

    /// Asks for the cache line of `s[at]` in the second level, long before it is needed. Any `at` will do.
    #[inline(always)]
    fn prefetch_far(self, s: &[f32], at: usize) {
        // SAFETY: a prefetch touches no memory, wherever it points, and is in the base instruction set.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(s.as_ptr().wrapping_add(at).cast()) };
    }

    /// Loads `LANES` values.
    ///
    /// # Panics
    /// When `s` is shorter.
    #[inline(always)]
    fn load(self, s: &[f32]) -> Self::F {
        assert!(s.len() >= Self::LANES);
        // SAFETY: just checked.
        unsafe { self.load_at(s, 0) }
    }

    /// Stores `LANES` values.
    ///
    /// # Panics
    /// When `s` is shorter.
    #[inline(always)]
    fn store(self, s: &mut [f32], v: Self::F) {
        assert!(s.len() >= Self::LANES);
        // SAFETY: just checked.
        unsafe { self.store_at(s, 0, v) }
    }
}

#[cfg(test)]
mod tests;
