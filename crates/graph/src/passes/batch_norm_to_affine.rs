//! Writes batch norms that no convolution could take as a product and a sum, which elementwise kernels know.

use super::affine::Affine;
use super::pattern::input;
use super::rewriter::sweep;
use crate::ops::{Binary, BinaryFn};
use crate::{Graph, GraphError, Op};

/// Replaces f32 batch norms with constant parameters by Mul and Add with constants `[c, 1, ..]`.
pub(super) fn run(graph: &mut Graph) -> Result<usize, GraphError> {
    sweep(graph, |graph, id| {
        let node = graph.node(id);
        if !matches!(node.op, Op::BatchNormalization(_)) {
            return Ok(false);
        }
        let (name, x) = (node.name.clone(), input(node, 0));
        let Some((x, rank)) = x.and_then(|x| Some((x, graph.value(x).ty.rank()?))) else { return Ok(false) };
        let Some(affine) = Affine::of_batch_norm(graph, id).filter(|_| rank >= 2) else { return Ok(false) };
        let mut shape = vec![affine.scale.len()];
        shape.resize(rank - 1, 1);
        let ty = graph.value(node.outputs[0]).ty.clone();
        let [scale, shift] = affine.tensors(&shape)?;
        let scale = graph.add_constant(&format!("{name}/scale"), scale);
        let shift = graph.add_constant(&format!("{name}/shift"), shift);
        let product = graph.add_node(&format!("{name}/product"), Binary(BinaryFn::Mul), &[x, scale], ty);
        graph.replace(id, Binary(BinaryFn::Add), vec![Some(product), Some(shift)]);
        Ok(true)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, check};
    use super::*;

    #[test]
    fn a_batch_norm_is_a_product_and_a_sum() {
        check(
            run,
            &[Case {
                what: "four axes, and two",
                before: "input x: f32[N,2,3,3]
                     input z: f32[3,2]
                     const g: f32[2] = 1 3
                     const b: f32[2] = 5 6
                     const m: f32[2] = 1 2
                     const v: f32[2] = 4 9
                     y = BatchNormalization(x, g, b, m, v) epsilon=0.0
                     t = BatchNormalization(z, g, b, m, v) epsilon=0.0
                     output y
                     output t",
                after: "input x: f32[N,2,3,3]
                    input z: f32[3,2]
                    const y/scale: f32[2,1,1] = 0.5 1
                    y/product = Mul(x, y/scale)
                    const y/shift: f32[2,1,1] = 4.5 4
                    y = Add(y/product, y/shift)
                    const t/scale: f32[2] = 0.5 1
                    t/product = Mul(z, t/scale)
                    const t/shift: f32[2] = 4.5 4
                    t = Add(t/product, t/shift)
                    output y
                    output t",
            }],
        );
    }
}
