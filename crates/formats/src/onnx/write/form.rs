//! Nodes on their way to ONNX's form.

use std::collections::BTreeMap;

use tilewise_graph::attr::{Attr, AttrField, AttrMap};
use tilewise_graph::ops::Unary;
use tilewise_graph::{Graph, Node, NodeId, Op, ValueId, ValueType};
use tilewise_tensor::{DType, Tensor, Unary as Function};

use super::error::ExportError;
use super::names::Names;
use super::table::{self, Row};

/// A step from the graph's form to ONNX's. The error is what ONNX has no form for.
pub(super) type Lower = fn(&mut Form<'_, '_>) -> Result<(), String>;

/// What a node of the file reads.
#[derive(Clone)]
pub(super) enum Operand {
    /// An optional input that is not given.
    Missing,
    /// A value of the graph.
    Value(ValueId),
    /// A value that a part of a node makes, or a tensor that stands for a part of a node.
    Part(String, DType),
}

/// One node of the file.
pub(super) struct Made {
    pub(super) domain: &'static str,
    pub(super) op: &'static str,
    pub(super) name: String,
    pub(super) inputs: Vec<Operand>,
    pub(super) outputs: Vec<String>,
    pub(super) attributes: AttrMap,
    pub(super) tensors: BTreeMap<&'static str, Tensor>,
}

/// The nodes of a file of one opset.
pub(super) struct Lowered {
    /// The opset.
    pub(super) opset: i64,
    /// Names of values and outputs.
    pub(super) names: Names,
    /// The nodes, each after all that it reads from.
    pub(super) nodes: Vec<Made>,
    /// Tensors that stand for parts of nodes, by name.
    pub(super) tensors: Vec<(String, Tensor)>,
    /// The least opset that has all nodes as they are.
    needs: i64,
}

/// A node on its way: what a lowering changes in place.
pub(super) struct Form<'a, 'g> {
    graph: &'g Graph,
    file: &'a mut Lowered,
    /// The node of the file.
    pub(super) made: Made,
    /// Type of the node's first output.
    pub(super) ty: ValueType,
    /// Name of the graph's node.
    node: &'g str,
    /// Nodes that follow, each reading the one before: operator and further inputs.
    after: Vec<(Op, Vec<Operand>)>,
}

/// Writes all nodes in ONNX's forms of the least opset from `opset` on that has them.
///
/// # Errors
/// [`ExportError::Unsupported`] and [`ExportError::Graph`].
pub(super) fn lower(graph: &Graph, opset: i64) -> Result<Lowered, ExportError> {
    let order = graph.order()?;
    let names = Names::new(graph, &order);
    let mut opset = opset;
    // A newer opset may ask for another form of a node, which may need a yet newer one.
    loop {
        let mut file = Lowered { opset, needs: opset, names: names.clone(), nodes: Vec::new(), tensors: Vec::new() };
        for &id in &order {
            file.node(graph, id)?;
        }
        file.outputs(graph)?;
        if file.needs == opset {
            return Ok(file);
        }
        opset = file.needs;
    }
}

impl Lowered {
    fn node(&mut self, graph: &Graph, id: NodeId) -> Result<(), ExportError> {
        let Node { name, op, inputs, outputs, .. } = graph.node(id);
        let inputs = inputs.iter().map(|id| id.map_or(Operand::Missing, Operand::Value)).collect();
        let ty = outputs.first().map_or(ValueType::unranked(DType::F32), |&id| graph.value(id).ty.clone());
        let outputs = outputs.iter().map(|&id| self.names.value(id).to_owned()).collect();
        let named = self.names.node(name);
        let part = Part { node: name, named, op, inputs, outputs, ty };
        self.add(graph, part).map_err(|reason| unsupported(name, op, reason))
    }

    /// Outputs of the graph that have another name than their value: an identity makes them.
    fn outputs(&mut self, graph: &Graph) -> Result<(), ExportError> {
        let identity = Op::from(Unary(Function::Identity));
        for (at, (_, id)) in graph.outputs().iter().enumerate() {
            let output = self.names.outputs()[at].clone();
            if output == self.names.value(*id) {
                continue;
            }
            let (named, inputs, ty) =
                (self.names.node(&output), vec![Operand::Value(*id)], graph.value(*id).ty.clone());
            let part = Part { node: &output, named, op: &identity, inputs, outputs: vec![output.clone()], ty };
            self.add(graph, part).map_err(|reason| unsupported(&output, &identity, reason))?;
        }
        Ok(())
    }

    /// Adds the nodes that an operator is in the file.
    fn add<'g>(&mut self, graph: &'g Graph, part: Part<'g>) -> Result<(), String> {
        let Part { node, named, op, inputs, outputs, ty } = part;
        let row = table::find(op.name()).ok_or("it is not in the table of operators")?;
        let attributes = op.attributes().into_iter().map(|(name, attr)| (name.to_owned(), attr)).collect();
        let Row { domain, op, .. } = *row;
        let (attributes, tensors) = (AttrMap(attributes), BTreeMap::new());
        let made = Made { domain, op, name: named, inputs, outputs, attributes, tensors };
        let mut form = Form { graph, file: self, made, ty, node, after: Vec::new() };
        form.need(row.first);
        for (opset, types) in row.types {
            let inputs = (0..form.made.inputs.len()).filter_map(|at| form.dtype(at));
            if inputs.chain([form.ty.dtype]).any(|dtype| types.contains(&dtype)) {
                form.need(*opset);
            }
        }
        row.lower.map_or(Ok(()), |lower| lower(&mut form))?;
        let Form { mut made, ty, after, .. } = form;
        let last = made.outputs.first().cloned().unwrap_or_default();
        if !after.is_empty() {
            made.outputs[0] = self.names.fresh(&format!("{node}/{}", made.op));
        }
        let mut before = made.outputs.first().cloned().unwrap_or_default();
        self.nodes.push(made);
        let count = after.len();
        for (at, (op, further)) in after.into_iter().enumerate() {
            let part = format!("{node}/{}", op.name());
            let output = if at + 1 == count { last.clone() } else { self.names.fresh(&part) };
            let inputs = std::iter::once(Operand::Part(before, ty.dtype)).chain(further).collect();
            before = output.clone();
            let named = self.names.node(&part);
            self.add(graph, Part { node, named, op: &op, inputs, outputs: vec![output], ty: ty.clone() })?;
        }
        Ok(())
    }
}

fn unsupported(node: &str, op: &Op, reason: String) -> ExportError {
    ExportError::Unsupported { node: node.to_owned(), op: op.name().to_owned(), reason }
}

/// An operator to be added: a node of the graph, or a part of one.
struct Part<'a> {
    /// Name of the graph's node.
    node: &'a str,
    /// Name of the file's node.
    named: String,
    op: &'a Op,
    inputs: Vec<Operand>,
    outputs: Vec<String>,
    ty: ValueType,
}

impl Form<'_, '_> {
    /// The opset of the file.
    pub(super) fn opset(&self) -> i64 {
        self.file.opset
    }

    /// Asks for an opset. If the file's is older, all nodes are lowered again in that one.
    pub(super) fn need(&mut self, opset: i64) {
        self.file.needs = self.file.needs.max(opset);
    }

    /// True when input number `at` is given.
    pub(super) fn given(&self, at: usize) -> bool {
        self.made.inputs.get(at).is_some_and(|operand| !matches!(operand, Operand::Missing))
    }

    /// Type of input number `at`, where it is a value of the graph.
    pub(super) fn input_type(&self, at: usize) -> Option<&ValueType> {
        match self.made.inputs.get(at)? {
            Operand::Value(id) => Some(&self.graph.value(*id).ty),
            Operand::Missing | Operand::Part(..) => None,
        }
    }

    /// Element type of input number `at`, where it is given.
    pub(super) fn dtype(&self, at: usize) -> Option<DType> {
        match self.made.inputs.get(at)? {
            Operand::Missing => None,
            Operand::Value(id) => Some(self.graph.value(*id).ty.dtype),
            Operand::Part(_, dtype) => Some(*dtype),
        }
    }

    /// The tensor that input number `at` is, where it is a constant.
    pub(super) fn constant(&self, at: usize) -> Option<Tensor> {
        match self.made.inputs.get(at)? {
            Operand::Value(id) => self.graph.constant(*id)?.tensor().ok(),
            Operand::Missing | Operand::Part(..) => None,
        }
    }

    /// The integers that input number `at` is, where it is a constant.
    pub(super) fn ints(&self, at: usize) -> Option<Vec<i64>> {
        let tensor = self.constant(at)?;
        match tensor.values::<i64>() {
            Ok(values) => Some(values.into_owned()),
            Err(_) => Some(tensor.values::<i32>().ok()?.iter().map(|&x| x.into()).collect()),
        }
    }

    /// True when an attribute is given, which says that it differs from the graph's default.
    pub(super) fn has(&self, name: &str) -> bool {
        self.made.attributes.0.contains_key(name)
    }

    /// True when an attribute is the text `text`.
    pub(super) fn is(&self, name: &str, text: &str) -> bool {
        matches!(self.made.attributes.0.get(name), Some(Attr::Str(given)) if given == text)
    }

    /// Takes an attribute out, where it is given.
    pub(super) fn take<T: AttrField>(&mut self, name: &str) -> Result<Option<T>, String> {
        self.made.attributes.take(name).map_err(|error| error.to_string())
    }

    /// Sets an attribute.
    pub(super) fn set(&mut self, name: &str, attr: Attr) {
        self.made.attributes.0.insert(name.to_owned(), attr);
    }

    /// A tensor that stands for the part `what` of the node.
    pub(super) fn tensor(&mut self, what: &str, tensor: Tensor) -> Operand {
        let name = self.file.names.fresh(&format!("{}/{what}", self.node));
        let dtype = tensor.dtype();
        self.file.tensors.push((name.clone(), tensor));
        Operand::Part(name, dtype)
    }

    /// Names outputs up to `count`, which an operator of as many outputs as it says must have.
    pub(super) fn name_outputs(&mut self, count: usize) {
        let outputs = &mut self.made.outputs;
        outputs.resize(outputs.len().max(count), String::new());
        for (at, name) in outputs.iter_mut().enumerate().filter(|(_, name)| name.is_empty()) {
            *name = self.file.names.fresh(&format!("{}:{at}", self.node));
        }
    }

    /// Adds a node before this one.
    pub(super) fn before(&mut self, op: impl Into<Op>, inputs: Vec<Operand>, ty: ValueType) -> Result<Operand, String> {
        let op = op.into();
        let name = format!("{}/{}", self.node, op.name());
        let (named, output) = (self.file.names.node(&name), self.file.names.fresh(&name));
        let made = Operand::Part(output.clone(), ty.dtype);
        self.file.add(self.graph, Part { node: self.node, named, op: &op, inputs, outputs: vec![output], ty })?;
        Ok(made)
    }

    /// Lets a node follow that reads the first output of this one, or of the node that follows it so far.
    pub(super) fn follow(&mut self, op: impl Into<Op>, further: Vec<Operand>) {
        self.after.push((op.into(), further));
    }
}
