//! Operators that are several of the graph's.

use tilewise_graph::attr::{Attr, AttrMap};
use tilewise_graph::{Dim, OpError, ValueId};
use tilewise_tensor::Tensor;

use super::{Form, attrs};

/// Folds all inputs but the last by the operator `op`, so that one application with the two that are left remains.
/// True when there was one input only, which is the result.
fn fold(form: &mut Form<'_>, op: &str) -> Result<bool, OpError> {
    let inputs = (0..form.inputs.len()).map(|at| form.input(at)).collect::<Result<Vec<_>, _>>()?;
    let (Some((&first, rest)), Some(&last)) = (inputs.split_first(), inputs.last()) else {
        return Err(OpError::invalid("expected at least one input"));
    };
    if rest.is_empty() {
        form.values = Some(vec![first]);
        return Ok(true);
    }
    let mut sum = first;
    for &next in &rest[..rest.len() - 1] {
        sum = form.emit(op, &[Some(sum), Some(next)], AttrMap::default())?;
    }
    form.inputs = vec![Some(sum), Some(last)];
    Ok(false)
}

/// `Sum`, `Max` and `Min` of any number of inputs.
pub(super) fn variadic(form: &mut Form<'_>) -> Result<(), OpError> {
    fold(form, form.op)?;
    Ok(())
}

/// `Mean` of any number of inputs: their sum over their number.
pub(super) fn mean(form: &mut Form<'_>) -> Result<(), OpError> {
    let count = form.inputs.len();
    if fold(form, "Add")? {
        return Ok(());
    }
    let sum = form.emit("Add", &form.inputs.clone(), AttrMap::default())?;
    let dtype = form.graph.value(sum).ty.dtype;
    let count = form.scalar("count", dtype, count as f64)?;
    form.inputs = vec![Some(sum), Some(count)];
    Ok(())
}

/// `BiasGelu` and `FastGelu` of com.microsoft: a bias is added first, where there is one.
pub(super) fn bias_first(form: &mut Form<'_>) -> Result<(), OpError> {
    if let Some(bias) = form.given(1) {
        let x = form.input(0)?;
        form.inputs = vec![Some(form.emit("Add", &[Some(x), Some(bias)], AttrMap::default())?)];
    }
    Ok(())
}

/// `GroupNormalization` of opsets 18 to 20: scale and bias had one number a group, not a channel.
pub(super) fn group_norm(form: &mut Form<'_>) -> Result<(), OpError> {
    let channels = form.graph.value(form.input(0)?).ty.shape.as_ref().and_then(|shape| shape.get(1)?.known());
    let Some(Attr::Int(groups)) = form.attributes.map.0.get("num_groups").cloned() else {
        return Err(OpError::invalid("attribute num_groups is missing"));
    };
    let channels = channels.and_then(|n| i64::try_from(n).ok()).ok_or_else(|| {
        OpError::unsupported("one scale a group for a number of channels that is not known before a run")
    })?;
    if groups < 1 || channels % groups != 0 {
        return Err(OpError::invalid(format!("{channels} channels in {groups} groups")));
    }
    for at in [1, 2] {
        let given = form.input(at)?;
        let known = form.graph.value(given).ty.shape.clone();
        if known.is_some_and(|shape| !matches!(shape[..], [Dim::Known(n)] if n as i64 == groups)) {
            return Err(OpError::invalid(format!("input {at} has not one number for each of {groups} groups")));
        }
        let each = repeat(form, given, groups, channels / groups)?;
        form.set_input(at, each);
    }
    Ok(())
}

/// `[groups]` with each number `times` times: `[groups * times]`.
fn repeat(form: &mut Form<'_>, values: ValueId, groups: i64, times: i64) -> Result<ValueId, OpError> {
    let column = form.constant("column", Tensor::vector(&[groups, 1]));
    let column = form.emit("Reshape", &[Some(values), Some(column)], AttrMap::default())?;
    let table = form.constant("table", Tensor::vector(&[groups, times]));
    let table = form.emit("Expand", &[Some(column), Some(table)], AttrMap::default())?;
    let flat = form.constant("flat", Tensor::vector(&[-1i64]));
    form.emit("Reshape", &[Some(table), Some(flat)], attrs([("allowzero", Attr::Int(0))]))
}
