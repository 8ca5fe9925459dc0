//! Edits of one sweep over a graph, with the readers of every value kept up to date along the way: a pass over
//! thousands of nodes asks "who reads this?" after each of its own edits.

use std::ops::Deref;

use tilewise_tensor::Tensor;

use crate::{Constant, Graph, GraphError, NodeId, Op, ValueId, ValueType};

/// Visits every node in order, again and again while `visit` changes it, and returns how often something changed.
/// `visit` must get nearer to an end with every change.
pub(super) fn sweep(
    graph: &mut Graph,
    mut visit: impl FnMut(&mut Rewriter<'_>, NodeId) -> Result<bool, GraphError>,
) -> Result<usize, GraphError> {
    let order = graph.order()?;
    let mut rewriter = Rewriter::new(graph);
    let mut changed = 0;
    for id in order {
        while rewriter.is_there(id) && visit(&mut rewriter, id)? {
            changed += 1;
        }
    }
    Ok(changed)
}

/// A graph under change. Reading goes through to the graph.
pub(super) struct Rewriter<'g> {
    graph: &'g mut Graph,
    /// For each value, the nodes that read it, once for each input that does.
    readers: Vec<Vec<NodeId>>,
}

impl Deref for Rewriter<'_> {
    type Target = Graph;

    fn deref(&self) -> &Graph {
        self.graph
    }
}

impl<'g> Rewriter<'g> {
    fn new(graph: &'g mut Graph) -> Self {
        let readers = graph.uses().into_iter().map(|uses| uses.into_iter().map(|(node, _)| node).collect()).collect();
        Rewriter { graph, readers }
    }

    fn is_there(&self, id: NodeId) -> bool {
        self.graph.nodes[id.index()].is_some()
    }

    /// True when a node or an output of the graph reads a value.
    pub(super) fn is_read(&self, id: ValueId) -> bool {
        !self.readers[id.index()].is_empty() || self.graph.is_output(id)
    }

    /// True when exactly one input of one node reads a value, and no output of the graph.
    pub(super) fn is_read_once(&self, id: ValueId) -> bool {
        self.readers[id.index()].len() == 1 && !self.graph.is_output(id)
    }

    /// The node that makes a value which nothing else reads.
    pub(super) fn sole_producer(&self, id: ValueId) -> Option<NodeId> {
        self.is_read_once(id).then(|| self.graph.producer(id).map(|(node, _)| node)).flatten()
    }

    /// Adds a constant tensor.
    pub(super) fn add_constant(&mut self, name: &str, tensor: Tensor) -> ValueId {
        self.add_stored(name, Constant::Dense(tensor))
    }

    /// Adds a constant that may be scaled.
    pub(super) fn add_stored(&mut self, name: &str, constant: Constant) -> ValueId {
        self.readers.push(Vec::new());
        self.graph.add_stored(name, constant)
    }

    /// Adds a node with one output of a type that is known.
    pub(super) fn add_node(&mut self, name: &str, op: impl Into<Op>, inputs: &[ValueId], ty: ValueType) -> ValueId {
        let inputs: Vec<Option<ValueId>> = inputs.iter().copied().map(Some).collect();
        let output = self.graph.add_typed_node(name, op.into(), &inputs, &[(name, ty)])[0];
        self.readers.push(Vec::new());
        if let Some((id, _)) = self.graph.producer(output) {
            self.link(id);
        }
        output
    }

    /// Exchanges the operator and the inputs of a node; its outputs stay. Nodes that nothing reads any more are
    /// merged into it.
    pub(super) fn replace(&mut self, id: NodeId, op: impl Into<Op>, inputs: Vec<Option<ValueId>>) {
        let before = self.unlink(id);
        self.graph.replace_node(id, op, inputs);
        self.link(id);
        self.collect(Some(id), before);
    }

    /// Merges node `gone` into `kept`, the only reader of whose first output it is: `kept` becomes `op` of `inputs`
    /// and makes `gone`'s first output.
    pub(super) fn absorb(&mut self, kept: NodeId, gone: NodeId, op: impl Into<Op>, inputs: Vec<Option<ValueId>>) {
        let freed = self.unlink(gone);
        self.graph.absorb(kept, gone);
        self.replace(kept, op, inputs);
        self.collect(Some(kept), freed);
    }

    /// Removes a node whose outputs are the values `instead`: what read the one reads the other. The node's name goes
    /// to the node that makes the first of them.
    pub(super) fn bypass(&mut self, id: NodeId, instead: &[ValueId]) {
        let outputs = self.graph.node(id).outputs.clone();
        for (old, &new) in outputs.into_iter().zip(instead) {
            for reader in std::mem::take(&mut self.readers[old.index()]) {
                // A node that reads the value twice is listed twice.
                let position = self.graph.node(reader).inputs.iter().position(|&input| input == Some(old));
                if let Some(position) = position {
                    self.graph.set_input(reader, position, new);
                    self.readers[new.index()].push(reader);
                }
            }
            for index in 0..self.graph.outputs().len() {
                if self.graph.outputs()[index].1 == old {
                    self.graph.set_output(index, new);
                }
            }
        }
        let freed = self.unlink(id);
        let heir = instead.first().and_then(|&value| self.graph.producer(value)).map(|(heir, _)| heir);
        self.remove(id, heir);
        self.collect(heir, freed);
    }

    /// Removes the nodes behind `values` that nothing reads any more, and what only they read.
    fn collect(&mut self, heir: Option<NodeId>, mut values: Vec<ValueId>) {
        while let Some(value) = values.pop() {
            if self.is_read(value) {
                continue;
            }
            let Some((id, node)) = self.made_by(value) else { continue };
            if Some(id) != heir && !node.outputs.iter().any(|&output| self.is_read(output)) {
                values.extend(self.unlink(id));
                self.remove(id, heir);
            }
        }
    }

    /// The node that makes a value, unless the node was removed or makes another one since it absorbed its reader.
    fn made_by(&self, value: ValueId) -> Option<(NodeId, &crate::Node)> {
        let crate::Origin::Node { node, .. } = self.graph.value(value).origin else { return None };
        self.graph.nodes[node.index()].as_ref().filter(|n| n.outputs.contains(&value)).map(|n| (node, n))
    }

    fn remove(&mut self, id: NodeId, heir: Option<NodeId>) {
        match heir {
            Some(heir) => self.graph.remove_merged(id, heir),
            None => self.graph.remove_node(id),
        }
    }

    fn link(&mut self, id: NodeId) {
        for input in self.graph.node(id).inputs.iter().flatten() {
            self.readers[input.index()].push(id);
        }
    }

    fn unlink(&mut self, id: NodeId) -> Vec<ValueId> {
        let inputs: Vec<ValueId> = self.graph.node(id).inputs.iter().flatten().copied().collect();
        for input in &inputs {
            self.readers[input.index()].retain(|&reader| reader != id);
        }
        inputs
    }
}
