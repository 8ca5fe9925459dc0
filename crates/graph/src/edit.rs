//! The one gate for changes: every edit of a graph goes through here and leaves it well-formed.

use std::sync::Arc;

use tilewise_tensor::Tensor;

use crate::graph::{Constant, Graph, Node, NodeId, Origin, Value, ValueId};
use crate::{Arg, Args, GraphError, Op, OpError, ValueType};

impl Graph {
    /// Adds an input of a run.
    pub fn add_input(&mut self, name: &str, ty: ValueType) -> ValueId {
        let id = self.add_value(name, ty, Origin::Input);
        self.inputs.push(id);
        id
    }

    /// Adds a constant.
    pub fn add_constant(&mut self, name: &str, tensor: Tensor) -> ValueId {
        self.add_stored(name, Constant::Dense(tensor))
    }

    /// Adds a constant that may be scaled.
    pub fn add_stored(&mut self, name: &str, constant: Constant) -> ValueId {
        let stored = constant.stored();
        let ty = ValueType::known(stored.dtype(), stored.shape());
        self.add_value(name, ty, Origin::Constant(constant))
    }

    /// Adds a node with as many outputs as its shape rule gives, typed by it. The outputs are named after the node.
    ///
    /// # Errors
    /// [`GraphError::Op`] when the rule refuses the inputs.
    pub fn add_node(
        &mut self,
        name: &str,
        op: impl Into<Op>,
        inputs: &[Option<ValueId>],
    ) -> Result<Vec<ValueId>, GraphError> {
        self.add_node_with(name, op, inputs, usize::MAX)
    }

    /// As [`Graph::add_node`], with the first `outputs` outputs alone: those that are read.
    ///
    /// # Errors
    /// [`GraphError::Op`] when the rule refuses the inputs.
    pub fn add_node_with(
        &mut self,
        name: &str,
        op: impl Into<Op>,
        inputs: &[Option<ValueId>],
        outputs: usize,
    ) -> Result<Vec<ValueId>, GraphError> {
        let op = op.into();
        let mut types = self.infer_node(name, &op, inputs, &[])?;
        types.truncate(outputs);
        let names: Vec<String> =
            (0..types.len()).map(|i| if i == 0 { name.to_owned() } else { format!("{name}:{i}") }).collect();
        let outputs: Vec<(&str, ValueType)> = names.iter().map(String::as_str).zip(types).collect();
        Ok(self.add_typed_node(name, op, inputs, &outputs))
    }

    /// Adds a node whose output types are given, as an importer knows them from the file.
    pub fn add_typed_node(
        &mut self,
        name: &str,
        op: Op,
        inputs: &[Option<ValueId>],
        outputs: &[(&str, ValueType)],
    ) -> Vec<ValueId> {
        let node = NodeId(self.nodes.len() as u32);
        let outputs: Vec<ValueId> = outputs
            .iter()
            .enumerate()
            .map(|(index, (name, ty))| self.add_value(name, ty.clone(), Origin::Node { node, index }))
            .collect();
        let (inputs, merged) = (inputs.to_vec(), Vec::new());
        self.nodes.push(Some(Node { name: name.into(), op, inputs, outputs: outputs.clone(), merged }));
        outputs
    }

    /// Makes a value an output of the graph.
    pub fn add_output(&mut self, name: &str, value: ValueId) {
        self.outputs.push((name.into(), value));
    }

    /// Lets everything that reads `old`, graph outputs included, read `new`.
    pub fn replace_uses(&mut self, old: ValueId, new: ValueId) {
        let places = self.nodes.iter_mut().flatten().flat_map(|node| node.inputs.iter_mut().flatten());
        for value in places.chain(self.outputs.iter_mut().map(|(_, value)| value)) {
            if *value == old {
                *value = new;
            }
        }
    }

    /// Exchanges the operator and the inputs of a node; its outputs stay.
    pub fn replace_node(&mut self, id: NodeId, op: impl Into<Op>, inputs: Vec<Option<ValueId>>) {
        if let Some(node) = &mut self.nodes[id.index()] {
            node.op = op.into();
            node.inputs = inputs;
        }
    }

    /// Exchanges one input of a node.
    pub fn set_input(&mut self, id: NodeId, position: usize, value: ValueId) {
        if let Some(node) = &mut self.nodes[id.index()] {
            if node.inputs.len() <= position {
                node.inputs.resize(position + 1, None);
            }
            node.inputs[position] = Some(value);
        }
    }

    /// Merges node `gone` into `kept`, which now makes `gone`'s first output; `gone` is removed and its name is kept
    /// in [`Node::merged`]. The first output of `kept` must have no other reader.
    pub fn absorb(&mut self, kept: NodeId, gone: NodeId) {
        let Some(removed) = self.nodes[gone.index()].take() else { return };
        let (Some(node), Some(&output)) = (&mut self.nodes[kept.index()], removed.outputs.first()) else { return };
        node.merged.push(removed.name);
        node.merged.extend(removed.merged);
        node.outputs[0] = output;
        self.values[output.index()].origin = Origin::Node { node: kept, index: 0 };
    }

    /// Removes node `gone`, whose outputs nothing may read any more, and keeps its name in [`Node::merged`] of the
    /// node that now does its work.
    pub fn remove_merged(&mut self, gone: NodeId, into: NodeId) {
        let removed = self.nodes[gone.index()].take();
        if let (Some(removed), Some(node)) = (removed, &mut self.nodes[into.index()]) {
            node.merged.push(removed.name);
            node.merged.extend(removed.merged);
        }
    }

    /// Removes a node. Nothing may read its outputs any more.
    pub fn remove_node(&mut self, id: NodeId) {
        self.nodes[id.index()] = None;
    }

    /// Lets output number `index` of the graph be another value.
    pub fn set_output(&mut self, index: usize, value: ValueId) {
        self.outputs[index].1 = value;
    }

    /// Turns a value into a constant; whoever read it goes on reading it.
    pub fn set_constant(&mut self, id: ValueId, tensor: Tensor) {
        let value = &mut self.values[id.index()];
        value.ty = ValueType::known(tensor.dtype(), tensor.shape());
        value.origin = Origin::Constant(Constant::Dense(tensor));
    }

    /// Sets the type of an input of the graph, as a run or a caller fixes its free lengths. The types of everything
    /// that follows are stale until [`Graph::infer`].
    pub fn set_type(&mut self, id: ValueId, ty: ValueType) {
        self.values[id.index()].ty = ty;
    }

    /// Types the outputs of an operator over values of this graph; `known` are values found by [`Graph::infer`].
    pub(crate) fn infer_node(
        &self,
        name: &str,
        op: &Op,
        inputs: &[Option<ValueId>],
        known: &[Option<Tensor>],
    ) -> Result<Vec<ValueType>, GraphError> {
        let values: Vec<Option<Tensor>> = inputs
            .iter()
            .map(|id| {
                let id = (*id)?;
                let computed = known.get(id.index()).cloned().flatten();
                computed.or_else(|| self.constant(id).and_then(|c| c.tensor_if_dense()))
            })
            .collect();
        let args: Vec<Option<Arg<'_>>> = inputs
            .iter()
            .zip(&values)
            .map(|(id, value)| id.map(|id| Arg { ty: &self.value(id).ty, value: value.as_ref() }))
            .collect();
        op.infer(&Args::new(&args)).map_err(|source| self.op_error(name, op, inputs, source))
    }

    pub(crate) fn op_error(&self, name: &str, op: &Op, inputs: &[Option<ValueId>], source: OpError) -> GraphError {
        let show = |id: &Option<ValueId>| id.map_or("-".to_owned(), |id| self.value(id).ty.to_string());
        let inputs = inputs.iter().map(show).collect::<Vec<_>>().join(", ");
        GraphError::Op { node: name.to_owned(), op: op.name().to_owned(), inputs, source }
    }

    fn add_value(&mut self, name: &str, ty: ValueType, origin: Origin) -> ValueId {
        let id = ValueId(self.values.len() as u32);
        self.values.push(Value { name: Arc::from(name), ty, origin });
        id
    }
}

impl Constant {
    /// The tensor, where it need not be computed: shape rules look at small integer tensors, never at weights.
    fn tensor_if_dense(&self) -> Option<Tensor> {
        match self {
            Constant::Dense(tensor) => Some(tensor.clone()),
            Constant::Scaled { .. } => None,
        }
    }
}
