//! Forms of one node that differ from the graph's: attributes that are inputs here, and what an opset does not have
//! yet.

use tilewise_graph::attr::Attr;
use tilewise_graph::ops::{Cast, Operator};
use tilewise_tensor::{DType, Tensor};

use super::form::{Form, Operand};
use crate::onnx::types::number;

/// Asks for an opset where one of the attributes is given, since the graph's default is not meant then.
fn need_for(form: &mut Form<'_, '_>, opset: i64, attributes: &[&str]) {
    if attributes.iter().any(|name| form.has(name)) {
        form.need(opset);
    }
}

/// Element types by name become their numbers.
pub(super) fn dtypes(form: &mut Form<'_, '_>) -> Result<(), String> {
    for name in ["to", "dtype", "output_dtype", "precision"] {
        if let Some(dtype) = form.take::<DType>(name)? {
            form.set(name, Attr::Int(number(dtype)));
        }
    }
    Ok(())
}

/// `QuantizeLinear`: blocks and types came later.
pub(super) fn quantize(form: &mut Form<'_, '_>) -> Result<(), String> {
    need_for(form, 19, &["saturate"]);
    need_for(form, 21, &["block_size", "output_dtype"]);
    need_for(form, 23, &["precision"]);
    dtypes(form)
}

/// `DequantizeLinear`: blocks and types came later.
pub(super) fn dequantize(form: &mut Form<'_, '_>) -> Result<(), String> {
    need_for(form, 21, &["block_size"]);
    need_for(form, 23, &["output_dtype"]);
    dtypes(form)
}

/// `AveragePool`: distances of taps came later.
pub(super) fn average_pool(form: &mut Form<'_, '_>) -> Result<(), String> {
    need_for(form, 19, &["dilations"]);
    Ok(())
}

/// `LpPool`: distances of taps, and windows over the end, came later.
pub(super) fn lp_pool(form: &mut Form<'_, '_>) -> Result<(), String> {
    need_for(form, 18, &["dilations", "ceil_mode"]);
    Ok(())
}

/// `Pad`: axes and wrapping came later.
pub(super) fn pad(form: &mut Form<'_, '_>) -> Result<(), String> {
    if form.given(3) {
        form.need(18);
    }
    if form.is("mode", "wrap") {
        form.need(19);
    }
    Ok(())
}

/// `ScatterElements` and `ScatterND`: the larger and the smaller came later.
pub(super) fn scatter(form: &mut Form<'_, '_>) -> Result<(), String> {
    if form.is("reduction", "max") || form.is("reduction", "min") {
        form.need(18);
    }
    Ok(())
}

/// `Resize`: a part of its attributes came later, and one mode went.
pub(super) fn resize(form: &mut Form<'_, '_>) -> Result<(), String> {
    const MODE: &str = "coordinate_transformation_mode";
    if form.is(MODE, "tf_half_pixel_for_nn") {
        return Err(format!("{MODE} tf_half_pixel_for_nn ended with opset 12"));
    }
    if form.is(MODE, "half_pixel_symmetric") {
        form.need(19);
    }
    need_for(form, 18, &["antialias", "axes", "keep_aspect_ratio_policy"]);
    Ok(())
}

/// `GridSample`: before opset 20 interpolations were named after images.
pub(super) fn grid_sample(form: &mut Form<'_, '_>) -> Result<(), String> {
    if form.opset() < 20 && form.is("mode", "cubic") {
        form.set("mode", Attr::Str("bicubic".to_owned()));
    }
    Ok(())
}

/// `GeluTanh`: an attribute of `Gelu`.
pub(super) fn gelu_tanh(form: &mut Form<'_, '_>) -> Result<(), String> {
    form.set("approximate", Attr::Str("tanh".to_owned()));
    Ok(())
}

/// `FMod`: an attribute of `Mod`.
pub(super) fn fmod(form: &mut Form<'_, '_>) -> Result<(), String> {
    form.set("fmod", Attr::Int(1));
    Ok(())
}

/// `Mod`: for floating-point elements the sign of the divisor came later.
pub(super) fn modulo(form: &mut Form<'_, '_>) -> Result<(), String> {
    if form.dtype(0).is_some_and(DType::is_float) {
        form.need(28);
    }
    Ok(())
}

/// Reductions but `ReduceSum`: axes that are known are an attribute until opset 17, an input from 18 on.
pub(super) fn reduce(form: &mut Form<'_, '_>) -> Result<(), String> {
    need_for(form, 18, &["noop_with_empty_axes"]);
    if form.opset() >= 18 || !form.given(1) {
        return Ok(());
    }
    match form.ints(1) {
        // No axes at all is a case that only the input can tell.
        Some(axes) if !axes.is_empty() => {
            form.set("axes", Attr::Ints(axes));
            form.made.inputs.truncate(1);
        }
        Some(_) | None => form.need(18),
    }
    Ok(())
}

/// `Split`: without lengths, the number of outputs said how many parts there are until opset 17, of equal length.
pub(super) fn split(form: &mut Form<'_, '_>) -> Result<(), String> {
    let count = form.take::<usize>("num_outputs")?;
    if form.given(1) {
        form.name_outputs(form.ints(1).map_or(0, |lengths| lengths.len()));
        return Ok(());
    }
    let count = count.ok_or("neither lengths nor a number of outputs")?;
    form.name_outputs(count);
    if form.opset() >= 18 {
        form.set("num_outputs", Attr::Int(count as i64));
        return Ok(());
    }
    let axis = if let Some(Attr::Int(axis)) = form.made.attributes.0.get("axis") { *axis } else { 0 };
    let length = form.input_type(0).and_then(|ty| {
        let shape = ty.shape.as_ref()?;
        let axis = if axis < 0 { axis + shape.len() as i64 } else { axis };
        shape.get(usize::try_from(axis).ok()?)?.known()
    });
    if length.is_none_or(|length| length % count.max(1) != 0) {
        form.need(18);
    }
    Ok(())
}

/// `ConstantOfShape`: the value is an attribute with one axis.
pub(super) fn constant_of_shape(form: &mut Form<'_, '_>) -> Result<(), String> {
    if form.given(1) {
        let value = form.constant(1).ok_or("its value is not a constant")?;
        let value = value.reshaped(&[1]).map_err(|error| error.to_string())?;
        form.made.tensors.insert("value", value);
    }
    form.made.inputs.truncate(1);
    Ok(())
}

/// `Clip` with fixed limits: they are inputs of the data's type. One that limits nothing is left out.
pub(super) fn clip(form: &mut Form<'_, '_>) -> Result<(), String> {
    let dtype = form.dtype(0).ok_or("its input is missing")?;
    for (at, attribute, name) in [(1, "lo", "min"), (2, "hi", "max")] {
        let Some(limit) = form.take::<f32>(attribute)? else { continue };
        let limit = Cast { to: dtype }.eval(&[Some(&Tensor::scalar(limit))]).map_err(|error| error.to_string())?;
        let limit = limit.into_iter().next().ok_or("a cast without a result")?;
        let limit = form.tensor(name, limit);
        form.made.inputs.resize(at, Operand::Missing);
        form.made.inputs.push(limit);
    }
    Ok(())
}
