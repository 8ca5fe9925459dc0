//! Removes nodes whose result is one of their inputs.

use tilewise_tensor::Unary as Function;

use super::pattern::{are_alike, input, ints, is_nonnegative, scalar};
use super::rewriter::{Rewriter, sweep};
use crate::ops::{AutoPad, Binary, BinaryFn, Unary};
use crate::{Graph, GraphError, Node, NodeId, Op, ValueId};

/// Lets readers of a node that changes nothing read its input.
pub(super) fn run(graph: &mut Graph) -> Result<usize, GraphError> {
    sweep(graph, |graph, id| {
        let Some(x) = unchanged(graph, id) else { return Ok(false) };
        graph.bypass(id, &[x]);
        Ok(true)
    })
}

/// The input that is the first output, where no other output is read.
fn unchanged(graph: &Rewriter<'_>, id: NodeId) -> Option<ValueId> {
    let node = graph.node(id);
    let (&y, rest) = node.outputs.split_first()?;
    if rest.iter().any(|&output| graph.is_read(output)) {
        return None;
    }
    let x = if let Op::Binary(Binary(function)) = node.op { neutral(graph, node, function)? } else { input(node, 0)? };
    let alike = || are_alike(graph, x, y);
    let same = if moves_nothing(&node.op) {
        alike()
    } else if let Op::Unary(Unary(function)) = node.op {
        function == Function::Identity || (function == Function::Relu && is_nonnegative(graph, x))
    } else if let Op::Cast(op) = &node.op {
        graph.value(x).ty.dtype == op.to
    } else if let Op::Pad(_) = &node.op {
        ints(graph, input(node, 1)?)?.iter().all(|&pad| pad == 0)
    } else if let Op::Slice(_) = &node.op {
        let forward = |steps| ints(graph, steps).is_some_and(|steps| steps.iter().all(|&step| step > 0));
        alike() && input(node, 4).is_none_or(forward)
    } else if let Op::Transpose(op) = &node.op {
        op.order(graph.value(x).ty.rank()?).ok()?.is_sorted()
    } else if let Op::MaxPool(op) = &node.op {
        is_point(&op.kernel_shape, &op.pads, op.auto_pad) && alike()
    } else if let Op::AveragePool(op) = &node.op {
        is_point(&op.kernel_shape, &op.pads, op.auto_pad) && alike()
    } else {
        matches!(node.op, Op::Dropout(_)) || (matches!(node.op, Op::Concat(_)) && node.inputs.len() == 1)
    };
    same.then_some(x)
}

/// The other operand of a function whose one operand is constant and changes nothing.
fn neutral(graph: &Graph, node: &Node, function: BinaryFn) -> Option<ValueId> {
    let (a, b) = (input(node, 0)?, input(node, 1)?);
    let is = |id, number: f32| scalar(graph, id) == Some(number);
    let (number, commutes) = match function {
        BinaryFn::Add => (0.0, true),
        BinaryFn::Mul => (1.0, true),
        BinaryFn::Sub => (0.0, false),
        BinaryFn::Div | BinaryFn::Pow => (1.0, false),
        BinaryFn::Min | BinaryFn::Max | BinaryFn::Mod | BinaryFn::FMod | BinaryFn::PRelu => return None,
    };
    if is(b, number) { Some(a) } else { (commutes && is(a, number)).then_some(b) }
}

/// True for operators whose result is their input whenever its lengths are.
fn moves_nothing(op: &Op) -> bool {
    let regroups = matches!(op, Op::Reshape(_) | Op::Flatten(_) | Op::Squeeze(_) | Op::Unsqueeze(_));
    regroups || matches!(op, Op::Binary(_) | Op::Expand(_) | Op::Tile(_) | Op::Split(_))
}

/// A window of one element, without padding; its strides may still leave elements out.
fn is_point(kernel: &[usize], pads: &[usize], auto_pad: AutoPad) -> bool {
    kernel.iter().all(|&n| n == 1) && (pads.iter().all(|&pad| pad == 0) || auto_pad != AutoPad::NotSet)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, check, check_unchanged};
    use super::*;

    #[test]
    fn what_changes_nothing_goes() {
        let nodes = [
            "y = Identity(x)",
            "y = Dropout(x)",
            "y, mask = Dropout(x)",
            "y = Cast(x) to=\"f32\"",
            "const s: i64[4] = 0 0 -1 4\ny = Reshape(x, s)",
            "const s: i64[3] = 3 4 4\ny = Expand(x, s)",
            "const p: i64[8] = 0 0 0 0 0 0 0 0\ny = Pad(x, p)",
            "const s: i64[1] = 0\nconst e: i64[1] = 9\nconst a: i64[1] = 2\nconst t: i64[1] = 1\ny = Slice(x, s, e, a, t)",
            "y = Transpose(x) perm=[0,1,2,3]",
            "y = Concat(x) axis=1",
            "const c: f32[1,1] = 1\ny = Mul(c, x)",
            "const c: f32[] = 0\ny = Sub(x, c)",
            "y = MaxPool(x) kernel_shape=[1,1]",
            "const r: i64[4] = 1 1 1 1\nu = Tile(x, r)\nv = Identity(u)\nw = Dropout(v)\ny = Identity(w)",
        ];
        for node in nodes {
            let before = format!("input x: f32[N,3,4,4]\n{node}\nz = Sigmoid(y)\noutput y\noutput z");
            let after = "input x: f32[N,3,4,4]\nz = Sigmoid(x)\noutput y = x\noutput z";
            check(run, &[Case { what: node, before: &before, after }]);
        }
    }

    #[test]
    fn what_changes_something_stays() {
        let nodes = [
            "y, mask = Dropout(x)\noutput mask",
            "const s: i64[1] = -1\nconst e: i64[1] = -9\nconst a: i64[1] = 2\ny = Slice(x, s, e, a, s)",
            "const p: i64[6] = 0 0 1 0 0 -1\ny = Pad(x, p)",
            "y = Transpose(x) perm=[0,2,1]",
            "const c: f32[1,1,1,1] = 1\ny = Mul(c, x)",
            "const c: f32[] = 0\ny = Sub(c, x)",
            "y = MaxPool(x) kernel_shape=[1] strides=[2]",
            "const s: i64[2] = -1 4\ny = Reshape(x, s)",
        ];
        for node in nodes {
            check_unchanged(run, &[(node, &format!("input x: f32[N,4,4]\n{node}\noutput y"))]);
        }
    }
}
