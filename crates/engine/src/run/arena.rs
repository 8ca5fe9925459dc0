//! The arena: all mutable state of a run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tilewise_graph::ValueType;
use tilewise_kernels::Pool;
use tilewise_tensor::{AlignedBuffer, Tensor, View};

use super::Memory;
use super::apart::Lanes;
use crate::plan::{Output, Place, Turn};
use crate::{Plan, PlanError, RunError};

/// The memory and the threads that a plan runs with. One arena serves one run at a time; any number of arenas serve
/// one plan.
pub struct Arena {
    buffer: AlignedBuffer,
    dynamic: Vec<Option<Tensor>>,
    pool: Arc<Pool>,
    lanes: Lanes,
    plan: u64,
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
        let bytes = plan.arena_bytes();
        let buffer = AlignedBuffer::try_zeroed(bytes).ok_or(PlanError::TooLarge { bytes, memory: plan.memory })?;
        let lanes = Lanes::new(plan.turns.iter().filter_map(Turn::section));
        Ok(Arena { buffer, dynamic: vec![None; plan.dynamic], pool, lanes, plan: plan.id })
    }
}

impl Plan {
    /// Runs on inputs in the order of [`Plan::inputs`]. Allocates nothing but where an operator's output size depends
    /// on the data, or where an operator has no kernel and is interpreted.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn run<'a>(&'a self, inputs: &[View<'_>], arena: &'a mut Arena) -> Result<Outputs<'a>, RunError> {
        self.run_turns(inputs, arena, None)
    }

    /// As [`Plan::run`]; `after` is told the number of each step when it is done, and how long it took. A step that takes
    /// turns with others is named after each of its turns. Steps that run side by side are named when all of them are
    /// done, each with a part of the time that they took together in proportion to its own, so that the sum is the time
    /// of the run.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn run_observed<'a>(
        &'a self,
        inputs: &[View<'_>],
        arena: &'a mut Arena,
        mut after: impl FnMut(usize, Duration),
    ) -> Result<Outputs<'a>, RunError> {
        self.run_turns(inputs, arena, Some(&mut after))
    }

    fn run_turns<'a>(
        &'a self,
        inputs: &[View<'_>],
        arena: &'a mut Arena,
        mut after: Option<&mut dyn FnMut(usize, Duration)>,
    ) -> Result<Outputs<'a>, RunError> {
        if arena.plan != self.id {
            return Err(RunError::Arena);
        }
        let Arena { buffer, dynamic, pool, lanes, .. } = &mut *arena;
        let mut last = after.is_some().then(Instant::now);
        let mut memory = Memory::new(&self.places, buffer.bytes_mut(), dynamic, pool);
        self.load(inputs, &mut memory)?;
        for turn in &self.turns {
            match turn {
                Turn::Whole(step) => (self.steps[*step].run)(&mut memory)?,
                Turn::Part(step, part) => {
                    if let Some(rows) = &self.steps[*step].rows {
                        (rows.run)(&mut memory, part);
                    }
                }
                Turn::Keep(keep) => keep.run(&mut memory),
                Turn::Apart(section) => {
                    lanes.run(section, &self.steps, (memory.shared(), pool), after.is_some())?;
                }
            }
            if let (Some(after), Some(last)) = (&mut after, &mut last)
                && !turn.steps().is_empty()
            {
                let (now, before) = (Instant::now(), *last);
                *last = now;
                match turn.section() {
                    None => after(turn.steps().start, now - before),
                    Some(section) => lanes.shares(section, now - before).for_each(|(step, share)| after(step, share)),
                }
            }
        }
        Ok(Outputs { plan: self, arena })
    }

    fn load(&self, inputs: &[View<'_>], memory: &mut Memory<'_>) -> Result<(), RunError> {
        if inputs.len() != self.inputs.len() {
            let expected = format!("{} inputs", self.inputs.len());
            return Err(RunError::Input { name: "*".to_owned(), expected, actual: inputs.len().to_string() });
        }
        for (input, view) in self.inputs.iter().zip(inputs) {
            if view.dtype() != input.dtype || view.shape() != input.shape {
                return Err(RunError::Input {
                    name: input.name.to_string(),
                    expected: ValueType::known(input.dtype, &input.shape).to_string(),
                    actual: ValueType::known(view.dtype(), view.shape()).to_string(),
                });
            }
            let ([], [to]) = memory.split::<u8, 0, 1>([], [input.buffer]);
            to.copy_from_slice(view.bytes());
        }
        Ok(())
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
            Place::Arena(range) => &self.arena.buffer.bytes()[range.clone()],
            Place::Constant(constant) => constant.bytes(),
            Place::Dynamic(slot) => {
                return self.arena.dynamic[*slot].as_ref().expect("a run fills every output").view();
            }
        };
        View::from_bytes(*dtype, shape, bytes).expect("a buffer is as long as its value")
    }

    /// Output number `index` as a tensor of its own.
    pub fn tensor(&self, index: usize) -> Tensor {
        self.view(index).to_tensor()
    }
}
