//! The AVX2 tier with FMA: eight lanes, 16 registers.

use std::arch::x86_64::*;

use super::{Isa, MAX_LANES, SQRT_HALF, SimdOp, Tier};

/// Token of the Avx2 tier: proof that the machine has it.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

const V: usize = 8;

/// A sliding window over this table is the mask of the first `n` lanes.
static PART: [i32; 2 * V] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

#[inline(always)]
fn part(n: usize) -> __m256i {
    let n = n.min(V);
    // SAFETY: n <= V, so V entries follow PART[V - n].
    unsafe { _mm256_loadu_si256(PART[V - n..].as_ptr().cast()) }
}

/// Compiles `op` with the instruction set on.
///
/// # Safety
/// The machine has the instruction set.
#[target_feature(enable = "avx2,fma")]
unsafe fn enabled<O: SimdOp>(isa: Avx2, op: O) -> O::Output {
    op.call(isa)
}

impl Isa for Avx2 {
    const TIER: Tier = Tier::Avx2;
    const LANES: usize = V;
    type F = __m256;
    type M = __m256;
    type O = __m256i;

    fn get() -> Option<Self> {
        let has = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        has.then_some(Avx2(()))
    }

    #[inline(always)]
    fn dispatch<O: SimdOp>(self, op: O) -> O::Output {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { enabled(self, op) }
    }

    #[inline(always)]
    unsafe fn load_at(self, s: &[f32], at: usize) -> Self::F {
        debug_assert!(at + V <= s.len());
        // SAFETY: the caller holds `at + LANES <= s.len()`.
        unsafe { _mm256_loadu_ps(s.as_ptr().add(at)) }
    }

    #[inline(always)]
    unsafe fn store_at(self, s: &mut [f32], at: usize, v: Self::F) {
        debug_assert!(at + V <= s.len());
        // SAFETY: the caller holds `at + LANES <= s.len()`.
        unsafe { _mm256_storeu_ps(s.as_mut_ptr().add(at), v) }
    }

    #[inline(always)]
    fn load_part(self, s: &[f32]) -> Self::F {
        // SAFETY: a masked load touches only the lanes whose mask is set: the first `s.len()`.
        unsafe { _mm256_maskload_ps(s.as_ptr(), part(s.len())) }
    }

    #[inline(always)]
    fn store_part(self, s: &mut [f32], v: Self::F) {
        // SAFETY: a masked store touches only the lanes whose mask is set: the first `s.len()`.
        unsafe { _mm256_maskstore_ps(s.as_mut_ptr(), part(s.len()), v) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm256_div_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm256_min_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm256_max_ps(a, b) }
    }

    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn sqrt(self, a: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm256_sqrt_ps(a) }
    }

    #[inline(always)]
    fn abs(self, a: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), a) }
    }

    #[inline(always)]
    fn floor(self, a: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm256_floor_ps(a) }
    }

    #[inline(always)]
    fn round(self, a: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }

    #[inline(always)]
    fn lt(self, a: Self::F, b: Self::F) -> Self::M {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm256_cmp_ps::<_CMP_LT_OQ>(a, b) }
    }

    #[inline(always)]
    fn eq(self, a: Self::F, b: Self::F) -> Self::M {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm256_cmp_ps::<_CMP_EQ_OQ>(a, b) }
    }

    #[inline(always)]
    fn select(self, mask: Self::M, yes: Self::F, no: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm256_blendv_ps(no, yes, mask) }
    }

    #[inline(always)]
    fn pow2(self, n: Self::F) -> Self::F {
        // The biased exponent of an f32 stands 23 bits up.
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
        }
    }

    #[inline(always)]
    fn split(self, x: Self::F) -> (Self::F, Self::F) {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe {
            let bits = _mm256_castps_si256(x);
            let e = _mm256_srai_epi32::<23>(_mm256_sub_epi32(bits, _mm256_set1_epi32(SQRT_HALF)));
            let m = _mm256_sub_epi32(bits, _mm256_slli_epi32::<23>(e));
            (_mm256_castsi256_ps(m), _mm256_cvtepi32_ps(e))
        }
    }

    #[inline(always)]
    fn order(self, from: [u32; MAX_LANES]) -> Self::O {
        // SAFETY: the array holds more than eight numbers, and an unaligned load takes any address.
        unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn permute(self, v: Self::F, order: Self::O) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm256_permutevar8x32_ps(v, order) }
    }

    #[inline(always)]
    fn transpose(self, rows: [Self::F; MAX_LANES]) -> [Self::F; MAX_LANES] {
        let mut r = rows;
        // Pairs of rows, then pairs of pairs inside each 128-bit half, then the halves.
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe {
            for i in (0..V).step_by(2) {
                (r[i], r[i + 1]) = (_mm256_unpacklo_ps(r[i], r[i + 1]), _mm256_unpackhi_ps(r[i], r[i + 1]));
            }
            for i in (0..V).step_by(4) {
                let (a, b, c, d) = (r[i], r[i + 1], r[i + 2], r[i + 3]);
                r[i] = _mm256_shuffle_ps::<0x44>(a, c);
                r[i + 1] = _mm256_shuffle_ps::<0xee>(a, c);
                r[i + 2] = _mm256_shuffle_ps::<0x44>(b, d);
                r[i + 3] = _mm256_shuffle_ps::<0xee>(b, d);
            }
            for i in 0..V / 2 {
                let (a, b) = (r[i], r[i + 4]);
                r[i] = _mm256_permute2f128_ps::<0x20>(a, b);
                r[i + 4] = _mm256_permute2f128_ps::<0x31>(a, b);
            }
        }
        r
    }

    #[inline(always)]
    fn sum(self, a: Self::F) -> f32 {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    fn largest(self, a: Self::F) -> f32 {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe {
            let four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        }
    }
}
