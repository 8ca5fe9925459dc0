//! Evaluates deep vision networks on CPUs close to the physical limit of the machine.
//!
//! Load a model, open a session, run it:
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use tilewise::{DType, Model, Options, Tensor};
//!
//! let mut session = Model::load("model.onnx")?.session(Options::default());
//! let image = Tensor::zeros(DType::F32, &[1, 3, 224, 224])?;
//! for (name, output) in session.run(&[("input", &image)])? {
//!     println!("{name}: {:?}", output.shape());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Or classify photos with the embedded classifier: see [`Classifier`]. Everything here runs on CPUs alone, and
//! nothing but [`Options`] and the photo itself decides about results: not the number of threads, nor where in a batch
//! an image stands.

mod ceilings;
mod classify;
mod compare;
mod convert;
pub mod embedded;
mod energy;
mod error;
mod explain;
mod inspect;
mod model;
mod options;
mod pipeline;
mod powercap;
pub mod predict;
mod profile;
mod session;
mod timing;
mod traffic;
mod tune;
pub mod zoo;

pub use ceilings::{Ceilings, Level, ReadRate};
pub use classify::{Classifier, Prepared, Ranked};
pub use compare::{Compared, Comparison, compare};
pub use convert::{from_f32, to_f32};
pub use energy::{CacheEnergy, Energy, EnergyTable};
pub use error::Error;
pub use explain::{Candidate, Explained, candidates, explain};
pub use inspect::{Inspection, LayerCount, inspect};
pub use model::Model;
pub use options::{Options, store_folder};
pub use profile::{
    Host, KindProfile, LayerBytes, LayerProfile, Limit, MeasuredEnergy, Profile, ProfileOptions, profile,
};
pub use session::Session;
pub use traffic::Traffic;
pub use tune::{Tuning, tune};

pub use tilewise_engine::schedule::{
    Bound, Budget, Changed, Choice, Decision, Group, Machine, Misfit, Predicted, Problem, Tuned,
};
pub use tilewise_engine::{Arena, Operand, Outputs, Plan, Role, Schedule, StepInfo};
pub use tilewise_formats::{image, npy, onnx};
pub use tilewise_graph as graph;
pub use tilewise_kernels as kernels;
pub use tilewise_kernels::{Cpu, Pool, Tier};
pub use tilewise_tensor::{Bytes, DType, Tensor, TensorError, View};
