//! Lets convolutions and matrix products add a residual and apply a function before they store their result.

use super::pattern::{are_alike, input};
use super::product::{activation, has_no_activation};
use super::rewriter::{Rewriter, sweep};
use crate::ops::{Binary, BinaryFn, Unary};
use crate::{Graph, GraphError, NodeId, Op, ValueId};

/// Position of the residual among the inputs of Conv and MatMul.
const RESIDUAL: usize = 3;

/// Merges functions of one number, and sums with an equally shaped value, into the product they follow, where nothing
/// else reads that product.
pub(super) fn run(graph: &mut Graph) -> Result<usize, GraphError> {
    let mut position = vec![0; graph.node_count()];
    for (at, id) in graph.order()?.into_iter().enumerate() {
        position[id.index()] = at;
    }
    sweep(graph, |graph, id| Ok(fuse_activation(graph, id) || fuse_residual(graph, id, &position)))
}

fn fuse_activation(graph: &mut Rewriter<'_>, id: NodeId) -> bool {
    let Op::Unary(Unary(function)) = graph.node(id).op else { return false };
    let Some(x) = input(graph.node(id), 0).filter(|&x| graph.value(x).ty.dtype.is_float()) else { return false };
    let Some(product) = plain_product(graph, x) else { return false };
    let (mut op, inputs) = (graph.node(product).op.clone(), graph.node(product).inputs.clone());
    if let Some(activation) = activation(&mut op) {
        *activation = function;
    }
    graph.absorb(product, id, op, inputs);
    true
}

/// The sum cannot feed its own residual, and the product feeds nothing but the sum: no cycle comes of it.
fn fuse_residual(graph: &mut Rewriter<'_>, id: NodeId, position: &[usize]) -> bool {
    if graph.node(id).op != Op::Binary(Binary(BinaryFn::Add)) {
        return false;
    }
    let (Some(a), Some(b)) = (input(graph.node(id), 0), input(graph.node(id), 1)) else { return false };
    if !graph.value(a).ty.dtype.is_float() || !are_alike(graph, a, b) {
        return false;
    }
    let takes_residual = |x, residual| {
        let product = plain_product(graph, x)?;
        let node = graph.node(product);
        let takes = matches!(node.op, Op::Conv(_) | Op::MatMul(_)) && input(node, RESIDUAL).is_none();
        takes.then_some((product, residual))
    };
    // Of two products the later one: the other is computed by then, and the order of nodes stays.
    let found = [takes_residual(a, b), takes_residual(b, a)].into_iter().flatten();
    let Some((product, residual)) = found.max_by_key(|(product, _)| position[product.index()]) else { return false };
    let (op, mut inputs) = (graph.node(product).op.clone(), graph.node(product).inputs.clone());
    inputs.resize(RESIDUAL, None);
    inputs.push(Some(residual));
    graph.absorb(product, id, op, inputs);
    true
}

/// The product behind a value that nothing else reads and to which no function is applied yet.
fn plain_product(graph: &Rewriter<'_>, x: ValueId) -> Option<NodeId> {
    let id = graph.sole_producer(x)?;
    has_no_activation(&graph.node(id).op).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, check, check_unchanged};
    use super::*;

    #[test]
    fn what_follows_a_product_becomes_part_of_it() {
        check(
            run,
            &[
                Case {
                    what: "convolution, sum and function in one",
                    before: "input x: f32[N,4,3,3]
                         const w: f32[4,4,1,1] = fill
                         p = Conv(x, w)
                         p1 = Relu(p)
                         q = Conv(p1, w)
                         r = Add(x, q)
                         y = Relu(r)
                         output y",
                    after: "input x: f32[N,4,3,3]
                        const w: f32[4,4,1,1] = fill
                        p1 = Conv(x, w) activation=\"Relu\"
                        y = Conv(p1, w, -, x) activation=\"Relu\"
                        output y",
                },
                Case {
                    what: "the later of two convolutions takes the other as its residual",
                    before: "input x: f32[1,2,2,2]
                         const w: f32[3,2,1,1] = fill
                         const b: f32[3] = 1 2 3
                         p = Conv(x, w)
                         q = Conv(x, w, b)
                         r = Add(p, q)
                         y = Swish(r)
                         output y",
                    after: "input x: f32[1,2,2,2]
                        const w: f32[3,2,1,1] = fill
                        p = Conv(x, w)
                        const b: f32[3] = 1 2 3
                        y = Conv(x, w, b, p) activation=\"Swish(1.0)\"
                        output y",
                },
                Case {
                    what: "every product",
                    before: "input x: f32[2,3]
                         input i: f32[1,2,2,2]
                         const w: f32[3,3] = 1 0 0 0 1 0 0 0 1
                         const t: f32[2,1,1,1] = 1 2
                         p = Gemm(x, w)
                         p1 = Sigmoid(p)
                         q = MatMul(p1, w)
                         q1 = Add(p1, q)
                         q2 = Gelu(q1)
                         r = ConvTranspose(i, t)
                         r1 = LeakyRelu(r) alpha=0.5
                         output q2
                         output r1",
                    after: "input x: f32[2,3]
                        input i: f32[1,2,2,2]
                        const w: f32[3,3] = 1 0 0 0 1 0 0 0 1
                        p1 = Gemm(x, w) activation=\"Sigmoid\"
                        q2 = MatMul(p1, w, -, p1) activation=\"Gelu\"
                        const t: f32[2,1,1,1] = 1 2
                        r1 = ConvTranspose(i, t) activation=\"LeakyRelu(0.5)\"
                        output q2
                        output r1",
                },
            ],
        );
    }

    #[test]
    fn what_would_change_the_meaning_stays() {
        let head = "input x: f32[1,2,2,2]\nconst w: f32[2,2,1,1] = 1 2 3 4\np = Conv(x, w)\n";
        let cases = [
            ("the product is read elsewhere", "y = Relu(p)\nz = Sigmoid(p)\noutput y\noutput z"),
            ("the product is an output", "y = Relu(p)\noutput y\noutput p"),
            ("a sum that broadcasts", "input r: f32[1,2,1,1]\ny = Add(p, r)\noutput y"),
            ("a sum with itself", "y = Add(p, p)\noutput y"),
        ];
        for (what, tail) in cases {
            check_unchanged(run, &[(what, &format!("{head}{tail}"))]);
        }
    }
}
