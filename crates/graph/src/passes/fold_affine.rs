//! Folds batch norms, and products and sums with a constant a channel, into the weights and the bias of the
//! convolution or matrix product beside them.

use std::sync::Arc;

use tilewise_tensor::{DType, Tensor, Unary};

use super::affine::Affine;
use super::pattern::{floats, input};
use super::rewriter::{Rewriter, sweep};
use crate::ops::{AutoPad, Conv};
use crate::{Constant, Graph, GraphError, NodeId, Op, ValueId};

/// Folds what follows a product into it, then what a convolution reads into the convolution. A convolution that adds
/// zeros around its input takes no shift from before: the zeros would have to be shifted too.
pub(super) fn run(graph: &mut Graph) -> Result<usize, GraphError> {
    sweep(graph, |graph, id| Ok(fold_after(graph, id) || fold_before(graph, id)))
}

/// What a fold needs of a product with constant f32 weights.
struct Product {
    /// The axis of the result that channels lie along.
    axis: usize,
    channels: usize,
    /// Groups of channels, for ConvTranspose.
    group: usize,
    /// The weights' axis of output channels within a group.
    weight_axis: usize,
    weights: ValueId,
    bias: Vec<f64>,
}

impl Product {
    /// A product that is the last word on its result: no residual, no function.
    fn of(graph: &Graph, id: NodeId) -> Option<Product> {
        let node = graph.node(id);
        let result = &graph.value(*node.outputs.first()?).ty;
        let last = result.rank()?.checked_sub(1)?;
        let (axis, weight_axis, group, beta, activation) = if let Op::Conv(op) = &node.op {
            (1, 0, 1, 1.0, op.activation)
        } else if let Op::ConvTranspose(op) = &node.op {
            (1, 1, op.group, 1.0, op.activation)
        } else if let Op::Gemm(op) = &node.op {
            (last, usize::from(!op.transB), 1, op.beta, op.activation)
        } else if let Op::MatMul(op) = &node.op {
            (last, 1, 1, 1.0, op.activation)
        } else {
            return None;
        };
        let weights = input(node, 1)?;
        let stored = graph.constant(weights)?.stored();
        let is_matrix = matches!(node.op, Op::MatMul(_) | Op::Gemm(_));
        let plain = activation == Unary::Identity && input(node, 3).is_none();
        if !plain
            || result.dtype != DType::F32
            || stored.dtype() != DType::F32
            || (is_matrix && stored.shape().len() != 2)
        {
            return None;
        }
        let channels = stored.shape().get(weight_axis)?.checked_mul(group)?;
        let bias = match input(node, 2) {
            None => vec![0.0; channels],
            Some(bias) => bias_of(graph, bias, channels)?.into_iter().map(|b| b * f64::from(beta)).collect(),
        };
        Some(Product { axis, channels, group, weight_axis, weights, bias })
    }

    /// The weights with each output channel scaled: without touching them where that axis is the first, so that
    /// weights mapped from a file are not copied.
    fn scaled(&self, graph: &Graph, scale: &[f64]) -> Option<Constant> {
        let constant = graph.constant(self.weights)?;
        if self.weight_axis == 0 {
            let before = if let Constant::Scaled { scale, .. } = constant { Some(scale) } else { None };
            let factor = |(c, s): (usize, &f64)| (s * before.map_or(1.0, |before| f64::from(before[c]))) as f32;
            let scale: Arc<[f32]> = scale.iter().enumerate().map(factor).collect();
            return Some(Constant::Scaled { base: constant.stored().clone(), scale });
        }
        let tensor = constant.tensor().ok()?;
        let shape = tensor.shape();
        let (inner, length) = (shape[2..].iter().product::<usize>(), shape[1]);
        let rows_per_group = (shape[0] / self.group).max(1);
        let channel = |i: usize| i / (inner * length) / rows_per_group * length + i / inner % length;
        let values = tensor.values::<f32>().ok()?;
        let scaled: Vec<f32> =
            values.iter().enumerate().map(|(i, &w)| (f64::from(w) * scale[channel(i)]) as f32).collect();
        Tensor::from_slice(shape, &scaled).ok().map(Constant::Dense)
    }
}

/// A constant bias, one number a channel; a single number stands for all.
fn bias_of(graph: &Graph, bias: ValueId, channels: usize) -> Option<Vec<f64>> {
    let shape = graph.constant(bias)?.stored().shape();
    let is_row =
        shape.split_last().is_none_or(|(&last, lead)| lead.iter().all(|&n| n == 1) && [1, channels].contains(&last));
    let numbers = floats(graph, bias).filter(|_| is_row)?;
    Some((0..channels).map(|c| f64::from(if numbers.len() == 1 { numbers[0] } else { numbers[c] })).collect())
}

/// Folds node `id` into the product that it alone reads.
fn fold_after(graph: &mut Rewriter<'_>, id: NodeId) -> bool {
    let Some((product, affine, found)) = find_after(graph, id) else { return false };
    let node = graph.node(product);
    let (name, mut op, mut inputs) = (node.name.clone(), node.op.clone(), node.inputs.clone());
    if affine.scale.iter().any(|&scale| scale != 1.0) {
        let Some(weights) = found.scaled(graph, &affine.scale) else { return false };
        inputs[1] = Some(graph.add_stored(&format!("{name}/weights"), weights));
    }
    let bias = found.bias.iter().zip(affine.scale.iter().zip(&affine.shift)).map(|(b, (s, t))| (b * s + t) as f32);
    let bias: Vec<f32> = bias.collect();
    set_bias(graph, &name, &mut inputs, &bias);
    if let Op::Gemm(op) = &mut op {
        op.beta = 1.0;
    }
    graph.absorb(product, id, op, inputs);
    true
}

fn find_after(graph: &Rewriter<'_>, id: NodeId) -> Option<(NodeId, Affine, Product)> {
    let operands = graph.node(id).inputs.iter().take(2).flatten();
    let product = operands.filter_map(|&x| graph.sole_producer(x)).find(|&id| Product::of(graph, id).is_some())?;
    let found = Product::of(graph, product)?;
    let (x, affine) = Affine::of(graph, id, found.axis)?;
    let same_rank = graph.value(x).ty.rank() == graph.value(*graph.node(id).outputs.first()?).ty.rank();
    let fits = graph.sole_producer(x) == Some(product) && same_rank && affine.scale.len() == found.channels;
    fits.then_some((product, affine, found))
}

/// Folds the affine node whose result convolution `id` alone reads into the convolution.
fn fold_before(graph: &mut Rewriter<'_>, id: NodeId) -> bool {
    let Some((x, affine)) = find_before(graph, id) else { return false };
    let node = graph.node(id);
    let (name, op, mut inputs) = (node.name.clone(), node.op.clone(), node.inputs.clone());
    let Op::Conv(conv) = &op else { return false };
    let Some((weights, sums)) = input(node, 1).and_then(|w| scaled_inputs(graph, conv, w, &affine)) else {
        return false;
    };
    let bias = match input(node, 2) {
        None => Some(vec![0.0; sums.len()]),
        Some(bias) => bias_of(graph, bias, sums.len()),
    };
    let Some(bias) = bias else { return false };
    let bias: Vec<f32> = bias.iter().zip(&sums).map(|(b, s)| (b + s) as f32).collect();
    inputs[0] = Some(x);
    inputs[1] = Some(graph.add_constant(&format!("{name}/weights"), weights));
    set_bias(graph, &name, &mut inputs, &bias);
    graph.replace(id, op, inputs);
    true
}

fn find_before(graph: &Rewriter<'_>, id: NodeId) -> Option<(ValueId, Affine)> {
    let node = graph.node(id);
    let Op::Conv(conv) = &node.op else { return None };
    let (x, affine) = Affine::of(graph, graph.sole_producer(input(node, 0)?)?, 1)?;
    let weights = graph.constant(input(node, 1)?)?.stored();
    let is_point = weights.shape().get(2..)?.iter().all(|&n| n == 1);
    let no_pads = conv.pads.iter().all(|&pad| pad == 0) || conv.auto_pad != AutoPad::NotSet;
    let unpadded = no_pads && (is_point || matches!(conv.auto_pad, AutoPad::NotSet | AutoPad::Valid));
    let same_rank = graph.value(x).ty.rank() == Some(weights.shape().len());
    (weights.dtype() == DType::F32 && same_rank && (affine.is_linear() || unpadded)).then_some((x, affine))
}

/// A convolution's weights with each input channel scaled, and for each output channel what the shifts sum up to.
fn scaled_inputs(graph: &Graph, conv: &Conv, weights: ValueId, affine: &Affine) -> Option<(Tensor, Vec<f64>)> {
    let tensor = graph.constant(weights)?.tensor().ok()?;
    let &[oc, icg, ..] = tensor.shape() else { return None };
    if icg * conv.group != affine.scale.len() || !oc.is_multiple_of(conv.group) || tensor.numel() == 0 {
        return None;
    }
    let taps = tensor.numel() / (oc * icg);
    let mut sums = vec![0.0; oc];
    let mut values = tensor.values::<f32>().ok()?.into_owned();
    for (row, part) in values.chunks_mut(taps).enumerate() {
        let (o, i) = (row / icg, row % icg);
        let channel = o / (oc / conv.group) * icg + i;
        sums[o] += part.iter().map(|&w| f64::from(w)).sum::<f64>() * affine.shift[channel];
        part.iter_mut().for_each(|w| *w = (f64::from(*w) * affine.scale[channel]) as f32);
    }
    Some((Tensor::from_slice(tensor.shape(), &values).ok()?, sums))
}

/// Makes `bias` the third input; none where it is zero and there was none.
fn set_bias(graph: &mut Rewriter<'_>, name: &str, inputs: &mut Vec<Option<ValueId>>, bias: &[f32]) {
    let given = inputs.get(2).is_some_and(Option::is_some);
    if given || bias.iter().any(|&b| b != 0.0) {
        inputs.resize(inputs.len().max(3), None);
        inputs[2] = Some(graph.add_constant(&format!("{name}/bias"), Tensor::vector(bias)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, check, check_unchanged};
    use super::*;

    const NORM: &str = "const g: f32[2] = 1 3
        const b: f32[2] = 5 6
        const m: f32[2] = 1 2
        const v: f32[2] = 4 9\n";

    /// Texts with the parameters of a batch norm, scale 0.5 and 1, shift 4.5 and 4, in front of the first node.
    fn case(what: &str, before: &str, after: &str) {
        check(run, &[Case { what, before: &format!("{NORM}{before}"), after }]);
    }

    #[test]
    fn a_batch_norm_after_a_product_scales_its_weights() {
        case(
            "a convolution, twice",
            "input x: f32[N,1,3,3]
             const w: f32[2,1,1,1] = 3 4
             p = Conv(x, w)
             q = BatchNormalization(p, g, b, m, v) epsilon=0.0
             y = BatchNormalization(q, g, b, m, v) epsilon=0.0
             output y",
            "input x: f32[N,1,3,3]
             const p/weights: f32[2,1,1,1] = 3 4 scaled 0.25 1
             const p/bias: f32[2] = 6.75 8
             y = Conv(x, p/weights, p/bias)
             output y",
        );
        case(
            "a transposed convolution in groups",
            "input x: f32[1,4,2,2]
             const w: f32[4,1,1,1] = 1 2 3 4
             const c: f32[2] = 2 2
             p = ConvTranspose(x, w, c) group=2
             y = BatchNormalization(p, g, b, m, v) epsilon=0.0
             output y",
            "input x: f32[1,4,2,2]
             const p/weights: f32[4,1,1,1] = 0.5 1 3 4
             const p/bias: f32[2] = 5.5 6
             y = ConvTranspose(x, p/weights, p/bias) group=2
             output y",
        );
        case(
            "matrices as they stand and transposed",
            "input x: f32[3,2]
             const w: f32[2,2] = 1 2 3 4
             const c: f32[1,2] = 2 2
             p = Gemm(x, w, c) beta=0.5
             q = BatchNormalization(p, g, b, m, v) epsilon=0.0
             r = Gemm(q, w) transB=1 alpha=0.5
             y = BatchNormalization(r, g, b, m, v) epsilon=0.0
             output y",
            "input x: f32[3,2]
             const p/weights: f32[2,2] = 0.5 2 1.5 4
             const p/bias: f32[2] = 5 5
             q = Gemm(x, p/weights, p/bias)
             const r/weights: f32[2,2] = 1 2 3 4 scaled 0.5 1
             const r/bias: f32[2] = 4.5 4
             y = Gemm(q, r/weights, r/bias) alpha=0.5 transB=1
             output y",
        );
    }

    #[test]
    fn a_constant_a_channel_is_folded_like_a_batch_norm() {
        case(
            "all four operations, and scalars",
            "input x: f32[1,1,2,2]
             const w: f32[2,1,1,1] = 3 4
             const c: f32[1,2,1,1] = 1 2
             const d: f32[2,1,1] = 2 4
             const e: f32[] = 10
             p = Conv(x, w)
             q = Add(c, p)
             r = Mul(q, d)
             s = Sub(r, d)
             t = Div(s, d)
             y = Sub(e, t)
             output y",
            "input x: f32[1,1,2,2]
             const p/weights: f32[2,1,1,1] = 3 4 scaled -1 -1
             const p/bias: f32[2] = 10 9
             y = Conv(x, p/weights, p/bias)
             output y",
        );
        case(
            "a sum after a matrix product is its bias",
            "input x: f32[4,3,2]
             const w: f32[2,2] = 1 2 3 4
             const c: f32[2] = 1 2
             p = MatMul(x, w)
             y = Add(p, c)
             output y",
            "input x: f32[4,3,2]
             const w: f32[2,2] = 1 2 3 4
             const p/bias: f32[2] = 1 2
             y = MatMul(x, w, p/bias)
             output y",
        );
    }

    #[test]
    fn what_a_convolution_reads_is_folded_where_no_zeros_are_added() {
        case(
            "a batch norm before a convolution in groups, and a mean taken off an image",
            "input x: f32[1,2,3,3]
             const w: f32[2,1,1,2] = 1 2 3 4
             const mean: f32[1,2,1,1] = 2 4
             const c: f32[2] = 1 1
             p = Sub(x, mean)
             q = BatchNormalization(p, g, b, m, v) epsilon=0.0
             y = Conv(q, w, c) group=2 activation=\"Relu\"
             output y",
            "input x: f32[1,2,3,3]
             const y/weights: f32[2,1,1,2] = 0.5 1 3 4
             const y/bias: f32[2] = 11.5 1
             y = Conv(x, y/weights, y/bias) group=2 activation=\"Relu\"
             output y",
        );
        case(
            "a factor before a convolution that adds zeros",
            "input x: f32[1,1,3,3]
             const f: f32[] = 2
             const w: f32[1,1,3,1] = 1 2 3
             p = Mul(x, f)
             y = Conv(p, w) pads=[1,0,1,0]
             output y",
            "input x: f32[1,1,3,3]
             const y/weights: f32[1,1,3,1] = 2 4 6
             y = Conv(x, y/weights) pads=[1,0,1,0]
             output y",
        );
    }

    #[test]
    fn what_is_not_a_number_a_channel_stays() {
        let head = "input x: f32[1,2,2,2]\nconst w: f32[2,2,1,1] = 1 2 3 4\n";
        let cases = [
            ("the wrong axis", "p = Conv(x, w)\nconst c: f32[2] = 1 2\ny = Add(p, c)\noutput y"),
            ("one more axis", "p = Conv(x, w)\nconst c: f32[1,1,1,1,1] = 1\ny = Add(p, c)\noutput y"),
            ("a function between", "p = Conv(x, w) activation=\"Relu\"\nconst c: f32[] = 1\ny = Add(p, c)\noutput y"),
            ("another reader", "p = Conv(x, w)\nconst c: f32[] = 1\ny = Add(p, c)\noutput y\noutput p"),
            ("a shift before zeros", "const c: f32[] = 1\np = Add(x, c)\ny = Conv(p, w) pads=[1,1,1,1]\noutput y"),
        ];
        for (what, tail) in cases {
            check_unchanged(run, &[(what, &format!("{head}{tail}"))]);
        }
    }
}
