//! What the nest of a direct convolution copies and what its register tiles compute.

use std::ops::Range;

use super::nest::ConvStage::{self, Ic, Oc, PackX, Pixel, Row};
use super::nest::nest;
use super::strip::{Input, Strip};
use super::tile::{Tile, TileFn, Tiles};
use super::{Family, cut, packed_len, pixel_lanes, tiles};
use crate::Conv2d;
use crate::conv::epilogue::Finish;
use crate::conv::{ConvArgs, ConvBlocks, Planes};
use crate::gemm::product::share;
use crate::nest::{Body, Cell, Nest};
use crate::parallel::Shards;

/// Everything that the tasks of one run share.
pub(in crate::conv) struct Run<'a, I: Tiles> {
    isa: I,
    p: &'a Conv2d,
    tiles: &'static [&'static [TileFn<I>]],
    pub(super) input: Input,
    pub(in crate::conv) nest: Nest<ConvStage>,
    /// Output pixels of a row, and from one plane to the next.
    row: usize,
    plane: usize,
    /// True where all rows of a task use the same weights one after the other.
    rows_pass: bool,
    /// True where all blocks of output channels use the same pass of input channels one after the other.
    blocks_pass: bool,
    x: &'a [f32],
    w: &'a [f32],
    y: Shards<'a, f32>,
    finish: Finish<'a>,
}

impl<'a, I: Tiles> Run<'a, I> {
    /// A run of the kernel with tiles of `NV` vectors.
    ///
    /// # Panics
    /// When the weights or the output are too short for the problem.
    pub(in crate::conv) fn new<F: Family, const NV: usize>(
        isa: I,
        p: &'a Conv2d,
        blocks: &ConvBlocks,
        planes: Planes,
        args: ConvArgs<'a>,
    ) -> Self {
        let y_len = planes.y_len(p, p.n * p.oc.div_ceil(I::LANES)) * I::LANES;
        assert!(args.y.len() >= y_len && args.w.len() >= packed_len(p, I::LANES), "output and weights are complete");
        let (tiles, input) = (tiles::<I, F>(), Input::new(p, pixel_lanes::<I, F>()).in_planes(planes.x));
        let nest = nest(p, blocks, &input, [tiles[NV - 1].len(), NV * I::LANES]);
        Run {
            isa,
            p,
            tiles,
            input,
            nest,
            row: p.ow(),
            plane: planes.y,
            rows_pass: ![Oc, Ic].iter().any(|&axis| nest.is_inside(axis, Row)),
            blocks_pass: nest.is_inside(Oc, Ic),
            x: args.x,
            w: args.w,
            y: Shards::new(args.y),
            finish: Finish::new(&p.epilogue, args.bias, p.oc.next_multiple_of(I::LANES), args.residual, y_len),
        }
    }

    /// Computes a cell of one group of an image. No other task computes the same outputs.
    pub(super) fn task(&self, image: (usize, usize), cell: Cell, scratch: &mut [f32]) {
        self.multiply(image, cell, Source { strip: self.input.in_place(image), scratch, is_copy: false });
    }

    /// Computes a cell whose input is found as `source` says.
    pub(in crate::conv) fn multiply(&self, image: (usize, usize), cell: Cell, source: Source<'_>) {
        let rows = cell[Row as usize].clone();
        self.nest.run(cell, &mut Part { run: self, image, rows, source });
    }

    /// The weights that are used after the `len` ones at `at`, for `of_block` weights of a block of output channels.
    fn ahead(&self, at: usize, len: usize, of_block: usize) -> &[f32] {
        // Passes of a block of output channels stand one behind the other, and so do blocks.
        let next = at + if self.blocks_pass { of_block } else { len };
        self.w.get(next..self.w.len().min(next + len)).unwrap_or_default()
    }
}

/// Where a task finds its input.
pub(in crate::conv) struct Source<'a> {
    pub(in crate::conv) strip: Strip,
    pub(in crate::conv) scratch: &'a mut [f32],
    /// True where the strip is in the scratch, not in the input.
    pub(in crate::conv) is_copy: bool,
}

/// What one task computes.
struct Part<'a, I: Tiles> {
    run: &'a Run<'a, I>,
    image: (usize, usize),
    rows: Range<usize>,
    source: Source<'a>,
}

impl<I: Tiles> Body<ConvStage> for Part<'_, I> {
    fn pack(&mut self, operand: ConvStage, cell: &Cell) {
        if operand == PackX {
            let Run { isa, x, input, .. } = self.run;
            self.source.strip = input.copy(*isa, x, self.image, cell, self.source.scratch);
            self.source.is_copy = true;
        }
    }

    /// Computes a line of tiles along a row for some vectors of output channels and a pass of input channels.
    fn tiles(&mut self, cell: &Cell) {
        let run @ Run { p, input, y, finish, .. } = self.run;
        let Source { strip, scratch, is_copy } = &self.source;
        let [oc, ic, row, pixels] = [Oc, Ic, Row, Pixel].map(|axis| &cell[axis as usize]);
        let (ocg, icg, (n, group)) = (p.oc / p.groups, p.ic / p.groups, self.image);
        let vectors = oc.len().div_ceil(I::LANES);
        // Groups other than one are whole vectors, so that weights and outputs stand at the channel's number.
        let channel = group * ocg + oc.start;
        let last = ic.end == icg;
        let y_pitch = run.plane * I::LANES;
        let plane = n * p.oc.div_ceil(I::LANES) + channel / I::LANES;
        let y_at = plane * y_pitch + (row.start * run.row + pixels.start) * I::LANES;
        let x_at = strip.place([row.start, pixels.start, ic.start], input.lanes);
        let tiles = run.tiles[vectors - 1];
        let (depth, taps) = (input.taps.count(), input.taps.count() * vectors * I::LANES);
        let (w_at, w_len) = (channel * icg * depth + ic.start * taps, ic.len() * taps);
        // Tiles that use the same weights ask for the next in equal shares.
        let next = run.ahead(w_at, w_len, icg * taps);
        let across = pixels.len().div_ceil(tiles.len());
        let (turn, turns) = if run.rows_pass { (row.start - self.rows.start, self.rows.len()) } else { (0, 1) };
        for (number, (column, width)) in (turn * across..).zip(cut(pixels.len(), tiles.len())) {
            let tile = Tile {
                x: if *is_copy { scratch } else { run.x },
                x_at: x_at + column * input.lanes,
                x_pitch: strip.block_pitch,
                taps: &input.taps,
                channels: ic.len(),
                w: &run.w[w_at..][..w_len],
                ahead: share(next, number, turns * across),
                y,
                y_at: y_at + column * I::LANES,
                y_pitch,
                channel,
                first: ic.start == 0,
                finish: last.then_some(finish),
            };
            // SAFETY: tasks differ in image, rows, pixels or output channels, so no other one reaches these outputs.
            unsafe { tiles[width - 1](run.isa, &tile) };
        }
        for at in (y_at..).step_by(y_pitch).take(if last { vectors } else { 0 }) {
            // SAFETY: as above.
            unsafe { finish.pass(run.isa, y, at..at + pixels.len() * I::LANES) };
        }
    }
}
