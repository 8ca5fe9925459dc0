//! The verbs, one file each.

mod bench;
mod check;
mod compare;
mod explain;
mod infer;
mod inspect;
mod kernels;
mod ladder;
mod machine;
mod passes;
mod predict;
mod profile;
mod run;
mod tune;
mod zoo;

use anyhow::Result;
use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Classify images: files, folders, globs and tar shards; without any, the embedded photos
    Run(run::Run),
    /// Run any model on raw tensors (.npy, .npz)
    Infer(infer::Infer),
    /// Time a model
    Bench(bench::Bench),
    /// Show what is in a model: inputs, outputs, operators, layers and their cost
    Inspect(inspect::Inspect),
    /// Say whether a model can run, and list every operator that is not supported
    Check(check::Check),
    /// Compare the optimized network with the reference interpreter, layer by layer
    Compare(compare::Compare),
    /// Show where time, traffic and energy go: as a table, JSON, CSV, a trace, or a page to look at
    Profile(profile::ProfileVerb),
    /// Search for a faster schedule of a model on this machine, and keep it
    Tune(tune::Tune),
    /// Show the plan layer by layer: choice, predicted and measured time, bound
    Explain(explain::Explain),
    /// The published networks: what there is, what they cost, and any of them as an ONNX file
    Zoo(zoo::Zoo),
    /// Run the classic steps from a naive loop to a tuned kernel, each checked and timed on this machine
    Ladder(ladder::Climb),
    /// Say what a network would cost on another machine, and how well this one is predicted
    Predict(predict::Predict),
    /// Measure the ceilings of this machine
    Machine(machine::Machine),
    /// List the kernels
    Kernels(kernels::Kernels),
    /// List the passes over the graph, in order
    Passes(passes::Passes),
}

impl Verb {
    /// Does the job; false when it was done and a check did not hold.
    pub(crate) fn run(&self) -> Result<bool> {
        match self {
            Verb::Run(verb) => verb.run(),
            Verb::Infer(verb) => verb.run(),
            Verb::Bench(verb) => verb.run(),
            Verb::Inspect(verb) => verb.run(),
            Verb::Check(verb) => verb.run(),
            Verb::Compare(verb) => verb.run(),
            Verb::Profile(verb) => verb.run(),
            Verb::Tune(verb) => verb.run(),
            Verb::Explain(verb) => verb.run(),
            Verb::Zoo(verb) => verb.run(),
            Verb::Ladder(verb) => verb.run(),
            Verb::Predict(verb) => verb.run(),
            Verb::Machine(verb) => verb.run(),
            Verb::Kernels(verb) => verb.run(),
            Verb::Passes(verb) => verb.run(),
        }
    }
}
