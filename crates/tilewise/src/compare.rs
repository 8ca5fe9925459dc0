//! Comparing what runs with what is meant: every layer of the optimized network against the reference interpreter.

use std::collections::HashMap;

use tilewise_engine::plan::Network;
use tilewise_engine::{Arena, Plan};
use tilewise_graph::{Graph, Interpreter, ValueId};
use tilewise_tensor::{Difference, Tensor, View, difference};

use crate::{Error, Model, Options, options, pipeline};

/// How one value of the optimized network differs from the reference.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Name of the layer, or of the output.
    pub name: String,
    /// Name of the operator; empty for outputs.
    pub op: &'static str,
    /// The distance.
    pub difference: Difference,
}

/// The result of [`compare`].
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Every layer of the optimized network whose value the network as written has too, in order.
    pub layers: Vec<Compared>,
    /// The outputs.
    pub outputs: Vec<Compared>,
}

impl Comparison {
    /// True when no element is outside of the tolerances.
    pub fn holds(&self) -> bool {
        self.layers.iter().chain(&self.outputs).all(|compared| compared.difference.outside == 0)
    }
}

/// Runs a model both ways on the same inputs (in the model's order) and compares all layers. An element is outside
/// when it differs by more than `atol` times the largest magnitude of its tensor plus `rtol` times its own.
///
/// In a network that quantizes, a difference in the last bit in front of a rounding becomes a whole step behind it, and
/// grows from there. Such a network's layers are compared one by one, each on the reference's own inputs; integers may
/// be one step apart, and the outputs of the whole are told without being judged.
///
/// # Errors
/// Those of both runs.
pub fn compare(model: &Model, inputs: &[Tensor], options: &Options, atol: f64, rtol: f64) -> Result<Comparison, Error> {
    let shapes: Vec<(&str, &[usize])> =
        model.inputs().map(|(name, _)| name).zip(inputs.iter().map(Tensor::shape)).collect();
    let graph = model.specialized(&shapes)?;
    let quantizes = graph.nodes().any(|(_, node)| node.op.name().contains("Quantize"));
    let tolerances = Tolerances { atol, rtol };
    if quantizes {
        compare_alone(model, &graph, inputs, options, &tolerances)
    } else {
        compare_together(model, graph, inputs, options, &tolerances)
    }
}

struct Tolerances {
    atol: f64,
    rtol: f64,
}

impl Tolerances {
    fn apart(&self, actual: &Tensor, expected: &Tensor) -> Difference {
        let (actual, expected) = (crate::to_f32(actual), crate::to_f32(expected));
        let range = expected.iter().filter(|x| x.is_finite()).fold(0f32, |most, x| most.max(x.abs()));
        difference(&actual, &expected, self.atol * f64::from(range), self.rtol)
    }
}

/// Compares all layers of one run with the reference run of the network as written.
fn compare_together(
    model: &Model,
    mut graph: Graph,
    inputs: &[Tensor],
    options: &Options,
    tolerances: &Tolerances,
) -> Result<Comparison, Error> {
    // The outputs are those of the plan that runs; the layers are told by one that keeps the value of each, where
    // fewer layers share a step and none goes image by image.
    let shapes: Vec<&[usize]> = inputs.iter().map(Tensor::shape).collect();
    let plan = model.plan(&shapes, options)?;
    let made = run_plan(&plan, inputs, options)?;
    let options = &Options { on_misfit: None, schedule: plan.schedule().clone(), ..options.clone() };
    let count = graph.outputs().len();
    let mut layers: Vec<(ValueId, String, &'static str)> = Vec::new();
    for id in graph.order()? {
        let node = graph.node(id);
        layers.extend(node.outputs.first().map(|&output| (output, node.name.to_string(), node.op.name())));
    }
    for (value, name, _) in &layers {
        graph.add_output(name, *value);
    }
    let actual = run(model, &graph, inputs, options)?;
    let mut compared: Vec<Option<Compared>> = vec![None; layers.len()];
    let expected = Interpreter::new(model.source())?.run(inputs, |value, expected| {
        if let Some(at) = layers.iter().position(|(other, ..)| *other == value) {
            let (_, name, op) = &layers[at];
            let difference = tolerances.apart(&actual[count + at], expected);
            compared[at] = Some(Compared { name: name.clone(), op, difference });
        }
    })?;
    let layers = compared.into_iter().flatten().collect();
    Ok(Comparison { layers, outputs: outputs(&graph, &made, &expected, tolerances) })
}

/// Compares each layer by itself, on the values that the reference run of the optimized network gives it.
fn compare_alone(
    model: &Model,
    graph: &Graph,
    inputs: &[Tensor],
    options: &Options,
    tolerances: &Tolerances,
) -> Result<Comparison, Error> {
    let mut values: HashMap<ValueId, Tensor> = graph.inputs().iter().copied().zip(inputs.iter().cloned()).collect();
    let expected = Interpreter::new(graph)?.run(inputs, |value, tensor| drop(values.insert(value, tensor.clone())))?;
    let mut layers = Vec::new();
    let one = &Options { on_misfit: None, ..options.clone() };
    for id in graph.order()? {
        let node = graph.node(id);
        let (mut alone, mut given, mut operands) = (Graph::default(), Vec::new(), Vec::new());
        for &input in &node.inputs {
            operands.push(input.map(|id| match (graph.constant(id), values.get(&id)) {
                (Some(constant), _) => alone.add_stored(&graph.value(id).name, constant.clone()),
                (None, value) => {
                    given.extend(value.cloned());
                    alone.add_input(&format!("input {}", given.len()), graph.value(id).ty.clone())
                }
            }));
        }
        let Some((&output, expected)) = node.outputs.first().and_then(|id| Some((id, values.get(id)?))) else {
            continue;
        };
        let types: Vec<_> = node.outputs.iter().map(|&id| ("output", graph.value(id).ty.clone())).collect();
        let made = alone.add_typed_node(&node.name, node.op.clone(), &operands, &types);
        alone.add_output("output", made[0]);
        let actual = run(model, &alone, &given, one)?;
        let mut difference = tolerances.apart(&actual[0], expected);
        if !graph.value(output).ty.dtype.is_float() && difference.max_abs <= 1.0 {
            difference.outside = 0;
        }
        layers.push(Compared { name: node.name.to_string(), op: node.op.name(), difference });
    }
    let actual = run(model, graph, inputs, options)?;
    let mut outputs = outputs(graph, &actual, &expected, tolerances);
    outputs.iter_mut().for_each(|compared| compared.difference.outside = 0);
    Ok(Comparison { layers, outputs })
}

fn outputs(graph: &Graph, actual: &[Tensor], expected: &[Tensor], tolerances: &Tolerances) -> Vec<Compared> {
    let pairs = graph.outputs().iter().zip(actual.iter().zip(expected));
    let compared = pairs.map(|((name, _), (actual, expected))| Compared {
        name: name.to_string(),
        op: "",
        difference: tolerances.apart(actual, expected),
    });
    compared.collect()
}

/// Compiles a graph and runs it once.
fn run(model: &Model, graph: &Graph, inputs: &[Tensor], options: &Options) -> Result<Vec<Tensor>, Error> {
    let cpu = options.cpu();
    run_plan(&pipeline::compile(&Network::Whole(graph.clone()), options, &cpu, model.weights())?, inputs, options)
}

/// Runs a plan once.
fn run_plan(plan: &Plan, inputs: &[Tensor], options: &Options) -> Result<Vec<Tensor>, Error> {
    let mut arena = Arena::new(plan, options::pool(options.cpu().cores))?;
    let views: Vec<View<'_>> = inputs.iter().map(Tensor::view).collect();
    let outputs = plan.run(&views, &mut arena)?;
    Ok((0..outputs.len()).map(|i| outputs.tensor(i)).collect())
}
