//! The graph: values, and the nodes that make them.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use tilewise_tensor::{Tensor, TensorError};

use crate::{GraphError, Op, ValueType};

/// Names a value of one graph.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ValueId(pub(crate) u32);

/// Names a node of one graph.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(pub(crate) u32);

impl ValueId {
    /// A dense index, for side tables as long as [`Graph::value_count`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl NodeId {
    /// A dense index, for side tables as long as [`Graph::node_count`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A value that is known before any run.
#[derive(Clone, Debug)]
pub enum Constant {
    /// A tensor as it stands.
    Dense(Tensor),
    /// An f32 tensor whose slices along the first axis are scaled, one factor a slice: a convolution's weights with
    /// batch norm folded in. The product is made when it is needed, so that weights mapped from a file are not
    /// copied before they are packed.
    Scaled {
        /// What is scaled.
        base: Tensor,
        /// One factor for each index of the first axis.
        scale: Arc<[f32]>,
    },
}

impl Constant {
    /// The value as a dense tensor: shared where it stands as such, computed where it is scaled.
    ///
    /// # Errors
    /// [`TensorError::Type`] for scaled elements that are no f32.
    pub fn tensor(&self) -> Result<Tensor, TensorError> {
        match self {
            Constant::Dense(tensor) => Ok(tensor.clone()),
            Constant::Scaled { base, .. } => Tensor::from_slice(base.shape(), &self.values()?),
        }
    }

    /// The elements of an f32 value: borrowed where they stand as such in memory, with at most one copy where not.
    ///
    /// # Errors
    /// [`TensorError::Type`] for other elements.
    pub fn values(&self) -> Result<Cow<'_, [f32]>, TensorError> {
        match self {
            Constant::Dense(tensor) => tensor.values::<f32>(),
            Constant::Scaled { base, scale } => {
                let mut values = base.values::<f32>()?.into_owned();
                let slice = values.len().checked_div(scale.len()).unwrap_or(0).max(1);
                for (part, factor) in values.chunks_mut(slice).zip(scale.iter()) {
                    part.iter_mut().for_each(|x| *x *= factor);
                }
                Ok(Cow::Owned(values))
            }
        }
    }

    /// The elements of an f32 value with the indices `rows` of its first axis: as they stand in memory where they can
    /// be read there, else put into `staging`. A value without axes has one row.
    ///
    /// # Errors
    /// [`TensorError::Type`] for other elements.
    ///
    /// # Panics
    /// When there are no such rows.
    pub fn rows<'a>(&'a self, rows: Range<usize>, staging: &'a mut Vec<f32>) -> Result<&'a [f32], TensorError> {
        let stored = self.stored();
        let count = stored.shape().first().copied().unwrap_or(1);
        let row = stored.numel().checked_div(count).unwrap_or(0);
        let elements = rows.start * row..rows.end * row;
        match self {
            Constant::Dense(tensor) => tensor.part(elements, staging),
            Constant::Scaled { base, scale } => {
                let values = base.copy_part(elements, staging)?;
                for (row, factor) in values.chunks_mut(row.max(1)).zip(&scale[rows]) {
                    row.iter_mut().for_each(|value| *value *= factor);
                }
                Ok(values)
            }
        }
    }

    /// The tensor that the value is stored as: its type and shape are the value's.
    pub fn stored(&self) -> &Tensor {
        match self {
            Constant::Dense(tensor) | Constant::Scaled { base: tensor, .. } => tensor,
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Given to each run.
    Input,
    /// Known before.
    Constant(Constant),
    /// Output number `index` of a node.
    Node {
        /// The node.
        node: NodeId,
        /// Which of its outputs.
        index: usize,
    },
}

/// A value: a name, a type and where it comes from.
#[derive(Clone, Debug)]
pub struct Value {
    /// Its name in the model; unique among inputs.
    pub name: Arc<str>,
    /// Its type, as far as known.
    pub ty: ValueType,
    /// Where it comes from.
    pub origin: Origin,
}

/// One application of an operator.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name in the model.
    pub name: Arc<str>,
    /// What it computes.
    pub op: Op,
    /// Its inputs; `None` for an optional one that is not given.
    pub inputs: Vec<Option<ValueId>>,
    /// Its outputs.
    pub outputs: Vec<ValueId>,
    /// Names of the model's nodes that passes merged into this one, its own not among them.
    pub merged: Vec<Arc<str>>,
}

/// A network as a directed acyclic graph. It is changed only through the methods of `edit.rs`.
///
/// Cloning shares all constants.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub(crate) values: Vec<Value>,
    pub(crate) nodes: Vec<Option<Node>>,
    pub(crate) inputs: Vec<ValueId>,
    pub(crate) outputs: Vec<(Arc<str>, ValueId)>,
    /// Highest opset of the default domain that the model was written against; 0 when built in code.
    pub opset: u32,
}

impl Graph {
    /// The inputs of a run, in the model's order.
    pub fn inputs(&self) -> &[ValueId] {
        &self.inputs
    }

    /// The outputs of a run with their names, in the model's order.
    pub fn outputs(&self) -> &[(Arc<str>, ValueId)] {
        &self.outputs
    }

    /// A value.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }

    /// A node.
    ///
    /// # Panics
    /// When the node was removed.
    pub fn node(&self, id: NodeId) -> &Node {
        self.nodes[id.index()].as_ref().unwrap_or_else(|| panic!("node {} was removed", id.0))
    }

    /// The node that makes a value.
    pub fn producer(&self, id: ValueId) -> Option<(NodeId, &Node)> {
        match self.value(id).origin {
            Origin::Node { node, .. } => Some((node, self.node(node))),
            Origin::Input | Origin::Constant(_) => None,
        }
    }

    /// The constant that a value is.
    pub fn constant(&self, id: ValueId) -> Option<&Constant> {
        match &self.value(id).origin {
            Origin::Constant(constant) => Some(constant),
            Origin::Input | Origin::Node { .. } => None,
        }
    }

    /// Length of a table with one row a value id.
    pub fn value_count(&self) -> usize {
        self.values.len()
    }

    /// Every value, constants that nothing reads included.
    pub fn value_ids(&self) -> impl Iterator<Item = ValueId> + use<> {
        (0..self.values.len() as u32).map(ValueId)
    }

    /// Length of a table with one row a node id, removed nodes included.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Every node that is there, in no meaningful order.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().filter_map(|(i, node)| Some((NodeId(i as u32), node.as_ref()?)))
    }

    /// Every node after all that it reads from; nodes that do not depend on each other keep the model's order.
    ///
    /// # Errors
    /// [`GraphError::Cycle`].
    pub fn order(&self) -> Result<Vec<NodeId>, GraphError> {
        let mut missing = vec![0usize; self.nodes.len()];
        let mut readers: Vec<Vec<NodeId>> = vec![Vec::new(); self.nodes.len()];
        let mut ready = std::collections::BTreeSet::new();
        for (id, node) in self.nodes() {
            for value in node.inputs.iter().flatten() {
                if let Some((from, _)) = self.producer(*value) {
                    missing[id.index()] += 1;
                    readers[from.index()].push(id);
                }
            }
            if missing[id.index()] == 0 {
                ready.insert(id);
            }
        }
        let mut order = Vec::with_capacity(self.nodes.len());
        while let Some(id) = ready.pop_first() {
            order.push(id);
            for reader in &readers[id.index()] {
                missing[reader.index()] -= 1;
                if missing[reader.index()] == 0 {
                    ready.insert(*reader);
                }
            }
        }
        match self.nodes().find(|(id, _)| missing[id.index()] > 0) {
            Some((_, node)) => Err(GraphError::Cycle { node: node.name.to_string() }),
            None => Ok(order),
        }
    }

    /// For each value, the nodes and input positions that read it.
    pub fn uses(&self) -> Vec<Vec<(NodeId, usize)>> {
        let mut uses = vec![Vec::new(); self.values.len()];
        for (id, node) in self.nodes() {
            for (position, value) in node.inputs.iter().enumerate() {
                if let Some(value) = value {
                    uses[value.index()].push((id, position));
                }
            }
        }
        uses
    }

    /// True when a value is an output of the graph.
    pub fn is_output(&self, id: ValueId) -> bool {
        self.outputs.iter().any(|(_, output)| *output == id)
    }
}
