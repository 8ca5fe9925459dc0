//! What a choice is made for: the problem of a layer, or of two that may share a step.

use std::fmt;

use tilewise_kernels::gemm::Gemm;
use tilewise_kernels::{Conv2d, DepthwisePointwise};

/// The problem of a layer, as far as a choice depends on it. Its text form is its identity: layers of one text, in one
/// network or in two, run alike.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Problem {
    /// A convolution.
    Conv(Conv2d),
    /// A convolution along one axis, as one over images of height 1. Such values are never blocked.
    FlatConv(Conv2d),
    /// A depthwise convolution and the pointwise one that alone reads it.
    Pair(DepthwisePointwise),
    /// Matrix products of one shape.
    Gemm {
        /// Their shape.
        problem: Gemm,
        /// How many there are.
        count: usize,
        /// True where the right operand is packed when the plan is made.
        packed: bool,
    },
}

impl Problem {
    /// Multiply-adds.
    pub fn macs(&self) -> u64 {
        match self {
            Problem::Conv(p) | Problem::FlatConv(p) => p.macs(),
            Problem::Pair(p) => p.macs(),
            Problem::Gemm { problem: Gemm { m, n, k, .. }, count, .. } => (m * n * k * count) as u64,
        }
    }
}

/// `conv n1 ic64 ...`, `flat conv n1 ...`, `conv ... -> conv ...`, `gemm m1 n1000 k512 a512,1 b1,512 x1 packed +bias`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Conv(p) => write!(f, "{p}"),
            Problem::FlatConv(p) => write!(f, "flat {p}"),
            Problem::Pair(p) => write!(f, "{p}"),
            Problem::Gemm { problem: Gemm { m, n, k, a, b, alpha: _, epilogue }, count, packed } => {
                write!(f, "gemm m{m} n{n} k{k} a{},{} b{},{} x{count}", a.row, a.col, b.row, b.col)?;
                write!(f, "{}{epilogue}", if *packed { " packed" } else { "" })
            }
        }
    }
}

/// A choice that a network leaves open.
#[derive(Clone, PartialEq, Debug)]
pub struct Question {
    /// The layer that the choice is named after.
    pub layer: String,
    /// Of a pair, the layer before it.
    pub first: Option<String>,
    /// What is to be computed.
    pub problem: Problem,
}
