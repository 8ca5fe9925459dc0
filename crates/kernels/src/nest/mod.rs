//! Loop nests as data: the loops above the compiled tiles of a matrix product or a direct convolution, and the one
//! interpreter that runs them.
//!
//! An [`Order`] says which loop stands inside which, and inside which of them operands are packed. What breaks a rule is
//! an [`OrderError`], so that an order that exists is legal. With the sizes of a problem and its blocks it becomes a
//! [`Nest`]. Whatever the order, a sum's loop has one level and goes up, so that every output is the same chain of
//! multiply-adds: the order changes speed, never a bit.

mod order;

use std::ops::Range;

pub use order::{Order, OrderError};

/// Axes of the largest nest: output channels, input channels, rows and pixels.
pub const AXES: usize = 4;

/// Stages of the longest order: two loops over rows and columns each, one over the depth, two packed operands.
const MOST: usize = 7;

/// Loops over outputs that can be shared out to threads.
const MOST_SHARED: usize = 2;

/// The part of each axis that is being computed.
pub(crate) type Cell = [Range<usize>; AXES];

/// What the nests of a family of kernels are made of: loops over its axes, and the packing of its operands.
pub trait Stage: Copy + Eq + std::hash::Hash + std::fmt::Debug + 'static {
    /// The order of kernels that have no other: each loop as often as it has to be there, each packing once.
    const DEFAULT: &'static [Self];

    /// Loops that make a line of tiles where they are innermost: what runs the tiles runs it.
    const LINES: &'static [Self];

    /// As texts name it.
    fn name(self) -> &'static str;

    /// What it does.
    fn kind(self) -> Kind<Self>;
}

/// What a stage does.
#[derive(Clone, Copy, Debug)]
pub enum Kind<S: 'static> {
    /// Walks an axis of the output.
    Output(usize),
    /// Walks an axis that is summed over: sums are left in the output and taken up again.
    Sum(usize),
    /// Packs an operand for the loops inside.
    Pack {
        /// Loops whose first level has to be further out: they fix what is packed.
        inside: &'static [S],
        /// Loops all of which have to be further in.
        outside: &'static [S],
    },
}

impl<S> Kind<S> {
    /// The axis of a loop; `None` where an operand is packed.
    pub fn axis(self) -> Option<usize> {
        match self {
            Kind::Output(axis) | Kind::Sum(axis) => Some(axis),
            Kind::Pack { .. } => None,
        }
    }
}

/// One level of a nest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Level<S> {
    /// What it does.
    pub stage: S,
    /// What one round of the loop takes of its axis; 0 where an operand is packed.
    pub step: usize,
    /// What all rounds together take; more than `step` for a loop.
    pub of: usize,
}

impl<S> Level<S> {
    /// Rounds of the loop.
    pub fn rounds(&self) -> usize {
        self.of.div_ceil(self.step.max(1))
    }
}

/// The levels that one problem runs, outermost first. Loops of one round are left out.
#[derive(Clone, Copy, Debug)]
pub struct Nest<S> {
    extents: [usize; AXES],
    levels: [Level<S>; MOST + MOST_SHARED],
    len: usize,
    shared: usize,
    /// The level before which the interpreter stops: the last, where it is a line of tiles.
    tiles: usize,
}

impl<S: Stage> Nest<S> {
    /// The nest of a problem of `extents`: loops over outputs that threads share, with their steps, and inside of them
    /// the stages of `order`, of which those that pack are there for the operands `packed`. Steps shrink inwards: one
    /// that is larger than what is left of its axis takes all of it. `step` is also told how many loops over the same
    /// axis stand further out in the order.
    pub(crate) fn new(
        extents: [usize; AXES],
        shared: &[(S, usize)],
        packed: &[S],
        order: &Order<S>,
        step: impl Fn(S, usize) -> usize,
    ) -> Self {
        let are_outputs = shared.iter().all(|(stage, _)| matches!(stage.kind(), Kind::Output(_)));
        debug_assert!(are_outputs, "threads never add to the same sum");
        let none = Level { stage: S::DEFAULT[0], step: 0, of: 0 };
        let mut nest = Nest { extents, levels: [none; MOST + MOST_SHARED], len: 0, shared: 0, tiles: 0 };
        let mut left = extents;
        for &(stage, step) in shared {
            nest.push(stage, step, &mut left);
        }
        nest.shared = nest.len;
        for (i, &stage) in order.stages().iter().enumerate() {
            let nth = order.stages()[..i].iter().filter(|&&other| other == stage).count();
            nest.tiles = nest.len;
            if stage.kind().axis().is_some() || packed.contains(&stage) {
                nest.push(stage, step(stage, nth), &mut left);
            }
        }
        if order.stages().last().is_none_or(|last| !S::LINES.contains(last)) {
            nest.tiles = nest.len;
        }
        nest
    }

    fn push(&mut self, stage: S, step: usize, left: &mut [usize; AXES]) {
        let level = match stage.kind().axis() {
            Some(axis) if step >= left[axis] => return,
            Some(axis) => {
                let of = std::mem::replace(&mut left[axis], step.max(1));
                Level { stage, step: left[axis], of }
            }
            None => Level { stage, step: 0, of: 0 },
        };
        self.levels[self.len] = level;
        self.len += 1;
    }

    /// All levels, outermost first.
    pub fn levels(&self) -> &[Level<S>] {
        &self.levels[..self.len]
    }

    /// How many of the levels, from the first on, are shared out to threads.
    pub fn shared(&self) -> usize {
        self.shared
    }

    /// What the levels from number `depth` on take of each axis.
    pub fn extents(&self, depth: usize) -> [usize; AXES] {
        let mut extents = self.extents;
        for level in &self.levels()[..depth] {
            if let Some(axis) = level.stage.kind().axis() {
                extents[axis] = level.step;
            }
        }
        extents
    }

    /// What is inside the packing of an operand of each axis; `None` where it is not packed.
    pub(crate) fn packed(&self, operand: S) -> Option<[usize; AXES]> {
        let depth = self.levels().iter().position(|level| level.stage == operand)?;
        Some(self.extents(depth))
    }

    /// True where the innermost loop over one axis stands inside the innermost over another.
    pub(crate) fn is_inside(&self, inner: S, outer: S) -> bool {
        let last = |stage: S| self.levels().iter().rposition(|level| level.stage == stage);
        last(outer).is_some_and(|outer| last(inner).is_some_and(|inner| inner > outer))
    }

    /// Tasks for the threads.
    pub(crate) fn tasks(&self) -> usize {
        self.levels[..self.shared].iter().map(Level::rounds).product()
    }

    /// Outputs of a task, and all that is summed for them.
    pub(crate) fn task(&self, mut index: usize) -> Cell {
        let mut cell = self.extents.map(|extent| 0..extent);
        for level in self.levels[..self.shared].iter().rev() {
            if let Some(axis) = level.stage.kind().axis() {
                let start = index % level.rounds() * level.step;
                cell[axis] = start..level.of.min(start + level.step);
            }
            index /= level.rounds();
        }
        cell
    }

    /// Runs what a task has to do.
    pub(crate) fn run(&self, mut cell: Cell, body: &mut impl Body<S>) {
        walk(&self.levels[self.shared..self.tiles], &mut cell, body);
    }
}

/// What a nest runs.
pub(crate) trait Body<S> {
    /// Packs an operand for a cell.
    fn pack(&mut self, operand: S, cell: &Cell);

    /// Computes the tiles of a cell: one, or a line of them.
    fn tiles(&mut self, cell: &Cell);
}

/// The interpreter. Each loop goes up, and leaves its axis as it found it.
fn walk<S: Stage, B: Body<S>>(levels: &[Level<S>], cell: &mut Cell, body: &mut B) {
    let Some((level, inner)) = levels.split_first() else { return body.tiles(cell) };
    let Some(axis) = level.stage.kind().axis() else {
        body.pack(level.stage, cell);
        return walk(inner, cell, body);
    };
    let whole = cell[axis].clone();
    for start in whole.clone().step_by(level.step) {
        cell[axis] = start..whole.end.min(start + level.step);
        walk(inner, cell, body);
    }
    cell[axis] = whole;
}

#[cfg(test)]
mod tests;
