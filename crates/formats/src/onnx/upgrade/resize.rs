//! `Upsample` and the older forms of `Resize`.

use tilewise_graph::OpError;
use tilewise_graph::attr::Attr;
use tilewise_tensor::Tensor;

use super::Form;

/// `Upsample` of opsets 7 and 8: the scales are an attribute.
pub(super) fn scales_attribute(form: &mut Form<'_>) -> Result<(), OpError> {
    let scales: Vec<f32> = form.attributes.map.require("scales")?;
    let id = form.constant("scales", Tensor::vector(&scales));
    form.set_input(1, id);
    scales_input(form)
}

/// `Upsample` of opset 9 and `Resize` of opset 10: inputs x and scales. A place of the output lies at itself over the
/// scale in the input, and the nearest place is the one before.
pub(super) fn scales_input(form: &mut Form<'_>) -> Result<(), OpError> {
    let scales = form.input(1)?;
    form.inputs.truncate(1);
    form.set_input(2, scales);
    form.set("coordinate_transformation_mode", Attr::Str("asymmetric".to_owned()));
    form.set("nearest_mode", Attr::Str("floor".to_owned()));
    if let Some(mode) = form.take::<String>("mode")? {
        let mode = if mode == "bilinear" { "linear".to_owned() } else { mode };
        form.set("mode", Attr::Str(mode));
    }
    Ok(())
}

/// Inputs without elements stand for inputs that are not given: opset 11 could not leave them out.
pub(super) fn empty_inputs(form: &mut Form<'_>) -> Result<(), OpError> {
    for at in 1..form.inputs.len() {
        let empty = form.given(at).is_some_and(|id| form.graph.value(id).ty.numel() == Some(0));
        if empty {
            form.inputs[at] = None;
        }
    }
    Ok(())
}
