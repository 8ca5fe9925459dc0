//! Recognizes poolings of whole planes that are written as reductions or as windows of the plane's size.

use super::pattern::{input, reduction};
use super::rewriter::{Rewriter, sweep};
use crate::ops::{Flatten, GlobalAveragePool, GlobalMaxPool, ReduceFn, Window};
use crate::{Dim, Graph, GraphError, Node, NodeId, Op, ValueId, ValueType};

/// Replaces them by GlobalAveragePool and GlobalMaxPool, with a Flatten where the axes are not kept.
pub(super) fn run(graph: &mut Graph) -> Result<usize, GraphError> {
    sweep(graph, |graph, id| Ok(reduced_plane(graph, id) || covered_plane(graph, id)))
}

/// The mean or the largest element along all axes but the first two.
fn reduced_plane(graph: &mut Rewriter<'_>, id: NodeId) -> bool {
    let Some(&y) = graph.node(id).outputs.first() else { return false };
    let mean = reduction(graph, y, ReduceFn::Mean).map(|found| (Op::from(GlobalAveragePool {}), found));
    let largest = || reduction(graph, y, ReduceFn::Max).map(|found| (Op::from(GlobalMaxPool {}), found));
    let Some((op, (x, axes, keepdims))) = mean.or_else(largest) else { return false };
    let ty = graph.value(x).ty.clone();
    let shape = ty.shape.unwrap_or_default();
    let is_plane = shape.len() >= 3 && axes.iter().copied().eq(2..shape.len());
    if !is_plane || !ty.dtype.is_float() || shape.contains(&Dim::Known(0)) {
        return false;
    }
    if keepdims {
        graph.replace(id, op, vec![Some(x)]);
        return true;
    }
    let mut pooled = shape;
    pooled[2..].fill(Dim::Known(1));
    let name = format!("{}/pooled", graph.node(id).name);
    let pooled = graph.add_node(&name, op, &[x], ValueType::new(ty.dtype, pooled));
    graph.replace(id, Flatten { axis: 1 }, vec![Some(pooled)]);
    true
}

/// A window that covers the whole plane, so that there is one.
fn covered_plane(graph: &mut Rewriter<'_>, id: NodeId) -> bool {
    let Some((x, op)) = covering(graph, graph.node(id)) else { return false };
    graph.replace(id, op, vec![Some(x)]);
    true
}

fn covering(graph: &Graph, node: &Node) -> Option<(ValueId, Op)> {
    let x = input(node, 0)?;
    let ty = &graph.value(x).ty;
    let spatial: Vec<usize> = ty.shape.as_ref()?.get(2..)?.iter().map(Dim::known).collect::<Option<_>>()?;
    let (window, op): (Window, Op) = if let Op::AveragePool(op) = &node.op {
        (op.window(&spatial).ok()?, GlobalAveragePool {}.into())
    } else if let Op::MaxPool(op) = &node.op {
        (op.window(&spatial).ok()?, GlobalMaxPool {}.into())
    } else {
        return None;
    };
    let unpadded = window.before.iter().chain(&window.after).all(|&pad| pad == 0);
    let undilated = window.dilations.iter().all(|&distance| distance == 1);
    let is_one = window.output.iter().all(|&n| n == 1);
    let is_whole = window.kernel == window.input && unpadded && undilated && is_one;
    (is_whole && ty.dtype.is_float() && node.outputs.len() == 1).then_some((x, op))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, check, check_unchanged};
    use super::*;

    #[test]
    fn whole_planes_are_pooled_globally() {
        let forms = [
            ("const a: i64[2] = 2 3\ny = ReduceMean(x, a)", "y = GlobalAveragePool(x)"),
            ("const a: i64[2] = -1 -2\ny = ReduceMax(x, a)", "y = GlobalMaxPool(x)"),
            (
                "const a: i64[2] = -1 -2\ny = ReduceMean(x, a) keepdims=0",
                "y/pooled = GlobalAveragePool(x)\ny = Flatten(y/pooled)",
            ),
            ("y = AveragePool(x) kernel_shape=[3,4] strides=[3,1]", "y = GlobalAveragePool(x)"),
            ("y = MaxPool(x) kernel_shape=[3,4]", "y = GlobalMaxPool(x)"),
        ];
        for (before, after) in forms {
            let graph = |nodes| format!("input x: f32[N,2,3,4]\n{nodes}\noutput y");
            check(run, &[Case { what: before, before: &graph(before), after: &graph(after) }]);
        }
    }

    #[test]
    fn other_poolings_stay() {
        let nodes = [
            "const a: i64[1] = 3\ny = ReduceMean(x, a)",
            "const a: i64[2] = 1 2\ny = ReduceMean(x, a)",
            "y = AveragePool(x) kernel_shape=[3,3]",
            "y = AveragePool(x) kernel_shape=[3,4] pads=[1,0,0,0] strides=[3,1]",
            "y, at = MaxPool(x) kernel_shape=[3,4]\noutput at",
        ];
        for node in nodes {
            check_unchanged(run, &[(node, &format!("input x: f32[N,2,3,4]\n{node}\noutput y"))]);
        }
    }
}
