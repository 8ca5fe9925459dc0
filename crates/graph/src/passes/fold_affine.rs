//! Folds batch norms, and products and sums with a constant a channel, into the weights and the bias of the
//! convolution or matrix product beside them.

use tilewise_tensor::{DType, Tensor};

use super::affine::Affine;
use super::pattern::input;
use super::product::{Product, bias_of, set_bias};
use super::rewriter::{Rewriter, sweep};
use crate::ops::{AutoPad, Conv, Gemm};
use crate::{Graph, GraphError, NodeId, Op, ValueId};

/// Folds what follows a product into it, then what a convolution reads into the convolution. A convolution that adds
/// zeros around its input takes no shift from before: the zeros would have to be shifted too.
pub(super) fn run(graph: &mut Graph) -> Result<usize, GraphError> {
    sweep(graph, |graph, id| Ok(fold_factors(graph, id) || fold_after(graph, id) || fold_before(graph, id)))
}

/// Folds the two factors of a Gemm into its weights and its bias.
fn fold_factors(graph: &mut Rewriter<'_>, id: NodeId) -> bool {
    let Op::Gemm(gemm) = graph.node(id).op.clone() else { return false };
    let (name, mut inputs) = (graph.node(id).name.clone(), graph.node(id).inputs.clone());
    let Some(found) = Product::of(graph, id).filter(|_| (gemm.alpha, gemm.beta) != (1.0, 1.0)) else { return false };
    if gemm.alpha != 1.0 {
        let Some(weights) = found.scaled(graph, &vec![gemm.alpha.into(); found.channels]) else { return false };
        inputs[1] = Some(graph.add_stored(&format!("{name}/weights"), weights));
    }
    let bias: Vec<f32> = found.bias.iter().map(|&b| b as f32).collect();
    set_bias(graph, &name, &mut inputs, &bias);
    graph.replace(id, Gemm { alpha: 1.0, beta: 1.0, ..gemm }, inputs);
    true
}

/// Folds node `id` into the product that it alone reads.
fn fold_after(graph: &mut Rewriter<'_>, id: NodeId) -> bool {
    let Some((product, affine, found)) = find_after(graph, id) else { return false };
    let node = graph.node(product);
    let (name, op, mut inputs) = (node.name.clone(), node.op.clone(), node.inputs.clone());
    if affine.scale.iter().any(|&scale| scale != 1.0) {
        let Some(weights) = found.scaled(graph, &affine.scale) else { return false };
        inputs[1] = Some(graph.add_stored(&format!("{name}/weights"), weights));
    }
    let bias = found.bias.iter().zip(affine.scale.iter().zip(&affine.shift)).map(|(b, (s, t))| (b * s + t) as f32);
    let bias: Vec<f32> = bias.collect();
    set_bias(graph, &name, &mut inputs, &bias);
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
             const r/weights: f32[2,2] = 1 2 3 4 scaled 0.25 0.5
             const r/bias: f32[2] = 4.5 4
             y = Gemm(q, r/weights, r/bias) transB=1
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
