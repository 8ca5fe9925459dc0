//! What a network would cost on a machine: a pure function of its layers and of the machine's description, and, for
//! the machine at hand, of the plan and of the machine's measured constants.

mod cost;
mod here;
mod layer;
mod machine;
pub mod stats;

pub use cost::{Bound, Prediction, predict, systolic_steps, waves, why};
pub use here::Here;
pub use layer::{Layer, Products, layers};
pub use machine::{Compute, Dataflow, Efficiency, Level, MACHINES, Machine, Systolic};
