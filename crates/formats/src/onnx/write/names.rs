//! Names in the file: each value its own where that is free, and no two values the same.

use std::collections::{HashMap, HashSet};

use tilewise_graph::{Graph, NodeId, ValueId};

/// What the values of a graph, its outputs and its nodes are called in a file.
#[derive(Clone)]
pub(super) struct Names {
    values: HashMap<ValueId, String>,
    outputs: Vec<String>,
    taken: HashMap<String, u64>,
    nodes: HashMap<String, u64>,
}

impl Names {
    /// Names for all values that nodes read or make. Inputs and outputs of the graph, which callers know by name,
    /// choose first. A value without a name that nothing reads stays without one.
    pub(super) fn new(graph: &Graph, order: &[NodeId]) -> Self {
        let mut names =
            Names { values: HashMap::new(), outputs: Vec::new(), taken: HashMap::new(), nodes: HashMap::new() };
        for &id in graph.inputs() {
            names.assign(graph, id);
        }
        let mut listed = HashSet::new();
        for (name, id) in graph.outputs() {
            let own = *name == graph.value(*id).name && !name.is_empty() && !names.taken.contains_key(&**name);
            if own && !names.values.contains_key(id) {
                names.assign(graph, *id);
            }
            let is_value = names.values.get(id).is_some_and(|given| **given == **name);
            let name = if is_value && !listed.contains(&**name) { name.to_string() } else { names.fresh(name) };
            listed.insert(name.clone());
            names.outputs.push(name);
        }
        for node in order.iter().map(|&id| graph.node(id)) {
            let made = node.outputs.iter().filter(|&&id| !graph.value(id).name.is_empty());
            node.inputs.iter().flatten().chain(made).for_each(|&id| names.assign(graph, id));
        }
        graph.outputs().iter().for_each(|(_, id)| names.assign(graph, *id));
        names
    }

    /// The name of a value; empty for one that has none and needs none.
    pub(super) fn value(&self, id: ValueId) -> &str {
        self.values.get(&id).map_or("", String::as_str)
    }

    /// The names of the graph's outputs, in order. Where one is not its value's, the value has another.
    pub(super) fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// A name for a value that the graph does not have.
    pub(super) fn fresh(&mut self, name: &str) -> String {
        unique(&mut self.taken, if name.is_empty() { "value" } else { name })
    }

    /// A name for a node.
    pub(super) fn node(&mut self, name: &str) -> String {
        unique(&mut self.nodes, if name.is_empty() { "node" } else { name })
    }

    fn assign(&mut self, graph: &Graph, id: ValueId) {
        if !self.values.contains_key(&id) {
            let name = self.fresh(&graph.value(id).name);
            self.values.insert(id, name);
        }
    }
}

/// `name`, or `name~2` and so on where it is taken. `taken` holds for each name the last number that was tried.
fn unique(taken: &mut HashMap<String, u64>, name: &str) -> String {
    let mut count = taken.get(name).copied().unwrap_or(0);
    let free = loop {
        count += 1;
        let candidate = if count == 1 { name.to_owned() } else { format!("{name}~{count}") };
        if count == 1 || !taken.contains_key(&candidate) {
            break candidate;
        }
    };
    taken.insert(free.clone(), 1);
    taken.insert(name.to_owned(), count);
    free
}
