//! Merges what only moves axes: chains of Reshape, Flatten, Squeeze and Unsqueeze, chains of Transpose, and a Transpose
//! that moves no element.

use tilewise_tensor::Tensor;

use super::pattern::{are_alike, input};
use super::rewriter::{Rewriter, sweep};
use crate::ops::{Reshape, Transpose};
use crate::{Dim, Graph, GraphError, NodeId, Op, ValueId};

/// Lets each node of a chain read what the chain reads, as one Reshape or one Transpose.
pub(super) fn run(graph: &mut Graph) -> Result<usize, GraphError> {
    sweep(graph, |graph, id| Ok(merge_transposes(graph, id) || merge_reshapes(graph, id)))
}

fn merge_transposes(graph: &mut Rewriter<'_>, id: NodeId) -> bool {
    let Some((x, outer)) = transposed(graph, id) else { return false };
    let Some((x, inner)) = graph.producer(x).and_then(|(id, _)| transposed(graph, id)) else { return false };
    let perm: Vec<usize> = outer.iter().map(|&axis| inner[axis]).collect();
    if perm.is_sorted() {
        graph.bypass(id, &[x]);
    } else {
        graph.replace(id, Transpose { perm }, vec![Some(x)]);
    }
    true
}

fn merge_reshapes(graph: &mut Rewriter<'_>, id: NodeId) -> bool {
    let Some(x) = regrouped(graph, id) else { return false };
    let inner = graph.producer(x).and_then(|(inner, _)| regrouped(graph, inner));
    let is_transpose = matches!(graph.node(id).op, Op::Transpose(_));
    // One Reshape is no better than one Flatten: only chains, and transposes, become another operator.
    let Some(source) = inner.or(is_transpose.then_some(x)) else { return false };
    let y = graph.node(id).outputs[0];
    if are_alike(graph, source, y) {
        graph.bypass(id, &[source]);
        return true;
    }
    let Some(target) = target(graph, y) else { return false };
    let name = format!("{}/shape", graph.node(id).name);
    let shape = graph.add_constant(&name, Tensor::vector(&target));
    graph.replace(id, Reshape { allowzero: false }, vec![Some(source), Some(shape)]);
    true
}

/// The input and the order of a Transpose.
fn transposed(graph: &Graph, id: NodeId) -> Option<(ValueId, Vec<usize>)> {
    let node = graph.node(id);
    let Op::Transpose(op) = &node.op else { return None };
    let x = input(node, 0)?;
    Some((x, op.order(graph.value(x).ty.rank()?).ok()?))
}

/// The input of a node that leaves all elements in their order.
fn regrouped(graph: &Graph, id: NodeId) -> Option<ValueId> {
    let node = graph.node(id);
    if matches!(node.op, Op::Reshape(_) | Op::Flatten(_) | Op::Squeeze(_) | Op::Unsqueeze(_)) {
        return input(node, 0);
    }
    let (x, order) = transposed(graph, id)?;
    let shape = graph.value(x).ty.shape.as_ref()?;
    order.iter().filter(|&&axis| shape[axis] != Dim::Known(1)).is_sorted().then_some(x)
}

/// The lengths of a value as the input of Reshape, with at most one left open.
fn target(graph: &Graph, y: ValueId) -> Option<Vec<i64>> {
    let shape = graph.value(y).ty.shape.as_ref()?;
    let open = shape.iter().filter(|dim| dim.known().is_none()).count();
    if open > 1 || shape.contains(&Dim::Known(0)) {
        return None;
    }
    shape.iter().map(|dim| dim.known().map_or(Some(-1), |n| i64::try_from(n).ok())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, check, check_unchanged};
    use super::*;

    #[test]
    fn chains_become_one_node() {
        check(
            run,
            &[
                Case {
                    what: "three steps from a pooled plane to a row, with a free batch",
                    before: "input x: f32[N,6,1,1]
                         const a: i64[2] = 1 2
                         p = Transpose(x) perm=[0,2,3,1]
                         q = Squeeze(p, a)
                         z = Flatten(q)
                         output z",
                    after: "input x: f32[N,6,1,1]
                        const z/shape: i64[2] = -1 6
                        z = Reshape(x, z/shape)
                        output z",
                },
                Case {
                    what: "there and back",
                    before: "input x: f32[2,3,4]
                         const a: i64[1] = 0
                         p = Unsqueeze(x, a)
                         q = Squeeze(p, a)
                         y = Relu(q)
                         r = Transpose(x) perm=[1,2,0]
                         s = Transpose(r) perm=[2,0,1]
                         z = Relu(s)
                         output y
                         output z",
                    after: "input x: f32[2,3,4]
                        y = Relu(x)
                        z = Relu(x)
                        output y
                        output z",
                },
                Case {
                    what: "two transposes",
                    before: "input x: f32[2,3,4]
                         p = Transpose(x) perm=[1,2,0]
                         y = Transpose(p) perm=[1,2,0]
                         output y
                         output p",
                    after: "input x: f32[2,3,4]
                        p = Transpose(x) perm=[1,2,0]
                        y = Transpose(x) perm=[2,0,1]
                        output y
                        output p",
                },
            ],
        );
    }

    #[test]
    fn a_shuffle_of_channels_stays() {
        check_unchanged(
            run,
            &[(
                "two groups",
                "input x: f32[N,4,2,2]
             const a: i64[5] = -1 2 2 2 2
             p = Reshape(x, a)
             q = Transpose(p) perm=[0,2,1,3,4]
             const b: i64[4] = -1 4 2 2
             y = Reshape(q, b)
             output y",
            )],
        );
    }
}
