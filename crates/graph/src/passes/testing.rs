//! Tables of cases for passes: a network before and after in text form, checked to compute the same.

use tilewise_tensor::{DType, Tensor, difference};

use crate::{Dim, Graph, GraphError, evaluate};

/// A network and what a pass makes of it. Blanks around lines and the places of constants do not count.
pub(super) struct Case<'a> {
    pub(super) what: &'a str,
    pub(super) before: &'a str,
    pub(super) after: &'a str,
}

/// Runs a pass over every case and reports all that differ.
pub(super) fn check(run: fn(&mut Graph) -> Result<usize, GraphError>, cases: &[Case<'_>]) {
    let failures: Vec<String> = cases.iter().filter_map(|case| failure(run, case)).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Runs a pass over networks that it must leave as they are.
pub(super) fn check_unchanged(run: fn(&mut Graph) -> Result<usize, GraphError>, cases: &[(&str, &str)]) {
    let cases: Vec<Case<'_>> = cases.iter().map(|&(what, text)| Case { what, before: text, after: text }).collect();
    check(run, &cases);
}

fn failure(run: fn(&mut Graph) -> Result<usize, GraphError>, case: &Case<'_>) -> Option<String> {
    let before = parse(case.before);
    let mut graph = before.clone();
    let changed = run(&mut graph).unwrap_or_else(|error| panic!("{}: {error}", case.what));
    graph.verify().unwrap_or_else(|error| panic!("{}: {error}\n{graph}", case.what));
    let (actual, expected) = (graph.to_string(), parse(case.after).to_string());
    if actual != expected {
        return Some(format!("{}: expected\n{expected}got\n{actual}", case.what));
    }
    if (changed == 0) != (before.to_string() == expected) {
        return Some(format!("{}: {changed} changes reported", case.what));
    }
    same_results(&before, &graph).err().map(|why| format!("{}: {why}", case.what))
}

/// Parses a text that is known to be right.
pub(super) fn parse(text: &str) -> Graph {
    text.parse().unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

/// Evaluates both graphs on the same random inputs; symbols stand for 2.
pub(super) fn same_results(before: &Graph, after: &Graph) -> Result<(), String> {
    let inputs: Vec<Tensor> = before.inputs().iter().enumerate().map(|(seed, &id)| random(before, id, seed)).collect();
    let results = |graph| evaluate(graph, &inputs).map_err(|error| format!("{error} in\n{graph}"));
    for (expected, actual) in results(before)?.iter().zip(&results(after)?) {
        if (expected.shape(), expected.dtype()) != (actual.shape(), actual.dtype()) {
            return Err(format!("{:?} became {:?}", expected.shape(), actual.shape()));
        }
        // Rounding of f32 in another order: a few units of 2^-24 over sums of some hundred terms.
        let gap = difference(&floats(actual), &floats(expected), 2e-5, 2e-5);
        if gap.outside > 0 {
            return Err(format!("results differ: {gap:?}"));
        }
    }
    Ok(())
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    crate::ops::convert(tensor, DType::F32).unwrap().values::<f32>().unwrap().into_owned()
}

fn random(graph: &Graph, id: crate::ValueId, seed: usize) -> Tensor {
    let ty = &graph.value(id).ty;
    let shape: Vec<usize> = ty.shape.iter().flatten().map(|d| d.known().unwrap_or(2)).collect();
    assert!(!ty.shape.iter().flatten().any(|d| *d == Dim::Unknown), "an input of a case has a known shape");
    let count = tilewise_tensor::numel(&shape).unwrap();
    let value = |i: usize| {
        let hash = (i * 977 + seed * 31 + 7).wrapping_mul(2_654_435_761) >> 8;
        (hash % 2001) as f32 / 250.0 - 4.0
    };
    let values: Vec<f32> = (0..count).map(value).collect();
    crate::ops::convert(&Tensor::from_slice(&shape, &values).unwrap(), ty.dtype).unwrap()
}
