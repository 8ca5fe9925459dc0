//! What a schedule says of the groups of steps, as far as the steps allow it.

use std::ops::Range;

use super::order::ByRows;
use super::{BufferId, Step};
use crate::Schedule;
use crate::lower::{Buffer, Storage};
use crate::schedule::{Group, Misfit};

/// The groups that are not left to the plan, and those that it makes.
pub(crate) struct Groups {
    /// What each step was said to do, where it can.
    said: Vec<Option<Group>>,
    layers: Vec<String>,
    /// What became of it: every layer that takes turns with the next, and those that were said to be whole.
    pub(crate) made: Schedule,
    pub(crate) misfits: Vec<Misfit>,
}

impl Groups {
    /// What a schedule says of some steps. An entry that names no step, or one that cannot do so, is a misfit.
    pub(crate) fn of(steps: &[Step], buffers: &[Buffer], schedule: &Schedule) -> Self {
        let layers: Vec<String> = steps.iter().map(|step| step.info.layer.clone()).collect();
        let said = vec![None; steps.len()];
        let mut groups = Groups { said, layers, made: Schedule::default(), misfits: Vec::new() };
        for (layer, &group) in schedule.groups() {
            let mine = (0..steps.len()).filter(|&i| steps[i].info.layer == layer && steps[i].info.reorder.is_none());
            let mine: Vec<usize> = mine.collect();
            if mine.is_empty() {
                groups.misfit(layer, group, "the network has no step of this name");
            } else if group == Group::Whole {
                mine.iter().for_each(|&step| groups.said[step] = Some(group));
                groups.made.set_group(layer, group);
            }
        }
        for (layer, &group) in schedule.groups().filter(|(_, group)| matches!(group, Group::Turns(_))) {
            let Some(step) = groups.layers.iter().rposition(|other| other == layer) else { continue };
            match groups.joins(steps, step, buffers) {
                Ok(()) => groups.said[step] = Some(group),
                Err(reason) => groups.misfit(layer, group, reason),
            }
        }
        groups
    }

    /// Whether a step and the one behind it can take turns.
    fn joins(&self, steps: &[Step], step: usize, buffers: &[Buffer]) -> Result<(), &'static str> {
        let Some(last) = &steps[step].rows else { return Err("its kernel works on whole images") };
        let next = steps.get(step + 1).and_then(|step| step.rows.as_ref());
        let Some(next) = next else { return Err("what runs behind it works on whole images") };
        if self.is_whole(step + 1) {
            return Err("the layer behind it is to run whole");
        }
        if follows(last, next, step + 1, buffers) {
            Ok(())
        } else {
            Err("the step behind it does not alone read it row by row")
        }
    }

    fn misfit(&mut self, layer: &str, group: Group, reason: &str) {
        self.misfits.push(Misfit { layer: layer.to_owned(), choice: group.to_string(), reason: reason.to_owned() });
    }

    /// True for a step that was said to be whole.
    pub(crate) fn is_whole(&self, step: usize) -> bool {
        self.said[step] == Some(Group::Whole)
    }

    /// Whether a step takes turns with the one behind it, where that was said.
    pub(crate) fn joined(&self, step: usize) -> Option<bool> {
        match self.said[step] {
            Some(Group::Turns(_)) => Some(true),
            None if self.said.get(step + 1) != Some(&Some(Group::Whole)) => None,
            Some(Group::Whole) | None => Some(false),
        }
    }

    /// Output rows in a turn of the chain of some steps, the first number that was said.
    pub(crate) fn rows(&self, chain: Range<usize>) -> Option<usize> {
        self.said[chain].iter().find_map(|group| match group {
            Some(Group::Turns(rows)) => *rows,
            Some(Group::Whole) | None => None,
        })
    }

    /// Notes a chain and the rows of its turns.
    pub(crate) fn make(&mut self, chain: Range<usize>, rows: usize) {
        for step in chain.start..chain.end - 1 {
            if let Some(group @ Group::Turns(Some(other))) = self.said[step]
                && other != rows
            {
                let layer = self.layers[step].clone();
                self.misfit(&layer, group, &format!("those before it have turns of {rows} rows"));
            }
            self.made.set_group(&self.layers[step], Group::Turns(Some(rows)));
        }
    }
}

/// True where step number `number` reads what the one before it writes row by row, and nobody else does. A step that adds an
/// array is the last of a chain, since its output has to stand as the array does; and what is added is no part of it.
pub(super) fn follows(last: &ByRows, next: &ByRows, number: usize, buffers: &[Buffer]) -> bool {
    let between = &buffers[last.y.index()];
    let alone = matches!(between.storage, Storage::Arena { .. }) && between.last == number;
    let is_end = last.residual != BufferId::NONE || next.residual == last.y;
    last.y == next.x && alone && !is_end
}
