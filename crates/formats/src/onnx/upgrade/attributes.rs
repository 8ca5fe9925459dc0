//! Attributes that are written, named or meant differently.

use tilewise_graph::OpError;
use tilewise_graph::attr::Attr;

use super::Form;
use crate::onnx::types::{NoType, dtype};

/// Element types by their number become element types by name.
pub(super) fn dtypes(form: &mut Form<'_>) -> Result<(), OpError> {
    for name in ["to", "dtype", "output_dtype", "precision"] {
        match form.take::<i64>(name)? {
            // The type follows from the inputs.
            None | Some(0) => {}
            Some(number) => {
                let dtype = dtype(number).map_err(|why| match why {
                    NoType::Invalid(reason) => OpError::Invalid(reason),
                    NoType::Unsupported(reason) => OpError::Unsupported(reason),
                })?;
                form.set(name, Attr::Str(dtype.to_string()));
            }
        }
    }
    Ok(())
}

/// `CastLike`: `Cast` to the type of the second input.
pub(super) fn cast_like(form: &mut Form<'_>) -> Result<(), OpError> {
    form.set("to", Attr::Str(form.dtype(1)?.to_string()));
    form.inputs.truncate(1);
    Ok(())
}

/// Before opset 13 the softmax family worked on the matrix that the axes before and from `axis` on make.
pub(super) fn flattened(form: &mut Form<'_>) -> Result<(), OpError> {
    let axis = form.take::<i64>("axis")?.unwrap_or(1);
    form.set("axis", Attr::Int(axis));
    form.set("flattened", Attr::Int(1));
    Ok(())
}

/// `Mod` with `fmod` takes the sign of the dividend.
pub(super) fn modulo(form: &mut Form<'_>) -> Result<(), OpError> {
    if form.take::<bool>("fmod")?.unwrap_or(false) {
        form.op = "FMod";
    }
    Ok(())
}

/// `GridSample` before opset 20 named its interpolations after images.
pub(super) fn sample_mode(form: &mut Form<'_>) -> Result<(), OpError> {
    let mode = form.take::<String>("mode")?.map(|mode| match mode.as_str() {
        "bilinear" => "linear".to_owned(),
        "bicubic" => "cubic".to_owned(),
        _ => mode,
    });
    if let Some(mode) = mode {
        form.set("mode", Attr::Str(mode));
    }
    Ok(())
}

/// `Gelu` by way of tanh is a function of its own.
pub(super) fn gelu(form: &mut Form<'_>) -> Result<(), OpError> {
    match form.take::<String>("approximate")?.as_deref() {
        None | Some("none") => Ok(()),
        Some("tanh") => {
            form.op = "GeluTanh";
            Ok(())
        }
        Some(other) => Err(OpError::invalid(format!("approximate is {other:?}, expected none or tanh"))),
    }
}

/// `BatchNormalization` as it is used after training: the statistics are inputs, and only the first output is made.
pub(super) fn batch_norm(form: &mut Form<'_>) -> Result<(), OpError> {
    if form.take::<i64>("spatial")?.unwrap_or(1) != 1 {
        return Err(OpError::unsupported("statistics for each place (spatial = 0)"));
    }
    if form.take::<i64>("training_mode")?.unwrap_or(0) != 0 || (1..form.outputs.len()).any(|at| form.reads_output(at)) {
        return Err(OpError::unsupported("training"));
    }
    form.outputs = form.outputs.get(..1).unwrap_or_default();
    Ok(())
}

/// `QuickGelu` of com.microsoft: `Swish` whose steepness is 1.702 unless it is given.
pub(super) fn quick_gelu(form: &mut Form<'_>) -> Result<(), OpError> {
    let alpha = form.take::<f32>("alpha")?.unwrap_or(1.702);
    form.set("alpha", Attr::Float(alpha));
    Ok(())
}

/// `FusedConv` of com.microsoft: the function after the convolution, and its parameters in its own order.
pub(super) fn fused_conv(form: &mut Form<'_>) -> Result<(), OpError> {
    let Some(name) = form.take::<String>("activation")? else { return Ok(()) };
    let parameters = form.take::<Vec<f32>>("activation_params")?.unwrap_or_default();
    let count = match name.as_str() {
        "Relu" | "Tanh" | "Sigmoid" => 0,
        "LeakyRelu" => 1,
        "Clip" | "HardSigmoid" => 2,
        other => return Err(OpError::unsupported(format!("the activation {other}"))),
    };
    if parameters.len() != count {
        return Err(OpError::invalid(format!("{name} has {count} parameters, got {parameters:?}")));
    }
    let values: Vec<String> = parameters.iter().map(|x| format!("{x:?}")).collect();
    let text = if values.is_empty() { name } else { format!("{name}({})", values.join(",")) };
    form.set("activation", Attr::Str(text));
    Ok(())
}
