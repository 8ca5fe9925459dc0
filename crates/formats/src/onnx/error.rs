//! What can be wrong with a model file, and what in it is not built here.

use std::fmt;

pub(crate) use crate::shown::shown;

/// Why a model could not be read. Names and texts from the file are escaped and cut before they are shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The bytes are no protobuf of an ONNX model.
    #[error("no ONNX model: at byte {offset}, expected {expected}, found {found}")]
    Malformed {
        /// Where, from the beginning of the file.
        offset: usize,
        /// What should stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// The model as a whole breaks the format's rules.
    #[error("the model {reason}")]
    Model {
        /// What is wrong, as the rest of a sentence that begins with "the model".
        reason: String,
    },
    /// A stored tensor whose type, shape and data do not fit each other.
    #[error("tensor '{tensor}': {reason}")]
    Tensor {
        /// Name of the tensor.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// Data outside the model's file that cannot be had, or must not be.
    #[error("tensor '{tensor}', external data in '{location}': {reason}")]
    External {
        /// Name of the tensor.
        tensor: String,
        /// The file, as the model names it.
        location: String,
        /// What is wrong.
        reason: String,
    },
    /// A value that is not declared as it must be.
    #[error("value '{value}' {reason}")]
    Value {
        /// Name of the value.
        value: String,
        /// What is wrong, as the rest of a sentence that begins with the name.
        reason: String,
    },
    /// A node that is not put together as it must be.
    #[error("node '{node}' ({op}): {reason}")]
    Node {
        /// Name of the node.
        node: String,
        /// Its operator.
        op: String,
        /// What is wrong.
        reason: String,
    },
    /// A node whose operator does not take its inputs.
    #[error("node '{node}' ({op} of {inputs}): {reason}")]
    Types {
        /// Name of the node.
        node: String,
        /// Its operator.
        op: String,
        /// Types of its inputs.
        inputs: String,
        /// What is wrong.
        reason: String,
    },
    /// A valid model that uses what is not built here: every such place, in the model's order.
    #[error("not supported: {}", listed(nodes))]
    Unsupported {
        /// The places.
        nodes: Vec<Unsupported>,
    },
}

/// A node, or a stored tensor, that is valid and not supported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// Name of the node.
    pub node: String,
    /// Its operator as the model names it; `initializer` for a stored tensor.
    pub op: String,
    /// The operator's domain; empty for ONNX's own.
    pub domain: String,
    /// The version of that domain that the model imports; 0 when it imports none.
    pub opset: i64,
    /// What is not supported.
    pub reason: String,
}

/// `node 'n' (Op, opset 17): reason`.
impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unsupported { node, op, domain, opset, reason } = self;
        let dot = if domain.is_empty() { "" } else { "." };
        write!(f, "node '{node}' ({domain}{dot}{op}, opset {opset}): {reason}")
    }
}

/// How many places a message names; the rest is counted.
const MOST_LISTED: usize = 20;

fn listed(nodes: &[Unsupported]) -> String {
    let mut text = nodes.iter().take(MOST_LISTED).map(Unsupported::to_string).collect::<Vec<_>>().join("; ");
    if nodes.len() > MOST_LISTED {
        text += &format!("; and {} more", nodes.len() - MOST_LISTED);
    }
    text
}

impl ImportError {
    pub(crate) fn model(reason: impl Into<String>) -> Self {
        ImportError::Model { reason: reason.into() }
    }

    pub(crate) fn tensor(name: &str, reason: impl fmt::Display) -> Self {
        ImportError::Tensor { tensor: shown(name), reason: reason.to_string() }
    }

    pub(crate) fn value(name: &str, reason: impl Into<String>) -> Self {
        ImportError::Value { value: shown(name), reason: reason.into() }
    }
}
