//! One error for all that can go wrong between a file and an output.

use std::path::PathBuf;

use tilewise_engine::{PlanError, RunError};
use tilewise_formats::image::ImageError;
use tilewise_formats::onnx::ImportError;
use tilewise_formats::safetensors::SafetensorsError;
use tilewise_graph::GraphError;
use tilewise_zoo::{Mismatch, ZooError};

/// Why a model cannot be loaded, compiled or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A model that cannot be imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A network whose operators do not fit together.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A network that cannot be compiled.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A run that failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A photo that cannot be decoded or prepared.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A model that classifies no photos.
    #[error(
        "the model takes {inputs} and gives {outputs}; a classifier takes one image batch f32[N,3,H,W] or u8/f32[N,H,W,3] and gives scores [N,classes]"
    )]
    NoClassifier {
        /// Its inputs.
        inputs: String,
        /// Its outputs.
        outputs: String,
    },
    /// A network of the zoo that cannot be built.
    #[error(transparent)]
    Zoo(#[from] ZooError),
    /// A file of tensors that cannot be read.
    #[error(transparent)]
    Tensors(#[from] SafetensorsError),
    /// Trained tensors that are not those of the network they were given for.
    #[error("the tensors do not fit {network}: {}", fits(.mismatch))]
    Weights {
        /// The network.
        network: String,
        /// What does not fit.
        mismatch: Mismatch,
    },
    /// A text that is no table of energies.
    #[error("this is no table of energies: {reason}")]
    EnergyTable {
        /// What is wrong with it.
        reason: String,
    },
    /// A name that stands for nothing here.
    #[error("{0}")]
    Usage(String),
}

fn fits(mismatch: &Mismatch) -> String {
    let Mismatch { missing, misshapen, left_over } = mismatch;
    let mut lines =
        vec![format!("{} missing, {} misshapen, {} left over", missing.len(), misshapen.len(), left_over.len())];
    lines.extend(missing.iter().map(|name| format!("  missing    {name}")));
    lines
        .extend(misshapen.iter().map(|(name, want, got)| format!("  misshapen  {name}: expected {want}, found {got}")));
    lines.extend(left_over.iter().map(|name| format!("  left over  {name}")));
    lines.join("\n")
}
