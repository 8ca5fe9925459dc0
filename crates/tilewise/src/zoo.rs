//! The zoo: published networks by name, with seeded weights or trained tensors.

use std::collections::BTreeMap;
use std::path::Path;

use tilewise_formats::safetensors;
use tilewise_graph::Graph;
use tilewise_tensor::Tensor;

use crate::{Error, Inspection, Model, inspect};

pub use tilewise_zoo::{Knob, Mismatch, NETWORKS, Network, Published, Variant, Weights, find};

/// The network that a name such as `mobilenet-v1?width=0.5&size=160` stands for, and the names of trained tensors
/// that it has no use for, such as those of auxiliary classifiers.
///
/// # Errors
/// [`Error::Zoo`] for a name that stands for nothing, and [`Error::Weights`] where trained tensors are missing or have
/// another shape.
pub fn build(name: &str, weights: &Weights) -> Result<(Graph, Vec<String>), Error> {
    let (network, variant) = find(name)?;
    let (graph, mismatch) = network.build(&variant, weights)?;
    if mismatch.missing.is_empty() && mismatch.misshapen.is_empty() {
        return Ok((graph, mismatch.left_over));
    }
    Err(Error::Weights { network: network.name.to_owned(), mismatch })
}

/// What a network costs by count, for one image.
///
/// # Errors
/// [`Error::Zoo`] for a variant whose input is too small.
pub fn count(network: &Network, variant: &Variant) -> Result<Inspection, Error> {
    let (graph, _) = network.build(variant, &Weights::Zeros)?;
    let [channels, _, _] = network.input;
    let [height, width] = variant.size;
    inspect(&graph, &[("input", &[1, channels, height, width])])
}

/// The tensors of a `.safetensors` file by name, for [`Weights::Named`]. They stay in the mapped file.
///
/// # Errors
/// [`Error::Tensors`].
pub fn read_tensors(path: &Path) -> Result<BTreeMap<String, Tensor>, Error> {
    Ok(safetensors::read(path)?)
}

impl Model {
    /// A network of the zoo with seeded weights, such as `mobilenet-v1?width=0.5&size=160`.
    ///
    /// # Errors
    /// Those of [`build`].
    pub fn zoo(name: &str, seed: u64) -> Result<Self, Error> {
        let (graph, _) = build(name, &Weights::Seeded(seed))?;
        Self::from_graph(graph)
    }
}
