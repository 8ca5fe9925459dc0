//! The reference interpreter: every operator in naive code, in order. Slow, safe, and the oracle of everything.

use std::collections::HashMap;

use tilewise_tensor::Tensor;

use crate::{Graph, GraphError, NodeId, ValueId};

/// Runs a graph node by node.
pub struct Interpreter<'a> {
    graph: &'a Graph,
    order: Vec<NodeId>,
    /// For each value, the position in `order` of its last reader.
    last_use: HashMap<ValueId, usize>,
}

impl<'a> Interpreter<'a> {
    /// Prepares a graph.
    ///
    /// # Errors
    /// [`GraphError::Cycle`].
    pub fn new(graph: &'a Graph) -> Result<Self, GraphError> {
        let order = graph.order()?;
        let mut last_use = HashMap::new();
        for (at, id) in order.iter().enumerate() {
            last_use.extend(graph.node(*id).inputs.iter().flatten().map(|&value| (value, at)));
        }
        Ok(Interpreter { graph, order, last_use })
    }

    /// Runs on inputs in the graph's order and returns the outputs in the graph's order. `observe` sees each value as
    /// it is made.
    ///
    /// # Errors
    /// [`GraphError::Input`] for inputs that do not fit, [`GraphError::Op`] for operators that cannot be evaluated.
    pub fn run(&self, inputs: &[Tensor], mut observe: impl FnMut(ValueId, &Tensor)) -> Result<Vec<Tensor>, GraphError> {
        let graph = self.graph;
        let mut values: HashMap<ValueId, Tensor> = HashMap::new();
        check_inputs(graph, inputs)?;
        values.extend(graph.inputs().iter().copied().zip(inputs.iter().cloned()));
        for (at, &id) in self.order.iter().enumerate() {
            let node = graph.node(id);
            let fail = |source| graph.op_error(&node.name, &node.op, &node.inputs, source);
            let operands = node
                .inputs
                .iter()
                .map(|id| id.map(|id| read(graph, &values, id)).transpose())
                .collect::<Result<Vec<_>, _>>()?;
            let operands: Vec<Option<&Tensor>> = operands.iter().map(Option::as_ref).collect();
            let outputs = node.op.eval(&operands).map_err(fail)?;
            for (&output, tensor) in node.outputs.iter().zip(outputs) {
                observe(output, &tensor);
                values.insert(output, tensor);
            }
            for value in node.inputs.iter().flatten().chain(&node.outputs) {
                let last = self.last_use.get(value).is_none_or(|&last| last <= at);
                if last && !graph.is_output(*value) {
                    values.remove(value);
                }
            }
        }
        graph.outputs().iter().map(|&(_, id)| read(graph, &values, id)).collect()
    }
}

/// Runs a graph once; see [`Interpreter::run`].
///
/// # Errors
/// Those of [`Interpreter::run`].
pub fn evaluate(graph: &Graph, inputs: &[Tensor]) -> Result<Vec<Tensor>, GraphError> {
    Interpreter::new(graph)?.run(inputs, |_, _| ())
}

fn read(graph: &Graph, values: &HashMap<ValueId, Tensor>, id: ValueId) -> Result<Tensor, GraphError> {
    if let Some(tensor) = values.get(&id) {
        return Ok(tensor.clone());
    }
    let missing = || GraphError::Broken(format!("value '{}' is read and never made", graph.value(id).name));
    let constant = graph.constant(id).ok_or_else(missing)?;
    constant.tensor().map_err(|error| GraphError::Broken(format!("constant '{}': {error}", graph.value(id).name)))
}

fn check_inputs(graph: &Graph, inputs: &[Tensor]) -> Result<(), GraphError> {
    if inputs.len() != graph.inputs().len() {
        return Err(GraphError::Input {
            name: "*".to_owned(),
            expected: format!("{} inputs", graph.inputs().len()),
            actual: inputs.len().to_string(),
        });
    }
    for (&id, tensor) in graph.inputs().iter().zip(inputs) {
        let value = graph.value(id);
        if value.ty.dtype != tensor.dtype() || !value.ty.admits(tensor.shape()) {
            return Err(GraphError::Input {
                name: value.name.to_string(),
                expected: value.ty.to_string(),
                actual: crate::ValueType::known(tensor.dtype(), tensor.shape()).to_string(),
            });
        }
    }
    Ok(())
}
