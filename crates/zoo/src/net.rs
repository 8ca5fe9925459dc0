//! The builder: a graph under construction, with scopes for parameter names and the expected moments of each value.

use std::collections::BTreeMap;

use tilewise_graph::{Dim, Graph, GraphError, Op, ValueId, ValueType};
use tilewise_tensor::{DType, Tensor};

use crate::moments::Moments;
use crate::weights::{Init, Mismatch, Source, Weights};

/// A network under construction. Layers are the methods of `layers.rs`.
///
/// The first error is kept and told by [`Net::finish`], so that the description of a network reads without error
/// handling; layers after it add nothing and give the input back.
pub(crate) struct Net<'w> {
    graph: Graph,
    input: ValueId,
    source: Source<'w>,
    scope: String,
    names: BTreeMap<String, usize>,
    moments: BTreeMap<ValueId, Moments>,
    error: Option<GraphError>,
    /// Added to the variance by the batch norms that follow.
    pub(crate) epsilon: f32,
}

impl<'w> Net<'w> {
    /// A network of one input: a batch of normalized images `[batch, shape..]`, the batch length free.
    pub(crate) fn new(weights: &'w Weights, shape: &[usize]) -> (Self, ValueId) {
        let mut graph = Graph::default();
        let batch = std::iter::once(Dim::Symbol("batch".into()));
        let dims = batch.chain(shape.iter().map(|&n| Dim::Known(n))).collect();
        let input = graph.add_input("input", ValueType::new(DType::F32, dims));
        let net = Net {
            graph,
            input,
            source: Source::new(weights),
            scope: String::new(),
            names: BTreeMap::new(),
            moments: BTreeMap::new(),
            error: None,
            epsilon: 1e-5,
        };
        (net, input)
    }

    /// The graph with its one output, or the first error, and the parameters that did not fit.
    pub(crate) fn finish(mut self, output: ValueId) -> Result<(Graph, Mismatch), GraphError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        self.graph.add_output("output", output);
        Ok((self.graph, self.source.finish()))
    }

    /// Adds layers whose names begin with `name` and a point.
    pub(crate) fn within<T>(&mut self, name: &str, layers: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.scope.len();
        self.scope.push_str(name);
        self.scope.push('.');
        let made = layers(self);
        self.scope.truncate(outer);
        made
    }

    /// Adds a node and gives its first output. Its name is made unique by a number where it is taken.
    pub(crate) fn node(
        &mut self,
        name: &str,
        op: impl Into<Op>,
        inputs: &[Option<ValueId>],
        moments: Moments,
    ) -> ValueId {
        self.nodes(name, op, inputs, moments, 1)[0]
    }

    /// Adds a node of `outputs` outputs, all with the same moments.
    pub(crate) fn nodes(
        &mut self,
        name: &str,
        op: impl Into<Op>,
        inputs: &[Option<ValueId>],
        moments: Moments,
        outputs: usize,
    ) -> Vec<ValueId> {
        let name = self.unique(name);
        if self.error.is_none() {
            match self.graph.add_node_with(&name, op, inputs, outputs) {
                Ok(made) => {
                    self.moments.extend(made.iter().map(|&id| (id, moments)));
                    return made;
                }
                Err(error) => self.error = Some(error),
            }
        }
        vec![self.input; outputs]
    }

    /// A learned parameter.
    pub(crate) fn parameter(&mut self, name: &str, shape: &[usize], init: Init) -> ValueId {
        let name = format!("{}{name}", self.scope);
        let tensor = self.source.parameter(&name, shape, init);
        self.graph.add_constant(&name, tensor)
    }

    /// Integers such as a shape.
    pub(crate) fn integers(&mut self, name: &str, values: &[i64]) -> ValueId {
        let name = self.unique(name);
        self.graph.add_constant(&name, Tensor::vector(values))
    }

    /// A number.
    pub(crate) fn scalar(&mut self, name: &str, value: f32) -> ValueId {
        let name = self.unique(name);
        self.graph.add_constant(&name, Tensor::scalar(value))
    }

    /// What is expected of a value's elements.
    pub(crate) fn moments(&self, id: ValueId) -> Moments {
        self.moments.get(&id).copied().unwrap_or(Moments::NORMAL)
    }

    /// The lengths of a value after the batch axis; 0 where not known, as after an error.
    pub(crate) fn lengths(&self, id: ValueId) -> Vec<usize> {
        if self.error.is_some() {
            return Vec::new();
        }
        let shape = self.graph.value(id).ty.shape.as_deref().unwrap_or_default();
        shape.iter().skip(1).map(|dim| dim.known().unwrap_or(0)).collect()
    }

    /// Channels of a value `[batch, channels, ..]`.
    pub(crate) fn channels(&self, id: ValueId) -> usize {
        self.lengths(id).first().copied().unwrap_or(0)
    }

    /// Height and width of a value `[batch, channels, height, width]`.
    pub(crate) fn size(&self, id: ValueId) -> [usize; 2] {
        match self.lengths(id)[..] {
            [_, height, width] => [height, width],
            _ => [0, 0],
        }
    }

    fn unique(&mut self, name: &str) -> String {
        let name = format!("{}{name}", self.scope);
        let count = self.names.entry(name.clone()).or_default();
        *count += 1;
        if *count == 1 { name } else { format!("{name}_{}", *count - 1) }
    }
}
