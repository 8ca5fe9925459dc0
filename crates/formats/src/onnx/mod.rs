//! ONNX models in and out: a file's bytes to a graph of newest-form operators, and back.
//!
//! Opsets 7 to 28 of ONNX's own domain are read, and a few operators of `com.microsoft`. Older forms are lifted to
//! the newest by one table (`upgrade/table.rs`), and written in the least opset from 17 on that has them by another
//! (`write/table.rs`); nothing past this folder knows an opset or a protobuf.

mod attributes;
mod error;
mod external;
mod import;
mod order;
mod proto;
mod scope;
mod site;
mod tensor;
mod types;
mod upgrade;
mod wire;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use tilewise_graph::Graph;
use tilewise_tensor::Bytes;

pub use error::{ImportError, Unsupported};
pub use write::{ExportError, External, Weights, save, write};

/// Oldest opset of ONNX's own domain that is read: the first with NumPy broadcasting.
pub const OLDEST_OPSET: i64 = 7;
/// Newest opset of ONNX's own domain that is read.
pub const NEWEST_OPSET: i64 = 28;

/// What is in a model, and what of it is not supported.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Version of ONNX's own operators that the model imports.
    pub opset: i64,
    /// How often each operator stands in the model, by the model's name for it.
    pub ops: BTreeMap<String, usize>,
    /// What is not supported, in the model's order; empty for a model that can be read.
    pub unsupported: Vec<Unsupported>,
}

/// Reads a model and types all its values. Weights stay in `bytes`; `folder` is where tensors outside the file are
/// looked for, without it there must be none.
///
/// Identities, dropouts and `If`s whose condition is a constant leave no node.
///
/// # Errors
/// [`ImportError::Unsupported`] with every such place for a valid model that uses what is not built; the others for
/// one that is not valid.
pub fn read(bytes: Bytes, folder: Option<&Path>) -> Result<Graph, ImportError> {
    let import = import::import(&bytes, folder)?;
    if import.unsupported.is_empty() {
        Ok(import.graph)
    } else {
        Err(ImportError::Unsupported { nodes: import.unsupported })
    }
}

/// Reads a model and lists all that is not supported.
///
/// # Errors
/// Those of [`read`] for a model that is not valid.
pub fn check(bytes: Bytes, folder: Option<&Path>) -> Result<Report, ImportError> {
    let import = import::import(&bytes, folder)?;
    Ok(Report { opset: import.graph.opset.into(), ops: import.ops, unsupported: import.unsupported })
}
