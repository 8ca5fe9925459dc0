//! What tests of kernels share: random values and problems, and how far a result may be from the oracle.

use tilewise_tensor::difference;

use crate::{Epilogue, Unary};

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

    /// Any epilogue.
    pub(crate) fn epilogue(&mut self) -> Epilogue {
        let acts = [Unary::Identity, Unary::Relu, Unary::Clip { lo: -1.0, hi: 6.0 }];
        Epilogue { bias: self.below(2) == 0, residual: self.below(2) == 0, act: acts[self.below(acts.len())] }
    }
}

/// Asserts that sums of `k` products are right: to the bit for integers, and within the rounding of `k` sums
/// relative to the range for other values.
pub(crate) fn assert_close(got: &[f32], want: &[f32], k: usize, integral: bool, what: &str) {
    if integral {
        assert!(got == want, "{what}: differs from the oracle in exact arithmetic");
    } else {
        let d = difference(got, want, 0.0, 0.0);
        assert!(got.len() == want.len() && d.max_rel <= 1e-5 * (k.max(1) as f64).sqrt(), "{what}: {d:?}");
    }
}
