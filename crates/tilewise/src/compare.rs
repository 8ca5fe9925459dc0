//! Comparing what runs with what is meant: every layer of the optimized network against the reference interpreter.

use tilewise_engine::Arena;
use tilewise_graph::{Interpreter, ValueId};
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
/// # Errors
/// Those of both runs.
pub fn compare(model: &Model, inputs: &[Tensor], options: &Options, atol: f64, rtol: f64) -> Result<Comparison, Error> {
    let shapes: Vec<(&str, &[usize])> =
        model.inputs().map(|(name, _)| name).zip(inputs.iter().map(Tensor::shape)).collect();
    let mut graph = model.specialized(&shapes)?;
    let count = graph.outputs().len();
    let order = graph.order()?;
    let mut layers: Vec<(ValueId, String, &'static str)> = Vec::new();
    for id in order {
        let node = graph.node(id);
        layers.extend(node.outputs.first().map(|&output| (output, node.name.to_string(), node.op.name())));
    }
    for (value, name, _) in &layers {
        graph.add_output(name, *value);
    }
    let cpu = options.cpu();
    let plan = pipeline::compile(&graph, &options.schedule, &cpu, model.weights())?;
    let mut arena = Arena::new(&plan, options::pool(cpu.cores))?;
    let views: Vec<View<'_>> = inputs.iter().map(Tensor::view).collect();
    let actual = plan.run(&views, &mut arena)?;

    let position = |value: ValueId| layers.iter().position(|(other, ..)| *other == value);
    let mut compared: Vec<Option<Compared>> = vec![None; layers.len()];
    let close = |actual: &Tensor, expected: &Tensor| {
        let (actual, expected) = (crate::to_f32(actual), crate::to_f32(expected));
        let range = expected.iter().filter(|x| x.is_finite()).fold(0f32, |most, x| most.max(x.abs()));
        difference(&actual, &expected, atol * f64::from(range), rtol)
    };
    let outputs = Interpreter::new(model.source())?.run(inputs, |value, expected| {
        if let Some(at) = position(value) {
            let difference = close(&actual.tensor(count + at), expected);
            let (_, name, op) = &layers[at];
            compared[at] = Some(Compared { name: name.clone(), op, difference });
        }
    })?;
    let outputs = outputs.iter().enumerate().map(|(i, expected)| Compared {
        name: actual.name(i).to_owned(),
        op: "",
        difference: close(&actual.tensor(i), expected),
    });
    let outputs = outputs.collect();
    Ok(Comparison { layers: compared.into_iter().flatten().collect(), outputs })
}
