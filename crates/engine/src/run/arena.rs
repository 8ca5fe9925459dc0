//! The arena: all mutable state of a run.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tilewise_graph::ValueType;
use tilewise_kernels::{Pool, Task};
use tilewise_tensor::{AlignedBuffer, Tensor, View};

use super::apart::Lanes;
use super::{Given, Memory};
use crate::plan::{ByImage, Input, MOST_HANDED, Output, Place, Turn};
use crate::{Plan, PlanError, RunError};

/// The memory and the threads that a plan runs with. One arena serves one run at a time; any number of arenas serve
/// one plan.
pub struct Arena {
    space: Space,
    /// Where images go one by one, the space of each thread for one of them.
    images: Vec<Mutex<Space>>,
    pool: Arc<Pool>,
    /// Runs the tasks of one image, on the thread that has it.
    alone: Arc<Pool>,
    plan: u64,
}

/// What a plan writes to.
struct Space {
    buffer: AlignedBuffer,
    dynamic: Vec<Option<Tensor>>,
    lanes: Lanes,
}

impl Space {
    fn new(plan: &Plan) -> Result<Self, PlanError> {
        let bytes = plan.own_bytes();
        let buffer = AlignedBuffer::try_zeroed(bytes).ok_or(PlanError::TooLarge { bytes, memory: plan.memory })?;
        let lanes = Lanes::new(plan.turns.iter().filter_map(Turn::section));
        Ok(Space { buffer, dynamic: vec![None; plan.dynamic], lanes })
    }

    /// The memory of a run, and the lanes of its sections.
    fn parts<'a>(&'a mut self, plan: &'a Plan, given: Given<'a>, pool: &'a Pool) -> (Memory<'a>, &'a mut Lanes) {
        let memory = Memory::new(&plan.places, self.buffer.bytes_mut(), given, &mut self.dynamic, pool);
        (memory, &mut self.lanes)
    }
}

impl Arena {
    /// Memory for a plan, all of it at once.
    ///
    /// # Errors
    /// [`PlanError::TooLarge`], or [`PlanError::Threads`] for a pool larger than the machine that the plan was
    /// compiled for.
    pub fn new(plan: &Plan, pool: Arc<Pool>) -> Result<Self, PlanError> {
        if pool.threads() > plan.threads {
            return Err(PlanError::Threads { pool: pool.threads(), plan: plan.threads });
        }
        let images = plan.by_image.iter().flat_map(|each| (0..pool.threads()).map(|_| Space::new(&each.plan)));
        let images = images.map(|space| space.map(Mutex::new)).collect::<Result<_, _>>()?;
        let alone = if pool.threads() == 1 { Arc::clone(&pool) } else { Arc::new(Pool::new(1)) };
        Ok(Arena { space: Space::new(plan)?, images, pool, alone, plan: plan.id })
    }
}

/// Tells what steps take.
struct Watch<'a> {
    /// Told the number of each step when it is done, and how long it took.
    after: &'a mut (dyn FnMut(usize, Duration) + Send),
    /// The number of the first step.
    first: usize,
    /// When the step before was done.
    last: Instant,
}

impl Watch<'_> {
    fn done(&mut self, turn: &Turn, lanes: &Lanes) {
        if turn.steps().is_empty() {
            return;
        }
        let now = Instant::now();
        let (took, first) = (now - self.last, self.first);
        self.last = now;
        match turn.section() {
            None => (self.after)(first + turn.steps().start, took),
            Some(section) => lanes.shares(section, took).for_each(|(step, share)| (self.after)(first + step, share)),
        }
    }
}

impl Plan {
    /// Runs on inputs in the order of [`Plan::inputs`]. Allocates nothing but where an operator's output size depends
    /// on the data, or where an operator has no kernel and is interpreted.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn run<'a>(&'a self, inputs: &[View<'_>], arena: &'a mut Arena) -> Result<Outputs<'a>, RunError> {
        self.run_watched(inputs, arena, None)
    }

    /// As [`Plan::run`]; `after` is told the number of each step when it is done, and how long it took. A step that takes
    /// turns with others is named after each of its turns, and one that computes one image at a time after each of the
    /// images that the calling thread has. Steps that run side by side are named when all of them are done, each with a part
    /// of the time that they took together in proportion to its own. So the sum is the time of the run.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn run_observed<'a>(
        &'a self,
        inputs: &[View<'_>],
        arena: &'a mut Arena,
        mut after: impl FnMut(usize, Duration) + Send,
    ) -> Result<Outputs<'a>, RunError> {
        self.run_watched(inputs, arena, Some(Watch { after: &mut after, first: 0, last: Instant::now() }))
    }

    fn run_watched<'a>(
        &'a self,
        inputs: &[View<'_>],
        arena: &'a mut Arena,
        mut watch: Option<Watch<'_>>,
    ) -> Result<Outputs<'a>, RunError> {
        if arena.plan != self.id {
            return Err(RunError::Arena);
        }
        self.check(inputs)?;
        let copies: Vec<Tensor>;
        let mut aligned: Vec<View<'_>> = Vec::new();
        let mut given = Given { inputs, index: 0 };
        if !inputs.iter().all(is_aligned) {
            copies = inputs.iter().map(View::to_tensor).collect();
            aligned.extend(copies.iter().map(Tensor::view));
            given.inputs = &aligned;
        }
        let Arena { space, images, pool, alone, .. } = &mut *arena;
        let (mut memory, lanes) = space.parts(self, given, pool);
        match &self.by_image {
            Some(each) => each.run(given, (images, alone), &mut memory, watch.as_mut())?,
            None => self.load(given, &mut memory),
        }
        if let Some(watch) = &mut watch {
            watch.first = self.steps_by_image();
        }
        self.take_turns(&mut memory, lanes, watch.as_mut())?;
        Ok(Outputs { plan: self, arena })
    }

    fn take_turns(
        &self,
        memory: &mut Memory<'_>,
        lanes: &mut Lanes,
        mut watch: Option<&mut Watch<'_>>,
    ) -> Result<(), RunError> {
        let pool = memory.pool;
        for turn in &self.turns {
            match turn {
                Turn::Whole(step) => (self.steps[*step].run)(memory)?,
                Turn::Part(step, part) => {
                    if let Some(rows) = &self.steps[*step].rows {
                        (rows.run)(memory, part);
                    }
                }
                Turn::Keep(keep) => keep.run(memory),
                Turn::Apart(section) => {
                    lanes.run(section, &self.steps, (memory.shared(), pool), watch.is_some())?;
                }
            }
            if let Some(watch) = &mut watch {
                watch.done(turn, lanes);
            }
        }
        Ok(())
    }

    fn check(&self, inputs: &[View<'_>]) -> Result<(), RunError> {
        if inputs.len() != self.inputs.len() {
            let expected = format!("{} inputs", self.inputs.len());
            return Err(RunError::Input { name: "*".to_owned(), expected, actual: inputs.len().to_string() });
        }
        let unfit = |(input, view): &(&Input, &View<'_>)| view.dtype() != input.dtype || view.shape() != input.shape;
        match self.inputs.iter().zip(inputs).find(unfit) {
            Some((input, view)) => Err(RunError::Input {
                name: input.name.to_string(),
                expected: ValueType::known(input.dtype, &input.shape).to_string(),
                actual: ValueType::known(view.dtype(), view.shape()).to_string(),
            }),
            None => Ok(()),
        }
    }

    /// Copies the inputs that are not read where they stand.
    fn load(&self, given: Given<'_>, memory: &mut Memory<'_>) {
        for (number, input) in self.inputs.iter().enumerate() {
            let ([], [to]) = memory.split::<u8, 0, 1>([], [input.buffer]);
            if !to.is_empty() {
                to.copy_from_slice(given.part(number, to.len()));
            }
        }
    }
}

/// True for elements that can be read where they stand.
fn is_aligned(view: &View<'_>) -> bool {
    view.bytes().as_ptr().addr().is_multiple_of(view.dtype().size())
}

impl ByImage {
    /// Runs the images of a batch, each on one thread, and hands their outputs to the memory of the batch. Watched are
    /// those of the calling thread.
    fn run(
        &self,
        given: Given<'_>,
        (spaces, alone): (&[Mutex<Space>], &Pool),
        memory: &mut Memory<'_>,
        watch: Option<&mut Watch<'_>>,
    ) -> Result<(), RunError> {
        let (watch, failed) = (Mutex::new(watch), Mutex::new(None));
        let pool = memory.pool;
        let ([], handed) = memory.split::<u8, 0, MOST_HANDED>([], self.handed);
        pool.run_parts(self.count, handed, &|Task { index, worker }, handed| {
            // Nobody else has the space of a worker. The calling thread is worker 0.
            let mut space = spaces[worker].lock().unwrap_or_else(PoisonError::into_inner);
            let mut watch = (worker == 0).then(|| watch.lock().unwrap_or_else(PoisonError::into_inner));
            let given = Given { index, ..given };
            let (mut one, lanes) = space.parts(&self.plan, given, alone);
            self.plan.load(given, &mut one);
            match self.plan.take_turns(&mut one, lanes, watch.as_mut().and_then(|watch| watch.as_deref_mut())) {
                Ok(()) => {
                    let outputs = self.plan.outputs.iter().zip(handed);
                    outputs.for_each(|(output, to)| to.copy_from_slice(one.read(output.buffer)));
                }
                Err(error) => {
                    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            }
        });
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}

/// The outputs of a run, as they stand in the arena.
pub struct Outputs<'a> {
    plan: &'a Plan,
    arena: &'a Arena,
}

impl<'a> Outputs<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.plan.outputs.len()
    }

    /// True for a network without outputs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of output number `index`.
    pub fn name(&self, index: usize) -> &'a str {
        &self.plan.outputs[index].name
    }

    /// Output number `index`, without a copy.
    pub fn view(&self, index: usize) -> View<'a> {
        let Output { buffer, dtype, shape, .. } = &self.plan.outputs[index];
        let bytes = match &self.plan.places[buffer.index()] {
            Place::Arena(range) => &self.arena.space.buffer.bytes()[range.clone()],
            Place::Constant(constant) => constant.bytes(),
            // An input that is an output is copied.
            Place::Given { .. } => &[],
            Place::Dynamic(slot) => {
                return self.arena.space.dynamic[*slot].as_ref().expect("a run fills every output").view();
            }
        };
        View::from_bytes(*dtype, shape, bytes).expect("a buffer is as long as its value")
    }

    /// Output number `index` as a tensor of its own.
    pub fn tensor(&self, index: usize) -> Tensor {
        self.view(index).to_tensor()
    }
}
