//! Why a plan cannot be made or run.

use tilewise_graph::{GraphError, OpError};
use tilewise_tensor::TensorError;

/// Why a graph cannot be compiled.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The graph itself does not hold.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// An input has no fixed shape.
    #[error("input '{name}' is {ty}: give its free lengths, for instance --shape {name}:1x3x224x224")]
    FreeInput {
        /// Name of the input.
        name: String,
        /// Its type as far as known.
        ty: String,
    },
    /// A node whose lowering met numbers that do not fit.
    #[error("node '{node}' ({op}): {reason}")]
    Node {
        /// Name of the node.
        node: String,
        /// Name of the operator.
        op: String,
        /// What does not fit.
        reason: String,
    },
    /// A tensor of the plan could not be made.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The activations do not fit in memory.
    #[error(
        "the activations of this network at these shapes take {bytes} bytes or more, which this machine with its {memory} bytes cannot give"
    )]
    TooLarge {
        /// What they take at least.
        bytes: usize,
        /// What the machine has.
        memory: usize,
    },
    /// An arena with more threads than the plan has scratch for.
    #[error("the plan was compiled for {plan} threads and cannot run on {pool}")]
    Threads {
        /// Threads of the pool.
        pool: usize,
        /// Threads of the plan.
        plan: usize,
    },
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// An input does not fit the plan.
    #[error("input '{name}': expected {expected}, got {actual}")]
    Input {
        /// Name of the input.
        name: String,
        /// What the plan takes.
        expected: String,
        /// What was given.
        actual: String,
    },
    /// An operator met values that it is not defined for.
    #[error("node '{node}' ({op}): {source}")]
    Op {
        /// Name of the node.
        node: String,
        /// Name of the operator.
        op: String,
        /// What is wrong.
        source: OpError,
    },
    /// An arena that was made for another plan.
    #[error("this arena was made for another plan")]
    Arena,
}
