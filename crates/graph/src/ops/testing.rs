//! What the tests of operators share: one table row is an operator, its inputs and its results.

use tilewise_tensor::{DType, Tensor, difference};

use super::{Arg, Args, Op};
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
    let keep = |axis: usize| hide == 0 || (hide == 1 && axis % 2 == 0);
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
