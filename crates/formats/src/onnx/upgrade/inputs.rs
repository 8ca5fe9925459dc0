//! Attributes that became inputs. They are read in every opset: some exporters write them where newer opsets have
//! inputs, and they can mean but one thing.

use tilewise_graph::OpError;
use tilewise_graph::attr::{Attr, AttrField};
use tilewise_tensor::Tensor;

use super::Form;

/// Takes an attribute out that stands for input number `at`, where it is given.
fn take<T: AttrField>(form: &mut Form<'_>, name: &str, at: usize) -> Result<Option<T>, OpError> {
    let value = form.take(name)?;
    if value.is_some() && form.given(at).is_some() {
        return Err(OpError::invalid(format!("{name} is given as an attribute and as input {at}")));
    }
    Ok(value)
}

/// Moves integers to input number `at`; a single one is a list of one.
fn move_ints(form: &mut Form<'_>, name: &str, at: usize) -> Result<(), OpError> {
    if let Some(Attr::Int(value)) = form.attributes.map.0.get(name) {
        form.set(name, Attr::Ints(vec![*value]));
    }
    if let Some(values) = take::<Vec<i64>>(form, name, at)? {
        let id = form.constant(name, Tensor::vector(&values));
        form.set_input(at, id);
    }
    Ok(())
}

/// Moves a number to input number `at`, as the type of the data.
fn move_float(form: &mut Form<'_>, name: &str, at: usize) -> Result<(), OpError> {
    if let Some(value) = take::<f32>(form, name, at)? {
        let dtype = form.dtype(0)?;
        let id = form.scalar(name, dtype, value.into())?;
        form.set_input(at, id);
    }
    Ok(())
}

/// Moves numbers to input number `at`.
fn move_floats(form: &mut Form<'_>, name: &str, at: usize) -> Result<(), OpError> {
    if let Some(values) = take::<Vec<f32>>(form, name, at)? {
        let id = form.constant(name, Tensor::vector(&values));
        form.set_input(at, id);
    }
    Ok(())
}

/// `Resize`: the region, the scales and the sizes.
pub(super) fn resize(form: &mut Form<'_>) -> Result<(), OpError> {
    move_floats(form, "roi", 1)?;
    move_floats(form, "scales", 2)?;
    move_ints(form, "sizes", 3)?;
    super::resize::empty_inputs(form)
}

/// Reductions, `Squeeze` and `Unsqueeze`: the axes.
pub(super) fn axes(form: &mut Form<'_>) -> Result<(), OpError> {
    move_ints(form, "axes", 1)
}

/// `Clip`: the limits.
pub(super) fn clip(form: &mut Form<'_>) -> Result<(), OpError> {
    move_float(form, "min", 1)?;
    move_float(form, "max", 2)
}

/// `Pad`: the widths and the value.
pub(super) fn pad(form: &mut Form<'_>) -> Result<(), OpError> {
    move_ints(form, "pads", 1)?;
    move_float(form, "value", 2)
}

/// `Reshape`: the shape.
pub(super) fn shape(form: &mut Form<'_>) -> Result<(), OpError> {
    move_ints(form, "shape", 1)
}

/// `Slice`: the limits, the axes and the steps.
pub(super) fn slice(form: &mut Form<'_>) -> Result<(), OpError> {
    for (at, name) in ["starts", "ends", "axes", "steps"].into_iter().enumerate() {
        move_ints(form, name, at + 1)?;
    }
    Ok(())
}

/// `TopK`: the count.
pub(super) fn topk(form: &mut Form<'_>) -> Result<(), OpError> {
    move_ints(form, "k", 1)
}

/// `Split`: the lengths. Without them it makes as many equal parts as it has outputs; the newest form says so by
/// `num_outputs`.
pub(super) fn split(form: &mut Form<'_>) -> Result<(), OpError> {
    move_ints(form, "split", 1)?;
    let outputs = form.outputs.len();
    match form.take::<usize>("num_outputs")? {
        Some(count) if count != outputs => {
            return Err(OpError::invalid(format!("num_outputs is {count}, the node has {outputs}")));
        }
        Some(_) | None => {}
    }
    if form.given(1).is_none() {
        form.set("num_outputs", Attr::Int(outputs as i64));
    }
    Ok(())
}
