//! Three passes: all inputs are transformed, then multiplied position by position, then all products transformed.
//!
//! A position's values and products stay near while all of its weights pass, which are read once. Between the passes all
//! values stand in memory: where weights are few, a fused kernel reads and writes less.

use super::cost::Method;
use super::grid::{Grid, Panel};
use super::{Run, Transform, accepts, fused, outputs, room_len, tile};
use crate::Conv2d;
use crate::conv::direct::Tiles;
use crate::conv::{ConvArgs, ConvBlocks, ConvKernel};
use crate::parallel::{Ctx, Shards};

/// The row of an instruction set, a transform, and tiles of `NV` vectors of output channels, for convolutions without
/// groups.
pub(in crate::conv) const fn row<I: Tiles, T: Transform, const NV: usize>(
    op: &'static str,
    name: &'static str,
) -> ConvKernel {
    ConvKernel {
        band: 1,
        accepts: |p| p.groups == 1 && accepts::<T>(p, I::LANES),
        blocks: |p, cpu| Method::nonfused::<T>(tile::<I, NV>(), I::LANES).blocks(p, cpu),
        scratch_len: |p, blocks, threads| {
            let Scratch { v, m, .. } = Scratch::new::<I, T>(p, blocks);
            v + m + threads * room_len::<I, T>()
        },
        run: run::<I, T, NV>,
        ..fused::row::<I, T, NV>(op, name)
    }
}

/// What the passes share: the transformed inputs and the products of some squares, in elements.
struct Scratch {
    squares: usize,
    v: usize,
    m: usize,
}

impl Scratch {
    fn new<I: Tiles, T: Transform>(p: &Conv2d, blocks: &ConvBlocks) -> Self {
        let squares = blocks.rows.clamp(1, Grid::new(p, outputs::<T>(p)).squares.max(1));
        let vector = Panel::new(squares, T::POSITIONS, I::LANES).vector;
        Scratch { squares, v: p.ic.div_ceil(I::LANES) * vector, m: p.oc.div_ceil(I::LANES) * vector }
    }
}

/// # Panics
/// When the machine lacks the row's instruction set, or an operand is too short for the problem.
fn run<I: Tiles, T: Transform, const NV: usize>(p: &Conv2d, blocks: &ConvBlocks, args: ConvArgs<'_>, ctx: Ctx<'_>) {
    let run = Run::<I, T>::new::<NV>(p, blocks, args);
    let scratch = Scratch::new::<I, T>(p, blocks);
    let (v, rest) = ctx.scratch.split_at_mut(scratch.v);
    let (m, rooms) = rest.split_at_mut(scratch.m);
    for square in (0..run.grid.squares).step_by(scratch.squares) {
        let panel = Panel::new(scratch.squares.min(run.grid.squares - square), T::POSITIONS, I::LANES);
        let mut pass = |tasks: usize, task: &(dyn Fn(usize, &mut [f32]) + Sync)| {
            Ctx { pool: ctx.pool, scratch: &mut *rooms }.run(tasks, room_len::<I, T>(), task);
        };
        let values = Shards::new(&mut *v);
        pass(p.ic.div_ceil(I::LANES), &|vector, room| {
            // SAFETY: the values of a vector are its task's own.
            let v = unsafe { values.range(vector * panel.vector..(vector + 1) * panel.vector) };
            run.input([0, square], panel, vector..vector + 1, v, room);
        });
        let products = Shards::new(&mut *m);
        let parts = p.oc.div_ceil(run.oc);
        pass(T::POSITIONS * parts, &|task, _| run.products(task / parts, task % parts, v, &products, panel));
        pass(p.oc.div_ceil(I::LANES), &|vector, room| {
            run.output(square, panel, &m[vector * panel.vector..], [vector * I::LANES, 1], room);
        });
    }
}

impl<I: Tiles, T: Transform> Run<'_, I, T> {
    /// The products of all squares at one position, for one part of the output channels.
    fn products(&self, position: usize, part: usize, v: &[f32], m: &Shards<'_, f32>, panel: Panel) {
        let begin = part * self.oc;
        for first in (begin..self.p.oc.min(begin + self.oc)).step_by(self.width) {
            let (w, _) = self.weights(first, self.vectors(first), position);
            // After the last channels of a position come the first of the next.
            let (channel, position_after) =
                if first + self.width < self.p.oc { (first + self.width, position) } else { (0, position + 1) };
            let next = match position_after < T::POSITIONS {
                true => self.weights(channel, self.vectors(channel), position_after).0,
                false => &[],
            };
            let at = first / I::LANES * panel.vector + position * panel.pitch;
            // SAFETY: the products of a position and part are this task's own.
            unsafe { self.multiply([w, next], &v[position * panel.pitch..], (m, at), panel) };
        }
    }
}
