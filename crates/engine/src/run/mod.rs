//! Runs: the arena that holds all mutable state, and what the steps of a plan see of it.

mod apart;
mod arena;
mod memory;

pub use arena::{Arena, Outputs};
pub(crate) use memory::{Given, Memory};
