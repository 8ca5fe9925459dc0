//! Older forms of operators, and those that are others in disguise, lifted to the newest form.
//!
//! To read another operator, add its row to `table.rs`; where its older forms differ from the newest in more than
//! defaults, add a row for each range of opsets with a lift.

mod attributes;
mod chains;
mod constants;
mod inputs;
mod resize;
mod table;

use tilewise_graph::attr::{Attr, AttrField, AttrMap};
use tilewise_graph::ops::{Cast, Operator};
use tilewise_graph::{Graph, GraphError, Op, OpError, ValueId};
use tilewise_tensor::{DType, Tensor};

use super::attributes::Attributes;
pub(crate) use table::{Row, TABLE};

/// A step from an older form to the newest.
pub(crate) type Lift = fn(&mut Form<'_>) -> Result<(), OpError>;

/// A node on its way to the newest form. A lift changes it in place.
pub(crate) struct Form<'a> {
    /// The graph, where constants and nodes that come before this one are added.
    pub(crate) graph: &'a mut Graph,
    /// Name of the node.
    pub(crate) node: &'a str,
    /// The graph's name for the operator.
    pub(crate) op: &'static str,
    /// Its inputs.
    pub(crate) inputs: Vec<Option<ValueId>>,
    /// Names of its outputs; empty where one is not read.
    pub(crate) outputs: &'a [String],
    /// Its attributes.
    pub(crate) attributes: Attributes,
    /// Set when no node is needed: the values that the outputs are.
    pub(crate) values: Option<Vec<ValueId>>,
}

/// The row of an operator in an opset of its domain.
///
/// # Errors
/// Why there is none.
pub(crate) fn find(domain: &str, op: &str, opset: i64) -> Result<&'static Row, String> {
    let mut named = TABLE.iter().filter(|row| row.op == op && row.domain == domain).peekable();
    if named.peek().is_none() {
        return Err("an operator that is not built".to_owned());
    }
    if opset == 0 {
        return Err("the model imports no opset of the operator's domain".to_owned());
    }
    named.find(|row| (row.first..=row.last).contains(&opset)).ok_or_else(|| "a form that is not built".to_owned())
}

/// True for attributes that change no result, or none with the value that they have.
pub(crate) fn without_effect(name: &str, attr: &Attr) -> bool {
    /// Where the value does not matter: notes of producers, training, and choices among types that are not built.
    const ANY: &[&str] = &["saturate", "consumed_inputs", "momentum", "seed"];
    /// Defaults of attributes that the graph's operators do not have.
    const DEFAULTS: &[(&str, i64)] = &[
        ("ceil_mode", 0),
        ("is_test", 1),
        ("noop_with_empty_axes", 0),
        ("output_dtype", 0),
        ("block_size", 0),
        ("precision", 0),
        ("qk_matmul_output_mode", 0),
        ("select_last_index", 0),
        ("sorted", 1),
        ("stash_type", 1),
        ("storage_order", 0),
    ];
    /// The same for texts.
    const MODES: &[(&str, &str)] = &[("mode", "DCR"), ("round_mode", "up")];
    let default = DEFAULTS.iter().any(|(key, value)| *key == name && *attr == Attr::Int(*value));
    let mode = MODES.iter().any(|(key, value)| *key == name && matches!(attr, Attr::Str(text) if text == value));
    name.starts_with('_') || ANY.contains(&name) || default || mode
}

impl Form<'_> {
    /// Input number `at`.
    fn input(&self, at: usize) -> Result<ValueId, OpError> {
        self.given(at).ok_or_else(|| OpError::invalid(format!("input {at} is missing")))
    }

    /// Input number `at`, where it is given.
    fn given(&self, at: usize) -> Option<ValueId> {
        self.inputs.get(at).copied().flatten()
    }

    /// Sets input number `at`; those between are not given.
    fn set_input(&mut self, at: usize, id: ValueId) {
        if self.inputs.len() <= at {
            self.inputs.resize(at + 1, None);
        }
        self.inputs[at] = Some(id);
    }

    /// Element type of input number `at`.
    fn dtype(&self, at: usize) -> Result<DType, OpError> {
        Ok(self.graph.value(self.input(at)?).ty.dtype)
    }

    /// The tensor that input number `at` is, where it is a constant.
    fn constant_input(&self, at: usize) -> Option<Tensor> {
        self.graph.constant(self.given(at)?)?.tensor().ok()
    }

    /// Takes an attribute out, where it is given.
    fn take<T: AttrField>(&mut self, name: &str) -> Result<Option<T>, OpError> {
        self.attributes.map.take(name)
    }

    /// Sets an attribute.
    fn set(&mut self, name: &str, attr: Attr) {
        self.attributes.map.0.insert(name.to_owned(), attr);
    }

    /// Adds a constant that stands for the part `what` of the node.
    fn constant(&mut self, what: &str, tensor: Tensor) -> ValueId {
        self.graph.add_constant(&format!("{}/{what}", self.node), tensor)
    }

    /// Adds a number of type `dtype` without axes.
    fn scalar(&mut self, what: &str, dtype: DType, value: f64) -> Result<ValueId, OpError> {
        let mut tensors = Cast { to: dtype }.eval(&[Some(&Tensor::scalar(value))])?;
        let tensor = tensors.pop().ok_or_else(|| OpError::invalid("a cast without a result"))?;
        Ok(self.constant(what, tensor))
    }

    /// Adds a node before this one and gives its first output.
    fn emit(&mut self, op: &str, inputs: &[Option<ValueId>], attrs: AttrMap) -> Result<ValueId, OpError> {
        let mut attrs = attrs;
        let built = Op::read(op, &mut attrs).ok_or_else(|| OpError::unsupported(format!("the operator {op}")))??;
        let name = format!("{}/{op}", self.node);
        match self.graph.add_node(&name, built, inputs) {
            Ok(outputs) => outputs.first().copied().ok_or_else(|| OpError::invalid(format!("{op} without an output"))),
            Err(GraphError::Op { source, .. }) => Err(source),
            Err(error) => Err(OpError::invalid(error.to_string())),
        }
    }

    /// True when output number `at` is read.
    fn reads_output(&self, at: usize) -> bool {
        self.outputs.get(at).is_some_and(|name| !name.is_empty())
    }
}

/// Attributes from pairs.
fn attrs<const N: usize>(pairs: [(&str, Attr); N]) -> AttrMap {
    AttrMap(pairs.into_iter().map(|(name, attr)| (name.to_owned(), attr)).collect())
}
