//! What layers leave open, and what a schedule or the choosers make of it.

use std::collections::HashMap;

use tilewise_graph::{Graph, Node, NodeId};

use super::{Layer, Lowering};
use crate::schedule::{self, Choice, Misfit, Problem, Question};

/// A name for each node, unique in the graph: its own, or that of its first output where several share it.
pub(crate) fn layer_names(graph: &Graph) -> HashMap<NodeId, String> {
    let mut count: HashMap<&str, usize> = HashMap::new();
    for (_, node) in graph.nodes() {
        *count.entry(&node.name).or_default() += 1;
    }
    let name = |node: &Node| match node.outputs.first() {
        Some(&output) if node.name.is_empty() || count[&*node.name] > 1 => graph.value(output).name.to_string(),
        _ => node.name.to_string(),
    };
    graph.nodes().map(|(id, node)| (id, name(node))).collect()
}

impl Lowering<'_> {
    /// The unique name of a layer.
    pub(crate) fn name(&self, layer: Layer<'_>) -> &str {
        &self.names[&layer.id]
    }

    /// Notes a choice that a layer leaves open; of a pair, `first` is the layer before it.
    pub(crate) fn ask(&mut self, layer: Layer<'_>, first: Option<Layer<'_>>, problem: Problem) {
        let question =
            Question { layer: self.name(layer).to_owned(), first: first.map(|f| self.name(f).to_owned()), problem };
        self.questions.push(question);
    }

    /// The choice for a layer's problem: the schedule's where it fits, else the chooser's.
    pub(crate) fn choose(&mut self, layer: Layer<'_>, problem: &Problem) -> Option<Choice> {
        self.scheduled(layer, problem).or_else(|| schedule::default(problem, self.cpu))
    }

    /// The schedule's choice for a layer where it fits the problem; where it does not, that is noted.
    pub(crate) fn scheduled(&mut self, layer: Layer<'_>, problem: &Problem) -> Option<Choice> {
        let choice = *self.schedule.get(&self.names[&layer.id])?;
        match schedule::fits(&choice, problem, self.cpu) {
            Ok(()) => Some(choice),
            Err(reason) => {
                let layer = self.name(layer).to_owned();
                // A pair's entry is looked at again when its second layer comes by itself.
                if self.misfits.iter().all(|misfit| misfit.layer != layer) {
                    self.misfits.push(Misfit { layer, choice: choice.to_string(), reason });
                }
                None
            }
        }
    }

    /// Notes the entries of the schedule whose layer has no choice to make.
    pub(super) fn note_strangers(&mut self) {
        let asked = |layer: &str| self.questions.iter().any(|question| question.layer == layer);
        let strangers = self.schedule.iter().filter(|(layer, _)| !asked(layer));
        let reason = "the network has no layer of this name that can be chosen for";
        let misfits: Vec<Misfit> = strangers
            .map(|(layer, choice)| Misfit { layer: layer.into(), choice: choice.to_string(), reason: reason.into() })
            .collect();
        self.misfits.extend(misfits);
    }
}
