//! The order of nodes: each after all that it reads from, whatever order the model lists them in.

use std::collections::{BTreeSet, HashMap};

use super::attributes::branches;
use super::error::{ImportError, shown};
use super::proto::{GraphProto, NodeProto};

/// Positions of a graph's nodes so that each stands after those it reads from, branches included; otherwise the
/// model's order is kept.
///
/// # Errors
/// [`ImportError::Value`] for a name that two nodes make, [`ImportError::Node`] for nodes that feed each other.
pub(crate) fn order(graph: &GraphProto) -> Result<Vec<usize>, ImportError> {
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        for name in node.outputs.iter().filter(|name| !name.is_empty()) {
            if makers.insert(name, at).is_some() {
                return Err(ImportError::value(name, "is made by two nodes"));
            }
        }
    }
    let mut missing = vec![0usize; graph.nodes.len()];
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); graph.nodes.len()];
    for (at, node) in graph.nodes.iter().enumerate() {
        let mut names = BTreeSet::new();
        collect_reads(node, &mut names)?;
        for maker in names.iter().filter_map(|name| makers.get(name.as_str())) {
            missing[at] += 1;
            readers[*maker].push(at);
        }
    }
    let mut ready: BTreeSet<usize> = (0..missing.len()).filter(|&at| missing[at] == 0).collect();
    let mut order = Vec::with_capacity(missing.len());
    while let Some(at) = ready.pop_first() {
        order.push(at);
        for &reader in &readers[at] {
            missing[reader] -= 1;
            if missing[reader] == 0 {
                ready.insert(reader);
            }
        }
    }
    match missing.iter().position(|&n| n > 0) {
        None => Ok(order),
        Some(at) => {
            let NodeProto { name, op_type, .. } = &graph.nodes[at];
            let reason = "it is part of a cycle of nodes, or reads from one".to_owned();
            Err(ImportError::Node { node: shown(name), op: shown(op_type), reason })
        }
    }
}

/// The names that a node reads, its branches included. Depth is bounded by the protobuf reader's.
fn collect_reads(node: &NodeProto, names: &mut BTreeSet<String>) -> Result<(), ImportError> {
    names.extend(node.inputs.iter().cloned());
    for branch in branches(node) {
        let graph: GraphProto = branch.read()?;
        names.extend(graph.outputs.into_iter().map(|output| output.name));
        for node in &graph.nodes {
            collect_reads(node, names)?;
        }
    }
    Ok(())
}
