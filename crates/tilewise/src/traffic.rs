//! How many bytes each step moves from and to each level of memory: a model, from the plan's operands and the sizes
//! of the caches.
//!
//! Every operand crosses once between the core and the level that it is found in; what a kernel reads again and again
//! within its blocks is not counted. Where an operand is found follows from its reuse distance: the bytes of all
//! operands that were touched since it was last. A level that holds as many still has it; one that holds fewer has at
//! best the same part of it as of them.
//!
//! * A value that a step made goes to where its next reader finds it. What the caller gives counts as touched before
//!   the first step, and the caller reads outputs after the last.
//! * Weights were last read by the run before: their distance is all that one run touches.
//! * Scratch is written and read once each, and nothing else between.
//!
//! The arena gives the places of dead values to new ones, so that activations never count for more than the arena.

use serde::Serialize;
use tilewise_engine::{Operand, Plan, Role, StepInfo};
use tilewise_kernels::Cpu;

use crate::Level;

/// Bytes of a step by the level that they come from or go to, in the order of [`Level::ALL`].
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
pub struct Traffic {
    /// Weights and other constants.
    pub weights: [u64; 4],
    /// Values that steps make, and scratch.
    pub activations: [u64; 4],
}

impl Traffic {
    /// The traffic of each step of a plan on a machine, in runs that follow each other. Of steps that compute one image at
    /// a time, that of all images: each of these finds what the one before left on its core.
    pub fn of_plan(plan: &Plan, cpu: &Cpu) -> Vec<Traffic> {
        let arena = plan.arena_bytes() as u64;
        let (by_image, batch): (Vec<&StepInfo>, Vec<&StepInfo>) = plan.steps().partition(|step| step.times > 1);
        let one = cpu.clone().with_cores(1);
        let mut traffic: Vec<Traffic> = Vec::new();
        for (steps, cpu) in [(by_image, &one), (batch, cpu)] {
            let times = steps.first().map_or(1, |step| step.times as u64);
            let once = |operand: &Operand| Operand { bytes: operand.bytes / times, ..*operand };
            let operands: Vec<Vec<Operand>> =
                steps.iter().map(|step| step.operands.iter().map(once).collect()).collect();
            let operands: Vec<&[Operand]> = operands.iter().map(Vec::as_slice).collect();
            traffic.extend(of_steps(&operands, arena, cpu).into_iter().map(|of_one| of_one.times(times)));
        }
        traffic
    }

    fn times(self, times: u64) -> Self {
        let [weights, activations] = [self.weights, self.activations].map(|levels| levels.map(|bytes| times * bytes));
        Traffic { weights, activations }
    }

    /// Bytes that come from a level or from further away, and so cross it: its load.
    pub fn through(&self, level: Level) -> u64 {
        let from = level as usize;
        self.weights[from..].iter().chain(&self.activations[from..]).sum()
    }
}

fn of_steps(steps: &[&[Operand]], arena: u64, cpu: &Cpu) -> Vec<Traffic> {
    let touches = Touches::new(steps, arena);
    let mut traffic = vec![Traffic::default(); steps.len()];
    for ((operands, distances), Traffic { weights, activations }) in
        steps.iter().zip(touches.distances()).zip(&mut traffic)
    {
        for (operand, distance) in operands.iter().zip(distances) {
            let (bytes, into) = match operand.role {
                Role::Weights => (operand.bytes, &mut *weights),
                Role::Input | Role::Output => (operand.bytes, &mut *activations),
                Role::Scratch => (2 * operand.bytes, &mut *activations),
            };
            into.iter_mut().zip(spread(bytes, distance, cpu)).for_each(|(sum, part)| *sum += part);
        }
    }
    traffic
}

/// The parts of `bytes` that each level has after `distance` bytes.
fn spread(bytes: u64, distance: u64, cpu: &Cpu) -> [u64; 4] {
    let mut nearer = 0;
    Level::ALL.map(|level| {
        let capacity = level.capacity(cpu);
        let held = if level == Level::Dram || capacity >= distance {
            bytes
        } else {
            (u128::from(bytes) * u128::from(capacity) / u128::from(distance)) as u64
        };
        // A level has what the nearer ones have too.
        let part = held.saturating_sub(nearer);
        nearer += part;
        part
    })
}

/// Which steps touch the buffers of a plan.
struct Touches<'a> {
    steps: &'a [&'a [Operand]],
    arena: u64,
    /// For each operand of each step: of an input, the last step before that touched its buffer; of an output, the next
    /// step that reads it.
    near: Vec<Vec<Option<usize>>>,
}

impl<'a> Touches<'a> {
    fn new(steps: &'a [&'a [Operand]], arena: u64) -> Self {
        let buffers = steps.iter().copied().flatten().map(|operand| operand.buffer + 1).max().unwrap_or(0);
        let (mut touched, mut read) = (vec![None; buffers], vec![None; buffers]);
        let mut near: Vec<Vec<Option<usize>>> = steps.iter().map(|operands| vec![None; operands.len()]).collect();
        for (step, operands) in steps.iter().enumerate() {
            for (operand, near) in operands.iter().zip(&mut near[step]).filter(|(o, _)| o.role == Role::Input) {
                *near = touched[operand.buffer];
            }
            operands.iter().for_each(|operand| touched[operand.buffer] = Some(step));
        }
        for (step, operands) in steps.iter().enumerate().rev() {
            for (operand, near) in operands.iter().zip(&mut near[step]).filter(|(o, _)| o.role == Role::Output) {
                *near = read[operand.buffer];
            }
            let inputs = operands.iter().filter(|operand| operand.role == Role::Input);
            inputs.for_each(|operand| read[operand.buffer] = Some(step));
        }
        Touches { steps, arena, near }
    }

    /// The reuse distance of each operand of each step, in bytes.
    fn distances(&self) -> Vec<Vec<u64>> {
        let last = self.steps.len().saturating_sub(1);
        let whole_run = self.bytes(0, last);
        let distance = |step: usize, (operand, near): (&Operand, &Option<usize>)| match operand.role {
            Role::Weights => whole_run,
            Role::Input => self.bytes(near.unwrap_or(0), step),
            Role::Output => self.bytes(step, near.unwrap_or(last)),
            Role::Scratch => operand.bytes,
        };
        let steps = self.steps.iter().zip(&self.near).enumerate();
        steps
            .map(|(step, (operands, near))| operands.iter().zip(near).map(|pair| distance(step, pair)).collect())
            .collect()
    }

    /// Bytes that the steps from `first` to `last` touch, those that several touch counted once.
    fn bytes(&self, first: usize, last: usize) -> u64 {
        let (mut weights, mut activations) = (0, 0);
        let steps = self.steps.iter().zip(&self.near).take(last + 1).skip(first);
        for (operand, near) in steps.flat_map(|(operands, near)| operands.iter().zip(near)) {
            match operand.role {
                Role::Weights => weights += operand.bytes,
                Role::Input if near.is_some_and(|before| before >= first) => (),
                Role::Input | Role::Output | Role::Scratch => activations += operand.bytes,
            }
        }
        weights + activations.min(self.arena)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tilewise_kernels::Cache;

    fn cpu() -> Cpu {
        let [l1d, l2, l3] = [(1, 1), (4, 1), (16, 1)].map(|(kib, ways)| Cache::kib(kib, ways));
        Cpu { l1d, l2, l3, cores: 1, ..Cpu::zen5() }
    }

    const fn operand(role: Role, buffer: usize, bytes: u64) -> Operand {
        Operand { role, buffer, bytes }
    }

    #[test]
    fn reuse_distances_are_what_was_touched_between() {
        use Role::{Input, Output, Scratch, Weights};
        // 1 -> 2 -> 3, and 3 + 1 -> 4 at the end: a short cut around two layers.
        let steps: [&[Operand]; 3] = [
            &[operand(Input, 1, 512), operand(Weights, 10, 256), operand(Output, 2, 256)],
            &[operand(Input, 2, 256), operand(Weights, 11, 8192), operand(Output, 3, 512), operand(Scratch, 20, 128)],
            &[operand(Input, 3, 512), operand(Input, 1, 512), operand(Output, 4, 512)],
        ];
        let (first, second, third) = (512 + 256 + 256, 8192 + 512 + 128, 512);
        let run = first + second + third;
        let distances = [
            // The image is fresh; value 2 waits for the end of the second step.
            vec![first, run, first + second],
            vec![first + second, run, 256 + second + 512 + third, 128],
            vec![256 + second + 512 + third, run, 512 + 512 + third],
        ];
        assert_eq!(Touches::new(&steps, 4096).distances(), distances);
        // The arena gives the places of the dead to the living: it is all that activations ever cover.
        let weights = 256 + 8192;
        assert_eq!(Touches::new(&steps, 1000).distances()[0], [first, weights + 1000, weights + 1000]);
    }

    #[test]
    fn a_level_has_at_best_its_part_of_what_was_touched() {
        for (distance, expected) in [
            (1 << 10, [1000, 0, 0, 0]),
            (2 << 10, [500, 500, 0, 0]),
            (8 << 10, [125, 375, 500, 0]),
            (32 << 10, [31, 94, 375, 500]),
        ] {
            assert_eq!(spread(1000, distance, &cpu()), expected, "{distance}");
        }
        // More cores hold more.
        assert_eq!(spread(1000, 2 << 10, &cpu().with_cores(2)), [1000, 0, 0, 0]);
    }

    #[test]
    fn weights_and_activations_are_told_apart_and_scratch_goes_both_ways() {
        let steps: [&[Operand]; 1] =
            [&[operand(Role::Weights, 1, 600), operand(Role::Input, 2, 64), operand(Role::Scratch, 3, 100)]];
        let traffic = of_steps(&steps, 164, &cpu())[0];
        assert_eq!((traffic.weights, traffic.activations), ([600, 0, 0, 0], [264, 0, 0, 0]));
        let traffic = Traffic { weights: [1, 2, 3, 4], activations: [10, 20, 30, 40] };
        assert_eq!(Level::ALL.map(|level| traffic.through(level)), [110, 99, 77, 44]);
        assert!(of_steps(&[], 0, &cpu()).is_empty());
    }
}
