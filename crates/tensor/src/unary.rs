//! Functions of one number: what elementwise operators compute and what other operators apply last.
//!
//! One table gives each function its name, parameters and formula in f64. The formula is the oracle of every faster
//! form.

use std::fmt;
use std::str::FromStr;

macro_rules! functions {
    ($($(#[$meta:meta])* $name:ident $({ $($field:ident = $default:expr),* })? |$x:ident| $formula:expr;)*) => {
        /// A function of one number.
        #[derive(Clone, Copy, PartialEq, Debug, Default)]
        #[expect(missing_docs, reason = "fields are the parameters named in the formula")]
        pub enum Unary { $($(#[$meta])* $name $({ $($field: f32),* })?),* }

        impl Unary {
            /// Every function's name.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// The function's name.
            pub const fn name(self) -> &'static str {
                match self { $(Unary::$name { .. } => stringify!($name)),* }
            }

            /// The value at `x`.
            pub fn at(self, x: f64) -> f64 {
                match self {
                    $(Unary::$name { $($($field),*)? } => {
                        $($(let $field = f64::from($field);)*)?
                        let $x = x;
                        $formula
                    })*
                }
            }

            /// The function `name` with parameters looked up by name; those that `parameter` does not have get
            /// their defaults. `None` when there is no such function.
            ///
            /// # Errors
            /// Those of `parameter`.
            pub fn build<E>(
                name: &str,
                mut parameter: impl FnMut(&str) -> Result<Option<f32>, E>,
            ) -> Result<Option<Unary>, E> {
                // Not every function looks one up.
                let _ = &mut parameter;
                Ok(Some(match name {
                    $(stringify!($name) => Unary::$name {
                        $($($field: parameter(stringify!($field))?.unwrap_or($default)),*)?
                    },)*
                    _ => return Ok(None),
                }))
            }

            /// The parameters with their names and defaults.
            pub fn parameters(self) -> Vec<(&'static str, f32, f32)> {
                match self { $(Unary::$name { $($($field),*)? } => vec![$($((stringify!($field), $field, $default)),*)?]),* }
            }
        }
    };
}

functions! {
    /// x
    #[default]
    Identity |x| x;
    /// max(0, x)
    Relu |x| limit(x, 0.0, f64::INFINITY);
    /// x limited to lo..=hi
    Clip { lo = f32::MIN, hi = f32::MAX } |x| limit(limit(x, lo, f64::INFINITY), f64::NEG_INFINITY, hi);
    /// x, or alpha x below zero
    LeakyRelu { alpha = 0.01 } |x| if x < 0.0 { alpha * x } else { x };
    /// x, or alpha (exp(x) - 1) below zero
    Elu { alpha = 1.0 } |x| if x < 0.0 { alpha * x.exp_m1() } else { x };
    /// gamma times x, or gamma alpha (exp(x) - 1) below zero
    Selu { alpha = 1.673_263_2, gamma = 1.050_701 } |x| gamma * if x < 0.0 { alpha * x.exp_m1() } else { x };
    /// 1 / (1 + exp(-x))
    Sigmoid |x| sigmoid(x);
    /// alpha x + beta limited to 0..=1
    HardSigmoid { alpha = 0.2, beta = 0.5 } |x| limit(alpha * x + beta, 0.0, 1.0);
    /// x sigmoid(alpha x): SiLU with alpha 1
    Swish { alpha = 1.0 } |x| x * sigmoid(alpha * x);
    /// x limited(x / 6 + 1 / 2, 0, 1)
    HardSwish |x| x * limit(x / 6.0 + 0.5, 0.0, 1.0);
    /// tanh(x)
    Tanh |x| x.tanh();
    /// x (1 + erf(x / sqrt 2)) / 2, of which nothing is left far below zero
    Gelu |x| 0.5 * x.max(-40.0) * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2));
    /// x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
    GeluTanh |x| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh());
    /// erf(x)
    Erf |x| erf(x);
    /// x tanh(ln(1 + exp(x)))
    Mish |x| x * softplus(x).tanh();
    /// ln(1 + exp(x))
    Softplus |x| softplus(x);
    /// x / (1 + |x|)
    Softsign |x| x / (1.0 + x.abs());
    /// exp(x)
    Exp |x| x.exp();
    /// ln(x)
    Log |x| x.ln();
    /// sqrt(x)
    Sqrt |x| x.sqrt();
    /// 1 / x
    Reciprocal |x| 1.0 / x;
    /// |x|
    Abs |x| x.abs();
    /// -x
    Neg |x| -x;
    /// Largest integer not above x
    Floor |x| x.floor();
    /// Smallest integer not below x
    Ceil |x| x.ceil();
    /// Nearest integer, ties to even
    Round |x| x.round_ties_even();
}

/// NaN passes through every limit, as the operators' definitions have it.
fn limit(x: f64, lo: f64, hi: f64) -> f64 {
    if x < lo {
        lo
    } else if x > hi {
        hi
    } else {
        x
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    // The larger of two orders: exp of a negative number cannot overflow.
    if x > 0.0 { x + (-x).exp().ln_1p() } else { x.exp().ln_1p() }
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

/// `Relu`, `Clip(0.0,6.0)`: the name, and the parameters in order where there are any.
impl fmt::Display for Unary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let parameters = self.parameters();
        if parameters.is_empty() {
            return Ok(());
        }
        let values: Vec<String> = parameters.iter().map(|(_, value, _)| format!("{value:?}")).collect();
        write!(f, "({})", values.join(","))
    }
}

/// A text that is no function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no function of one number")]
pub struct UnknownUnary(pub String);

impl FromStr for Unary {
    type Err = UnknownUnary;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownUnary(text.to_owned());
        let (name, values) = match text.split_once('(') {
            None => (text, ""),
            Some((name, rest)) => (name, rest.strip_suffix(')').ok_or_else(unknown)?),
        };
        let mut values = values.split(',').filter(|v| !v.is_empty());
        let function = Unary::build(name, |_| values.next().map(|v| v.trim().parse::<f32>()).transpose());
        let function = function.map_err(|_| unknown())?.ok_or_else(unknown)?;
        if values.next().is_some() { Err(unknown()) } else { Ok(function) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erf_equals_tabulated_values() {
        for (x, y) in [(0.5, 0.520_499_877_813_046_5), (2.9, 0.999_958_902_121_900_5), (3.1, 0.999_988_351_342_633_5)] {
            assert!((erf(x) - y).abs() < 1e-14 && (erf(-x) + y).abs() < 1e-14, "{x}");
        }
        assert_eq!(erf(40.0), 1.0);
    }

    #[test]
    fn texts_parse_back() {
        for function in [Unary::Relu, Unary::Clip { lo: 0.0, hi: 6.0 }, Unary::LeakyRelu { alpha: 0.1 }] {
            assert_eq!(function.to_string().parse(), Ok(function));
        }
        for text in ["Relux", "Clip(0.0", "Relu(1.0)", "Clip(a)"] {
            assert!(text.parse::<Unary>().is_err(), "{text}");
        }
        assert_eq!("LeakyRelu".parse(), Ok(Unary::LeakyRelu { alpha: 0.01 }));
    }

    #[test]
    fn limits_let_not_a_number_pass() {
        for name in ["Relu", "Clip", "HardSigmoid", "HardSwish"] {
            assert!(name.parse::<Unary>().unwrap().at(f64::NAN).is_nan(), "{name}");
        }
        assert_eq!(Unary::Softplus.at(1e4), 1e4);
    }
}
