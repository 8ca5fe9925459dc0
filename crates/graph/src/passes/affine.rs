//! Functions `scale x + shift` with a pair of numbers a channel, as batch norms and their decomposed forms are.

use tilewise_tensor::{DType, Tensor};

use super::pattern::{floats, input};
use crate::ops::{Binary, BinaryFn};
use crate::{Graph, GraphError, NodeId, Op, ValueId};

/// `scale[c] x + shift[c]` for channel c.
pub(super) struct Affine {
    pub(super) scale: Vec<f64>,
    pub(super) shift: Vec<f64>,
}

impl Affine {
    /// A node as an affine function of one of its inputs, whose channels lie along `axis`.
    pub(super) fn of(graph: &Graph, id: NodeId, axis: usize) -> Option<(ValueId, Affine)> {
        let node = graph.node(id);
        if matches!(node.op, Op::BatchNormalization(_)) {
            return Some((input(node, 0)?, Affine::of_batch_norm(graph, id)?)).filter(|_| axis == 1);
        }
        let Op::Binary(Binary(function)) = node.op else { return None };
        let (a, b) = (input(node, 0)?, input(node, 1)?);
        let (x, constant, reversed) = if graph.constant(b).is_some() { (a, b, false) } else { (b, a, true) };
        let numbers: Vec<f64> = channel_numbers(graph, constant, x, axis)?;
        let of = |scale: fn(f64) -> f64, shift: fn(f64) -> f64| Affine {
            scale: numbers.iter().copied().map(scale).collect(),
            shift: numbers.iter().copied().map(shift).collect(),
        };
        let affine = match (function, reversed) {
            (BinaryFn::Add, _) => of(|_| 1.0, |c| c),
            (BinaryFn::Mul, _) => of(|c| c, |_| 0.0),
            (BinaryFn::Sub, false) => of(|_| 1.0, |c| -c),
            (BinaryFn::Sub, true) => of(|_| -1.0, |c| c),
            (BinaryFn::Div, false) if !numbers.contains(&0.0) => of(|c| 1.0 / c, |_| 0.0),
            _ => return None,
        };
        Some((x, affine))
    }

    /// A batch norm whose parameters are f32 constants.
    pub(super) fn of_batch_norm(graph: &Graph, id: NodeId) -> Option<Affine> {
        let node = graph.node(id);
        let Op::BatchNormalization(op) = &node.op else { return None };
        if op.training_mode || graph.value(input(node, 0)?).ty.dtype != DType::F32 {
            return None;
        }
        let parameter = |index| floats(graph, input(node, index)?);
        let (gamma, beta, mean, variance) = (parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?);
        let epsilon = f64::from(op.epsilon);
        let scale: Vec<f64> =
            gamma.iter().zip(&variance).map(|(&g, &v)| f64::from(g) / (f64::from(v) + epsilon).sqrt()).collect();
        let shift =
            scale.iter().zip(beta.iter().zip(&mean)).map(|(s, (&b, &m))| f64::from(b) - s * f64::from(m)).collect();
        Some(Affine { scale, shift })
    }

    /// The affine function that has nothing to add.
    pub(super) fn is_linear(&self) -> bool {
        self.shift.iter().all(|&shift| shift == 0.0)
    }

    /// Scale and shift as f32 tensors of a shape with as many elements.
    pub(super) fn tensors(&self, shape: &[usize]) -> Result<[Tensor; 2], GraphError> {
        let tensor = |values: &[f64]| {
            let values: Vec<f32> = values.iter().map(|&x| x as f32).collect();
            Tensor::from_slice(shape, &values).map_err(|error| GraphError::Broken(error.to_string()))
        };
        Ok([tensor(&self.scale)?, tensor(&self.shift)?])
    }
}

/// The number that an f32 constant has for each channel of `x`, where broadcasting gives it one for each.
fn channel_numbers(graph: &Graph, constant: ValueId, x: ValueId, axis: usize) -> Option<Vec<f64>> {
    let ty = &graph.value(x).ty;
    let shape = ty.shape.as_ref().filter(|_| ty.dtype == DType::F32)?;
    let channels = shape.get(axis)?.known()?;
    let from = graph.constant(constant)?.stored().shape();
    let lead = shape.len().checked_sub(from.len())?;
    let fits = from.iter().enumerate().all(|(i, &n)| n == 1 || (n == channels && i + lead == axis));
    if !fits {
        return None;
    }
    let numbers = floats(graph, constant)?;
    Some((0..channels).map(|c| f64::from(if numbers.len() == 1 { numbers[0] } else { numbers[c] })).collect())
}
