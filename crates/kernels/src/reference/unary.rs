//! Functions of one number, by the standard library in f64.

use crate::Unary;

/// `f(x)`, rounded once.
pub fn unary(f: Unary, x: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
    // NaN passes through every limit, as the operators' definitions have it.
    let limit = |x: f64, lo: f64, hi: f64| {
        if x < lo {
            lo
        } else if x > hi {
            hi
        } else {
            x
        }
    };
    let d = f64::from;
    match f {
        Unary::Identity => x,
        Unary::Relu => limit(x, 0.0, f64::INFINITY),
        Unary::Clip { lo, hi } => limit(limit(x, d(lo), f64::INFINITY), f64::NEG_INFINITY, d(hi)),
        Unary::LeakyRelu { alpha } => {
            if x < 0.0 {
                d(alpha) * x
            } else {
                x
            }
        }
        Unary::Elu { alpha } => {
            if x < 0.0 {
                d(alpha) * x.exp_m1()
            } else {
                x
            }
        }
        Unary::Selu { alpha, gamma } => d(gamma) * if x < 0.0 { d(alpha) * x.exp_m1() } else { x },
        Unary::Sigmoid => sigmoid(x),
        Unary::HardSigmoid { alpha, beta } => limit(d(alpha) * x + d(beta), 0.0, 1.0),
        Unary::Swish { alpha } => x * sigmoid(d(alpha) * x),
        Unary::HardSwish => x * limit(x / 6.0 + 0.5, 0.0, 1.0),
        Unary::Tanh => x.tanh(),
        Unary::Gelu => 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
        Unary::GeluTanh => 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh()),
        Unary::Erf => erf(x),
        Unary::Mish => x * softplus(x).tanh(),
        Unary::Softplus => softplus(x),
        Unary::Softsign => x / (1.0 + x.abs()),
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Sqrt => x.sqrt(),
        Unary::Reciprocal => 1.0 / x,
        Unary::Abs => x.abs(),
        Unary::Neg => -x,
        Unary::Floor => x.floor(),
        Unary::Ceil => x.ceil(),
        Unary::Round => x.round_ties_even(),
    }
}

/// The error function: its Taylor series near zero, its continued fraction further out (Abramowitz and Stegun
/// 7.1.6 and 7.1.14).
fn erf(x: f64) -> f64 {
    let a = x.abs();
    if x.is_nan() {
        return x;
    }
    if a < 3.0 {
        let (mut term, mut sum) = (a, a);
        for n in 1..100 {
            term *= 2.0 * a * a / f64::from(2 * n + 1);
            sum += term;
        }
        return (std::f64::consts::FRAC_2_SQRT_PI * (-a * a).exp() * sum).copysign(x);
    }
    let fraction = (1..60).rev().fold(0.0, |f, k| f64::from(k) / 2.0 / (a + f));
    (1.0 - (-a * a).exp() / (a + fraction) / std::f64::consts::PI.sqrt()).copysign(x)
}

#[cfg(test)]
mod tests {
    #[test]
    fn erf_equals_tabulated_values() {
        for (x, y) in [(0.5, 0.520_499_877_813_046_5), (2.9, 0.999_958_902_121_900_5), (3.1, 0.999_988_351_342_633_5)] {
            assert!((super::erf(x) - y).abs() < 1e-14 && (super::erf(-x) + y).abs() < 1e-14, "{x}");
        }
        assert_eq!(super::erf(40.0), 1.0);
    }
}
