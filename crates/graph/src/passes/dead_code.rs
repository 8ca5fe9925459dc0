//! Removes nodes whose outputs nothing reads.

use crate::{Graph, GraphError};

/// Walks from the last node to the first, so that what fed only dead nodes dies with them.
pub(crate) fn run(graph: &mut Graph) -> Result<usize, GraphError> {
    let mut removed = 0;
    let mut readers: Vec<usize> = graph.uses().iter().map(Vec::len).collect();
    for id in graph.order()?.into_iter().rev() {
        let node = graph.node(id);
        if node.outputs.iter().any(|&output| readers[output.index()] > 0 || graph.is_output(output)) {
            continue;
        }
        for input in node.inputs.iter().flatten() {
            readers[input.index()] -= 1;
        }
        graph.remove_node(id);
        removed += 1;
    }
    Ok(removed)
}
