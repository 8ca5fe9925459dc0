//! The whole story on one screen: from the bytes of a model to a plan that runs.

use tilewise_engine::plan::Network;
use tilewise_engine::schedule::{self, Store};
use tilewise_engine::{Plan, Schedule, Weights};
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

/// The network, fixed to input shapes -> the network to compile: where these are of a batch, in a part that goes image by
/// image and the rest.
pub(crate) fn network(graph: &Graph, shapes: &[(&str, &[usize])], cpu: &Cpu) -> Result<Network, Error> {
    let all = specialize(graph, shapes)?;
    let of_one: Vec<(&str, Vec<usize>)> = shapes
        .iter()
        .filter(|(_, shape)| shape.first().is_some_and(|&count| count > 1))
        .map(|(name, shape)| (*name, [&[1], &shape[1..]].concat()))
        .collect();
    let of_one: Vec<(&str, &[usize])> = of_one.iter().map(|(name, shape)| (*name, &shape[..])).collect();
    if of_one.is_empty() || of_one.len() < shapes.len() {
        return Ok(Network::Whole(all));
    }
    // A network that takes no single image takes its batch as a whole.
    match specialize(graph, &of_one) {
        Ok(one) => Ok(Network::by_image(&one, all, cpu)?),
        Err(_) => Ok(Network::Whole(all)),
    }
}

/// The network to compile -> how its layers run: as the options say, else as the store knows it.
pub(crate) fn schedule(network: &Network, options: &Options, cpu: &Cpu) -> Result<Schedule, Error> {
    let folder = options.store.as_ref().filter(|_| options.schedule.is_empty());
    let Some(folder) = folder else { return Ok(options.schedule.clone()) };
    network.schedule(cpu, |part| {
        let store = Store::open(folder, &part.cpu);
        if store.is_empty() {
            return Ok(Schedule::default());
        }
        Ok(schedule::recall(&part.survey(&Schedule::default())?.questions, &part.cpu, &store))
    })
}

/// The network and its schedule -> steps over planned memory, with packed weights.
pub(crate) fn compile(network: &Network, options: &Options, cpu: &Cpu, weights: &Weights) -> Result<Plan, Error> {
    let plan = network.compile(&schedule(network, options, cpu)?, cpu, weights)?;
    if let Some(told) = options.on_misfit {
        plan.misfits().iter().for_each(told);
    }
    Ok(plan)
}
