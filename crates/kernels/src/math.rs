//! Vector math: the functions of one number that epilogues and elementwise kernels apply.
//!
//! Each is a range reduction and a polynomial, with an error of about two units in the last place. A NaN passes
//! through: limits are written `max(limit, x)`, which keeps a NaN in `x` (see [`Isa`]).

use crate::{Isa, MAX_LANES, SimdOp, Unary};

/// Applies `f` to each lane, for epilogues: the activations of a few instructions are inlined, the long ones called.
///
/// An epilogue applies its activation to every register of a tile, and stands in the program once a kernel: all
/// functions in all these places are megabytes of code.
#[inline(always)]
pub(crate) fn apply<I: Isa>(isa: I, f: Unary, x: I::F) -> I::F {
    match f {
        Unary::Identity => x,
        Unary::Relu => isa.max(isa.zero(), x),
        Unary::Clip { lo, hi } => limit(isa, x, lo, hi),
        Unary::LeakyRelu { alpha } => below_zero(isa, x, isa.mul(isa.splat(alpha), x)),
        Unary::HardSigmoid { alpha, beta } => hard_sigmoid(isa, x, alpha, beta),
        Unary::HardSwish => isa.mul(x, hard_sigmoid(isa, x, 1.0 / 6.0, 0.5)),
        Unary::Elu { .. }
        | Unary::Selu { .. }
        | Unary::Sigmoid
        | Unary::Swish { .. }
        | Unary::Tanh
        | Unary::Gelu
        | Unary::GeluTanh
        | Unary::Erf
        | Unary::Mish
        | Unary::Softplus
        | Unary::Softsign
        | Unary::Exp
        | Unary::Log
        | Unary::Sqrt
        | Unary::Reciprocal
        | Unary::Abs
        | Unary::Neg
        | Unary::Floor
        | Unary::Ceil
        | Unary::Round => {
            let mut lanes = [0.0; MAX_LANES];
            isa.store(&mut lanes, x);
            isa.dispatch(Called { f, lanes: &mut lanes });
            isa.load(&lanes)
        }
    }
}

/// A function that is called: `dispatch` is where inlining ends.
struct Called<'a> {
    f: Unary,
    lanes: &'a mut [f32; MAX_LANES],
}

impl SimdOp for Called<'_> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let y = apply_inlined(isa, self.f, isa.load(self.lanes));
        isa.store(self.lanes, y);
    }
}

/// Applies `f` to each lane, all functions inlined: for the loops of elementwise kernels.
#[inline(always)]
pub(crate) fn apply_inlined<I: Isa>(isa: I, f: Unary, x: I::F) -> I::F {
    match f {
        Unary::Identity => x,
        Unary::Relu => isa.max(isa.zero(), x),
        Unary::Clip { lo, hi } => limit(isa, x, lo, hi),
        Unary::LeakyRelu { alpha } => below_zero(isa, x, isa.mul(isa.splat(alpha), x)),
        Unary::Elu { alpha } => below_zero(isa, x, isa.mul(isa.splat(alpha), exp_m1(isa, x))),
        Unary::Selu { alpha, gamma } => {
            isa.mul(isa.splat(gamma), below_zero(isa, x, isa.mul(isa.splat(alpha), exp_m1(isa, x))))
        }
        Unary::Sigmoid => sigmoid(isa, x),
        Unary::HardSigmoid { alpha, beta } => hard_sigmoid(isa, x, alpha, beta),
        Unary::Swish { alpha } => isa.mul(x, sigmoid(isa, isa.mul(isa.splat(alpha), x))),
        Unary::HardSwish => isa.mul(x, hard_sigmoid(isa, x, 1.0 / 6.0, 0.5)),
        Unary::Tanh => tanh(isa, x),
        Unary::Gelu => gelu(isa, x),
        Unary::GeluTanh => {
            // (1 + tanh(u)) / 2 is sigmoid(2 u), here with 2 u = 2 sqrt(2 / pi) (x + 0.044715 x^3).
            let cubic = isa.fma(isa.mul(x, x), isa.splat(0.044_715 * 1.595_769), isa.splat(1.595_769));
            isa.mul(x, sigmoid(isa, isa.mul(x, cubic)))
        }
        Unary::Erf => erf(isa, x),
        Unary::Mish => mish(isa, x),
        Unary::Softplus => softplus(isa, x),
        Unary::Softsign => isa.div(x, isa.add(isa.splat(1.0), isa.abs(x))),
        Unary::Exp => exp(isa, x),
        Unary::Log => ln(isa, x),
        Unary::Sqrt => isa.sqrt(x),
        Unary::Reciprocal => isa.div(isa.splat(1.0), x),
        Unary::Abs => isa.abs(x),
        Unary::Neg => negated(isa, x),
        Unary::Floor => isa.floor(x),
        Unary::Ceil => negated(isa, isa.floor(negated(isa, x))),
        Unary::Round => isa.round(x),
    }
}

/// `yes` where x is below zero, else x.
#[inline(always)]
fn below_zero<I: Isa>(isa: I, x: I::F, yes: I::F) -> I::F {
    isa.select(isa.lt(x, isa.zero()), yes, x)
}

#[inline(always)]
fn negated<I: Isa>(isa: I, x: I::F) -> I::F {
    isa.sub(isa.splat(-0.0), x)
}

#[inline(always)]
fn limit<I: Isa>(isa: I, x: I::F, lo: f32, hi: f32) -> I::F {
    isa.min(isa.splat(hi), isa.max(isa.splat(lo), x))
}

#[inline(always)]
fn hard_sigmoid<I: Isa>(isa: I, x: I::F, alpha: f32, beta: f32) -> I::F {
    limit(isa, isa.fma(isa.splat(alpha), x, isa.splat(beta)), 0.0, 1.0)
}

/// Horner's scheme, highest power first.
#[inline(always)]
fn polynomial<I: Isa, const N: usize>(isa: I, x: I::F, coefficients: [f32; N]) -> I::F {
    let mut sum = isa.splat(coefficients[0]);
    for &coefficient in &coefficients[1..] {
        sum = isa.fma(sum, x, isa.splat(coefficient));
    }
    sum
}

/// ln 2 in two parts: the product of the first with a small integer is exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// `(n, exp(r) - 1)` with `x = n ln 2 + r`, r within half of ln 2. `x` is limited to what under- and overflows.
/// The polynomial is that of Cephes' expf.
#[inline(always)]
fn exp_parts<I: Isa>(isa: I, x: I::F) -> (I::F, I::F) {
    let x = limit(isa, x, -104.0, 89.0);
    let n = isa.round(isa.mul(x, isa.splat(std::f32::consts::LOG2_E)));
    let r = isa.fma(n, isa.splat(-LN_2[0]), x);
    let r = isa.fma(n, isa.splat(-LN_2[1]), r);
    let p = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    (n, isa.fma(isa.mul(r, r), polynomial(isa, r, p), r))
}

/// exp(x)
#[inline(always)]
pub(crate) fn exp<I: Isa>(isa: I, x: I::F) -> I::F {
    let (n, q) = exp_parts(isa, x);
    isa.scale(isa.add(q, isa.splat(1.0)), n)
}

/// exp(x) - 1 for x that is not above 88, without cancellation near zero.
#[inline(always)]
fn exp_m1<I: Isa>(isa: I, x: I::F) -> I::F {
    // 2^n (1 + q) - 1. Below 2^-126 the power is nothing beside the 1, and pow2 not defined.
    let (n, q) = exp_parts(isa, x);
    let power = isa.pow2(limit(isa, n, -126.0, 127.0));
    isa.fma(power, q, isa.sub(power, isa.splat(1.0)))
}

/// ln(x): minus infinity at zero, NaN below. The polynomial is that of Cephes' logf.
#[inline(always)]
pub(crate) fn ln<I: Isa>(isa: I, x: I::F) -> I::F {
    // Subnormal numbers are brought to where `split` is defined.
    let tiny = isa.lt(x, isa.splat(f32::MIN_POSITIVE));
    let (m, e) = isa.split(isa.select(tiny, isa.mul(x, isa.splat(16_777_216.0)), x));
    let e = isa.select(tiny, isa.sub(e, isa.splat(24.0)), e);
    let f = isa.sub(m, isa.splat(1.0));
    let p = [
        7.037_683_6e-2,
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ];
    let square = isa.mul(f, f);
    let y = isa.mul(isa.mul(f, square), polynomial(isa, f, p));
    let y = isa.fma(e, isa.splat(LN_2[1]), y);
    let y = isa.fma(square, isa.splat(-0.5), y);
    let y = isa.fma(e, isa.splat(LN_2[0]), isa.add(f, y));
    let outside = isa.select(isa.lt(x, isa.zero()), isa.splat(f32::NAN), isa.splat(f32::NEG_INFINITY));
    let y = isa.select(isa.lt(isa.zero(), x), y, outside);
    // Infinity and NaN are their own logarithms.
    isa.select(isa.lt(x, isa.splat(f32::INFINITY)), y, x)
}

/// 1 / (1 + exp(-x)), from the exponential that does not overflow.
#[inline(always)]
fn sigmoid<I: Isa>(isa: I, x: I::F) -> I::F {
    let e = exp(isa, negated(isa, isa.abs(x)));
    let numerator = isa.select(isa.lt(x, isa.zero()), e, isa.splat(1.0));
    isa.div(numerator, isa.add(e, isa.splat(1.0)))
}

/// tanh(|x|) = -t / (2 + t) with t = exp(-2 |x|) - 1.
#[inline(always)]
fn tanh<I: Isa>(isa: I, x: I::F) -> I::F {
    let t = exp_m1(isa, isa.mul(isa.splat(-2.0), isa.abs(x)));
    let numerator = isa.select(isa.lt(x, isa.zero()), t, negated(isa, t));
    isa.div(numerator, isa.add(t, isa.splat(2.0)))
}

/// ln(1 + exp(x)) = max(x, 0) + ln(1 + t) with t = exp(-|x|).
#[inline(always)]
fn softplus<I: Isa>(isa: I, x: I::F) -> I::F {
    let one = isa.splat(1.0);
    let t = exp(isa, negated(isa, isa.abs(x)));
    // What 1 + t loses in rounding is added again: the derivative of the logarithm at u is 1 / u.
    let u = isa.add(one, t);
    let lost = isa.sub(t, isa.sub(u, one));
    isa.add(isa.max(isa.zero(), x), isa.add(ln(isa, u), isa.div(lost, u)))
}

/// x tanh(ln(1 + e)) = x w / (w + 2) with e = exp(x) and w = e (e + 2). Above 20 the fraction is 1.
#[inline(always)]
fn mish<I: Isa>(isa: I, x: I::F) -> I::F {
    let two = isa.splat(2.0);
    let e = exp(isa, isa.min(isa.splat(20.0), x));
    let w = isa.mul(e, isa.add(e, two));
    isa.mul(x, isa.div(w, isa.add(w, two)))
}

/// erf(x): an odd polynomial near zero, 1 - exp(polynomial) further out, 1 from 4 on. After N. Juffa's erff.
#[inline(always)]
fn erf<I: Isa>(isa: I, x: I::F) -> I::F {
    let t = isa.min(isa.splat(4.0), isa.abs(x));
    let near = [-5.967_617e-4, 4.991_194_2e-3, -2.676_813_5e-2, 1.128_199_2e-1, -3.761_253_4e-1, 1.283_791_7e-1];
    let near = isa.fma(polynomial(isa, isa.mul(t, t), near), t, t);
    let far = [
        -1.728_534_7e-5,
        3.831_971_3e-4,
        -3.883_964_4e-3,
        2.425_462_2e-2,
        -1.067_778_8e-1,
        -6.348_467e-1,
        -1.287_175_1e-1,
    ];
    let far = isa.fma(polynomial(isa, t, far), t, negated(isa, t));
    let far = isa.sub(isa.splat(1.0), exp(isa, far));
    let y = isa.select(isa.lt(isa.splat(0.927_734_4), t), far, near);
    isa.select(isa.lt(x, isa.zero()), negated(isa, y), y)
}

/// x (1 + erf(x / sqrt 2)) / 2 = max(x, 0) - t (1 - erf(t / sqrt 2)) / 2 with t = |x|, where the difference is nothing
/// from 5.4 on. Up to there erf(t / sqrt 2) is t P(t^2) / Q(t^2) within 1.3e-8.
#[inline(always)]
fn gelu<I: Isa>(isa: I, x: I::F) -> I::F {
    let t = isa.min(isa.splat(5.4), isa.abs(x));
    let square = isa.mul(t, t);
    let p = [4.718_110_7e-8, 1.264_760_8e-5, 3.214_069_3e-4, 9.258_03e-3, 6.606_034e-2, 7.978_845e-1];
    let q = [1.219_817_1e-6, 7.117_576e-5, 1.838_702_4e-3, 2.818_056_2e-2, 2.494_608_3e-1, 1.0];
    let (p, q) = (polynomial(isa, square, p), polynomial(isa, square, q));
    let rest = isa.fma(negated(isa, t), p, q);
    let tail = isa.div(isa.mul(isa.mul(isa.splat(0.5), t), rest), q);
    isa.sub(isa.max(isa.zero(), x), tail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Avx2, Avx512, Scalar, SimdOp, reference};

    const FUNCTIONS: &[Unary] = &[
        Unary::Identity,
        Unary::Relu,
        Unary::Clip { lo: -1.5, hi: 2.5 },
        Unary::LeakyRelu { alpha: 0.1 },
        Unary::Elu { alpha: 0.8 },
        Unary::Selu { alpha: 1.673_263_2, gamma: 1.050_701 },
        Unary::Sigmoid,
        Unary::HardSigmoid { alpha: 0.2, beta: 0.5 },
        Unary::Swish { alpha: 1.0 },
        Unary::Swish { alpha: 1.702 },
        Unary::HardSwish,
        Unary::Tanh,
        Unary::Gelu,
        Unary::GeluTanh,
        Unary::Erf,
        Unary::Mish,
        Unary::Softplus,
        Unary::Softsign,
        Unary::Exp,
        Unary::Log,
        Unary::Sqrt,
        Unary::Reciprocal,
        Unary::Abs,
        Unary::Neg,
        Unary::Floor,
        Unary::Ceil,
        Unary::Round,
    ];

    /// Every 4099th number of all f32, and what is special.
    fn points() -> Vec<f32> {
        let special = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX, f32::MIN];
        let grid = (-40_000..40_000).map(|i| i as f32 / 1777.0);
        special.into_iter().chain(grid).chain((0..u32::MAX).step_by(4099).map(f32::from_bits)).collect()
    }

    struct Check<'a>(Unary, &'a [f32]);

    impl SimdOp for Check<'_> {
        type Output = ();

        #[inline(always)]
        fn call<I: Isa>(self, isa: I) {
            let Check(f, points) = self;
            let mut got = [0.0; crate::MAX_LANES];
            for x in points.chunks(I::LANES) {
                isa.store(&mut got, apply(isa, f, isa.load_part(x)));
                for (&x, &got) in x.iter().zip(&got) {
                    compare(I::TIER, f, x, got);
                }
            }
        }
    }

    fn compare(tier: crate::Tier, f: Unary, x: f32, got: f32) {
        let want = reference::unary(f, f64::from(x));
        let rounded = want as f32;
        if rounded.is_nan() || rounded.is_infinite() {
            // The last numbers before an overflow may overflow already.
            assert!(
                got.is_nan() == rounded.is_nan() && (got == rounded || got.is_nan() || got.abs() > 3.4e38),
                "{tier} {f:?}({x}): {got}, not {want}"
            );
            return;
        }
        let size = f64::from(x).abs();
        // Differences of nearly equal numbers are as exact as these are.
        let cancelled = if f == Unary::Gelu {
            2.0 * size.min(5.4)
        } else if f == Unary::HardSwish {
            size.min(10.0)
        } else if matches!(f, Unary::HardSigmoid { .. }) {
            1.0
        } else if f == Unary::GeluTanh {
            // Here it is the reference that cancels.
            1e-7
        } else {
            0.0
        };
        // Below zero the rounded argument of the exponential moves the result by its size.
        let steep = if f == Unary::GeluTanh {
            size.powi(3).clamp(1.0, 100.0)
        } else if matches!(f, Unary::Swish { .. }) {
            size.clamp(1.0, 100.0)
        } else {
            1.0
        };
        let allowed = 2.7e-7 * steep * want.abs() + 1.2e-7 * cancelled + 2e-38;
        assert!((f64::from(got) - want).abs() <= allowed, "{tier} {f:?}({x:e}): {got:e}, not {want:e}");
    }

    #[test]
    fn every_function_equals_the_reference_on_every_tier() {
        let points = points();
        for &f in FUNCTIONS {
            Scalar::require().dispatch(Check(f, &points));
            if let Some(isa) = Avx2::get() {
                isa.dispatch(Check(f, &points));
            }
            if let Some(isa) = Avx512::get() {
                isa.dispatch(Check(f, &points));
            }
        }
    }
}
