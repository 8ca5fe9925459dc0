//! One pass: a block of squares goes from inputs to outputs in a worker's scratch, which is sized for L2.

use tilewise_tensor::DType;

use super::cost::Method;
use super::grid::{Grid, Panel};
use super::{Run, Transform, accepts, outputs, pack, packed_len, room_len, tile};
use crate::catalog::KernelId;
use crate::conv::direct::Tiles;
use crate::conv::{ConvArgs, ConvBlocks, ConvKernel, Layout};
use crate::parallel::Shards;
use crate::{Conv2d, Ctx};

/// The row of an instruction set, a transform, and tiles of `NV` vectors of output channels.
pub(in crate::conv) const fn row<I: Tiles, T: Transform, const NV: usize>(
    op: &'static str,
    name: &'static str,
) -> ConvKernel {
    ConvKernel {
        id: KernelId { name, op, dtype: DType::F32, tile: tile::<I, NV>(), tier: I::TIER },
        x: Layout::Nchwc,
        y: Layout::Nchwc,
        band: 1,
        accepts: |p| accepts::<T>(p, I::LANES),
        blocks: |p, cpu| Method::fused::<T>(tile::<I, NV>(), I::LANES).blocks(p, cpu),
        packed_len: packed_len::<I, T>,
        pack: |p, w, packed| pack::pack::<I, T>(p, w, packed, NV * I::LANES),
        nest: None,
        scratch_len: |p, blocks, threads| threads * Scratch::new::<I, T, NV>(p, blocks).len,
        run: run::<I, T, NV>,
        run_part: None,
    }
}

/// A worker's scratch: transformed inputs, products and room for transforms, in elements.
#[derive(Clone, Copy, Debug)]
struct Scratch {
    /// Squares of a block.
    squares: usize,
    v: usize,
    m: usize,
    /// All of them, in whole cache lines.
    len: usize,
}

impl Scratch {
    fn new<I: Tiles, T: Transform, const NV: usize>(p: &Conv2d, blocks: &ConvBlocks) -> Self {
        let squares = blocks.rows.clamp(1, Grid::new(p, outputs::<T>(p)).squares.max(1));
        let panel = Panel::new(squares, T::POSITIONS, I::LANES);
        let (v, m) = ((p.ic / p.groups).div_ceil(I::LANES) * panel.vector, NV * panel.vector);
        Scratch { squares, v, m, len: (v + m + room_len::<I, T>()).next_multiple_of(16) }
    }
}

/// A task owns a block of squares and a range of output channels. It transforms the block's input once; then, for each
/// block of output channels, it multiplies at each position and transforms the products.
///
/// # Panics
/// When the machine lacks the row's instruction set, or an operand is too short for the problem.
fn run<I: Tiles, T: Transform, const NV: usize>(p: &Conv2d, blocks: &ConvBlocks, args: ConvArgs<'_>, ctx: Ctx<'_>) {
    let run = Run::<I, T>::new::<NV>(p, blocks, args);
    let scratch = Scratch::new::<I, T, NV>(p, blocks);
    let (strips, parts) = (run.grid.squares.div_ceil(scratch.squares), (p.oc / p.groups).div_ceil(run.oc));
    ctx.run(p.groups * strips * parts, scratch.len, &|task, room| {
        let (block, part) = (task / parts, task % parts);
        let (group, square) = (block / strips, block % strips * scratch.squares);
        let squares = scratch.squares.min(run.grid.squares - square);
        run.task([group, square], Panel::new(squares, T::POSITIONS, I::LANES), part, &scratch, room);
    });
}

impl<I: Tiles, T: Transform> Run<'_, I, T> {
    /// Computes a block of squares for one part of the output channels of a group.
    fn task(&self, [group, square]: [usize; 2], panel: Panel, part: usize, scratch: &Scratch, room: &mut [f32]) {
        let (icg, ocg) = (self.p.ic / self.p.groups, self.p.oc / self.p.groups);
        let (v, rest) = room.split_at_mut(scratch.v);
        let (m, room) = rest.split_at_mut(scratch.m);
        self.input([group, square], panel, 0..icg.div_ceil(I::LANES), v, room);
        let begin = part * self.oc;
        for first in (begin..ocg.min(begin + self.oc)).step_by(self.width) {
            let (vectors, channel) = (self.vectors(first), group * ocg + first);
            let products = Shards::new(&mut *m);
            for position in 0..T::POSITIONS {
                let (w, next) = self.weights(channel, vectors, position);
                let v = &v[position * panel.pitch..];
                // SAFETY: the products are this task's own.
                unsafe { self.multiply([w, next], v, (&products, position * panel.pitch), panel) };
            }
            self.output(square, panel, m, [channel, vectors], room);
        }
    }
}
