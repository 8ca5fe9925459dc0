//! Convolutions and matrix products with constant weights, as folds into those weights see them.

use std::sync::Arc;

use tilewise_tensor::{DType, Tensor, Unary as Function};

use super::pattern::{floats, input};
use super::rewriter::Rewriter;
use crate::{Constant, Graph, NodeId, Op, ValueId};

/// The function that an operator applies last, for those that have one.
pub(super) fn activation(op: &mut Op) -> Option<&mut Function> {
    if let Op::Conv(op) = op {
        Some(&mut op.activation)
    } else if let Op::ConvTranspose(op) = op {
        Some(&mut op.activation)
    } else if let Op::Gemm(op) = op {
        Some(&mut op.activation)
    } else if let Op::MatMul(op) = op {
        Some(&mut op.activation)
    } else {
        None
    }
}

/// True for an operator that could apply a function last, and applies none.
pub(super) fn has_no_activation(op: &Op) -> bool {
    activation(&mut op.clone()).is_some_and(|function| *function == Function::Identity)
}

/// What a fold needs of a product with constant f32 weights.
pub(super) struct Product {
    /// The axis of the result that channels lie along.
    pub(super) axis: usize,
    pub(super) channels: usize,
    /// Groups of channels, for ConvTranspose.
    group: usize,
    /// The weights' axis of output channels within a group.
    weight_axis: usize,
    weights: ValueId,
    /// What is added to each channel.
    pub(super) bias: Vec<f64>,
}

impl Product {
    /// A product that is the last word on its result: no residual, no function.
    pub(super) fn of(graph: &Graph, id: NodeId) -> Option<Product> {
        let node = graph.node(id);
        let result = &graph.value(*node.outputs.first()?).ty;
        let last = result.rank()?.checked_sub(1)?;
        let (axis, weight_axis, group, beta) = if let Op::Conv(_) = &node.op {
            (1, 0, 1, 1.0)
        } else if let Op::ConvTranspose(op) = &node.op {
            (1, 1, op.group, 1.0)
        } else if let Op::Gemm(op) = &node.op {
            (last, usize::from(!op.transB), 1, op.beta)
        } else if let Op::MatMul(_) = &node.op {
            (last, 1, 1, 1.0)
        } else {
            return None;
        };
        let weights = input(node, 1)?;
        let stored = graph.constant(weights)?.stored();
        let is_matrix = matches!(node.op, Op::MatMul(_) | Op::Gemm(_));
        let plain = has_no_activation(&node.op) && input(node, 3).is_none();
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
    pub(super) fn scaled(&self, graph: &Graph, scale: &[f64]) -> Option<Constant> {
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
        let rows = (shape[0] / self.group).max(1);
        let channel = |i: usize| i / (inner * length) / rows * length + i / inner % length;
        let values = tensor.values::<f32>().ok()?;
        let scaled: Vec<f32> =
            values.iter().enumerate().map(|(i, &w)| (f64::from(w) * scale[channel(i)]) as f32).collect();
        Tensor::from_slice(shape, &scaled).ok().map(Constant::Dense)
    }
}

/// A constant bias, one number a channel; a single number stands for all.
pub(super) fn bias_of(graph: &Graph, bias: ValueId, channels: usize) -> Option<Vec<f64>> {
    let shape = graph.constant(bias)?.stored().shape();
    let is_row =
        shape.split_last().is_none_or(|(&last, lead)| lead.iter().all(|&n| n == 1) && [1, channels].contains(&last));
    let numbers = floats(graph, bias).filter(|_| is_row)?;
    Some((0..channels).map(|c| f64::from(if numbers.len() == 1 { numbers[0] } else { numbers[c] })).collect())
}

/// Makes `bias` the third input; none where it is zero and there was none.
pub(super) fn set_bias(graph: &mut Rewriter<'_>, name: &str, inputs: &mut Vec<Option<ValueId>>, bias: &[f32]) {
    let given = inputs.get(2).is_some_and(Option::is_some);
    if given || bias.iter().any(|&b| b != 0.0) {
        inputs.resize(inputs.len().max(3), None);
        inputs[2] = Some(graph.add_constant(&format!("{name}/bias"), Tensor::vector(bias)));
    }
}
