//! Computes what is known before any run: nodes over constants, and shape arithmetic over known lengths.

use tilewise_tensor::Tensor;

use crate::{Graph, GraphError, Known, NodeId, OpError, ValueId, ValueType};

/// Results up to here are always worth keeping instead of their inputs, in bytes.
const SMALL: usize = 1 << 20;

/// A larger result may take this many times the bytes of its inputs: an i8 weight that is dequantized takes four times.
const GROWTH: usize = 4;

/// All results of a sweep may take this many bytes, beside [`GROWTH`] times the constants there are: a chain that
/// doubles a constant again and again ends here.
const TOTAL: usize = 1 << 24;

/// Turns outputs that are known into constants and removes their nodes. What no operator can compute yet stays for
/// the run to report.
pub(super) fn run(graph: &mut Graph) -> Result<usize, GraphError> {
    let known = graph.infer()?;
    let mut folded = 0;
    let mut left = TOTAL.saturating_add(GROWTH.saturating_mul(constant_bytes(graph)));
    for id in graph.order()? {
        let found = found(graph, &known, id);
        let Some(values) = found.map_or_else(|| compute(graph, id, left), |found| Ok(Some(found)))? else { continue };
        left = left.saturating_sub(values.iter().map(|value| value.bytes().len()).sum());
        for (output, value) in graph.node(id).outputs.clone().into_iter().zip(values) {
            graph.set_constant(output, value);
        }
        graph.remove_node(id);
        folded += 1;
    }
    Ok(folded)
}

/// What inference computed for the outputs of a node.
fn found(graph: &Graph, known: &Known, id: NodeId) -> Option<Vec<Tensor>> {
    graph.node(id).outputs.iter().map(|&output| known.get(output).cloned()).collect()
}

/// Bytes of the constants that nodes read.
fn constant_bytes(graph: &Graph) -> usize {
    let read = graph.uses();
    let bytes = |id: &ValueId| graph.constant(*id).map_or(0, |constant| constant.stored().bytes().len());
    graph.value_ids().filter(|id| !read[id.index()].is_empty()).map(|id| bytes(&id)).sum()
}

/// The outputs of a node over constants, where they are not too large and take at most `left` bytes.
fn compute(graph: &Graph, id: NodeId, left: usize) -> Result<Option<Vec<Tensor>>, GraphError> {
    let node = graph.node(id);
    let constants = node.inputs.iter().map(|id| id.map(|id| graph.constant(id)));
    let Some(constants) = constants.map(|c| c.map_or(Some(None), |c| c.map(Some))).collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    let inputs: usize = constants.iter().flatten().map(|constant| constant.stored().bytes().len()).sum();
    let size = |ty: &ValueType| ty.numel()?.checked_mul(ty.dtype.size());
    let outputs: Option<usize> = node.outputs.iter().map(|&output| size(&graph.value(output).ty)).sum();
    let most = SMALL.max(GROWTH.saturating_mul(inputs)).min(left);
    if outputs.is_none_or(|outputs| outputs > most) {
        return Ok(None);
    }
    let fail = |source| graph.op_error(&node.name, &node.op, &node.inputs, source);
    let tensors: Vec<Option<Tensor>> = constants
        .into_iter()
        .map(|constant| constant.map(|constant| constant.tensor()).transpose())
        .collect::<Result<_, _>>()
        .map_err(|error| fail(error.into()))?;
    let operands: Vec<Option<&Tensor>> = tensors.iter().map(Option::as_ref).collect();
    match node.op.eval(&operands) {
        Ok(values) => Ok(Some(values)),
        Err(OpError::Unsupported(_)) => Ok(None),
        Err(source) => Err(fail(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, check, check_unchanged};
    use super::*;

    #[test]
    fn what_is_known_becomes_constant() {
        check(
            run,
            &[
                Case {
                    what: "arithmetic of constants, once through a chain",
                    before: "const a: f32[2] = 1 2
                         const b: f32[] = 3
                         input x: f32[2]
                         c = Add(a, b)
                         d = Mul(c, c)
                         y = Add(x, d)
                         output y",
                    after: "input x: f32[2]
                        const d: f32[2] = 16 25
                        y = Add(x, d)
                        output y",
                },
                Case {
                    what: "the lengths of an input",
                    before: "input x: f32[2,3,4]
                         s = Shape(x) start=1
                         const two: i64[] = 2
                         t = Mul(s, two)
                         output t",
                    after: "input x: f32[2,3,4]
                        const t: i64[2] = 6 8
                        output t",
                },
                Case {
                    what: "the lengths that are known beside one that is free",
                    before: "input x: f32[N,3,4]
                         s = Shape(x) start=1
                         n = Shape(x)
                         output s
                         output n",
                    after: "input x: f32[N,3,4]
                        n = Shape(x)
                        const s: i64[2] = 3 4
                        output s
                        output n",
                },
                Case {
                    what: "a weight stored in half precision",
                    before: "const h: f16[70] = fill
                         input x: f32[70]
                         w = Cast(h) to=\"f32\"
                         y = Mul(x, w)
                         output y",
                    after: "input x: f32[70]
                        const w: f32[70] = fill
                        y = Mul(x, w)
                        output y",
                },
            ],
        );
    }

    #[test]
    fn large_results_stay_computed() {
        check_unchanged(
            run,
            &[(
                "2.3 MB from 6 KB",
                "input x: f32[1]
             const a: f32[768] = fill
             const b: f32[768,1] = fill
             y = Add(a, b)
             z = Mul(x, y)
             output z",
            )],
        );
    }
}
