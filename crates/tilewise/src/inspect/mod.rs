//! What is in a model, and what it costs by count: parameters, multiply-adds, activations.

mod layer;

use std::collections::{BTreeMap, HashMap};

use tilewise_engine::PlanError;
use tilewise_graph::{Arg, Args, Graph, Op, ValueId, ValueType};
use tilewise_tensor::TensorError;

use crate::Error;
use layer::{Words, describe};

/// A layer by count.
#[derive(Clone, Debug)]
pub struct LayerCount {
    /// Name of the node.
    pub name: String,
    /// Name of the operator.
    pub op: &'static str,
    /// Kind and stride as papers write them, such as `Conv dw / s2`.
    pub kind: String,
    /// Filter shape as papers write it, such as `3x3x32 dw`; empty where the layer has none.
    pub filter: String,
    /// Size of the first input without the batch, channels last, such as `112x112x32`.
    pub size: String,
    /// Type of the first input that is no constant.
    pub input: String,
    /// Shape of the weights; empty where there are none.
    pub weights: Vec<usize>,
    /// Type of the first output.
    pub output: String,
    /// Parameters.
    pub params: u64,
    /// Multiply-adds.
    pub macs: u64,
}

/// A model by count, at given input shapes.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// How often each operator occurs.
    pub ops: BTreeMap<&'static str, usize>,
    /// Learned numbers: every floating-point constant of more than one element, but for the running mean and variance
    /// of batch norm.
    pub params: u64,
    /// Multiply-adds of convolutions and matrix products.
    pub macs: u64,
    /// Bytes of all constants.
    pub weight_bytes: u64,
    /// Elements of all values that nodes make.
    pub activation_elements: u64,
    /// Bytes of activations, inputs included, at the moment when most of them are alive.
    pub peak_live_bytes: u64,
    /// The layers in order.
    pub layers: Vec<LayerCount>,
}

/// Bytes that one process can address on the machines of today: 47 bits. Counts of what fits there fit 64 bits.
const ADDRESSABLE: usize = 1 << 47;

/// Counts a network as it stands, such as [`Model::source`](crate::Model::source).
///
/// # Errors
/// [`Error::Graph`] for shapes that the network does not take, and [`Error::Plan`] for values beyond all memory.
pub fn inspect(graph: &Graph, shapes: &[(&str, &[usize])]) -> Result<Inspection, Error> {
    let mut graph = graph.clone();
    graph.bind(shapes)?;
    check_sizes(&graph)?;
    let mut found = Inspection { peak_live_bytes: peak_live_bytes(&graph)?, ..Inspection::default() };
    let mut counted: HashMap<ValueId, ()> = HashMap::new();
    for id in graph.order()? {
        let node = graph.node(id);
        let constants = node.inputs.iter().enumerate().filter_map(|(i, value)| Some((i, (*value)?)));
        let constants: Vec<(usize, ValueId)> = constants.filter(|(_, id)| graph.constant(*id).is_some()).collect();
        let statistics = |i: usize| matches!(node.op, Op::BatchNormalization(_)) && i >= 3;
        let mut params = 0;
        for &(position, value) in &constants {
            let ty = &graph.value(value).ty;
            let count = ty.numel().unwrap_or(0) as u64;
            if counted.insert(value, ()).is_none() {
                found.weight_bytes += count * ty.dtype.size() as u64;
                params += if ty.dtype.is_float() && count > 1 && !statistics(position) { count } else { 0 };
            }
        }
        let args: Vec<Option<Arg<'_>>> =
            node.inputs.iter().map(|id| id.map(|id| Arg { ty: &graph.value(id).ty, value: None })).collect();
        let outputs: Vec<ValueType> = node.outputs.iter().map(|&id| graph.value(id).ty.clone()).collect();
        let macs = node.op.macs(&Args::new(&args), &outputs);
        let ty = |id: Option<ValueId>| id.map_or(String::new(), |id| graph.value(id).ty.to_string());
        let input = node.inputs.iter().flatten().copied().find(|&id| graph.constant(id).is_none());
        let weights = constants.first().filter(|_| params > 0);
        let Words { kind, filter, input: size } = describe(&graph, node);
        found.layers.push(LayerCount {
            name: node.name.to_string(),
            op: node.op.name(),
            kind,
            filter,
            size,
            input: ty(input),
            weights: weights.and_then(|(_, id)| graph.value(*id).ty.known_shape()).unwrap_or_default(),
            output: ty(node.outputs.first().copied()),
            params,
            macs,
        });
        *found.ops.entry(node.op.name()).or_default() += 1;
        found.params += params;
        found.macs += macs;
        found.activation_elements += outputs.iter().filter_map(ValueType::numel).sum::<usize>() as u64;
    }
    Ok(found)
}

fn check_sizes(graph: &Graph) -> Result<(), Error> {
    let made = graph.nodes().flat_map(|(_, node)| node.outputs.iter().copied());
    for id in graph.inputs().iter().copied().chain(made) {
        let ValueType { dtype, .. } = graph.value(id).ty;
        let Some(shape) = graph.value(id).ty.known_shape() else { continue };
        let bytes = graph.value(id).ty.numel().and_then(|n| n.checked_mul(dtype.size()));
        if bytes.is_none_or(|bytes| bytes > ADDRESSABLE) {
            return Err(PlanError::from(TensorError::TooLarge { dtype, shape }).into());
        }
    }
    Ok(())
}

fn peak_live_bytes(graph: &Graph) -> Result<u64, Error> {
    let order = graph.order()?;
    let mut last: HashMap<ValueId, usize> = HashMap::new();
    for (at, id) in order.iter().enumerate() {
        last.extend(graph.node(*id).inputs.iter().flatten().map(|&value| (value, at)));
    }
    let bytes = |id: ValueId| {
        let ty = &graph.value(id).ty;
        (ty.numel().unwrap_or(0) * ty.dtype.size()) as u64
    };
    let mut live: u64 = graph.inputs().iter().map(|&id| bytes(id)).sum();
    let mut peak = live;
    for (at, id) in order.iter().enumerate() {
        let node = graph.node(*id);
        live += node.outputs.iter().map(|&id| bytes(id)).sum::<u64>();
        peak = peak.max(live);
        let mut read: Vec<ValueId> = node.inputs.iter().flatten().chain(&node.outputs).copied().collect();
        read.sort_unstable();
        read.dedup();
        for value in read {
            let dead = last.get(&value).is_none_or(|&last| last <= at) && !graph.is_output(value);
            if dead && graph.constant(value).is_none() {
                live -= bytes(value);
            }
        }
    }
    Ok(peak)
}
