//! Passes: rewrites that keep the meaning of a network. One pass, one file, one free function.

mod affine;
mod batch_norm_to_affine;
mod common_subexpressions;
mod dead_code;
mod fold_affine;
mod fold_constants;
mod fuse_epilogue;
mod merge_reshapes;
mod pad_into_window;
mod pattern;
mod product;
mod recognize_activations;
mod recognize_layer_norm;
mod recognize_pools;
mod remove_identity;
mod rewriter;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use crate::{Graph, GraphError};

pub(crate) use dead_code::run as remove_dead_code;

/// A rewrite with its name and purpose.
#[derive(Clone, Copy)]
pub struct Pass {
    /// Its name on the command line and in reports.
    pub name: &'static str,
    /// One sentence: what it does and why it stands at its place in the order.
    pub purpose: &'static str,
    /// Rewrites the graph and returns how many places changed.
    pub run: fn(&mut Graph) -> Result<usize, GraphError>,
}

/// All passes in their order, each with the reason for its place. Run on their own result they change nothing.
pub static ALL: &[Pass] = &[
    Pass {
        name: "fold-constants",
        purpose: "Computes what is known before any run; first, since the others look for constants and known lengths.",
        run: fold_constants::run,
    },
    Pass {
        name: "remove-identity",
        purpose: "Removes nodes that change nothing, which would stand between the parts of every later form.",
        run: remove_identity::run,
    },
    Pass {
        name: "common-subexpressions",
        purpose: "Computes once what is written twice, so that forms which read a value twice are seen to.",
        run: common_subexpressions::run,
    },
    Pass {
        name: "recognize-activations",
        purpose: "Finds functions of one number in their parts; before the folds, which would take their factors away.",
        run: recognize_activations::run,
    },
    Pass {
        name: "recognize-layer-norm",
        purpose: "Finds layer normalization in its parts; before its last product and sum look like any other.",
        run: recognize_layer_norm::run,
    },
    Pass {
        name: "recognize-pools",
        purpose: "Finds poolings of whole planes; before reshapes are merged, since it may leave one behind.",
        run: recognize_pools::run,
    },
    Pass {
        name: "merge-reshapes",
        purpose: "Merges chains of nodes that move axes, once none of them is part of another form.",
        run: merge_reshapes::run,
    },
    Pass {
        name: "pad-into-window",
        purpose: "Makes padding part of what reads it; before the folds, which must know whether zeros are added.",
        run: pad_into_window::run,
    },
    Pass {
        name: "fold-affine",
        purpose: "Folds batch norms and constants a channel into weights; before functions follow the products.",
        run: fold_affine::run,
    },
    Pass {
        name: "batch-norm-to-affine",
        purpose: "Writes the batch norms that are left as product and sum; after those with weights beside them.",
        run: batch_norm_to_affine::run,
    },
    Pass {
        name: "fuse-epilogue",
        purpose: "Makes residuals and functions part of the product they follow, which is in its last form by now.",
        run: fuse_epilogue::run,
    },
    Pass {
        name: "dead-code",
        purpose: "Removes nodes whose outputs nothing reads; last, to sweep up what the others and the model left.",
        run: dead_code::run,
    },
];

/// The pass of a name.
pub fn by_name(name: &str) -> Option<&'static Pass> {
    ALL.iter().find(|pass| pass.name == name)
}

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
