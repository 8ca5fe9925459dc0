//! Tests of the importer, on models written as text.

mod hostile;
mod models;
mod real;
mod upgrades;
mod write;
mod write_rows;

use tilewise_graph::Graph;
use tilewise_tensor::{AlignedBuffer, Bytes};

use super::{ImportError, read};

/// Bytes that own themselves.
fn owned(bytes: &[u8]) -> Bytes {
    let mut buffer = AlignedBuffer::zeroed(bytes.len());
    buffer.bytes_mut().copy_from_slice(bytes);
    buffer.into()
}

/// Reads a model that stands in memory alone.
fn import(bytes: &[u8]) -> Result<Graph, ImportError> {
    read(owned(bytes), None)
}

/// The text of an import's failure; panics when there is none.
fn refusal(bytes: &[u8]) -> String {
    match import(bytes) {
        Err(error) => error.to_string(),
        Ok(graph) => panic!("the model was read:\n{graph}"),
    }
}
