//! Recognizes functions of one number that exporters write as several operators.

use tilewise_tensor::Unary as F;

use super::pattern::{Monomial, binary, input, is_f32_of_rank, is_near, operand_of, scalar, unary, with_scalar};
use super::rewriter::{Rewriter, sweep};
use crate::ops::{BinaryFn, Unary};
use crate::{Graph, GraphError, Op, ValueId};

/// A form of a function: `y` is `function` of the value returned.
type Rule = fn(&Rewriter<'_>, y: ValueId) -> Option<(F, ValueId)>;

/// The forms, in the order they are tried at each node. Nodes are visited after what they read, so that a form may
/// contain functions that others recognize.
const RULES: &[Rule] =
    &[clamp, limits_of_limits, leaky_relu, hard_sigmoid, swish, hard_swish, mish, gelu, gelu_tanh, softplus];

/// Replaces the last node of each form; the others go where nothing else reads them.
pub(super) fn run(graph: &mut Graph) -> Result<usize, GraphError> {
    sweep(graph, |graph, id| {
        let &[y] = graph.node(id).outputs.as_slice() else { return Ok(false) };
        let found = RULES.iter().find_map(|rule| rule(graph, y));
        let Some((function, x)) = found.filter(|&(_, x)| is_f32_of_rank(graph, y, x)) else { return Ok(false) };
        graph.replace(id, Unary(function), vec![Some(x)]);
        Ok(true)
    })
}

/// The function that limits to `lo..=hi`. A limit at the largest finite number stops infinities alone, which no
/// trained network computes: it counts as none.
fn limit(lo: f32, hi: f32) -> F {
    let lo = if lo == f32::MIN { f32::NEG_INFINITY } else { lo };
    let hi = if hi == f32::MAX { f32::INFINITY } else { hi };
    if lo == 0.0 && hi == f32::INFINITY { F::Relu } else { F::Clip { lo, hi } }
}

/// The limits of a function that only limits.
fn limits(function: F) -> Option<(f32, f32)> {
    if let F::Clip { lo, hi } = function {
        Some((lo, hi))
    } else {
        (function == F::Relu).then_some((0.0, f32::INFINITY))
    }
}

/// Clamp with constant limits, and the larger or smaller of a value and a number.
fn clamp(graph: &Rewriter<'_>, y: ValueId) -> Option<(F, ValueId)> {
    if let Some((x, lo)) = with_scalar(graph, y, BinaryFn::Max) {
        return Some((limit(lo as f32, f32::INFINITY), x));
    }
    if let Some((x, hi)) = with_scalar(graph, y, BinaryFn::Min) {
        return Some((limit(f32::NEG_INFINITY, hi as f32), x));
    }
    let (_, node) = graph.producer(y)?;
    let Op::Clamp(_) = &node.op else { return None };
    let bound = |index, none| input(node, index).map_or(Some(none), |id| scalar(graph, id));
    let (lo, hi) = (bound(1, f32::NEG_INFINITY)?, bound(2, f32::INFINITY)?);
    // Crossed limits give the upper one in Clamp; Clip does not define them.
    (lo <= hi).then_some((limit(lo, hi), input(node, 0)?))
}

/// Limits within limits, and limits under another name.
fn limits_of_limits(graph: &Rewriter<'_>, y: ValueId) -> Option<(F, ValueId)> {
    let (outer, x) = unary(graph, y)?;
    let (lo, hi) = limits(outer).filter(|(lo, hi)| lo <= hi)?;
    if let Some((inner, x)) = unary(graph, x)
        && let Some((from, to)) = limits(inner).filter(|(lo, hi)| lo <= hi)
    {
        return Some((limit(from.clamp(lo, hi), to.clamp(lo, hi)), x));
    }
    let named = limit(lo, hi);
    (named != outer).then_some((named, x))
}

/// `max(x, alpha x)` with alpha in 0..1, and PRelu with one slope for all.
fn leaky_relu(graph: &Rewriter<'_>, y: ValueId) -> Option<(F, ValueId)> {
    if let Some([x, slope]) = binary(graph, y, BinaryFn::PRelu) {
        return Some((F::LeakyRelu { alpha: scalar(graph, slope)? }, x));
    }
    let [a, b] = binary(graph, y, BinaryFn::Max)?;
    let times = |x, scaled| {
        let (of, alpha) = with_scalar(graph, scaled, BinaryFn::Mul)?;
        (of == x && (0.0..1.0).contains(&alpha)).then_some((F::LeakyRelu { alpha: alpha as f32 }, x))
    };
    times(a, b).or_else(|| times(b, a))
}

/// `clip(x + b, 0, h) / h`.
fn hard_sigmoid(graph: &Rewriter<'_>, y: ValueId) -> Option<(F, ValueId)> {
    let Monomial { coefficient, factors } = Monomial::of(graph, y);
    let &[clipped] = factors.as_slice() else { return None };
    let (x, shift, hi) = shifted_clip(graph, clipped)?;
    let function = F::HardSigmoid { alpha: coefficient as f32, beta: (shift * coefficient) as f32 };
    is_near(coefficient * hi, 1.0).then_some((function, x))
}

/// The x, b and h of `clip(x + b, 0, h)`.
fn shifted_clip(graph: &Rewriter<'_>, y: ValueId) -> Option<(ValueId, f64, f64)> {
    let (F::Clip { lo: 0.0, hi }, shifted) = unary(graph, y)? else { return None };
    let (x, shift) = with_scalar(graph, shifted, BinaryFn::Add)?;
    (hi.is_finite() && hi > 0.0).then_some((x, shift, hi.into()))
}

/// `x sigmoid(alpha x)`.
fn swish(graph: &Rewriter<'_>, y: ValueId) -> Option<(F, ValueId)> {
    let product = two_factors(graph, y, 1.0)?;
    product.factors.iter().find_map(|&x| {
        let inner = Monomial::within(graph, operand_of(graph, product.other(x)?, F::Sigmoid)?);
        (inner.factors == [x]).then_some((F::Swish { alpha: inner.coefficient as f32 }, x))
    })
}

/// `x clip(x + 3, 0, 6) / 6`, and x times the hard sigmoid that is the rest of it.
fn hard_swish(graph: &Rewriter<'_>, y: ValueId) -> Option<(F, ValueId)> {
    let product = Monomial::of(graph, y);
    product.factors.iter().find_map(|&x| {
        let gate = product.other(x)?;
        let fits = if let Some((F::HardSigmoid { alpha, beta }, of)) = unary(graph, gate) {
            let sixth = is_near(alpha.into(), 1.0 / 6.0) && is_near(beta.into(), 0.5);
            of == x && sixth && is_near(product.coefficient, 1.0)
        } else {
            shifted_clip(graph, gate) == Some((x, 3.0, 6.0)) && is_near(product.coefficient, 1.0 / 6.0)
        };
        fits.then_some((F::HardSwish, x))
    })
}

/// `x tanh(softplus(x))`.
fn mish(graph: &Rewriter<'_>, y: ValueId) -> Option<(F, ValueId)> {
    let product = two_factors(graph, y, 1.0)?;
    product.factors.iter().find_map(|&x| {
        let inner = operand_of(graph, product.other(x)?, F::Tanh)?;
        (operand_of(graph, inner, F::Softplus)? == x).then_some((F::Mish, x))
    })
}

/// `x (1 + erf(x / sqrt 2)) / 2`.
fn gelu(graph: &Rewriter<'_>, y: ValueId) -> Option<(F, ValueId)> {
    let product = two_factors(graph, y, 0.5)?;
    product.factors.iter().find_map(|&x| {
        let inner = Monomial::within(graph, operand_of(graph, one_plus(graph, product.other(x)?)?, F::Erf)?);
        let fits = inner.factors == [x] && is_near(inner.coefficient, std::f64::consts::FRAC_1_SQRT_2);
        fits.then_some((F::Gelu, x))
    })
}

/// `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`, the cube as a power or as products.
fn gelu_tanh(graph: &Rewriter<'_>, y: ValueId) -> Option<(F, ValueId)> {
    let product = two_factors(graph, y, 0.5)?;
    product.factors.iter().find_map(|&x| {
        let inner = Monomial::within(graph, operand_of(graph, one_plus(graph, product.other(x)?)?, F::Tanh)?);
        let fits = is_near(inner.coefficient, (2.0 / std::f64::consts::PI).sqrt())
            && match inner.factors[..] {
                [sum] => binary(graph, sum, BinaryFn::Add)
                    .is_some_and(|[a, b]| (a == x && is_power(graph, b, x, 3)) || (b == x && is_power(graph, a, x, 3))),
                _ => inner.other(x).and_then(|rest| one_plus(graph, rest)).is_some_and(|b| is_power(graph, b, x, 2)),
            };
        fits.then_some((F::GeluTanh, x))
    })
}

/// `ln(1 + exp(x))`.
fn softplus(graph: &Rewriter<'_>, y: ValueId) -> Option<(F, ValueId)> {
    let power = one_plus(graph, operand_of(graph, y, F::Log)?)?;
    Some((F::Softplus, operand_of(graph, power, F::Exp)?))
}

/// True for `0.044715 x^exponent`.
fn is_power(graph: &Rewriter<'_>, y: ValueId, x: ValueId, exponent: usize) -> bool {
    let product = Monomial::within(graph, y);
    let power = |id| {
        let [base, exponent] = binary(graph, id, BinaryFn::Pow)?;
        Some((base, scalar(graph, exponent)?))
    };
    let fits = match product.factors[..] {
        [id] => power(id) == Some((x, exponent as f32)),
        _ => product.factors == vec![x; exponent],
    };
    fits && is_near(product.coefficient, 0.044715)
}

/// The other term of a sum with 1.
fn one_plus(graph: &Rewriter<'_>, y: ValueId) -> Option<ValueId> {
    with_scalar(graph, y, BinaryFn::Add).filter(|&(_, one)| one == 1.0).map(|(x, _)| x)
}

/// A product of `coefficient` and two values.
fn two_factors(graph: &Rewriter<'_>, y: ValueId, coefficient: f64) -> Option<Monomial> {
    let product = Monomial::of(graph, y);
    (product.factors.len() == 2 && is_near(product.coefficient, coefficient)).then_some(product)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, check, check_unchanged};
    use super::*;

    #[test]
    fn every_form_becomes_its_function() {
        let forms = [
            ("Relu(x)", "const z: f32[] = 0\ny = Clamp(x, z)"),
            ("Clip(x) lo=0.0 hi=6.0", "const z: f32[] = 0\nconst h: f32[] = 6\ny = Clamp(x, z, h)"),
            ("Clip(x) lo=-inf hi=1.5", "const h: f32[1] = 1.5\ny = Clamp(x, -, h)"),
            ("Relu(x)", "const z: f32[] = 0\ny = Max(z, x)"),
            ("Relu(x)", "y = Clip(x) lo=0.0"),
            ("Clip(x) lo=0.0 hi=2.0", "const h: f32[] = 2\na = Relu(x)\ny = Min(a, h)"),
            ("LeakyRelu(x) alpha=0.1", "const s: f32[1,1] = 0.1\ny = PRelu(x, s)"),
            ("LeakyRelu(x) alpha=0.1", "const s: f32[] = 0.1\na = Mul(s, x)\ny = Max(a, x)"),
            (
                "HardSigmoid(x) alpha=0.5",
                "const b: f32[] = 1\nconst h: f32[] = 2\na = Add(x, b)\nc = Clip(a) lo=0.0 hi=2.0\ny = Div(c, h)",
            ),
            ("Swish(x)", "a = Sigmoid(x)\ny = Mul(a, x)"),
            ("Swish(x) alpha=1.5", "const s: f32[] = 1.5\nb = Mul(s, x)\na = Sigmoid(b)\ny = Mul(x, a)"),
            ("HardSwish(x)", "a = HardSigmoid(x) alpha=0.16666667\ny = Mul(x, a)"),
            (
                "HardSwish(x)",
                "const b: f32[] = 3\nconst h: f32[] = 6\na = Add(x, b)\nc = Clip(a) lo=0.0 hi=6.0\nd = Div(c, h)\ny = Mul(x, d)",
            ),
            (
                "HardSwish(x)",
                "const b: f32[] = 3\nconst h: f32[] = 6\na = Add(x, b)\nc = Clip(a) lo=0.0 hi=6.0\nd = Mul(x, c)\ny = Div(d, h)",
            ),
            ("Mish(x)", "a = Softplus(x)\nb = Tanh(a)\ny = Mul(x, b)"),
            ("Mish(x)", "const o: f32[] = 1\ne = Exp(x)\np = Add(o, e)\na = Log(p)\nb = Tanh(a)\ny = Mul(x, b)"),
            (
                "Gelu(x)",
                "const r: f32[] = 1.4142135\nconst o: f32[] = 1\nconst h: f32[] = 0.5\na = Div(x, r)\nb = Erf(a)\nc = Add(b, o)\nd = Mul(x, c)\ny = Mul(d, h)",
            ),
            (
                "Gelu(x)",
                "const r: f32[] = 0.70710677\nconst o: f32[] = 1\nconst h: f32[] = 0.5\na = Mul(x, r)\nb = Erf(a)\nc = Add(b, o)\ne = Mul(h, x)\ny = Mul(e, c)",
            ),
            (
                "GeluTanh(x)",
                "const p: f32[] = 3\nconst k: f32[] = 0.044715\nconst r: f32[] = 0.7978846\nconst o: f32[] = 1\nconst h: f32[] = 0.5\na = Pow(x, p)\nb = Mul(a, k)\nc = Add(x, b)\nd = Mul(c, r)\ne = Tanh(d)\nf = Add(e, o)\ng = Mul(x, f)\ny = Mul(g, h)",
            ),
            (
                "GeluTanh(x)",
                "const k: f32[] = 0.044715\nconst r: f32[] = 0.7978846\nconst o: f32[] = 1\nconst h: f32[] = 0.5\na = Mul(x, k)\nb = Mul(a, x)\nc = Add(o, b)\ng = Mul(x, r)\nd = Mul(g, c)\ne = Tanh(d)\nf = Add(e, o)\ni = Mul(x, h)\ny = Mul(i, f)",
            ),
        ];
        for (after, before) in forms {
            let before = format!("input x: f32[2,5]\n{before}\noutput y");
            let after = format!("input x: f32[2,5]\ny = {after}\noutput y");
            check(run, &[Case { what: &after, before: &before, after: &after }]);
        }
    }

    #[test]
    fn what_else_is_read_stays_and_names_are_kept() {
        let text = "input x: f32[4]\na = Sigmoid(x)\ny = Mul(a, x)\nz = Relu(a)\noutput y\noutput z";
        let after = "input x: f32[4]\na = Sigmoid(x)\ny = Swish(x)\nz = Relu(a)\noutput y\noutput z";
        check(run, &[Case { what: "a gate that is read", before: text, after }]);
        let mut graph = super::super::testing::parse(&text.replace("\noutput z", "").replace("\nz = Relu(a)", ""));
        run(&mut graph).unwrap();
        let (_, node) = graph.nodes().next().unwrap();
        assert_eq!(node.merged.iter().map(|name| &**name).collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn the_operand_may_be_a_product_itself() {
        let cases = [
            ("x = Mul(i, c)\na = Sigmoid(x)\ny = Mul(x, a)", "x = Mul(i, c)\ny = Swish(x)"),
            (
                "x = Mul(i, h)\na = Div(x, r)\nb = Erf(a)\nc1 = Add(b, o)\nd = Mul(x, c1)\ny = Mul(d, h)",
                "x = Mul(i, h)\ny = Gelu(x)",
            ),
            ("x = Mul(i, h)\na = Mul(x, h)\nb = Sigmoid(a)\ny = Mul(x, b)", "x = Mul(i, h)\ny = Swish(x) alpha=0.5"),
        ];
        for (before, after) in cases {
            let graph = |nodes| {
                format!(
                    "input i: f32[2,5]\ninput c: f32[5]\nconst h: f32[] = 0.5\nconst o: f32[] = 1\n\
                     const r: f32[] = 1.4142135\n{nodes}\noutput y"
                )
            };
            check(run, &[Case { what: before, before: &graph(before), after: &graph(after) }]);
        }
    }

    #[test]
    fn what_only_looks_alike_stays() {
        check_unchanged(
            run,
            &[
                (
                    "a gate on another value",
                    "input x: f32[4]\ninput g: f32[4]\na = Sigmoid(g)\ny = Mul(a, x)\noutput y",
                ),
                (
                    "limits that cross",
                    "input x: f32[4]\nconst l: f32[] = 2\nconst h: f32[] = 1\ny = Clamp(x, l, h)\noutput y",
                ),
                ("a scalar that adds an axis", "input x: f32[4]\nconst l: f32[1,1] = 0\ny = Max(x, l)\noutput y"),
                ("integers", "input x: i64[4]\nconst l: i64[] = 0\ny = Max(x, l)\noutput y"),
                ("a steep slope", "input x: f32[4]\nconst s: f32[] = 2\na = Mul(s, x)\ny = Max(a, x)\noutput y"),
                ("limits that are inputs", "input x: f32[4]\ninput l: f32[]\ny = Clamp(x, l)\noutput y"),
            ],
        );
    }
}
