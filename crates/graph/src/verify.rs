//! The rules of a well-formed graph, checked after every pass in debug builds and tests.

use std::collections::HashSet;

use crate::graph::Origin;
use crate::{Graph, GraphError};

impl Graph {
    /// Checks that ids point at what they should, that each value has one maker, that nothing reads from a removed
    /// node, that there is no cycle, and that every shape rule accepts its inputs.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn verify(&self) -> Result<(), GraphError> {
        let broken = |what: String| Err(GraphError::Broken(what));
        for (id, node) in self.nodes() {
            for value in node.inputs.iter().flatten().chain(&node.outputs) {
                if value.index() >= self.values.len() {
                    return broken(format!("node '{}' names a value that is not there", node.name));
                }
            }
            for (index, output) in node.outputs.iter().enumerate() {
                let made =
                    matches!(self.value(*output).origin, Origin::Node { node, index: i } if node == id && i == index);
                if !made {
                    return broken(format!("output {index} of node '{}' has another maker", node.name));
                }
            }
        }
        let read = self.nodes().flat_map(|(_, node)| node.inputs.iter().flatten());
        for &value in read.chain(self.outputs.iter().map(|(_, value)| value)) {
            if let Origin::Node { node, .. } = self.value(value).origin
                && self.nodes.get(node.index()).is_none_or(Option::is_none)
            {
                return broken(format!("value '{}' comes from a removed node", self.value(value).name));
            }
        }
        let mut names = HashSet::new();
        for &id in &self.inputs {
            let value = self.value(id);
            if !matches!(value.origin, Origin::Input) || !names.insert(&value.name) {
                return broken(format!("input '{}' is no input, or is there twice", value.name));
            }
        }
        self.clone().infer().map(drop)
    }
}
