//! What can be wrong with a graph, an operator or their inputs.

use tilewise_tensor::TensorError;

/// Why an operator cannot be typed or evaluated. `Unsupported` is never the user's mistake, `Invalid` always the
/// model's or the input's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpError {
    /// The inputs or attributes break the operator's definition.
    #[error("{0}")]
    Invalid(String),
    /// A defined use of the operator that is not built.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// A tensor could not be made or read.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

impl OpError {
    /// An [`OpError::Invalid`].
    pub fn invalid(reason: impl Into<String>) -> Self {
        OpError::Invalid(reason.into())
    }

    /// An [`OpError::Unsupported`].
    pub fn unsupported(what: impl Into<String>) -> Self {
        OpError::Unsupported(what.into())
    }
}

/// What can be wrong with a graph.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// An operator that cannot be typed or evaluated.
    #[error("node '{node}' ({op} of {inputs}): {source}")]
    Op {
        /// Name of the node.
        node: String,
        /// Name of the operator.
        op: String,
        /// Types of the inputs.
        inputs: String,
        /// What is wrong.
        source: OpError,
    },
    /// Nodes feed each other in a circle.
    #[error("the graph has a cycle through node '{node}'")]
    Cycle {
        /// A node of the circle.
        node: String,
    },
    /// An input of a run that does not fit the graph.
    #[error("input '{name}': expected {expected}, got {actual}")]
    Input {
        /// Name of the input.
        name: String,
        /// What the graph takes.
        expected: String,
        /// What was given.
        actual: String,
    },
    /// A rule of the graph's structure that does not hold: a mistake of whoever edited it.
    #[error("the graph breaks its rules: {0}")]
    Broken(String),
    /// A text that is no graph.
    #[error("line {line}: {reason}")]
    Text {
        /// Line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}
