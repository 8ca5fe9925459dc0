//! The AVX-512 tier: sixteen lanes, 32 registers.

use std::arch::x86_64::*;

use super::{Isa, MAX_LANES, SQRT_HALF, SimdOp, Tier};

/// Token of the Avx512 tier: proof that the machine has it.
#[derive(Clone, Copy, Debug)]
pub struct Avx512(());

const V: usize = 16;

/// The mask of the first `n` lanes.
#[inline(always)]
fn part(n: usize) -> __mmask16 {
    if n >= V { !0 } else { (1 << n) - 1 }
}

/// Compiles `op` with the instruction set on.
///
/// # Safety
/// The machine has the instruction set.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn enabled<O: SimdOp>(isa: Avx512, op: O) -> O::Output {
    op.call(isa)
}

impl Isa for Avx512 {
    const TIER: Tier = Tier::Avx512;
    const LANES: usize = V;
    type F = __m512;
    type M = __mmask16;
    type O = __m512i;

    fn get() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma");
        has.then_some(Avx512(()))
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
        unsafe { _mm512_loadu_ps(s.as_ptr().add(at)) }
    }

    #[inline(always)]
    unsafe fn store_at(self, s: &mut [f32], at: usize, v: Self::F) {
        debug_assert!(at + V <= s.len());
        // SAFETY: the caller holds `at + LANES <= s.len()`.
        unsafe { _mm512_storeu_ps(s.as_mut_ptr().add(at), v) }
    }

    #[inline(always)]
    fn load_part(self, s: &[f32]) -> Self::F {
        // SAFETY: a masked load touches only the lanes whose mask is set: the first `s.len()`.
        unsafe { _mm512_maskz_loadu_ps(part(s.len()), s.as_ptr()) }
    }

    #[inline(always)]
    fn store_part(self, s: &mut [f32], v: Self::F) {
        // SAFETY: a masked store touches only the lanes whose mask is set: the first `s.len()`.
        unsafe { _mm512_mask_storeu_ps(s.as_mut_ptr(), part(s.len()), v) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn sqrt(self, a: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm512_sqrt_ps(a) }
    }

    #[inline(always)]
    fn abs(self, a: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm512_abs_ps(a) }
    }

    #[inline(always)]
    fn floor(self, a: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(a) }
    }

    #[inline(always)]
    fn round(self, a: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }

    #[inline(always)]
    fn lt(self, a: Self::F, b: Self::F) -> Self::M {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b) }
    }

    #[inline(always)]
    fn eq(self, a: Self::F, b: Self::F) -> Self::M {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b) }
    }

    #[inline(always)]
    fn select(self, mask: Self::M, yes: Self::F, no: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm512_mask_blend_ps(mask, no, yes) }
    }

    #[inline(always)]
    fn pow2(self, n: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm512_scalef_ps(_mm512_set1_ps(1.0), n) }
    }

    #[inline(always)]
    fn scale(self, x: Self::F, n: Self::F) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm512_scalef_ps(x, n) }
    }

    #[inline(always)]
    fn split(self, x: Self::F) -> (Self::F, Self::F) {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe {
            let bits = _mm512_castps_si512(x);
            let e = _mm512_srai_epi32::<23>(_mm512_sub_epi32(bits, _mm512_set1_epi32(SQRT_HALF)));
            let m = _mm512_sub_epi32(bits, _mm512_slli_epi32::<23>(e));
            (_mm512_castsi512_ps(m), _mm512_cvtepi32_ps(e))
        }
    }

    #[inline(always)]
    fn order(self, from: [u32; MAX_LANES]) -> Self::O {
        // SAFETY: the array holds sixteen numbers, and an unaligned load takes any address.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn permute(self, v: Self::F, order: Self::O) -> Self::F {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm512_permutexvar_ps(order, v) }
    }

    #[inline(always)]
    fn transpose(self, rows: [Self::F; MAX_LANES]) -> [Self::F; MAX_LANES] {
        let mut r = rows;
        // Pairs of rows, then pairs of pairs inside each 128-bit quarter, then the quarters in two steps.
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe {
            for i in (0..V).step_by(2) {
                (r[i], r[i + 1]) = (_mm512_unpacklo_ps(r[i], r[i + 1]), _mm512_unpackhi_ps(r[i], r[i + 1]));
            }
            for i in (0..V).step_by(4) {
                let (a, b, c, d) = (r[i], r[i + 1], r[i + 2], r[i + 3]);
                r[i] = _mm512_shuffle_ps::<0x44>(a, c);
                r[i + 1] = _mm512_shuffle_ps::<0xee>(a, c);
                r[i + 2] = _mm512_shuffle_ps::<0x44>(b, d);
                r[i + 3] = _mm512_shuffle_ps::<0xee>(b, d);
            }
            for i in 0..4 {
                let (a, b, c, d) = (r[i], r[i + 4], r[i + 8], r[i + 12]);
                let (ab0, ab1) = (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
                let (cd0, cd1) = (_mm512_shuffle_f32x4::<0x88>(c, d), _mm512_shuffle_f32x4::<0xdd>(c, d));
                r[i] = _mm512_shuffle_f32x4::<0x88>(ab0, cd0);
                r[i + 4] = _mm512_shuffle_f32x4::<0x88>(ab1, cd1);
                r[i + 8] = _mm512_shuffle_f32x4::<0xdd>(ab0, cd0);
                r[i + 12] = _mm512_shuffle_f32x4::<0xdd>(ab1, cd1);
            }
        }
        r
    }

    #[inline(always)]
    fn sum(self, a: Self::F) -> f32 {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm512_reduce_add_ps(a) }
    }

    #[inline(always)]
    fn largest(self, a: Self::F) -> f32 {
        // SAFETY: the token exists only where the machine has the instruction set.
        unsafe { _mm512_reduce_max_ps(a) }
    }
}
