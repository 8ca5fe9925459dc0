//! Attributes that became inputs.

use tilewise_graph::OpError;
use tilewise_graph::attr::Attr;
use tilewise_tensor::Tensor;

use super::Form;

/// Moves integers to input number `at`, where they are given.
fn move_ints(form: &mut Form<'_>, name: &str, at: usize) -> Result<(), OpError> {
    if let Some(values) = form.take::<Vec<i64>>(name)? {
        let id = form.constant(name, Tensor::vector(&values));
        form.set_input(at, id);
    }
    Ok(())
}

/// Moves a number to input number `at`, as the type of the data, where it is given.
fn move_float(form: &mut Form<'_>, name: &str, at: usize) -> Result<(), OpError> {
    if let Some(value) = form.take::<f32>(name)? {
        let dtype = form.dtype(0)?;
        let id = form.scalar(name, dtype, value.into())?;
        form.set_input(at, id);
    }
    Ok(())
}

/// Reductions, `Squeeze` and `Unsqueeze` had their axes as an attribute.
pub(super) fn axes(form: &mut Form<'_>) -> Result<(), OpError> {
    move_ints(form, "axes", 1)
}

/// `Clip` had its limits as attributes.
pub(super) fn clip(form: &mut Form<'_>) -> Result<(), OpError> {
    move_float(form, "min", 1)?;
    move_float(form, "max", 2)
}

/// `Pad` had its widths and its value as attributes.
pub(super) fn pad(form: &mut Form<'_>) -> Result<(), OpError> {
    move_ints(form, "pads", 1)?;
    move_float(form, "value", 2)
}

/// `Slice` had its limits as attributes, and no steps.
pub(super) fn slice(form: &mut Form<'_>) -> Result<(), OpError> {
    move_ints(form, "starts", 1)?;
    move_ints(form, "ends", 2)?;
    move_ints(form, "axes", 3)
}

/// `TopK` had its count as an attribute.
pub(super) fn topk(form: &mut Form<'_>) -> Result<(), OpError> {
    let k: i64 = form.attributes.map.require("k")?;
    let id = form.constant("k", Tensor::vector(&[k]));
    form.set_input(1, id);
    Ok(())
}

/// `Split` had its lengths as an attribute.
pub(super) fn split(form: &mut Form<'_>) -> Result<(), OpError> {
    move_ints(form, "split", 1)?;
    split_count(form)
}

/// Without lengths `Split` makes as many equal parts as it has outputs; newest models say so by `num_outputs`.
pub(super) fn split_count(form: &mut Form<'_>) -> Result<(), OpError> {
    let outputs = form.outputs.len();
    match form.take::<usize>("num_outputs")? {
        Some(count) if count != outputs => {
            return Err(OpError::invalid(format!("num_outputs is {count}, the node has {outputs}")));
        }
        _ => {}
    }
    if form.given(1).is_none() {
        form.set("num_outputs", Attr::Int(outputs as i64));
    }
    Ok(())
}
