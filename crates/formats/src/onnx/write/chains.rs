//! Operators of the graph that are several of ONNX's.

use tilewise_graph::attr::Attr;
use tilewise_graph::ops::{Binary, BinaryFn, Flatten, Reshape, Shape, Unary};
use tilewise_graph::{Dim, ValueType};
use tilewise_tensor::{DType, Unary as Function};

use super::form::{Form, Operand};

/// Takes the inputs from number `first` on and the activation out: sums and a function that follow.
fn epilogue(form: &mut Form<'_, '_>, first: usize) -> Result<(), String> {
    let activation = form.take::<Function>("activation")?.unwrap_or_default();
    let inputs = &mut form.made.inputs;
    for term in inputs.split_off(first.min(inputs.len())) {
        if !matches!(term, Operand::Missing) {
            form.follow(Binary(BinaryFn::Add), vec![term]);
        }
    }
    if activation != Function::Identity {
        form.follow(Unary(activation), Vec::new());
    }
    Ok(())
}

/// `Conv`, `ConvTranspose` and `Gemm`: the bias is theirs, residual and activation follow.
pub(super) fn convolution(form: &mut Form<'_, '_>) -> Result<(), String> {
    epilogue(form, 3)
}

/// `MatMul`: bias, residual and activation follow.
pub(super) fn matmul(form: &mut Form<'_, '_>) -> Result<(), String> {
    if form.given(2) && form.ty.rank() == Some(0) {
        return Err("a bias for a product without axes".to_owned());
    }
    epilogue(form, 2)
}

/// The softmax family over all axes from one on: over the last axis of a matrix, between two changes of shape.
pub(super) fn flattened(form: &mut Form<'_, '_>) -> Result<(), String> {
    if !form.take::<bool>("flattened")?.unwrap_or(false) {
        return Ok(());
    }
    let axis = form.take::<i64>("axis")?.unwrap_or(-1);
    let last = form.ty.rank().is_some_and(|rank| axis + 1 == rank as i64);
    if last || axis == -1 {
        form.set("axis", Attr::Int(axis));
        return Ok(());
    }
    let x = form.made.inputs.first().cloned().unwrap_or(Operand::Missing);
    let matrix = ValueType::new(form.ty.dtype, vec![Dim::Unknown; 2]);
    let lengths = ValueType::new(DType::I64, vec![Dim::Unknown]);
    let flat = form.before(Flatten { axis }, vec![x.clone()], matrix)?;
    let shape = form.before(Shape { start: 0, end: None }, vec![x], lengths)?;
    form.made.inputs = vec![flat];
    form.follow(Reshape { allowzero: true }, vec![shape]);
    Ok(())
}
