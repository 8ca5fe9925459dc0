//! Operators that are values: constants, identities, and dropouts that drop nothing.

use tilewise_graph::OpError;
use tilewise_tensor::Tensor;

use super::Form;

/// `Constant`: the value in whichever attribute holds it.
pub(super) fn constant(form: &mut Form<'_>) -> Result<(), OpError> {
    let value = form.attributes.tensors.remove("value");
    let single = form.take::<f32>("value_float")?.map(Tensor::scalar);
    let several = form.take::<Vec<f32>>("value_floats")?.map(|x| Tensor::vector(&x));
    let integer = form.take::<i64>("value_int")?.map(Tensor::scalar);
    let integers = form.take::<Vec<i64>>("value_ints")?.map(|x| Tensor::vector(&x));
    if let Some(name) = form.attributes.map.0.keys().find(|name| name.starts_with("value")) {
        return Err(OpError::unsupported(format!("a constant in {name}")));
    }
    let mut given = [value, single, several, integer, integers].into_iter().flatten();
    let (Some(tensor), None) = (given.next(), given.next()) else {
        return Err(OpError::invalid("expected one attribute that holds the value"));
    };
    let name = form.outputs.first().map_or(form.node, String::as_str);
    form.values = Some(vec![form.graph.add_constant(name, tensor)]);
    Ok(())
}

/// `Identity`: the output is the input.
pub(super) fn identity(form: &mut Form<'_>) -> Result<(), OpError> {
    form.values = Some(vec![form.input(0)?]);
    Ok(())
}

/// `ConstantOfShape`: the value is an input of the graph's operator, exact for every element type.
pub(super) fn constant_of_shape(form: &mut Form<'_>) -> Result<(), OpError> {
    let shape = form.input(0)?;
    if let Some(value) = form.attributes.tensors.remove("value") {
        let id = form.constant("value", value);
        form.inputs = vec![Some(shape), Some(id)];
    }
    Ok(())
}

/// `Dropout` when the network runs: the output is the input, and the mask, which few read, says that all is kept.
/// Training is asked for by the third input, and drops nothing where the ratio is zero.
pub(super) fn dropout(form: &mut Form<'_>) -> Result<(), OpError> {
    let zero = |at: usize| form.constant_input(at).is_some_and(|tensor| tensor.bytes().iter().all(|&byte| byte == 0));
    if form.given(2).is_some() && !zero(2) && !zero(1) {
        return Err(OpError::unsupported("training"));
    }
    form.take::<f32>("ratio")?;
    form.inputs.truncate(1);
    if form.reads_output(1) { Ok(()) } else { identity(form) }
}
