//! In which layouts values pass from layer to layer: what a search over layouts has to know of a graph.

use std::ops::Range;

use tilewise_graph::{NodeId, ValueId};

use super::{Layout, Lowering};

/// What a step, or the steps of one node, read and made.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Flow {
    /// The nodes that were lowered together; none for the outputs of the graph.
    pub(crate) nodes: Vec<NodeId>,
    /// The values whose layout was asked for: it decides.
    pub(crate) follows: Vec<ValueId>,
    /// What was read, and in which layout.
    pub(crate) reads: Vec<(ValueId, Layout)>,
    /// What was made, and in which layout.
    pub(crate) makes: Vec<(ValueId, Layout)>,
    /// The choices that it left open, by their number among all of the graph.
    pub(crate) asks: Range<usize>,
}

impl Flow {
    /// Adds what other nodes read, made and asked.
    pub(crate) fn join(&mut self, other: Flow) {
        self.nodes.extend(other.nodes);
        self.follows.extend(other.follows);
        self.reads.extend(other.reads);
        self.makes.extend(other.makes);
        self.asks = if self.asks.is_empty() { other.asks } else { self.asks.start..other.asks.end.max(self.asks.end) };
    }
}

impl Lowering<'_> {
    /// Notes what was read and made since the last call.
    pub(super) fn note_flow(&mut self) {
        let mut flow = std::mem::take(&mut self.flow);
        flow.nodes.sort_unstable();
        flow.nodes.dedup();
        flow.follows = self.followed.take();
        flow.reads.retain(|(value, _)| self.graph.constant(*value).is_none());
        let outputs = flow.nodes.iter().flat_map(|&id| &self.graph.node(id).outputs);
        flow.makes = outputs.filter_map(|value| Some((*value, *self.home.get(value)?))).collect();
        let asked = self.flows.last().map_or(0, |flow| flow.asks.end);
        flow.asks = asked..self.questions.len();
        self.flows.push(flow);
    }
}
