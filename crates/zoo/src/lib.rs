//! The published vision networks, built in code with seeded weights or with trained tensors by name.
//!
//! A network is a row ([`Network`]): its name, its input, what was published of its cost, and the function that
//! describes it in layers. [`find`] reads a name with its variants, such as `mobilenet-v1?width=0.5&size=160`.
//!
//! Networks end in the scores before any softmax, as torchvision and timm have it. Parameters are named as there.

mod layers;
mod moments;
mod net;
mod networks;
mod variant;
mod weights;

use tilewise_graph::{Graph, GraphError, ValueId};

use net::Net;
pub use networks::NETWORKS;
pub use variant::{Knob, Variant, find};
pub use weights::{Mismatch, Weights};

/// A published network.
pub struct Network {
    /// Its name.
    pub name: &'static str,
    /// Its input: channels, height, width.
    pub input: [usize; 3],
    /// Classes of its output.
    pub classes: usize,
    /// What can be varied.
    pub knobs: &'static [Knob],
    /// What was published of its cost.
    pub published: Published,
    /// Describes its layers from the input on, and gives the output.
    build: fn(&mut Net<'_>, ValueId, &Variant) -> ValueId,
}

/// What was published of a network's cost.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// Multiply-adds of one image.
    pub macs: Option<f64>,
    /// Parameters.
    pub params: Option<f64>,
    /// Where these figures stand.
    pub source: &'static str,
    /// Why they are not those of the network as built, where they are not.
    pub note: Option<&'static str>,
}

/// Why a network could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ZooError {
    /// No network has the name.
    #[error("the zoo has no network '{name}'{}; `tilewise zoo list` shows all", near.as_deref().map(|near| format!(", did you mean '{near}'?")).unwrap_or_default())]
    Unknown {
        /// The name asked for.
        name: String,
        /// The name of a network that is written alike.
        near: Option<String>,
    },
    /// A variant that the network does not have.
    #[error("{network}: {reason}")]
    Variant {
        /// The network.
        network: String,
        /// What is wrong, and what is possible.
        reason: String,
    },
    /// Layers that do not fit each other, as those of a network whose input is too small.
    #[error("{network} at {} x {}: {source}", size[0], size[1])]
    Graph {
        /// The network.
        network: String,
        /// Height and width of its input.
        size: [usize; 2],
        /// What does not fit.
        source: GraphError,
    },
}

impl Network {
    /// Builds the network: one input `[batch, c, h, w]` named `input`, one output named `output`. The list says which
    /// parameters did not fit; there zeros stand.
    ///
    /// # Errors
    /// [`ZooError::Graph`] for an input that is too small.
    pub fn build(&self, variant: &Variant, weights: &Weights) -> Result<(Graph, Mismatch), ZooError> {
        let [channels, _, _] = self.input;
        let [height, width] = variant.size;
        let (mut net, input) = Net::new(weights, &[channels, height, width]);
        let output = (self.build)(&mut net, input, variant);
        net.finish(output).map_err(|source| ZooError::Graph {
            network: self.name.to_owned(),
            size: variant.size,
            source,
        })
    }

    /// The network as it was published.
    pub fn default_variant(&self) -> Variant {
        Variant { size: [self.input[1], self.input[2]], width: 1.0, classes: self.classes }
    }
}
