//! Computes once what is computed twice: the same operator with the same attributes over the same inputs.

use std::collections::HashMap;
use std::fmt::Write;

use super::rewriter::sweep;
use crate::{Graph, GraphError, NodeId, ValueId};

/// Constants of more bytes are the same only when they are one value: comparing weights would read all of them.
const COMPARED: usize = 256;

/// Lets readers of a repeated computation read its first occurrence.
pub(super) fn run(graph: &mut Graph) -> Result<usize, GraphError> {
    let mut first: HashMap<String, NodeId> = HashMap::new();
    sweep(graph, |graph, id| {
        let node = graph.node(id);
        let mut key = format!("{:?}", node.op);
        for input in &node.inputs {
            describe(graph, *input, &mut key);
        }
        let kept = *first.entry(key).or_insert(id);
        if kept == id || graph.node(kept).outputs.len() < node.outputs.len() {
            return Ok(false);
        }
        let outputs = graph.node(kept).outputs.clone();
        graph.bypass(id, &outputs);
        Ok(true)
    })
}

/// Adds a text to the key that is the same for the same value alone.
fn describe(graph: &Graph, input: Option<ValueId>, key: &mut String) {
    let small = input.and_then(|id| graph.constant(id)).filter(|constant| constant.stored().bytes().len() <= COMPARED);
    let written = match small.and_then(|constant| constant.tensor().ok()) {
        Some(tensor) => write!(key, "|{}{:?}{:?}", tensor.dtype(), tensor.shape(), &tensor.bytes()[..]),
        None => write!(key, "|{input:?}"),
    };
    debug_assert!(written.is_ok(), "writing to a String does not fail");
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, check};
    use super::*;

    #[test]
    fn repeated_nodes_are_computed_once() {
        check(
            run,
            &[Case {
                what: "a chain over equal constants, and one that differs in an attribute",
                before: "input x: f32[4]
                     const a: f32[] = 3
                     p = Add(x, a)
                     p1 = Sigmoid(p)
                     const b: f32[] = 3
                     q = Add(x, b)
                     q1 = Sigmoid(q)
                     r = LeakyRelu(q1) alpha=0.1
                     s = LeakyRelu(q1) alpha=0.2
                     y = Mul(p1, r)
                     z = Mul(y, s)
                     output z",
                after: "input x: f32[4]
                    const a: f32[] = 3
                    p = Add(x, a)
                    p1 = Sigmoid(p)
                    r = LeakyRelu(p1) alpha=0.1
                    s = LeakyRelu(p1) alpha=0.2
                    y = Mul(p1, r)
                    z = Mul(y, s)
                    output z",
            }],
        );
    }
}
