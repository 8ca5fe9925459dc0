//! Passes: rewrites that keep the meaning of a network. One pass, one file, one free function.

mod affine;
mod batch_norm_to_affine;
mod common_subexpressions;
mod dead_code;
mod fold_affine;
mod fold_constants;
mod fuse_epilogue;
mod pattern;
mod recognize_activations;
mod rewriter;
#[cfg(test)]
mod testing;

use crate::{Graph, GraphError};

/// A rewrite with its name and purpose.
pub struct Pass {
    /// Its name on the command line and in reports.
    pub name: &'static str,
    /// One sentence: what it does and why it stands at its place in the order.
    pub purpose: &'static str,
    /// Rewrites the graph and returns how many places changed.
    pub run: fn(&mut Graph) -> Result<usize, GraphError>,
}

/// All passes in their order, each with the reason for its place.
pub static ALL: &[Pass] = &[Pass {
    name: "dead-code",
    purpose: "Removes nodes whose outputs nothing reads; last, to sweep up what the others left.",
    run: dead_code::run,
}];

/// How many places each pass changed, in order.
pub type Report = Vec<(&'static str, usize)>;

/// Runs passes in order; in debug builds the graph is verified after each.
///
/// # Errors
/// Those of the shape rules; a broken graph is the mistake of a pass.
pub fn run(graph: &mut Graph, list: &[Pass]) -> Result<Report, GraphError> {
    let mut report = Report::new();
    for pass in list {
        report.push((pass.name, (pass.run)(graph)?));
        if cfg!(debug_assertions) {
            graph.verify()?;
        }
    }
    Ok(report)
}
