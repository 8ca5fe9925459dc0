//! Recognizes layer normalization that is written as means, differences and a root.

use tilewise_tensor::{DType, Tensor};

use super::pattern::{binary, floats, input, operand_of, reduction, scalar, with_scalar};
use super::rewriter::{Rewriter, sweep};
use crate::ops::{Binary, BinaryFn, LayerNormalization, ReduceFn};
use crate::{Graph, GraphError, NodeId, Op, ValueId};

/// Replaces the division at the core of each form, then takes the product and the sum that follow as scale and bias.
pub(super) fn run(graph: &mut Graph) -> Result<usize, GraphError> {
    sweep(graph, |graph, id| Ok(normalized(graph, id)? || scaled(graph, id)))
}

/// `(x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon)` over the last axes.
fn normalized(graph: &mut Rewriter<'_>, id: NodeId) -> Result<bool, GraphError> {
    let &[y] = graph.node(id).outputs.as_slice() else { return Ok(false) };
    let Some((x, axis, epsilon)) = core(graph, y) else { return Ok(false) };
    let ty = &graph.value(x).ty;
    let lengths = ty.shape.iter().flat_map(|shape| &shape[axis..]).map(crate::Dim::known).collect::<Option<Vec<_>>>();
    let Some((lengths, rank)) = lengths.zip(ty.rank()).filter(|_| ty.dtype == DType::F32) else { return Ok(false) };
    let ones = vec![1.0f32; lengths.iter().product()];
    let ones = Tensor::from_slice(&lengths, &ones).map_err(|error| GraphError::Broken(error.to_string()))?;
    let scale = graph.add_constant(&format!("{}/scale", graph.node(id).name), ones);
    let op = LayerNormalization { axis: axis as i64 - rank as i64, epsilon, stash_type: 1 };
    graph.replace(id, op, vec![Some(x), Some(scale)]);
    Ok(true)
}

/// The x, the first axis and the epsilon of a normalization without scale.
fn core(graph: &Graph, y: ValueId) -> Option<(ValueId, usize, f32)> {
    let (centred, root) = match binary(graph, y, BinaryFn::Div) {
        Some([centred, root]) => (centred, root),
        None => {
            let [a, b] = binary(graph, y, BinaryFn::Mul)?;
            let inverse = |id| operand_of(graph, id, tilewise_tensor::Unary::Reciprocal);
            inverse(b).map(|root| (a, root)).or_else(|| Some((b, inverse(a)?)))?
        }
    };
    let (variance, epsilon) =
        with_scalar(graph, operand_of(graph, root, tilewise_tensor::Unary::Sqrt)?, BinaryFn::Add)?;
    let (square, axes, true) = reduction(graph, variance, ReduceFn::Mean)? else { return None };
    let is_square = match (binary(graph, square, BinaryFn::Pow), binary(graph, square, BinaryFn::Mul)) {
        (Some([base, two]), _) => base == centred && scalar(graph, two) == Some(2.0),
        (None, Some(factors)) => factors == [centred, centred],
        (None, None) => false,
    };
    let [x, mean] = binary(graph, centred, BinaryFn::Sub)?;
    let (of, same, true) = reduction(graph, mean, ReduceFn::Mean)? else { return None };
    let rank = graph.value(x).ty.rank()?;
    let first = *axes.first()?;
    let fits = is_square && of == x && same == axes && axes.iter().copied().eq(first..rank);
    fits.then_some((x, first, epsilon as f32))
}

/// A product with, or a sum with, a constant of the normalized lengths after a normalization that has none yet.
fn scaled(graph: &mut Rewriter<'_>, id: NodeId) -> bool {
    let Op::Binary(Binary(function)) = graph.node(id).op else { return false };
    let Some((norm, tensor)) = find_scaled(graph, id, function) else { return false };
    let (op, mut inputs) = (graph.node(norm).op.clone(), graph.node(norm).inputs.clone());
    let name = &graph.node(norm).name;
    if function == BinaryFn::Mul {
        let name = format!("{name}/scale");
        inputs[1] = Some(graph.add_constant(&name, tensor));
    } else {
        let name = format!("{name}/bias");
        inputs.truncate(2);
        inputs.push(Some(graph.add_constant(&name, tensor)));
    }
    graph.absorb(norm, id, op, inputs);
    true
}

fn find_scaled(graph: &Rewriter<'_>, id: NodeId, function: BinaryFn) -> Option<(NodeId, Tensor)> {
    let (a, b) = (input(graph.node(id), 0)?, input(graph.node(id), 1)?);
    let (x, constant) = if graph.constant(b).is_some() { (a, b) } else { (b, a) };
    let norm = graph.sole_producer(x)?;
    let node = graph.node(norm);
    let Op::LayerNormalization(_) = node.op else { return None };
    let scale = input(node, 1)?;
    let lengths = graph.constant(scale)?.stored().shape();
    let unscaled = || floats(graph, scale).is_some_and(|scale| scale.iter().all(|&one| one == 1.0));
    let open = function == BinaryFn::Add || (function == BinaryFn::Mul && unscaled());
    if !open || input(node, 2).is_some() {
        return None;
    }
    let tensor = graph.constant(constant)?.tensor().ok().filter(|tensor| tensor.dtype() == DType::F32)?;
    let lead = tensor.shape().len().checked_sub(lengths.len())?;
    let rank = graph.value(x).ty.rank()?;
    let fits = tensor.shape().len() <= rank
        && tensor.shape()[..lead].iter().all(|&n| n == 1)
        && tensor.shape()[lead..] == *lengths;
    tensor.reshaped(lengths).ok().filter(|_| fits).map(|tensor| (norm, tensor))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, check, check_unchanged};
    use super::*;

    const CORE: &str = "const a: i64[1] = -1
        const two: f32[] = 2
        const e: f32[] = 0.5
        m = ReduceMean(x, a)
        d = Sub(x, m)
        s = Pow(d, two)
        v = ReduceMean(s, a)
        t = Add(v, e)
        r = Sqrt(t)
        n = Div(d, r)";

    #[test]
    fn every_form_becomes_one_node() {
        let after = "input x: f32[2,5,3]
            const n/scale: f32[3] = 1 2 3
            const n/bias: f32[3] = 4 5 6
            y = LayerNormalization(x, n/scale, n/bias) epsilon=0.5
            output y";
        let before = format!(
            "input x: f32[2,5,3]\n{CORE}\nconst g: f32[3] = 1 2 3\nconst b: f32[1,1,3] = 4 5 6\np = Mul(n, g)\ny = Add(b, p)\noutput y"
        );
        let squares =
            before.replace("Pow(d, two)", "Mul(d, d)").replace("n = Div(d, r)", "i = Reciprocal(r)\nn = Mul(i, d)");
        check(
            run,
            &[
                Case { what: "a power and a division", before: &before, after },
                Case { what: "a product and an inverse", before: &squares, after },
            ],
        );
    }

    #[test]
    fn the_last_axes_together_are_normalized_alone() {
        let before = format!("input x: f32[2,2,3]\n{CORE}\noutput n").replace("i64[1] = -1", "i64[2] = 1 2");
        let after = "input x: f32[2,2,3]
            const n/scale: f32[2,3] = 1 1 1 1 1 1
            n = LayerNormalization(x, n/scale) axis=-2 epsilon=0.5
            output n";
        check(run, &[Case { what: "two axes", before: &before, after }]);
        let channels = format!("input x: f32[2,2,3]\n{CORE}\noutput n").replace("i64[1] = -1", "i64[1] = 1");
        let other = format!("input x: f32[2,2,3]\n{CORE}\noutput n").replace("Pow(d, two)", "Pow(x, two)");
        check_unchanged(run, &[("an axis in the middle", &channels), ("the square of something else", &other)]);
    }
}
