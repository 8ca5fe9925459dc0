//! Places in a model, as messages name them.

use tilewise_graph::OpError;

use super::error::{ImportError, Unsupported, shown};

/// Where in the model something happens.
pub(crate) struct Site {
    /// Name of the node, as the model has it; its first output's where it has none.
    pub(crate) node: String,
    /// Its operator.
    pub(crate) op: String,
    /// The operator's domain; empty for ONNX's own.
    pub(crate) domain: String,
    /// The version of the domain that the model imports.
    pub(crate) opset: i64,
}

impl Site {
    /// A node that is not put together as it must be.
    pub(crate) fn invalid(&self, reason: impl Into<String>) -> ImportError {
        ImportError::Node { node: shown(&self.node), op: shown(&self.op), reason: reason.into() }
    }

    /// Something that is valid and not built.
    pub(crate) fn unsupported(&self, reason: impl Into<String>) -> ImportError {
        let (node, op, domain) = (shown(&self.node), shown(&self.op), shown(&self.domain));
        let place = Unsupported { node, op, domain, opset: self.opset, reason: reason.into() };
        ImportError::Unsupported { nodes: vec![place] }
    }

    /// What an operator says of inputs of such types.
    pub(crate) fn op_error(&self, inputs: &str, error: OpError) -> ImportError {
        if let OpError::Unsupported(what) = error {
            return self.unsupported(what);
        }
        let (node, op, reason) = (shown(&self.node), shown(&self.op), error.to_string());
        ImportError::Types { node, op, inputs: shown(inputs), reason }
    }

    /// A place that is no node: an initializer or an input.
    pub(crate) fn value(name: &str, what: &str) -> Site {
        Site { node: name.to_owned(), op: what.to_owned(), domain: String::new(), opset: 0 }
    }
}
