//! The text form of a graph: what `inspect`, tests and error reports show, and what parses back.
//!
//! ```text
//! input x: f32[1,3,4,4]
//! const w: f32[2,3,1,1] = fill
//! const s: i64[2] = 1 -1
//! y = Conv(x, w) strides=[1,1] activation="Relu"
//! output y
//! ```
//! Constants of up to 64 elements are written out; larger ones as `fill`, and parse back to a fixed pattern of small
//! numbers, so that a test can write a network without its weights. An absent input is `-`. Names are written as they
//! are unless they would not parse back; then they are quoted.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use tilewise_tensor::{DType, Tensor};

use crate::attr::{Attr, AttrMap};
use crate::{Dim, Graph, GraphError, Op, ValueId, ValueType};

const WRITTEN_OUT: usize = 64;
