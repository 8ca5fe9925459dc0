//! Why a graph could not be written.

use std::io;
use std::path::PathBuf;

use tilewise_graph::GraphError;

/// Why a graph could not be written as a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A node that ONNX has no operator for.
    #[error("node '{node}' ({op}) cannot be written: {reason}")]
    Unsupported {
        /// Name of the node.
        node: String,
        /// Its operator, as the graph calls it.
        op: String,
        /// What ONNX has no form for.
        reason: String,
    },
    /// The graph has no order of nodes.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// One message cannot be as long; the weights must stand outside of it.
    #[error("the model takes {bytes} bytes, one file holds at most {most}: weights must stand outside of it")]
    TooLarge {
        /// Length of the model with its weights.
        bytes: u64,
        /// Most bytes of a protobuf message.
        most: u64,
    },
    /// The sink does not take what is written.
    #[error("the model could not be written: {0}")]
    Sink(#[from] io::Error),
    /// A file that could not be made.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}
