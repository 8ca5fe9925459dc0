//! The whole story on one screen: from the bytes of a model to a plan that runs.

use tilewise_engine::schedule::{self, Store};
use tilewise_engine::{Plan, Schedule, Weights, plan};
use tilewise_formats::onnx;
use tilewise_graph::{Graph, passes};
use tilewise_kernels::Cpu;
use tilewise_tensor::Bytes;

use crate::{Error, Options};

/// Bytes of an ONNX model -> the network as it was written.
///
/// `folder` is where the model's external data lie.
pub(crate) fn import(bytes: Bytes, folder: Option<&std::path::Path>) -> Result<Graph, Error> {
    Ok(onnx::read(bytes, folder)?)
}

/// The network as it was written -> the same network with less to compute, for any input shapes.
pub(crate) fn optimize(source: &Graph) -> Result<Graph, Error> {
    let mut graph = source.clone();
    passes::run(&mut graph, passes::ALL)?;
    Ok(graph)
}

/// The network, fixed to input shapes -> the same with all shape arithmetic computed.
pub(crate) fn specialize(graph: &Graph, shapes: &[(&str, &[usize])]) -> Result<Graph, Error> {
    let mut graph = graph.clone();
    graph.bind(shapes)?;
    passes::run(&mut graph, passes::ALL)?;
    Ok(graph)
}

/// The specialized network -> how its layers run: as the options say, else as the store knows it.
pub(crate) fn schedule(graph: &Graph, options: &Options, cpu: &Cpu) -> Result<Schedule, Error> {
    let store = options.store.as_ref().filter(|_| options.schedule.is_empty()).map(|folder| Store::open(folder, cpu));
    match store {
        Some(store) if !store.is_empty() => {
            let questions = plan::survey(graph, &Schedule::default(), cpu)?.questions;
            Ok(schedule::recall(&questions, cpu, &store))
        }
        _ => Ok(options.schedule.clone()),
    }
}

/// The specialized network and its schedule -> steps over planned memory, with packed weights.
pub(crate) fn compile(graph: &Graph, options: &Options, cpu: &Cpu, weights: &Weights) -> Result<Plan, Error> {
    let plan = plan::compile(graph, &schedule(graph, options, cpu)?, cpu, weights)?;
    if let Some(told) = options.on_misfit {
        plan.misfits().iter().for_each(told);
    }
    Ok(plan)
}
