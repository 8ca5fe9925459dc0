//! What the tests of the kernels share: numbers, pools, tiers and the comparison with the naive twin.

use tilewise_tensor::difference;

use crate::nest::{Order, Stage};
use crate::{Ctx, Epilogue, Pool, Tier, Unary};

pub(crate) use crate::ladder::operands::numbers;

/// Calls `f` with each tier of this machine and a context of one and of two threads, and `scratch` floats filled
/// with NaN.
pub(crate) fn each_tier(scratch: usize, mut f: impl FnMut(Tier, Ctx<'_>)) {
    for pool in [Pool::new(1), Pool::new(2)] {
        for tier in Tier::ALL.into_iter().filter(|tier| tier.available()) {
            f(tier, Ctx { pool: &pool, scratch: &mut vec![f32::NAN; scratch] });
        }
    }
}

/// Asserts that the numbers are within `tolerance`, relative to each and, near zero, absolute.
#[track_caller]
pub(crate) fn assert_close(what: &str, got: &[f32], want: &[f32], tolerance: f64) {
    let d = difference(got, want, tolerance, tolerance);
    let first = got.iter().zip(want).position(|(g, w)| difference(&[*g], &[*w], tolerance, tolerance).outside > 0);
    let first = first.map(|i| (i, got[i], want[i]));
    assert!(d.outside == 0, "{what}: {} of {} outside, first (at, got, want) {first:?}", d.outside, want.len());
}

/// `[n][c][pixels]` as `[n][ceil(c / v)][pixels][v]`, the lanes past `c` NaN.
pub(crate) fn blocked(x: &[f32], [n, c, pixels]: [usize; 3], v: usize) -> Vec<f32> {
    let blocks = c.div_ceil(v);
    let at = |i: usize| (i / v / pixels / blocks, i / v / pixels % blocks * v + i % v, i / v % pixels);
    let value = |(image, channel, pixel)| {
        if channel < c { x[(image * c + channel) * pixels + pixel] } else { f32::NAN }
    };
    (0..n * blocks * pixels * v).map(|i| value(at(i))).collect()
}

/// The way back from [`blocked`].
pub(crate) fn planar(y: &[f32], [n, c, pixels]: [usize; 3], v: usize) -> Vec<f32> {
    let blocks = c.div_ceil(v);
    let at = |i: usize| (i / pixels / c, i / pixels % c, i % pixels);
    let place = |(image, channel, pixel): (usize, usize, usize)| {
        ((image * blocks + channel / v) * pixels + pixel) * v + channel % v
    };
    (0..n * c * pixels).map(|i| y[place(at(i))]).collect()
}

/// A seeded generator (xorshift64*) of values that are small integers, or anything from -1 to 1.
pub(crate) struct Random {
    state: u64,
    integral: bool,
}

impl Random {
    pub(crate) fn new(seed: u64, integral: bool) -> Self {
        Random { state: (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15), integral }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }

    /// `len` values.
    pub(crate) fn values(&mut self, len: usize) -> Vec<f32> {
        let value = |random: &mut Self| match random.integral {
            true => random.below(9) as f32 - 4.0,
            false => random.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0,
        };
        (0..len).map(|_| value(self)).collect()
    }

    /// Any legal order of the loops.
    pub(crate) fn order<S: Stage>(&mut self) -> Order<S> {
        let mut stages = S::DEFAULT.to_vec();
        loop {
            (1..stages.len()).for_each(|i| stages.swap(i, self.below(i + 1)));
            if let Ok(order) = Order::new(&stages) {
                return order;
            }
        }
    }

    /// Any epilogue; with integers one that keeps them integers.
    pub(crate) fn epilogue(&mut self) -> Epilogue {
        let acts = [
            Unary::Identity,
            Unary::Relu,
            Unary::Clip { lo: -1.0, hi: 6.0 },
            Unary::LeakyRelu { alpha: 0.1 },
            Unary::Elu { alpha: 1.5 },
            Unary::Selu { alpha: 1.67, gamma: 1.05 },
            Unary::Sigmoid,
            Unary::HardSigmoid { alpha: 0.2, beta: 0.5 },
            Unary::Swish { alpha: 1.0 },
            Unary::HardSwish,
            Unary::Tanh,
            Unary::Gelu,
            Unary::GeluTanh,
            Unary::Mish,
            Unary::Softplus,
            Unary::Softsign,
        ];
        let act = acts[self.below(if self.integral { 3 } else { acts.len() })];
        Epilogue { bias: self.below(2) == 0, residual: self.below(2) == 0, act }
    }
}

/// Asserts that sums of `k` products are right: to the bit for integers, and within the rounding of `k` sums
/// relative to the range for other values.
#[track_caller]
pub(crate) fn assert_sums(got: &[f32], want: &[f32], k: usize, integral: bool, what: &str) {
    if integral {
        assert!(got == want, "{what}: differs from the oracle in exact arithmetic");
    } else {
        let d = difference(got, want, 0.0, 0.0);
        assert!(got.len() == want.len() && d.max_rel <= 1e-5 * (k.max(1) as f64).sqrt(), "{what}: {d:?}");
    }
}
