//! What the tests of operators share: one table row is an operator, its inputs and its results.

use tilewise_tensor::{DType, Tensor, difference};

use super::support::known_args;
use super::{Arg, Args, Op};
use crate::attr::{Attr, AttrMap};
use crate::{Dim, OpError, ValueType};

/// An f32 tensor.
pub(crate) fn f(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::from_slice(shape, values).unwrap()
}

/// An i64 tensor.
pub(crate) fn i(shape: &[usize], values: &[i64]) -> Tensor {
    Tensor::from_slice(shape, values).unwrap()
}

/// A bool tensor of zeros and ones.
pub(crate) fn b(shape: &[usize], values: &[u8]) -> Tensor {
    Tensor::from_bools(shape, &values.iter().map(|&x| x != 0).collect::<Vec<_>>()).unwrap()
}

/// 0, 1, 2, .. as f32.
pub(crate) fn iota(shape: &[usize]) -> Tensor {
    f(shape, &(0..shape.iter().product()).map(|x: usize| x as f32).collect::<Vec<_>>())
}

/// An operator over inputs, its expected results, or `None` where it must refuse.
pub(crate) struct Case {
    op: Op,
    inputs: Vec<Option<Tensor>>,
    expected: Option<Vec<Tensor>>,
}

/// A row with results.
pub(crate) fn case(op: impl Into<Op>, inputs: &[&Tensor], expected: &[Tensor]) -> Case {
    let inputs = inputs.iter().map(|&t| Some(t.clone())).collect();
    Case { op: op.into(), inputs, expected: Some(expected.to_vec()) }
}

/// A row with results and inputs that may be missing.
pub(crate) fn case_of(op: impl Into<Op>, inputs: &[Option<&Tensor>], expected: &[Tensor]) -> Case {
    let inputs = inputs.iter().map(|&t| t.cloned()).collect();
    Case { op: op.into(), inputs, expected: Some(expected.to_vec()) }
}

/// A row whose inputs must be refused, by an error that is not about memory or support.
pub(crate) fn refused(op: impl Into<Op>, inputs: &[&Tensor]) -> Case {
    Case { op: op.into(), inputs: inputs.iter().map(|&t| Some(t.clone())).collect(), expected: None }
}

/// Checks every row and reports all that fail.
pub(crate) fn check(cases: Vec<Case>) {
    let failures: Vec<String> = cases
        .iter()
        .enumerate()
        .filter_map(|(row, case)| {
            case.failure().map(|why| format!("row {row}: {} {:?}: {why}", case.op.name(), case.op.attributes()))
        })
        .collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

impl Case {
    fn failure(&self) -> Option<String> {
        let operands: Vec<Option<&Tensor>> = self.inputs.iter().map(Option::as_ref).collect();
        let result = self.op.eval(&operands);
        let (Some(expected), Ok(actual)) = (&self.expected, &result) else {
            return match (&self.expected, result) {
                (None, Err(OpError::Invalid(_))) => None,
                (_, result) => Some(format!("gives {result:?}")),
            };
        };
        if actual.len() != expected.len() {
            return Some(format!("gives {} results", actual.len()));
        }
        actual.iter().zip(expected).find_map(|(a, e)| difference_of(a, e)).or_else(|| self.rule_failure(actual))
    }

    /// The shape rule must give the type of the results when everything is known, nothing that contradicts them when
    /// less is.
    fn rule_failure(&self, actual: &[Tensor]) -> Option<String> {
        for values in [true, false] {
            for hide in 0..4 {
                let types: Vec<Option<ValueType>> =
                    self.inputs.iter().map(|t| t.as_ref().map(|t| hidden(t, hide))).collect();
                let args: Vec<Option<Arg<'_>>> = types
                    .iter()
                    .zip(&self.inputs)
                    .map(|(ty, t)| ty.as_ref().map(|ty| Arg { ty, value: t.as_ref().filter(|_| values) }))
                    .collect();
                let types = match self.op.infer(&Args::new(&args)) {
                    Ok(types) => types,
                    // A rule may have to know more: how many outputs there are.
                    Err(OpError::Unsupported(_)) if !values && hide > 1 => continue,
                    Err(error) => return Some(format!("values {values}, hiding {hide}: {error}")),
                };
                let fits = types.len() == actual.len() && types.iter().zip(actual).all(|(ty, t)| admits(ty, t));
                let sharp = !values || hide > 0 || types.iter().all(|ty| ty.known_shape().is_some());
                if !fits || !sharp {
                    return Some(format!("values {values}, hiding {hide}: typed {types:?}"));
                }
            }
        }
        None
    }
}

/// The type of a tensor with all lengths, those of even axes, or none known; 3 hides the rank too.
fn hidden(t: &Tensor, hide: usize) -> ValueType {
    let keep = |axis: usize| hide == 0 || (hide == 1 && axis.is_multiple_of(2));
    let dims = t.shape().iter().enumerate().map(|(axis, &n)| if keep(axis) { Dim::Known(n) } else { Dim::Unknown });
    ValueType { dtype: t.dtype(), shape: (hide < 3).then(|| dims.collect()) }
}

fn admits(ty: &ValueType, t: &Tensor) -> bool {
    ty.dtype == t.dtype()
        && ty.shape.as_ref().is_none_or(|dims| {
            dims.len() == t.shape().len() && dims.iter().zip(t.shape()).all(|(d, &n)| d.known().is_none_or(|d| d == n))
        })
}

fn difference_of(actual: &Tensor, expected: &Tensor) -> Option<String> {
    let shown = format!("gives {actual:?}, expected {expected:?}");
    if (actual.dtype(), actual.shape()) != (expected.dtype(), expected.shape()) {
        return Some(shown);
    }
    if actual.dtype() != DType::F32 {
        return (**actual.bytes() != **expected.bytes()).then_some(shown);
    }
    let (a, e) = (actual.values::<f32>().unwrap(), expected.values::<f32>().unwrap());
    (difference(&a, &e, 1e-5, 1e-5).outside > 0).then(|| format!("gives {a:?}, expected {e:?}"))
}

/// Tensors that fit some operators and break others.
fn odd_tensors() -> Vec<Tensor> {
    vec![
        iota(&[]),
        iota(&[0]),
        iota(&[4]),
        iota(&[2, 3]),
        iota(&[1, 0, 2]),
        iota(&[1, 4, 2, 2]),
        f(&[3], &[f32::NAN, f32::INFINITY, -1e38]),
        i(&[], &[1]),
        i(&[0], &[]),
        i(&[1], &[i64::MIN]),
        i(&[2], &[1, -1]),
        i(&[2], &[i64::MAX, 1 << 60]),
        i(&[4], &[0, 1, 1, 2]),
        i(&[2, 2], &[0, -1, 1, 5]),
        b(&[2], &[0, 1]),
        b(&[2, 3], &[1; 6]),
    ]
}

/// An operator of each name, with whatever attributes it must have.
fn every_operator() -> Vec<Op> {
    let build = |name: &&'static str| {
        let text = |text: &str| Attr::Str(text.to_owned());
        let given = [
            ("axis", Attr::Int(1)),
            ("blocksize", Attr::Int(2)),
            ("num_outputs", Attr::Int(2)),
            ("to", text("i64")),
            ("kernel_shape", Attr::Ints(vec![2, 1])),
            ("num_groups", Attr::Int(2)),
            ("size", Attr::Int(3)),
        ];
        (0..1 << given.len()).find_map(|chosen| {
            let mut attrs = AttrMap::default();
            for (_, (name, value)) in given.iter().enumerate().filter(|(i, _)| chosen >> i & 1 == 1) {
                attrs.0.insert((*name).to_owned(), value.clone());
            }
            Op::read(name, &mut attrs)?.ok()
        })
    };
    let required =
        |name| build(name).unwrap_or_else(|| panic!("{name} needs an attribute that is not in the list above"));
    Op::NAMES.iter().copied().flatten().map(required).collect()
}

/// No operator panics, and whatever its rule accepts has the type that the rule says.
#[test]
fn odd_inputs_are_results_or_errors() {
    let pool = odd_tensors();
    for op in every_operator() {
        for (first, second, third) in (0..pool.len().pow(3)).map(|n| (n % 16, n / 16 % 16, n / 256)) {
            let inputs = [&pool[first], &pool[second], &pool[third]];
            for count in 1..=3 {
                if (count < 3 && third > 0) || (count < 2 && second > 0) {
                    continue;
                }
                let inputs: Vec<Option<&Tensor>> = inputs[..count].iter().copied().map(Some).collect();
                let rule = known_args(&inputs, |args| op.infer(args));
                let Ok(types) = rule else { continue };
                let Ok(outputs) = op.eval(&inputs) else { continue };
                let fits = types.len() == outputs.len() && types.iter().zip(&outputs).all(|(ty, t)| admits(ty, t));
                assert!(fits, "{} of {inputs:?}: typed {types:?}, gives {outputs:?}", op.name());
            }
        }
    }
}
