//! Lowering: each operator of a graph becomes steps over buffers.
//!
//! A file here takes a family of operators, picks kernels for its problem and pushes steps; `layout.rs` keeps track
//! of which layouts of a value exist and inserts reorders. What has no kernel is interpreted.

mod around;
mod buffers;
mod channels;
mod choices;
mod conv;
mod eltwise;
mod flow;
mod fused;
mod gemm;
mod interpret;
mod kind;
mod layout;
mod movement;
mod norm;
mod operands;
mod pool;
mod resize;
mod seats;
mod steps;
mod transposed;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tilewise_graph::{Graph, Node, NodeId, Op, ValueId, ops};
use tilewise_kernels::reduce::ReduceOp;
use tilewise_kernels::{Cpu, Unary};
use tilewise_tensor::DType;

use crate::plan::{BufferId, Input, Output, Step};
use crate::schedule::{Misfit, Question};
use crate::{PlanError, Schedule, Weights};

pub(crate) use buffers::{Buffer, Storage};
pub(crate) use choices::layer_names;
pub(crate) use flow::Flow;
pub(crate) use layout::Layout;
pub(crate) use steps::NewStep;

/// A graph as steps and buffers.
pub(crate) struct Lowered {
    pub(crate) steps: Vec<Step>,
    pub(crate) buffers: Vec<Buffer>,
    pub(crate) inputs: Vec<Input>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) dynamic: usize,
    /// The choices that were made.
    pub(crate) schedule: Schedule,
    /// Every choice that there was to make.
    pub(crate) questions: Vec<Question>,
    /// In which layouts values pass between the layers.
    pub(crate) flows: Vec<Flow>,
    /// Entries of the schedule that could not be followed.
    pub(crate) misfits: Vec<Misfit>,
}

/// Whom a graph takes its inputs from and hands its outputs to.
#[derive(Clone, Default)]
pub(crate) enum Ends {
    /// The caller on both sides, who has all values row-major.
    #[default]
    Caller,
    /// The caller, and another part of the network, which takes each output as it was made.
    Head,
    /// A head, which made the inputs in these layouts, and the caller.
    Tail(Vec<Layout>),
}

impl Ends {
    /// The layout in which each input is given.
    pub(crate) fn given(&self) -> impl Iterator<Item = Layout> {
        let made = if let Ends::Tail(layouts) = self { &layouts[..] } else { &[] };
        made.iter().copied().chain(std::iter::repeat(Layout::Plain))
    }
}

/// Lowers every node of a graph, in order.
pub(crate) fn lower(
    graph: &Graph,
    ends: &Ends,
    schedule: &Schedule,
    cpu: &Cpu,
    weights: &Weights,
) -> Result<Lowered, PlanError> {
    let mut lowering = Lowering {
        graph,
        cpu,
        schedule,
        weights,
        names: choices::layer_names(graph),
        steps: Vec::new(),
        buffers: vec![Buffer { storage: Storage::Arena { bytes: 0 }, first: 0, last: 0 }],
        uses: graph.uses(),
        absorbed: HashSet::new(),
        seats: seats::seats(graph, cpu.tier.lanes()),
        held: HashMap::new(),
        home: HashMap::new(),
        flow: Flow::default(),
        followed: RefCell::default(),
        flows: Vec::new(),
        dynamic: 0,
        chosen: Schedule::default(),
        questions: Vec::new(),
        misfits: schedule.refused().to_vec(),
    };
    let inputs = lowering.inputs(ends)?;
    for id in graph.order()? {
        if !lowering.absorbed.contains(&id) {
            lowering.node(id)?;
        }
    }
    let outputs = lowering.outputs(ends)?;
    lowering.note_strangers();
    if !matches!(ends, Ends::Tail(_)) {
        lowering.read_in_place(&inputs, &outputs);
    }
    let Lowering { steps, buffers, dynamic, chosen: schedule, questions, flows, misfits, .. } = lowering;
    Ok(Lowered { steps, buffers, inputs, outputs, dynamic, schedule, questions, flows, misfits })
}

/// True where a step may compute a node and the one that reads its output: functions of each element are computed with what
/// they are of, a depthwise convolution with the one behind it, and the parts of a shuffle of channels together.
pub(crate) fn may_share_a_step(node: &Node, reader: &Node) -> bool {
    let depthwise = matches!(&node.op, Op::Conv(op) if op.group > 1) && matches!(reader.op, Op::Conv(_));
    let moves = |node: &Node| matches!(node.op, Op::Reshape(_) | Op::Transpose(_));
    matches!(reader.op, Op::Unary(_) | Op::Binary(_)) || depthwise || (moves(node) && moves(reader))
}

/// A lowering under way.
pub(crate) struct Lowering<'a> {
    graph: &'a Graph,
    cpu: &'a Cpu,
    schedule: &'a Schedule,
    weights: &'a Weights,
    names: HashMap<NodeId, String>,
    steps: Vec<Step>,
    buffers: Vec<Buffer>,
    /// For each value, the nodes that read it.
    uses: Vec<Vec<(NodeId, usize)>>,
    /// Nodes that the step of an earlier one computes too.
    absorbed: HashSet<NodeId>,
    /// Values that are made where a concatenation wants them.
    seats: HashMap<ValueId, seats::Seat>,
    /// The buffers that hold a value, by its layout there.
    held: HashMap<(ValueId, Layout), BufferId>,
    /// The layout in which a value was made.
    home: HashMap<ValueId, Layout>,
    /// What the layer under way has read so far.
    flow: Flow,
    /// The values whose layout it asked for.
    followed: RefCell<Vec<ValueId>>,
    flows: Vec<Flow>,
    dynamic: usize,
    /// The choices made so far.
    chosen: Schedule,
    questions: Vec<Question>,
    misfits: Vec<Misfit>,
}

/// One node under lowering, with what every lowering asks of it.
#[derive(Clone, Copy)]
pub(crate) struct Layer<'a> {
    pub(crate) id: NodeId,
    pub(crate) node: &'a Node,
}

impl Layer<'_> {
    /// Input number `index`, where it is given.
    pub(crate) fn input(&self, index: usize) -> Option<ValueId> {
        self.node.inputs.get(index).copied().flatten()
    }
}

impl<'a> Lowering<'a> {
    fn inputs(&mut self, ends: &Ends) -> Result<Vec<Input>, PlanError> {
        let mut inputs = Vec::new();
        for (&id, layout) in self.graph.inputs().iter().zip(ends.given()) {
            let value = self.graph.value(id);
            let free = || PlanError::FreeInput { name: value.name.to_string(), ty: value.ty.to_string() };
            value.ty.known_shape().ok_or_else(free)?;
            let shape = self.stored_shape(id, layout);
            let buffer = self.make(id, layout)?;
            self.touch(buffer, 0);
            inputs.push(Input { name: Arc::clone(&value.name), dtype: value.ty.dtype, shape, buffer });
        }
        Ok(inputs)
    }

    /// Lets the inputs be read where the caller has them, but for those that are outputs, too, or parts of other values.
    fn read_in_place(&mut self, inputs: &[Input], outputs: &[Output]) {
        for (number, input) in inputs.iter().enumerate() {
            let id = input.buffer;
            let is_whole = |other: &Buffer| matches!(other.storage, Storage::Part { of, .. } if of == id);
            let kept = outputs.iter().any(|output| output.buffer == id) || self.buffers.iter().any(is_whole);
            if let (false, Storage::Arena { bytes }) = (kept, &self.buffers[id.index()].storage) {
                self.buffers[id.index()].storage = Storage::Given { input: number, bytes: *bytes };
            }
        }
    }

    fn outputs(&mut self, ends: &Ends) -> Result<Vec<Output>, PlanError> {
        let mut outputs = Vec::new();
        for (name, id) in self.graph.outputs() {
            let ty = &self.graph.value(*id).ty;
            let shape = if self.is_dynamic(*id) { Vec::new() } else { ty.known_shape().unwrap_or_default() };
            let layout = if matches!(ends, Ends::Head) { self.made_in(*id) } else { Layout::Plain };
            let buffer = self.buffer(*id, layout)?;
            outputs.push(Output { name: Arc::clone(name), dtype: ty.dtype, shape, buffer, layout });
        }
        // A head's outputs may stand in any layout.
        if !matches!(ends, Ends::Head) {
            self.note_flow();
        }
        let end = self.steps.len();
        for output in &outputs {
            self.touch(output.buffer, end);
        }
        Ok(outputs)
    }

    fn node(&mut self, id: NodeId) -> Result<(), PlanError> {
        let layer = Layer { id, node: self.graph.node(id) };
        let values = layer.node.inputs.iter().flatten().chain(&layer.node.outputs);
        let fixed = values.clone().all(|&value| !self.is_dynamic(value));
        // Before any table of the size of an output is made.
        for &output in layer.node.outputs.iter().filter(|&&id| !self.is_dynamic(id)) {
            self.bytes(output, Layout::Plain)?;
        }
        let f32s = values.clone().all(|&value| self.graph.value(value).ty.dtype == DType::F32);
        if !(fixed && self.lower(layer, f32s)?) {
            interpret::lower(self, layer)?;
        }
        self.flow.nodes.push(id);
        self.note_flow();
        Ok(())
    }

    /// Lowers an operator whose shapes are known; false where it has no kernel, or none for other types than f32.
    #[expect(clippy::too_many_lines, reason = "one flat list of all operators")]
    fn lower(&mut self, layer: Layer<'_>, f32s: bool) -> Result<bool, PlanError> {
        match &layer.node.op {
            // What moves elements moves those of any type.
            Op::Reshape(_) if channels::lower_shuffle(self, layer)? => Ok(true),
            Op::Reshape(_) | Op::Flatten(_) | Op::Squeeze(_) | Op::Unsqueeze(_) => self.rename(layer, Layout::Plain),
            Op::Dropout(_) | Op::Unary(ops::Unary(Unary::Identity)) => {
                let layout = layer.input(0).map_or(Layout::Plain, |id| self.home(id));
                self.rename(layer, layout)
            }
            Op::Concat(op) => seats::lower_concat(self, layer, op),
            Op::Slice(_) => movement::lower_slice(self, layer),
            Op::Split(op) => movement::lower_split(self, layer, op),
            Op::Transpose(op) => movement::lower_transpose(self, layer, op),
            Op::Reduce(op) => pool::lower_reduce(self, layer, op),
            Op::Resize(op) => resize::lower(self, layer, op),
            _ if !f32s => Ok(false),
            Op::Conv(op) => conv::lower(self, layer, op),
            Op::ConvTranspose(op) => transposed::lower(self, layer, op),
            Op::Gemm(op) => gemm::lower_gemm(self, layer, op),
            Op::MatMul(op) => gemm::lower_matmul(self, layer, op),
            Op::Unary(op) => eltwise::lower_unary(self, layer, op.0),
            Op::Binary(op) => eltwise::lower_binary(self, layer, op.0),
            Op::MaxPool(op) => pool::lower_max(self, layer, op),
            Op::AveragePool(op) => pool::lower_average(self, layer, op),
            Op::GlobalAveragePool(_) => pool::lower_global(self, layer, ReduceOp::Mean),
            Op::GlobalMaxPool(_) => pool::lower_global(self, layer, ReduceOp::Max),
            Op::Softmax(op) => norm::lower_softmax(self, layer, op.axis, op.flattened, false),
            Op::LogSoftmax(op) => norm::lower_softmax(self, layer, op.axis, op.flattened, true),
            Op::LRN(op) => norm::lower_lrn(self, layer, op),
            Op::LayerNormalization(op) => norm::lower_layer(self, layer, op),
            Op::InstanceNormalization(op) => norm::lower_instance(self, layer, op),
            // No kernel yet: interpreted.
            Op::ArgMax(_)
            | Op::ArgMin(_)
            | Op::BatchNormalization(_)
            | Op::Cast(_)
            | Op::Celu(_)
            | Op::Clamp(_)
            | Op::Compare(_)
            | Op::Compress(_)
            | Op::ConstantOfShape(_)
            | Op::ConvInteger(_)
            | Op::CumSum(_)
            | Op::DepthToSpace(_)
            | Op::DequantizeLinear(_)
            | Op::DynamicQuantizeLinear(_)
            | Op::Expand(_)
            | Op::EyeLike(_)
            | Op::Gather(_)
            | Op::GatherElements(_)
            | Op::GatherND(_)
            | Op::GlobalLpPool(_)
            | Op::GridSample(_)
            | Op::GroupNormalization(_)
            | Op::Hardmax(_)
            | Op::IsInf(_)
            | Op::IsNaN(_)
            | Op::Logic(_)
            | Op::LpNormalization(_)
            | Op::LpPool(_)
            | Op::MatMulInteger(_)
            | Op::MeanVarianceNormalization(_)
            | Op::NonMaxSuppression(_)
            | Op::NonZero(_)
            | Op::Not(_)
            | Op::OneHot(_)
            | Op::Pad(_)
            | Op::QLinearAdd(_)
            | Op::QLinearConcat(_)
            | Op::QLinearConv(_)
            | Op::QLinearGlobalAveragePool(_)
            | Op::QLinearLeakyRelu(_)
            | Op::QLinearMatMul(_)
            | Op::QLinearMul(_)
            | Op::QLinearSigmoid(_)
            | Op::QuantizeLinear(_)
            | Op::RMSNormalization(_)
            | Op::Range(_)
            | Op::ReverseSequence(_)
            | Op::RoiAlign(_)
            | Op::ScatterElements(_)
            | Op::ScatterND(_)
            | Op::Shape(_)
            | Op::Shrink(_)
            | Op::Sign(_)
            | Op::Size(_)
            | Op::SpaceToDepth(_)
            | Op::ThresholdedRelu(_)
            | Op::Tile(_)
            | Op::TopK(_)
            | Op::Trig(_)
            | Op::Trilu(_)
            | Op::Where(_) => Ok(false),
        }
    }

    /// Lowers an operator whose first output is its first input under another shape, or the same: no step at all.
    fn rename(&mut self, layer: Layer<'_>, layout: Layout) -> Result<bool, PlanError> {
        let (Some(from), &[to]) = (layer.input(0), &*layer.node.outputs) else { return Ok(false) };
        let buffer = self.buffer(from, layout)?;
        self.hold(to, layout, buffer);
        Ok(true)
    }

    /// An error that names the layer.
    pub(crate) fn fail(&self, layer: Layer<'_>, reason: impl ToString) -> PlanError {
        let (node, op) = (self.name(layer).to_owned(), layer.node.op.name().to_owned());
        PlanError::Node { node, op, reason: reason.to_string() }
    }
}
