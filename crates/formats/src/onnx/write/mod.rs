//! ONNX models out: a graph to a file of the least opset from 17 on that has all its operators.
//!
//! Names of inputs, outputs, values, nodes and constants are kept; a second one of a name gets `~2` added. What the
//! graph fuses is written as the nodes that it is made of: a convolution with residual and function as `Conv`, `Add`
//! and the function. Weights are written from where they stand; scaled ones are computed one at a time.
//!
//! To write another operator, add its row to `table.rs`; where ONNX's form differs from the graph's, with the step to
//! it.

mod attributes;
mod chains;
pub(crate) mod encode;
mod error;
mod file;
mod form;
mod model;
mod names;
mod table;

use std::io::Write;

use tilewise_graph::Graph;

pub use error::ExportError;
pub use file::{Weights, save};

use encode::Body;
use model::{Model, model};

/// Most bytes of a protobuf message: readers count them in 31 bits.
const LARGEST: u64 = (1 << 31) - 1;

/// A file of weights beside the model's.
pub struct External<'a> {
    /// Its name, which the model states: relative to the folder of the model's file.
    pub location: &'a str,
    /// What the weights are written to, from its beginning on.
    pub data: &'a mut dyn Write,
}

/// Writes a graph as a model. With `external`, tensors of 1 KiB and more are written there, each at a multiple of
/// 4096 bytes, and the model names the place; else all are part of the model.
///
/// Many small pieces are written: a sink to a file should be buffered.
///
/// # Errors
/// [`ExportError::Unsupported`] for a node that ONNX has no form for, [`ExportError::TooLarge`] for a model of 2 GiB and
/// more, [`ExportError::Graph`] for a cycle, [`ExportError::Sink`].
pub fn write(graph: &Graph, sink: &mut dyn Write, external: Option<External<'_>>) -> Result<(), ExportError> {
    let lowered = form::lower(graph, table::OPSET)?;
    let model = model(graph, &lowered, external.as_ref().map(|external| external.location));
    emit(&model, sink, external.map(|external| external.data))
}

/// Writes the weights outside of a model, and then the model.
fn emit(model: &Model, sink: &mut dyn Write, data: Option<&mut dyn Write>) -> Result<(), ExportError> {
    let bytes = model.proto.body_len();
    if bytes > LARGEST {
        return Err(ExportError::TooLarge { bytes, most: LARGEST });
    }
    if let Some(data) = data {
        let mut end = 0;
        for (offset, constant) in &model.outside {
            std::io::copy(&mut std::io::Read::take(std::io::repeat(0), offset - end), data)?;
            let bytes = encode::constant_bytes(constant)?;
            data.write_all(&bytes)?;
            end = offset + bytes.len() as u64;
        }
        data.flush()?;
    }
    model.proto.write_body(sink)?;
    sink.flush()?;
    Ok(())
}
