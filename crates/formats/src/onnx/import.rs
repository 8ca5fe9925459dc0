//! The model's graph, node by node, into ours.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

use tilewise_graph::attr::AttrMap;
use tilewise_graph::{Arg, Args, Constant, Graph, GraphError, Op, OpError, ValueId, ValueType, refine};
use tilewise_tensor::{Bytes, DType};

use super::attributes::{attributes, branch};
use super::error::{ImportError, Unsupported, shown};
use super::external::External;
use super::order::order;
use super::proto::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
use super::scope::Scopes;
use super::site::Site;
use super::tensor::tensor;
use super::types::{NoType, value_type};
use super::upgrade::{Form, find, without_effect};
use super::wire::{Message, Reader};
use super::{NEWEST_OPSET, OLDEST_OPSET};

/// First IR version whose models state their opsets, and the newest there is.
const IR_VERSIONS: std::ops::RangeInclusive<i64> = 3..=14;

/// A model that was read.
pub(crate) struct Import {
    /// The graph; whole only where nothing is unsupported.
    pub(crate) graph: Graph,
    /// How often each operator stands in the model.
    pub(crate) ops: BTreeMap<String, usize>,
    /// What is not supported.
    pub(crate) unsupported: Vec<Unsupported>,
}

/// Reads a model; what is not supported is collected, what is invalid is an error.
pub(crate) fn import(bytes: &Bytes, folder: Option<&Path>) -> Result<Import, ImportError> {
    if bytes.is_empty() {
        return Err(ImportError::model("is an empty file"));
    }
    let mut model = ModelProto::default();
    model.merge(Reader::new(bytes))?;
    let graph = model.graph.take().ok_or_else(|| ImportError::model("has no graph"))?;
    match model.ir_version {
        Some(version) if IR_VERSIONS.contains(&version) => {}
        Some(version) => {
            let (first, last) = IR_VERSIONS.into_inner();
            return Err(ImportError::model(format!("is of IR version {version}, expected {first} to {last}")));
        }
        None => return Err(ImportError::model("states no IR version")),
    }
    let opsets = opsets(&model)?;
    let functions = model.functions.into_iter().map(|f| (domain(&f.domain).to_owned(), f.name)).collect();
    let mut importer = Importer::new(opsets, functions, External::new(folder));
    importer.top(&graph)?;
    importer.finish()
}

/// The name of a domain: ONNX's own has two.
fn domain(name: &str) -> &str {
    if name == "ai.onnx" { "" } else { name }
}

fn opsets(model: &ModelProto) -> Result<BTreeMap<String, i64>, ImportError> {
    let mut opsets = BTreeMap::new();
    for opset in &model.opsets {
        if opsets.insert(domain(&opset.domain).to_owned(), opset.version).is_some() {
            return Err(ImportError::model(format!("imports the opsets of '{}' twice", shown(&opset.domain))));
        }
    }
    let expected = format!("expected {OLDEST_OPSET} to {NEWEST_OPSET}");
    match opsets.get("") {
        Some(version) if (OLDEST_OPSET..=NEWEST_OPSET).contains(version) => Ok(opsets),
        Some(version) => Err(ImportError::model(format!("is of opset {version}, {expected}"))),
        None => Err(ImportError::model(format!("states no opset of ONNX's operators, {expected}"))),
    }
}

struct Importer {
    graph: Graph,
    opsets: BTreeMap<String, i64>,
    functions: BTreeSet<(String, String)>,
    external: External,
    scopes: Scopes,
    ops: BTreeMap<String, usize>,
    unsupported: Vec<Unsupported>,
    /// Values that follow from what is not supported: their types are guesses, so that an operator that refuses them
    /// says nothing about the model.
    guessed: HashSet<ValueId>,
}

impl Importer {
    fn new(opsets: BTreeMap<String, i64>, functions: BTreeSet<(String, String)>, external: External) -> Self {
        let mut graph = Graph::default();
        graph.opset = opsets.get("").and_then(|&version| u32::try_from(version).ok()).unwrap_or(0);
        Importer {
            graph,
            opsets,
            functions,
            external,
            scopes: Scopes::default(),
            ops: BTreeMap::new(),
            unsupported: Vec::new(),
            guessed: HashSet::new(),
        }
    }

    fn top(&mut self, graph: &GraphProto) -> Result<(), ImportError> {
        self.open(graph)?;
        let stored: HashSet<&str> = graph.initializers.iter().map(|t| t.name.as_str()).collect();
        for info in graph.inputs.iter().filter(|info| !stored.contains(info.name.as_str())) {
            let ty = self.input_type(info)?;
            let id = self.graph.add_input(&info.name, ty);
            self.scopes.define(&info.name, id)?;
        }
        let outputs = self.body(graph)?;
        if outputs.is_empty() {
            return Err(ImportError::model("has no outputs"));
        }
        let mut names = HashSet::new();
        for (info, value) in graph.outputs.iter().zip(outputs) {
            if !names.insert(&info.name) {
                return Err(ImportError::value(&info.name, "is an output twice"));
            }
            self.graph.add_output(&info.name, value);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Import, ImportError> {
        if self.unsupported.is_empty()
            && let Err(error) = self.graph.infer()
        {
            let GraphError::Op { node, op, inputs, source } = error else {
                return Err(ImportError::model(format!("cannot be typed: {}", shown(&error.to_string()))));
            };
            let opset = self.graph.opset.into();
            let site = Site { node, op, domain: String::new(), opset };
            self.collect::<()>(Err(site.op_error(&inputs, source)))?;
        }
        Ok(Import { graph: self.graph, ops: self.ops, unsupported: self.unsupported })
    }

    /// Opens a graph's scope and defines what it stores.
    fn open(&mut self, graph: &GraphProto) -> Result<(), ImportError> {
        let mut types = HashMap::new();
        for info in graph.value_info.iter().chain(&graph.outputs) {
            // A note that cannot be read helps nobody and harms nobody.
            if let Ok(Some(ty)) = value_type(info) {
                types.insert(info.name.clone(), ty);
            }
        }
        self.scopes.open(types);
        if !graph.sparse_initializers.is_empty() {
            let count = graph.sparse_initializers.len();
            let site = Site::value("", "initializer");
            self.collect::<()>(Err(site.unsupported(format!("{count} sparse tensors"))))?;
        }
        for proto in &graph.initializers {
            let stored = tensor(proto, &mut self.external);
            let id = match self.collect(stored)? {
                Some(tensor) => self.graph.add_constant(&proto.name, tensor),
                None => self.guess(&proto.name),
            };
            self.scopes.define(&proto.name, id)?;
        }
        Ok(())
    }

    /// Reads the nodes of a graph whose scope is open; gives its outputs and closes the scope.
    fn body(&mut self, graph: &GraphProto) -> Result<Vec<ValueId>, ImportError> {
        for at in order(graph)? {
            self.node(&graph.nodes[at], at)?;
        }
        let find = |info: &ValueInfoProto| {
            let missing = || ImportError::value(&info.name, "is an output that nothing makes");
            self.scopes.get(&info.name).ok_or_else(missing)
        };
        let outputs = graph.outputs.iter().map(find).collect();
        self.scopes.close();
        outputs
    }

    /// Moves what is not supported to the list; nothing is left of the result then.
    fn collect<T>(&mut self, result: Result<T, ImportError>) -> Result<Option<T>, ImportError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(ImportError::Unsupported { nodes }) => {
                self.unsupported.extend(nodes);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// A stand-in for a value that cannot be made, so that the rest of the model can be looked at.
    fn guess(&mut self, name: &str) -> ValueId {
        let ty = self.scopes.annotation(name).cloned().unwrap_or_else(|| ValueType::unranked(DType::F32));
        let id = self.graph.add_input(name, ty);
        self.guessed.insert(id);
        id
    }

    fn node(&mut self, proto: &NodeProto, at: usize) -> Result<(), ImportError> {
        let site = self.site(proto, at);
        *self.ops.entry(site.op.clone()).or_default() += 1;
        if proto.op_type.is_empty() {
            return Err(site.invalid("it names no operator"));
        }
        if proto.outputs.iter().all(String::is_empty) {
            return Err(site.invalid("it has no output"));
        }
        let find = |name: &String| match self.scopes.get(name) {
            Some(id) => Ok(Some(id)),
            None if name.is_empty() => Ok(None),
            None => Err(site.invalid(format!("it reads '{}', which nothing makes", shown(name)))),
        };
        let inputs = proto.inputs.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let guessed = inputs.iter().flatten().any(|id| self.guessed.contains(id));
        let made = match self.lower(proto, &site, inputs) {
            Err(error) if guessed && !matches!(error, ImportError::Unsupported { .. }) => None,
            result => self.collect(result)?,
        };
        if guessed {
            self.guessed.extend(made.iter().flatten());
        }
        for (position, name) in proto.outputs.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let id = match &made {
                None => self.guess(name),
                Some(values) => *values.get(position).ok_or_else(|| {
                    let (wanted, made) = (proto.outputs.len(), values.len());
                    site.invalid(format!("{wanted} outputs are named, the operator has {made}"))
                })?,
            };
            self.scopes.define(name, id)?;
        }
        Ok(())
    }

    fn site(&self, proto: &NodeProto, at: usize) -> Site {
        let named = |name: &&String| !name.is_empty();
        let name = std::iter::once(&proto.name).chain(&proto.outputs).find(named);
        let domain = domain(&proto.domain);
        Site {
            node: name.map_or_else(|| format!("number {at}"), String::clone),
            op: proto.op_type.clone(),
            domain: domain.to_owned(),
            opset: self.opsets.get(domain).copied().unwrap_or(0),
        }
    }

    /// The values that a node makes, in the order of its outputs.
    fn lower(
        &mut self,
        proto: &NodeProto,
        site: &Site,
        inputs: Vec<Option<ValueId>>,
    ) -> Result<Vec<ValueId>, ImportError> {
        let domain = domain(&proto.domain);
        if self.functions.contains(&(domain.to_owned(), proto.op_type.clone())) {
            return Err(site.unsupported("a function that the model defines"));
        }
        if domain.is_empty() && proto.op_type == "If" {
            return self.inline(proto, site, &inputs);
        }
        let row = find(domain, &proto.op_type, site.opset).map_err(|reason| site.unsupported(reason))?;
        if inputs.len() > row.inputs {
            let reason = format!("{} inputs are given, the operator takes {}", inputs.len(), row.inputs);
            return Err(site.invalid(reason));
        }
        let attributes = attributes(proto, site, &mut self.external)?;
        let graph = &mut self.graph;
        let outputs = &proto.outputs;
        let mut form = Form { graph, node: &site.node, op: row.name, inputs, outputs, attributes, values: None };
        let lifted = row.lift.map_or(Ok(()), |lift| lift(&mut form));
        let Form { op, inputs, attributes, values, .. } = form;
        lifted.map_err(|error| site.op_error(&self.types(&inputs), error))?;
        if let Some(values) = values {
            return Ok(values);
        }
        let mut attrs = attributes.map;
        let op = Op::read(op, &mut attrs).ok_or_else(|| site.unsupported("an operator that is not built"))?;
        let op = op.map_err(|error| site.op_error(&self.types(&inputs), error))?;
        left_over(&attrs).map_err(|reason| site.unsupported(reason))?;
        self.add(site, op, &inputs, outputs)
    }

    /// Adds a node, typed by its rule and by the model's notes on its outputs.
    fn add(
        &mut self,
        site: &Site,
        op: Op,
        inputs: &[Option<ValueId>],
        names: &[String],
    ) -> Result<Vec<ValueId>, ImportError> {
        let types = infer(&self.graph, &op, inputs).map_err(|error| site.op_error(&self.types(inputs), error))?;
        let mut outputs: Vec<(&str, ValueType)> = Vec::new();
        for (at, ty) in types.into_iter().enumerate().take(names.len()) {
            let name = names[at].as_str();
            let noted = self.scopes.annotation(name);
            outputs.push((name, noted.map_or_else(|| ty.clone(), |noted| refine(ty.clone(), noted))));
        }
        Ok(self.graph.add_typed_node(&site.node, op, inputs, &outputs))
    }

    /// The branch of an `If` whose condition is known, in the place of the node.
    fn inline(
        &mut self,
        proto: &NodeProto,
        site: &Site,
        inputs: &[Option<ValueId>],
    ) -> Result<Vec<ValueId>, ImportError> {
        let read = |name: &str| -> Result<GraphProto, ImportError> {
            branch(proto, name).ok_or_else(|| site.invalid(format!("it has no {name}")))?.read()
        };
        let (then_branch, else_branch) = (read("then_branch")?, read("else_branch")?);
        for graph in [&then_branch, &else_branch] {
            if graph.outputs.len() != proto.outputs.len() || !graph.inputs.is_empty() {
                return Err(site.invalid("its branches have other inputs or outputs than itself"));
            }
        }
        let condition = match inputs {
            [Some(condition)] => self.graph.constant(*condition),
            _ => return Err(site.invalid("it takes one input, the condition")),
        };
        let value = condition.and_then(|constant| constant.tensor().ok());
        let Some(condition) = value.filter(|tensor| tensor.dtype() == DType::Bool && tensor.numel() == 1) else {
            return Err(site.unsupported("a condition that is not a constant"));
        };
        let chosen = if condition.bytes().first() == Some(&1) { then_branch } else { else_branch };
        self.open(&chosen)?;
        self.body(&chosen)
    }

    fn types(&self, inputs: &[Option<ValueId>]) -> String {
        let show = |id: &Option<ValueId>| id.map_or("-".to_owned(), |id| self.graph.value(id).ty.to_string());
        inputs.iter().map(show).collect::<Vec<_>>().join(", ")
    }

    fn input_type(&mut self, info: &ValueInfoProto) -> Result<ValueType, ImportError> {
        match value_type(info) {
            Ok(Some(ty)) => Ok(ty),
            Ok(None) => Err(ImportError::value(&info.name, "is an input without a type")),
            Err(NoType::Invalid(reason)) => Err(ImportError::value(&info.name, format!("is an input: {reason}"))),
            Err(NoType::Unsupported(reason)) => {
                self.collect::<()>(Err(Site::value(&info.name, "input").unsupported(reason)))?;
                Ok(ValueType::unranked(DType::F32))
            }
        }
    }
}

/// An error for attributes that no one read and that may change the result.
fn left_over(attrs: &AttrMap) -> Result<(), String> {
    match attrs.0.iter().find(|(name, attr)| !without_effect(name, attr)) {
        Some((name, attr)) => Err(format!("attribute {} = {}", shown(name), shown(&attr.to_string()))),
        None => Ok(()),
    }
}

/// Types the outputs of an operator over values of a graph.
fn infer(graph: &Graph, op: &Op, inputs: &[Option<ValueId>]) -> Result<Vec<ValueType>, OpError> {
    let arg = |id: &Option<ValueId>| {
        let id = (*id)?;
        let value = graph.constant(id).map(Constant::stored);
        Some(Arg { ty: &graph.value(id).ty, value })
    };
    op.infer(&Args::new(&inputs.iter().map(arg).collect::<Vec<_>>()))
}
