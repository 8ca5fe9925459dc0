//! The scalar tier: four lanes in plain Rust, for any machine.

use super::{Isa, MAX_LANES, SQRT_HALF, SimdOp, Tier};

/// Token of the scalar tier; always to be had.
#[derive(Clone, Copy, Debug)]
pub struct Scalar(());

const V: usize = 4;

#[inline(always)]
fn map(a: [f32; V], f: impl Fn(f32) -> f32) -> [f32; V] {
    std::array::from_fn(|i| f(a[i]))
}

#[inline(always)]
fn zip(a: [f32; V], b: [f32; V], f: impl Fn(f32, f32) -> f32) -> [f32; V] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

impl Isa for Scalar {
    const TIER: Tier = Tier::Scalar;
    const LANES: usize = V;
    type F = [f32; V];
    type M = [bool; V];
    type O = [u32; V];

    fn get() -> Option<Self> {
        Some(Scalar(()))
    }

    #[inline(always)]
    fn dispatch<O: SimdOp>(self, op: O) -> O::Output {
        op.call(self)
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [x; V]
    }

    #[inline(always)]
    unsafe fn load_at(self, s: &[f32], at: usize) -> Self::F {
        debug_assert!(at + V <= s.len());
        // SAFETY: the caller holds `at + LANES <= s.len()`.
        std::array::from_fn(|i| unsafe { *s.get_unchecked(at + i) })
    }

    #[inline(always)]
    unsafe fn store_at(self, s: &mut [f32], at: usize, v: Self::F) {
        debug_assert!(at + V <= s.len());
        for (i, x) in v.into_iter().enumerate() {
            // SAFETY: the caller holds `at + LANES <= s.len()`.
            unsafe { *s.get_unchecked_mut(at + i) = x };
        }
    }

    #[inline(always)]
    fn load_part(self, s: &[f32]) -> Self::F {
        std::array::from_fn(|i| s.get(i).copied().unwrap_or(0.0))
    }

    #[inline(always)]
    fn store_part(self, s: &mut [f32], v: Self::F) {
        for (to, x) in s.iter_mut().zip(v) {
            *to = x;
        }
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }

    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn sqrt(self, a: Self::F) -> Self::F {
        map(a, f32::sqrt)
    }

    #[inline(always)]
    fn abs(self, a: Self::F) -> Self::F {
        map(a, f32::abs)
    }

    #[inline(always)]
    fn floor(self, a: Self::F) -> Self::F {
        map(a, f32::floor)
    }

    #[inline(always)]
    fn round(self, a: Self::F) -> Self::F {
        map(a, f32::round_ties_even)
    }

    #[inline(always)]
    fn lt(self, a: Self::F, b: Self::F) -> Self::M {
        std::array::from_fn(|i| a[i] < b[i])
    }

    #[inline(always)]
    fn eq(self, a: Self::F, b: Self::F) -> Self::M {
        std::array::from_fn(|i| a[i] == b[i])
    }

    #[inline(always)]
    fn select(self, mask: Self::M, yes: Self::F, no: Self::F) -> Self::F {
        std::array::from_fn(|i| if mask[i] { yes[i] } else { no[i] })
    }

    #[inline(always)]
    fn pow2(self, n: Self::F) -> Self::F {
        // The biased exponent of an f32 stands 23 bits up.
        map(n, |n| f32::from_bits(((n as i32 + 127) << 23) as u32))
    }

    #[inline(always)]
    fn split(self, x: Self::F) -> (Self::F, Self::F) {
        let exponent = |x: f32| (x.to_bits() as i32).wrapping_sub(SQRT_HALF) >> 23;
        (
            map(x, |x| f32::from_bits((x.to_bits() as i32).wrapping_sub(exponent(x) << 23) as u32)),
            map(x, |x| exponent(x) as f32),
        )
    }

    #[inline(always)]
    fn order(self, from: [u32; MAX_LANES]) -> Self::O {
        std::array::from_fn(|i| from[i] % V as u32)
    }

    #[inline(always)]
    fn permute(self, v: Self::F, order: Self::O) -> Self::F {
        order.map(|lane| v[lane as usize])
    }

    #[inline(always)]
    fn transpose(self, rows: [Self::F; MAX_LANES]) -> [Self::F; MAX_LANES] {
        std::array::from_fn(|i| if i < V { std::array::from_fn(|j| rows[j][i]) } else { rows[i] })
    }

    #[inline(always)]
    fn sum(self, a: Self::F) -> f32 {
        (a[0] + a[2]) + (a[1] + a[3])
    }

    #[inline(always)]
    fn largest(self, a: Self::F) -> f32 {
        a[0].max(a[2]).max(a[1].max(a[3]))
    }
}
