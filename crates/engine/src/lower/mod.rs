//! Lowering: each operator of a graph becomes steps over buffers.
//!
//! A file here takes a family of operators, picks kernels for its problem and pushes steps; `layout.rs` keeps track
//! of which layouts of a value exist and inserts reorders. What has no kernel is interpreted.

mod channels;
mod conv;
mod eltwise;
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
mod transposed;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tilewise_graph::{Graph, Node, NodeId, Op, ValueId, ops};
use tilewise_kernels::movement::{Reorder, choose_reorder};
use tilewise_kernels::reduce::ReduceOp;
use tilewise_kernels::{Cpu, Ctx, Unary};
use tilewise_tensor::{AlignedBuffer, DType};

use crate::plan::{BufferId, ByRows, Input, Output, Run, Step, StepInfo};
use crate::schedule::{self, Choice, Decision, Misfit, Problem, Question};
use crate::{PlanError, Schedule, Weights};

pub(crate) use layout::Layout;

/// What a buffer is stored in.
pub(crate) enum Storage {
    /// The arena.
    Arena { bytes: usize },
    /// The arena, for one step.
    Scratch { bytes: usize },
    /// Part of another buffer, which was added before.
    Part { of: BufferId, offset: usize, bytes: usize },
    /// A constant.
    Constant(Arc<AlignedBuffer>),
    /// A tensor whose size the data decide, by number.
    Dynamic(usize),
}

/// A buffer with its life: the first and the last step that touch it.
pub(crate) struct Buffer {
    pub(crate) storage: Storage,
    pub(crate) first: usize,
    pub(crate) last: usize,
}

impl Buffer {
    /// Bytes of the value.
    pub(crate) fn bytes(&self) -> usize {
        match &self.storage {
            Storage::Arena { bytes } | Storage::Scratch { bytes } | Storage::Part { bytes, .. } => *bytes,
            Storage::Constant(constant) => constant.len(),
            Storage::Dynamic(_) => 0,
        }
    }

    /// Bytes of its own in the arena.
    pub(crate) fn arena_bytes(&self) -> usize {
        match self.storage {
            Storage::Arena { bytes } | Storage::Scratch { bytes } => bytes,
            Storage::Part { .. } | Storage::Constant(_) | Storage::Dynamic(_) => 0,
        }
    }
}

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
    /// Entries of the schedule that could not be followed.
    pub(crate) misfits: Vec<Misfit>,
}

/// Lowers every node of a graph, in order.
pub(crate) fn lower(graph: &Graph, schedule: &Schedule, cpu: &Cpu, weights: &Weights) -> Result<Lowered, PlanError> {
    let mut lowering = Lowering {
        graph,
        cpu,
        schedule,
        weights,
        names: layer_names(graph),
        steps: Vec::new(),
        buffers: vec![Buffer { storage: Storage::Arena { bytes: 0 }, first: 0, last: 0 }],
        uses: graph.uses(),
        absorbed: HashSet::new(),
        seats: seats::seats(graph, cpu.tier.lanes()),
        held: HashMap::new(),
        home: HashMap::new(),
        dynamic: 0,
        chosen: Schedule::default(),
        questions: Vec::new(),
        misfits: Vec::new(),
    };
    let inputs = lowering.inputs()?;
    for id in graph.order()? {
        if !lowering.absorbed.contains(&id) {
            lowering.node(id)?;
        }
    }
    let outputs = lowering.outputs()?;
    lowering.note_strangers();
    let Lowering { steps, buffers, dynamic, chosen: schedule, questions, misfits, .. } = lowering;
    Ok(Lowered { steps, buffers, inputs, outputs, dynamic, schedule, questions, misfits })
}

/// A name for each node, unique in the graph: its own, or that of its first output where several share it.
fn layer_names(graph: &Graph) -> HashMap<NodeId, String> {
    let mut count: HashMap<&str, usize> = HashMap::new();
    for (_, node) in graph.nodes() {
        *count.entry(&node.name).or_default() += 1;
    }
    let name = |node: &Node| match node.outputs.first() {
        Some(&output) if node.name.is_empty() || count[&*node.name] > 1 => graph.value(output).name.to_string(),
        _ => node.name.to_string(),
    };
    graph.nodes().map(|(id, node)| (id, name(node))).collect()
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

/// What a lowering hands over for one step.
pub(crate) struct NewStep<'a> {
    pub(crate) layer: Layer<'a>,
    /// Layers before it that the step computes too.
    pub(crate) with: &'a [Layer<'a>],
    pub(crate) op: &'static str,
    pub(crate) kernel: &'static str,
    /// What it computes and how, where there is a choice.
    pub(crate) decision: Option<Decision>,
    pub(crate) macs: u64,
    pub(crate) reads: &'a [BufferId],
    pub(crate) writes: &'a [BufferId],
    pub(crate) run: Run,
}

impl<'a> Lowering<'a> {
    fn inputs(&mut self) -> Result<Vec<Input>, PlanError> {
        let mut inputs = Vec::new();
        for &id in self.graph.inputs() {
            let value = self.graph.value(id);
            let free = || PlanError::FreeInput { name: value.name.to_string(), ty: value.ty.to_string() };
            let shape = value.ty.known_shape().ok_or_else(free)?;
            let buffer = self.make(id, Layout::Plain)?;
            self.touch(buffer, 0);
            inputs.push(Input { name: Arc::clone(&value.name), dtype: value.ty.dtype, shape, buffer });
        }
        Ok(inputs)
    }

    fn outputs(&mut self) -> Result<Vec<Output>, PlanError> {
        let mut outputs = Vec::new();
        for (name, id) in self.graph.outputs() {
            let ty = &self.graph.value(*id).ty;
            let shape = if self.is_dynamic(*id) { Vec::new() } else { ty.known_shape().unwrap_or_default() };
            let buffer = self.buffer(*id, Layout::Plain)?;
            outputs.push(Output { name: Arc::clone(name), dtype: ty.dtype, shape, buffer });
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
        if fixed && self.lower(layer, f32s)? { Ok(()) } else { interpret::lower(self, layer) }
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

    /// The node that alone reads what a layer makes; `None` where several do, or the caller of the run.
    pub(crate) fn sole_reader(&self, layer: Layer<'_>) -> Option<Layer<'a>> {
        let &[output] = &*layer.node.outputs else { return None };
        match self.uses[output.index()][..] {
            [(id, _)] if !self.graph.is_output(output) => Some(Layer { id, node: self.graph.node(id) }),
            _ => None,
        }
    }

    /// The function that alone reads what a layer makes, with the layer of its node; the identity and the layer itself
    /// where there is none.
    pub(crate) fn activation<'l>(&self, layer: Layer<'l>) -> (Unary, Layer<'l>)
    where
        'a: 'l,
    {
        match self.sole_reader(layer) {
            Some(Layer { id, node }) if let Op::Unary(op) = &node.op => (op.0, Layer { id, node }),
            _ => (Unary::Identity, layer),
        }
    }

    /// The elements of a constant of integers.
    pub(crate) fn ints(&self, id: ValueId) -> Option<Vec<i64>> {
        let tensor = self.graph.constant(id)?.tensor().ok()?;
        if tensor.dtype() == DType::I32 {
            return Some(tensor.values::<i32>().ok()?.iter().map(|&x| i64::from(x)).collect());
        }
        Some(tensor.values::<i64>().ok()?.into_owned())
    }

    /// The axes that a constant names among `rank`, in order, each once.
    pub(crate) fn axes(&self, id: ValueId, rank: usize) -> Option<Vec<usize>> {
        let axes = self.ints(id)?.into_iter().map(|axis| norm::resolve(axis, rank));
        let mut axes = axes.collect::<Option<Vec<usize>>>()?;
        axes.sort_unstable();
        axes.dedup();
        Some(axes)
    }

    /// Bytes of one element of a value.
    pub(crate) fn element_size(&self, id: ValueId) -> usize {
        self.graph.value(id).ty.dtype.size()
    }

    /// Appends a step that changes a value's layout, on behalf of the layer that makes the value.
    pub(crate) fn push_reorder(&mut self, id: ValueId, reorder: Reorder, [x, y]: [BufferId; 2], run: Run) {
        let kernel = choose_reorder(self.cpu.tier).id.name;
        let value = self.graph.value(id);
        let number = self.steps.len();
        self.touch(x, number);
        self.touch(y, number);
        let info = StepInfo {
            layer: value.name.to_string(),
            merged: Vec::new(),
            reorder: Some(reorder),
            op: "Reorder",
            kind: "Reorder".to_owned(),
            kernel,
            decision: None,
            output: value.ty.to_string(),
            macs: 0,
            bytes: (self.len(x) + self.len(y)) as u64,
            operands: self.operands(&[x], &[y]),
        };
        self.steps.push(Step { info, run, rows: None });
    }

    /// The unique name of a layer.
    pub(crate) fn name(&self, layer: Layer<'_>) -> &str {
        &self.names[&layer.id]
    }

    /// An error that names the layer.
    pub(crate) fn fail(&self, layer: Layer<'_>, reason: impl ToString) -> PlanError {
        let (node, op) = (self.name(layer).to_owned(), layer.node.op.name().to_owned());
        PlanError::Node { node, op, reason: reason.to_string() }
    }

    /// Notes a choice that a layer leaves open; of a pair, `first` is the layer before it.
    pub(crate) fn ask(&mut self, layer: Layer<'_>, first: Option<Layer<'_>>, problem: Problem) {
        let question =
            Question { layer: self.name(layer).to_owned(), first: first.map(|f| self.name(f).to_owned()), problem };
        self.questions.push(question);
    }

    /// The choice for a layer's problem: the schedule's where it fits, else the chooser's.
    pub(crate) fn choose(&mut self, layer: Layer<'_>, problem: &Problem) -> Option<Choice> {
        self.scheduled(layer, problem).or_else(|| schedule::default(problem, self.cpu))
    }

    /// The schedule's choice for a layer where it fits the problem; where it does not, that is noted.
    pub(crate) fn scheduled(&mut self, layer: Layer<'_>, problem: &Problem) -> Option<Choice> {
        let choice = *self.schedule.get(&self.names[&layer.id])?;
        match schedule::fits(&choice, problem, self.cpu) {
            Ok(()) => Some(choice),
            Err(reason) => {
                let layer = self.name(layer).to_owned();
                // A pair's entry is looked at again when its second layer comes by itself.
                if self.misfits.iter().all(|misfit| misfit.layer != layer) {
                    self.misfits.push(Misfit { layer, choice: choice.to_string(), reason });
                }
                None
            }
        }
    }

    /// Notes the entries of the schedule whose layer has no choice to make.
    fn note_strangers(&mut self) {
        let asked = |layer: &str| self.questions.iter().any(|question| question.layer == layer);
        let strangers = self.schedule.iter().filter(|(layer, _)| !asked(layer));
        let reason = "the network has no layer of this name that can be chosen for";
        let misfits: Vec<Misfit> = strangers
            .map(|(layer, choice)| Misfit { layer: layer.into(), choice: choice.to_string(), reason: reason.into() })
            .collect();
        self.misfits.extend(misfits);
    }

    /// Tells how the last step computes some of its output rows. Padding as high as the kernel would leave parts without
    /// any row of the image: such a step takes no turns.
    pub(crate) fn by_rows(&mut self, rows: ByRows) {
        let p = &rows.problem;
        if let Some(step) = self.steps.last_mut().filter(|_| p.pads.top.max(p.pads.bottom) < p.reach()[0]) {
            step.rows = Some(rows);
        }
    }

    /// Appends a step, and lets its buffers live until then.
    pub(crate) fn push(&mut self, new: NewStep<'_>) {
        let number = self.steps.len();
        for &buffer in new.reads.iter().chain(new.writes) {
            self.touch(buffer, number);
        }
        let output = new.layer.node.outputs.first().map(|&id| self.graph.value(id).ty.to_string());
        let bytes = new.reads.iter().chain(new.writes).map(|&id| self.len(id) as u64).sum();
        let kinds = new.with.iter().chain([&new.layer]).map(|layer| kind::kind(self.graph, layer.node));
        let mut merged: Vec<String> = new.layer.node.merged.iter().map(ToString::to_string).collect();
        for layer in new.with {
            merged.push(self.name(*layer).to_owned());
            merged.extend(layer.node.merged.iter().map(ToString::to_string));
        }
        // The layers of a step are lowered with the first of them.
        self.absorbed.extend(new.with.iter().map(|layer| layer.id).chain([new.layer.id]));
        if let Some(decision) = &new.decision {
            self.chosen.set(&self.names[&new.layer.id], decision.choice);
        }
        let info = StepInfo {
            layer: self.name(new.layer).to_owned(),
            merged,
            reorder: None,
            op: new.op,
            kind: kinds.collect::<Vec<_>>().join(" + "),
            kernel: new.kernel,
            decision: new.decision,
            output: output.unwrap_or_default(),
            macs: new.macs,
            bytes,
            operands: self.operands(new.reads, new.writes),
        };
        self.steps.push(Step { info, run: new.run, rows: None });
    }

    /// Appends the step of an operator with one input and one output in f32 that `run` computes with `scratch` more
    /// values at hand.
    pub(crate) fn push_map(
        &mut self,
        layer: Layer<'_>,
        kernel: &'static str,
        [x, y]: [BufferId; 2],
        scratch: usize,
        run: impl Fn(&[f32], &mut [f32], Ctx<'_>) + Send + Sync + 'static,
    ) {
        let scratch = self.scratch(scratch);
        self.push(NewStep {
            layer,
            with: &[],
            op: layer.node.op.name(),
            kernel,
            decision: None,
            macs: 0,
            reads: &[x],
            writes: &[y, scratch],
            run: Box::new(move |memory| {
                let pool = memory.pool;
                let ([x], [y, scratch]) = memory.split([x], [y, scratch]);
                run(x, y, Ctx { pool, scratch });
                Ok(())
            }),
        });
    }

    /// A buffer that lives for the next step only.
    pub(crate) fn scratch(&mut self, floats: usize) -> BufferId {
        self.add(Storage::Scratch { bytes: floats.saturating_mul(size_of::<f32>()) })
    }

    pub(crate) fn add(&mut self, storage: Storage) -> BufferId {
        let id = BufferId(self.buffers.len() as u32);
        self.buffers.push(Buffer { storage, first: usize::MAX, last: 0 });
        id
    }

    /// True for a buffer that has a planned place in the arena.
    pub(crate) fn is_in_arena(&self, id: BufferId) -> bool {
        matches!(self.buffers[id.index()].storage, Storage::Arena { .. } | Storage::Part { .. })
    }

    /// Bytes of a buffer.
    fn len(&self, id: BufferId) -> usize {
        match &self.buffers[id.index()].storage {
            Storage::Arena { bytes } | Storage::Scratch { bytes } | Storage::Part { bytes, .. } => *bytes,
            Storage::Constant(constant) => constant.len(),
            Storage::Dynamic(_) => 0,
        }
    }

    /// Lets a buffer live at a step, and with a part the whole.
    fn touch(&mut self, id: BufferId, step: usize) {
        let buffer = &mut self.buffers[id.index()];
        buffer.first = buffer.first.min(step);
        buffer.last = buffer.last.max(step);
        if let Storage::Part { of, .. } = buffer.storage {
            self.touch(of, step);
        }
    }
}
