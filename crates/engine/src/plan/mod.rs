//! Plans: a network lowered to a flat list of steps over planned memory. Immutable, and shared between threads.

mod apart;
mod groups;
mod layout;
mod network;
mod operand;
mod order;
mod weights;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tilewise_graph::{Graph, GraphError};
use tilewise_kernels::Cpu;
use tilewise_kernels::movement::Reorder;
use tilewise_tensor::DType;

use crate::lower::{self, Buffer, Ends, Flow, Layout, Lowered};
use crate::run::Memory;
use crate::schedule::{Decision, Group, Machine, Misfit, Predicted, Question, predict, predict_fixed};
use crate::{PlanError, RunError, Schedule};

pub(crate) use apart::Section;
use groups::Groups;
pub use network::{Network, NetworkPart};
pub use operand::{Operand, Role};
pub(crate) use order::{ByRows, Part, Turn};
pub use weights::Weights;
pub(crate) use weights::{Form, Packed, Room};

/// Names a buffer of a plan.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct BufferId(pub(crate) u32);

impl BufferId {
    /// The buffer of length 0 that stands for an absent operand; every plan has it.
    pub(crate) const NONE: BufferId = BufferId(0);

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where the bytes of a buffer stand.
#[derive(Clone)]
pub(crate) enum Place {
    /// In the arena, for part of the run.
    Arena(Range<usize>),
    /// Packed weights and other constants.
    Constant(Arc<Packed>),
    /// A tensor whose size the data decide, by its number in the arena.
    Dynamic(usize),
    /// What the caller gives for an input, by number; the bytes are those of one image where these go one by one.
    Given { input: usize, bytes: usize },
}

impl Place {
    /// The range in the arena; empty for what does not stand there.
    pub(crate) fn range(&self) -> Range<usize> {
        match self {
            Place::Arena(range) => range.clone(),
            Place::Constant(_) | Place::Dynamic(_) | Place::Given { .. } => 0..0,
        }
    }
}

/// One step of a run.
pub(crate) struct Step {
    pub(crate) info: StepInfo,
    /// All buffers that it reads, and all that it writes: absent and constant ones, and scratch, among them.
    pub(crate) reads: Box<[BufferId]>,
    pub(crate) writes: Box<[BufferId]>,
    pub(crate) run: Run,
    /// How it computes some output rows, where it can.
    pub(crate) rows: Option<ByRows>,
}

#[cfg(test)]
impl Step {
    /// A step that does something with its operands, for tests.
    pub(crate) fn of(reads: Vec<BufferId>, writes: Vec<BufferId>, run: Run) -> Self {
        let info = StepInfo {
            layer: String::new(),
            merged: Vec::new(),
            reorder: None,
            op: "Add",
            kind: String::new(),
            kernel: "binary",
            decision: None,
            output: String::new(),
            macs: 0,
            bytes: 64,
            operands: Vec::new(),
            times: 1,
        };
        Step { info, reads: reads.into(), writes: writes.into(), run, rows: None }
    }
}

/// What a step does with the memory of a run.
pub(crate) type Run = Box<dyn Fn(&mut Memory<'_>) -> Result<(), RunError> + Send + Sync>;

/// What a step is, for tables and reports.
#[derive(Clone, Debug)]
pub struct StepInfo {
    /// Name of the layer in the model.
    pub layer: String,
    /// Names of model nodes that passes merged into the layer.
    pub merged: Vec<String>,
    /// Of a change of layout, what is moved.
    pub reorder: Option<Reorder>,
    /// Name of the operator, or `Reorder` for a change of layout.
    pub op: &'static str,
    /// What the layers are, in the words that summaries group by, such as `Conv dw 3x3 + Conv 1x1`.
    pub kind: String,
    /// Name of the kernel, or `interpreted`.
    pub kernel: &'static str,
    /// What is computed and how, where there is a choice.
    pub decision: Option<Decision>,
    /// Type of the first output, such as `f32[1,64,56,56]`.
    pub output: String,
    /// Multiply-adds.
    pub macs: u64,
    /// Bytes read and written, each operand once.
    pub bytes: u64,
    /// The same by operand.
    pub operands: Vec<Operand>,
    /// How many times a run computes it: once, or once for each image where these go one by one. Multiply-adds and bytes
    /// are those of all times.
    pub times: usize,
}

impl StepInfo {
    /// The machine that the step is compiled for: one core where the cores take images of their own.
    pub fn cpu(&self, cpu: &Cpu) -> Cpu {
        if self.times > 1 { cpu.clone().with_cores(1) } else { cpu.clone() }
    }

    /// Multiply-adds and bytes of one of its times.
    fn once(&self) -> [u64; 2] {
        [self.macs, self.bytes].map(|all| all / self.times as u64)
    }

    /// How long one of its times should take.
    fn predicted(&self, cpu: &Cpu, machine: &Machine) -> Predicted {
        match &self.decision {
            Some(decision) => predict(decision, cpu, machine),
            None => predict_fixed(self.kernel, self.once(), cpu, machine),
        }
    }
}

/// An input of a plan.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name.
    pub name: Arc<str>,
    /// Element type.
    pub dtype: DType,
    /// Shape.
    pub shape: Vec<usize>,
    pub(crate) buffer: BufferId,
}

/// An output of a plan.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its name.
    pub name: Arc<str>,
    /// Element type.
    pub dtype: DType,
    /// Shape; meaningless where the data decide it.
    pub shape: Vec<usize>,
    pub(crate) buffer: BufferId,
    pub(crate) layout: Layout,
}

/// The part of a plan that computes one image of a batch after the other.
pub(crate) struct ByImage {
    /// The plan for one image, on one core.
    pub(crate) plan: Plan,
    /// How many images there are.
    pub(crate) count: usize,
    /// Where its outputs go: for each a buffer of all images, and no buffer for those that there are not.
    pub(crate) handed: [BufferId; MOST_HANDED],
}

/// Values that may pass from the part of a network that goes image by image to the rest.
pub(crate) const MOST_HANDED: usize = 8;

/// A compiled network; see [`compile`].
pub struct Plan {
    pub(crate) id: u64,
    /// What runs before, for each image by itself.
    pub(crate) by_image: Option<Box<ByImage>>,
    pub(crate) places: Vec<Place>,
    pub(crate) steps: Vec<Step>,
    /// The order in which they run.
    pub(crate) turns: Vec<Turn>,
    pub(crate) inputs: Vec<Input>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) dynamic: usize,
    /// Threads that the scratch buffers are sized for.
    pub(crate) threads: usize,
    /// Bytes of memory that the machine has.
    pub(crate) memory: usize,
    arena_bytes: usize,
    live_bytes: Vec<usize>,
    schedule: Schedule,
    misfits: Vec<Misfit>,
}

impl Plan {
    /// The inputs of a run, in order.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The outputs of a run, in order.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// What the steps are, in order.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = &StepInfo> {
        let mut infos = self.by_image.as_ref().map_or_else(Vec::new, |each| each.plan.steps().collect());
        infos.extend(self.steps.iter().map(|step| &step.info));
        infos.into_iter()
    }

    /// The chains of steps that take turns.
    pub(crate) fn chains(&self) -> Vec<Range<usize>> {
        let mut chains: Vec<Range<usize>> = Vec::new();
        for step in 0..self.steps.len().saturating_sub(1) {
            if !matches!(self.schedule.group(&self.steps[step].info.layer), Some(Group::Turns(_))) {
                continue;
            }
            match chains.last_mut().filter(|chain| chain.end == step + 1) {
                Some(chain) => chain.end += 1,
                None => chains.push(step..step + 2),
            }
        }
        chains
    }

    /// How many of the steps compute one image at a time.
    pub(crate) fn steps_by_image(&self) -> usize {
        self.by_image.as_ref().map_or(0, |each| each.plan.steps.len())
    }

    /// Turns that each step takes in a run, in order: more than one where it takes turns with its neighbours, a slice of
    /// output rows each, so that what one hands to the next stays in the cache, or where it computes one image at a time.
    pub fn turns(&self) -> Vec<usize> {
        let mut turns = vec![0; self.steps.len()];
        self.turns.iter().flat_map(Turn::steps).for_each(|step| turns[step] += 1);
        self.with_images(turns, |each, turns| turns * each.count, Plan::turns)
    }

    /// What all steps have, from what those have that compute one image.
    fn with_images<T>(&self, own: Vec<T>, all: impl Fn(&ByImage, T) -> T, of: impl Fn(&Plan) -> Vec<T>) -> Vec<T> {
        let each = self.by_image.iter().flat_map(|each| of(&each.plan).into_iter().map(|one| all(each, one)));
        each.chain(own).collect()
    }

    /// For each step, in order, true where it runs on one core while others run on the others.
    pub fn beside(&self) -> Vec<bool> {
        let mut beside = vec![false; self.steps.len()];
        self.turns.iter().filter_map(Turn::section).for_each(|section| beside[section.steps()].fill(true));
        self.with_images(beside, |_, beside| beside, Plan::beside)
    }

    /// How the layers run: every choice that was made, and which layers take turns.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The entries of the schedule it was compiled with that it does not follow: these layers run as the kernels' own
    /// choosers have it.
    pub fn misfits(&self) -> &[Misfit] {
        &self.misfits
    }

    /// Bytes of an arena: the activations at their highest, scratch included.
    pub fn arena_bytes(&self) -> usize {
        self.arena_bytes + self.by_image.as_ref().map_or(0, |each| self.threads * each.plan.arena_bytes)
    }

    /// Bytes of the arena without what goes image by image.
    pub(crate) fn own_bytes(&self) -> usize {
        self.arena_bytes
    }

    /// Bytes of the arena that are in use during each step, in order, scratch included: as if no steps ran side by side.
    pub fn live_bytes(&self) -> Vec<usize> {
        let handed = self.by_image.iter().flat_map(|each| &each.handed);
        let handed: usize = handed.map(|id| self.places[id.index()].range().len()).sum();
        self.with_images(self.live_bytes.clone(), |_, live| self.threads * live + handed, Plan::live_bytes)
    }

    /// How long each step should take, in order, in runs that follow each other: of steps that run side by side their parts
    /// of the time that they take together.
    pub fn predicted(&self, cpu: &Cpu, machine: &Machine) -> Vec<Predicted> {
        let machine = machine.seen_by(self.constant_bytes() + self.arena_bytes(), cpu);
        let (one, of_one) = (cpu.clone().with_cores(1), machine.one_of(cpu.cores));
        let rounds = |each: &ByImage| each.count as f64 / cpu.cores.max(1) as f64;
        self.with_images(
            self.predicted_by_step(cpu, &machine),
            |each, mut predicted| {
                predicted *= rounds(each);
                predicted
            },
            |plan| plan.predicted_by_step(&one, &of_one),
        )
    }

    fn predicted_by_step(&self, cpu: &Cpu, machine: &Machine) -> Vec<Predicted> {
        let mut predicted = vec![Predicted::default(); self.steps.len()];
        for turn in &self.turns {
            match turn {
                Turn::Whole(number) => predicted[*number] += self.steps[*number].info.predicted(cpu, machine),
                Turn::Part(number, part) => predicted[*number] += self.predicted_part(*number, part, cpu, machine),
                Turn::Keep(_) => (),
                Turn::Apart(section) => {
                    predicted[section.steps()].copy_from_slice(&section.predicted(&self.steps, cpu, machine))
                }
            }
        }
        predicted
    }

    /// Of the rows of a part nothing is far that is not far for all of them.
    fn predicted_part(&self, number: usize, part: &Part, cpu: &Cpu, machine: &Machine) -> Predicted {
        let Step { info, rows, .. } = &self.steps[number];
        if let Some(decision) = &info.decision {
            return predict(&decision.rows(part.rows.clone(), cpu.cores), cpu, machine);
        }
        let rows = rows.as_ref().map_or(1, |step| step.problem.n * step.problem.oh());
        let share = |all: u64| all * part.rows.len() as u64 / rows as u64;
        predict_fixed(info.kernel, info.once().map(share), cpu, machine)
    }

    /// Bytes of packed weights and other constants, which all arenas and plans of a model share.
    pub fn constant_bytes(&self) -> usize {
        let mut seen = std::collections::HashSet::new();
        let places = self.by_image.iter().flat_map(|each| &each.plan.places).chain(&self.places);
        let constants = places.filter_map(|place| match place {
            Place::Constant(buffer) => Some(buffer),
            Place::Arena(_) | Place::Dynamic(_) | Place::Given { .. } => None,
        });
        constants.filter(|buffer| seen.insert(Arc::as_ptr(buffer))).map(|buffer| buffer.len()).sum()
    }
}

impl Plan {
    /// This plan for a batch of `count` images, after another that computes one of each of its inputs from an image.
    fn after_each(mut self, mut one: Plan, count: usize) -> Plan {
        let buffers = self.places.len();
        for info in one.steps.iter_mut().map(|step| &mut step.info) {
            info.times = count;
            info.macs *= count as u64;
            info.bytes *= count as u64;
            for operand in &mut info.operands {
                operand.bytes *= count as u64;
                operand.buffer += buffers;
            }
        }
        let inputs = one.inputs.iter().map(|input| {
            let shape = [&[count], &input.shape[1..]].concat();
            Input { name: Arc::clone(&input.name), dtype: input.dtype, shape, buffer: BufferId::NONE }
        });
        let taken = std::mem::replace(&mut self.inputs, inputs.collect());
        let handed = std::array::from_fn(|i| taken.get(i).map_or(BufferId::NONE, |input| input.buffer));
        self.schedule.extend(&one.schedule);
        self.misfits.splice(0..0, one.misfits.iter().cloned());
        self.by_image = Some(Box::new(ByImage { plan: one, count, handed }));
        self
    }
}

/// Compiles a graph whose input shapes are all known. `schedule` says how layers run where it names them; layers that
/// it does not name run as the kernels' own choosers have it. `weights` keeps what is packed, for all plans that are
/// made with it.
///
/// # Errors
/// [`PlanError`].
pub fn compile(graph: &Graph, schedule: &Schedule, cpu: &Cpu, weights: &Weights) -> Result<Plan, PlanError> {
    compile_between(graph, &Ends::Caller, schedule, cpu, weights)
}

fn compile_between(
    graph: &Graph,
    ends: &Ends,
    schedule: &Schedule,
    cpu: &Cpu,
    weights: &Weights,
) -> Result<Plan, PlanError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let lowered = lower::lower(graph, ends, schedule, cpu, weights)?;
    let mut groups = Groups::of(&lowered.steps, &lowered.buffers, schedule);
    let Lowered { steps, mut buffers, inputs, outputs, dynamic, mut schedule, mut misfits, .. } = lowered;
    weights.finish(cpu.cores);
    if let Some(error) = buffers.iter().find_map(Buffer::error) {
        return Err(error.clone().into());
    }
    let turns = order::order(&steps, &mut buffers, &mut groups, cpu);
    schedule.extend(&groups.made);
    misfits.append(&mut groups.misfits);
    let live_bytes = layout::live_bytes(&buffers, steps.len());
    let lives = apart::Lives::of(&buffers, &steps, &turns);
    let (places, arena_bytes) = layout::assign(buffers, &lives, cpu.memory)?;
    // That steps may share memory rests on this.
    if let Some((a, b)) = apart::clash(&turns, &steps, &places) {
        let [a, b] = [a, b].map(|step| &steps[step].info.layer);
        return Err(GraphError::Broken(format!("'{a}' and '{b}' would run side by side on the same memory")).into());
    }
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    Ok(Plan {
        id,
        by_image: None,
        places,
        steps,
        turns,
        inputs,
        outputs,
        dynamic,
        threads: cpu.cores,
        memory: cpu.memory,
        arena_bytes,
        live_bytes,
        schedule,
        misfits,
    })
}

/// A network as far as its schedule is concerned; see [`NetworkPart::survey`].
pub struct Survey {
    /// Every choice that there is to make, in the order of the layers.
    pub questions: Vec<Question>,
    /// The choices that a plan would make.
    pub schedule: Schedule,
    /// The changes of layout between these.
    pub reorders: Vec<Reorder>,
    /// In which layouts values pass between the layers.
    pub(crate) flows: Vec<Flow>,
    /// In which layouts the outputs are made.
    pub(crate) made: Vec<Layout>,
}
