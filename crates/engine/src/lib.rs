//! How a network runs here: schedules, lowering of operators to steps, plans with planned memory, and runs.
//!
//! The only room where networks and kernels meet. Data flows one way: a graph and a schedule become a [`Plan`], a
//! plan and an [`Arena`] run. Nothing after the plan looks at the graph.

mod error;
mod lower;
pub mod plan;
mod run;
pub mod schedule;

pub use error::{PlanError, RunError};
pub use plan::{Network, Operand, Plan, Role, StepInfo, Weights};
pub use run::{Arena, Outputs};
pub use schedule::Schedule;
