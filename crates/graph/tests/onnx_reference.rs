//! Operators against ONNX's own reference evaluation: the rows of `data/onnx_reference.txt`.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use tilewise_graph::attr::{Attr, AttrMap};
use tilewise_graph::{Arg, Args, Op, ValueType};
use tilewise_tensor::{DType, Tensor};

/// One row: an operator, its inputs, and what it should yield.
struct Case {
    line: usize,
    op: String,
    attrs: AttrMap,
    inputs: Vec<Option<Tensor>>,
    outputs: Vec<Tensor>,
}

fn numbers<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> Vec<T> {
    text.split_whitespace().map(|n| n.parse().unwrap()).collect()
}

/// `f32 [2,3] 1.0 2.0 ...`
fn tensor(text: &str) -> Tensor {
    let (dtype, rest) = text.split_once(" [").unwrap();
    let (shape, values) = rest.split_once(']').unwrap();
    let shape: Vec<usize> = numbers(&shape.replace(',', " "));
    let dtype: DType = dtype.parse().unwrap();
    let wide = if dtype.is_float() {
        Tensor::from_slice(&shape, &numbers::<f64>(values)).unwrap()
    } else {
        Tensor::from_slice(&shape, &numbers::<i64>(values)).unwrap()
    };
    cast(&wide, dtype)
}

fn cast(x: &Tensor, to: DType) -> Tensor {
    let cast = Op::from(tilewise_graph::ops::Cast { to });
    cast.eval(&[Some(x)]).unwrap().remove(0)
}

fn attribute(kind: &str, text: &str) -> Attr {
    match kind {
        "int" => Attr::Int(text.parse().unwrap()),
        "float" => Attr::Float(text.parse().unwrap()),
        "str" => Attr::Str(text.to_owned()),
        "ints" => Attr::Ints(numbers(text)),
        other => panic!("attributes of kind {other}"),
    }
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (line, text) in include_str!("data/onnx_reference.txt").lines().enumerate() {
        let (word, rest) = text.trim().split_once(' ').unwrap();
        if word == "case" {
            let (attrs, inputs, outputs) = Default::default();
            cases.push(Case { line: line + 1, op: rest.to_owned(), attrs, inputs, outputs });
        }
        let Some(case) = cases.last_mut() else { continue };
        match word {
            "attr" => {
                let [name, kind, value] = rest.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
                case.attrs.0.insert(name.to_owned(), attribute(kind, value));
            }
            "in" => case.inputs.push((rest != "-").then(|| tensor(rest))),
            "out" => case.outputs.push(tensor(rest)),
            _ => (),
        }
    }
    cases
}

/// What is wrong with a row; nothing if all is well.
fn check(case: &Case) -> Result<(), String> {
    let mut attrs = case.attrs.clone();
    let op = Op::read(&case.op, &mut attrs).ok_or("no such operator")?.map_err(|error| error.to_string())?;
    if !attrs.0.is_empty() {
        return Err(format!("attributes not understood: {:?}", attrs.0));
    }
    let inputs: Vec<Option<&Tensor>> = case.inputs.iter().map(Option::as_ref).collect();
    let actual = op.eval(&inputs).map_err(|error| error.to_string())?;
    let ty = |x: &Tensor| ValueType::known(x.dtype(), x.shape());
    let types: Vec<Option<ValueType>> = inputs.iter().map(|x| x.map(ty)).collect();
    let args: Vec<Option<Arg<'_>>> =
        types.iter().zip(&inputs).map(|(ty, &value)| Some(Arg { ty: ty.as_ref()?, value })).collect();
    let inferred = op.infer(&Args::new(&args)).map_err(|error| error.to_string())?;
    for ((expected, actual), inferred) in case.outputs.iter().zip(&actual).zip(inferred) {
        if ty(expected) != ty(actual) || ty(actual) != inferred {
            return Err(format!("expected {}, evaluated {}, inferred {inferred}", ty(expected), ty(actual)));
        }
        let [want, have] = [expected, actual].map(|x| cast(x, DType::F64).values::<f64>().unwrap().into_owned());
        let tolerance = if expected.dtype().is_float() { 2e-5 } else { 0.0 };
        let close = |(a, b): (&f64, &f64)| a == b || (a - b).abs() <= tolerance * (1.0 + a.abs());
        if !want.iter().zip(&have).all(close) {
            return Err(format!("expected {want:?}\n  got {have:?}"));
        }
    }
    Ok(())
}

#[test]
fn operators_agree_with_the_definition() {
    let cases = cases();
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            check(case).err().map(|error| format!("{} (line {}, {:?}): {error}", case.op, case.line, case.attrs.0))
        })
        .collect();
    assert!(failures.is_empty(), "{} of {} rows:\n{}", failures.len(), cases.len(), failures.join("\n"));
    assert!(cases.len() > 100, "{} rows", cases.len());
}

/// Attribute values that hardly fit.
fn odd(attr: &Attr) -> Vec<Attr> {
    match attr {
        Attr::Int(_) => [i64::MIN, -9, 0, 3, 1 << 31, i64::MAX].map(Attr::Int).to_vec(),
        Attr::Ints(list) => {
            let last = |value| Attr::Ints(list.iter().skip(1).copied().chain([value]).collect());
            let mut odd: Vec<Attr> = [-1, 0, 1, 7, 1 << 31, i64::MAX].map(last).to_vec();
            odd.extend([Attr::Ints(Vec::new()), Attr::Ints(list[1..].to_vec())]);
            odd
        }
        Attr::Float(_) => vec![Attr::Float(f32::NAN), Attr::Float(0.0), Attr::Int(1)],
        Attr::Str(_) | Attr::Floats(_) => vec![Attr::Int(1)],
    }
}

/// Inputs that hardly fit: absent, of another type, with a length changed or an axis more or less.
fn odd_inputs(input: &Option<Tensor>) -> Vec<Option<Tensor>> {
    let Some(tensor) = input else { return vec![Some(Tensor::scalar(1.0f32))] };
    let zeros = |dtype: DType, shape: &[usize]| Some(Tensor::zeros(dtype, shape).unwrap());
    let (dtype, shape) = (tensor.dtype(), tensor.shape());
    let mut odd = vec![None, zeros(DType::I64, shape), zeros(DType::Bool, shape), zeros(DType::F16, shape)];
    odd.extend([zeros(dtype, &[&[1], shape].concat()), zeros(dtype, &shape[..shape.len().saturating_sub(1)])]);
    for axis in 0..shape.len() {
        odd.extend(
            [0, 1, shape[axis] + 1].map(|len| zeros(dtype, &[&shape[..axis], &[len], &shape[axis + 1..]].concat())),
        );
    }
    odd
}

#[test]
fn rows_with_one_thing_changed_never_panic() {
    for case in cases() {
        let run = |attrs: &AttrMap, inputs: &[Option<Tensor>]| {
            if let Some(Ok(op)) = Op::read(&case.op, &mut attrs.clone()) {
                // Any result will do.
                let _ = op.eval(&inputs.iter().map(Option::as_ref).collect::<Vec<_>>());
            }
        };
        for (name, value) in &case.attrs.0 {
            for odd in odd(value) {
                let mut attrs = case.attrs.clone();
                attrs.0.insert(name.clone(), odd);
                run(&attrs, &case.inputs);
            }
        }
        for at in 0..case.inputs.len() {
            run(&case.attrs, &case.inputs[..at]);
            for odd in odd_inputs(&case.inputs[at]) {
                let mut inputs = case.inputs.clone();
                inputs[at] = odd;
                run(&case.attrs, &inputs);
            }
        }
    }
}
