//! The whole story on one screen: from the bytes of a model to a plan that runs.

use tilewise_engine::{Plan, Schedule, Weights, plan};
use tilewise_formats::onnx;
use tilewise_graph::{Graph, passes};
use tilewise_kernels::Cpu;
use tilewise_tensor::Bytes;

use crate::Error;

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

/// The specialized network and a schedule -> steps over planned memory, with packed weights.
pub(crate) fn compile(graph: &Graph, schedule: &Schedule, cpu: &Cpu, weights: &Weights) -> Result<Plan, Error> {
    Ok(plan::compile(graph, schedule, cpu, weights)?)
}
