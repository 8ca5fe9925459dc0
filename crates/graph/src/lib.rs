//! What a network means: the graph, its operators, their shape rules and reference evaluation, the interpreter, and
//! the passes that keep the meaning.
//!
//! This room knows no machine, no thread and no file format.

pub mod attr;
mod edit;
mod error;
mod graph;
mod images;
mod infer;
mod interpret;
pub mod ops;
pub mod passes;
pub mod text;
mod types;
mod verify;

pub use error::{GraphError, OpError};
pub use graph::{Constant, Graph, Node, NodeId, Origin, Value, ValueId};
pub use images::{Crossing, Images};
pub use infer::{Known, refine};
pub use interpret::{Interpreter, evaluate};
pub use ops::{Arg, Args, Op, Operator};
pub use types::{Dim, ValueType};
