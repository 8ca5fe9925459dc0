//! From input rows to finished output rows, one band after the other in a worker's scratch.

use std::ops::Range;

use super::Bands;
use super::points::MOST;
use super::transform::{Input, Output};
use crate::conv::direct::{Line, Tile, Tiles, cut};
use crate::conv::epilogue::Finish;
use crate::conv::{ConvArgs, ConvBlocks, Planes};
use crate::parallel::Shards;
use crate::{Conv2d, Ctx};

/// Register tiles side by side whose sums stand in L1 together: 28 KiB of 14 x 32 sums of 8 products. They use the weights
/// of a product, which come from L2, one after the other.
const TILES: usize = 2;

/// A worker's scratch, in elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scratch {
    /// A row of the image, in whole vectors of any tier: one of zeros, and one transformed row for each product.
    row: usize,
    /// The transformed rows as tiles read them: a plane for each product, phase and channel.
    values: usize,
    /// The sums of a block of columns: `[product][vector of output channels][column]`.
    sums: usize,
    columns: usize,
}

impl Scratch {
    pub(super) fn new<I: Tiles, const NV: usize>(p: &Conv2d, bands: &Bands) -> Self {
        let most = I::PLANAR[NV - 1].len();
        let columns = (TILES * p.ow().div_ceil(p.ow().div_ceil(most))).min(p.ow());
        let values = (bands.depth() / p.kw * Line::new(p).pitch()).next_multiple_of(16);
        let sums = bands.products * NV * columns * I::LANES;
        Scratch { row: p.iw.next_multiple_of(16), values, sums, columns }
    }

    /// All of it, in whole cache lines.
    pub(super) fn len(&self) -> usize {
        ((1 + MOST) * self.row + self.values + self.sums).next_multiple_of(16)
    }
}

/// A task owns some bands of an image and a range of output channels.
///
/// # Panics
/// When the machine lacks the row's instruction set, or an operand is too short for the problem.
pub(super) fn run<I: Tiles, const M: usize, const NV: usize>(
    p: &Conv2d,
    blocks: &ConvBlocks,
    planes: Planes,
    args: ConvArgs<'_>,
    ctx: Ctx<'_>,
) {
    let (isa, bands, width) = (I::require(), Bands::new(p, M), NV * I::LANES);
    let (scratch, channels) = (Scratch::new::<I, NV>(p, &bands), p.oc.next_multiple_of(I::LANES));
    let y_len = planes.y_len(p, p.n * channels / I::LANES) * I::LANES;
    assert!(args.y.len() >= y_len && args.w.len() >= channels * bands.depth(), "output and weights are complete");
    let finish = Finish::new(&p.epilogue, args.bias, channels, args.residual, y_len);
    let (x, w, y) = (args.x, args.w, Shards::new(args.y));
    let run = Run::<I, M> { isa, p, planes, bands, line: Line::new(p), scratch, x, w, y, finish };
    let (rows, oc) =
        (blocks.rows.clamp(1, p.oh()).next_multiple_of(M), blocks.oc.clamp(1, p.oc).next_multiple_of(width));
    let (strips, parts) = (p.oh().div_ceil(rows), p.oc.div_ceil(oc));
    ctx.run(p.n * strips * parts, scratch.len(), &|task, room| {
        let (image, strip, part) = (task / parts / strips, task / parts % strips, task % parts);
        for first in (strip * rows..p.oh().min((strip + 1) * rows)).step_by(M) {
            run.band::<NV>(image, first, part * oc..p.oc.min((part + 1) * oc), room);
        }
    });
}

/// Everything that the tasks of one run share.
struct Run<'a, I, const M: usize> {
    isa: I,
    p: &'a Conv2d,
    planes: Planes,
    bands: Bands,
    line: Line,
    scratch: Scratch,
    x: &'a [f32],
    w: &'a [f32],
    y: Shards<'a, f32>,
    finish: Finish<'a>,
}

impl<I: Tiles, const M: usize> Run<'_, I, M> {
    /// Computes the band that begins with row `first`, for some output channels. No other task computes the same outputs.
    fn band<const NV: usize>(&self, image: usize, first: usize, channels: Range<usize>, room: &mut [f32]) {
        let (rows, rest) = room.split_at_mut((1 + MOST) * self.scratch.row);
        let (values, rest) = rest.split_at_mut(self.scratch.values);
        let sums = &mut rest[..self.scratch.sums];
        self.input(image, first, rows, values);
        let width = NV * I::LANES;
        for oc in channels.clone().step_by(width) {
            let vectors = (channels.end.min(oc + width) - oc).div_ceil(I::LANES);
            for column in (0..self.p.ow()).step_by(self.scratch.columns) {
                let columns = self.scratch.columns.min(self.p.ow() - column);
                self.multiply([oc, vectors], [column, columns], values, sums);
                self.output((image, first), [oc, vectors], [column, columns], sums);
            }
        }
    }

    /// Transforms what a band reads of all channels. Rows that no output reads count as padding, as they do where the
    /// image has none.
    fn input(&self, image: usize, first: usize, rows: &mut [f32], values: &mut [f32]) {
        let Run { isa, p, planes, ref bands, ref line, scratch, x, .. } = *self;
        let (zeros, transformed) = rows.split_at_mut(scratch.row);
        zeros.fill(0.0);
        let end = p.ih.min(((p.oh() - 1) * p.stride[0] + p.kh).saturating_sub(p.pads.top));
        for (phase, ic) in (0..bands.phases).flat_map(|phase| (0..p.ic).map(move |ic| (phase, ic))) {
            let plane = &x[(image * p.ic + ic) * planes.x..];
            let row = |j: usize| {
                let padded = (first + j) * p.stride[0] + phase;
                let inside = padded.checked_sub(p.pads.top).filter(|&iy| iy < end);
                inside.map_or(&zeros[..p.iw], |iy| &plane[iy * p.iw..][..p.iw])
            };
            let count = bands.of_phase(phase);
            let rows: [&[f32]; MOST] = std::array::from_fn(|j| if j < count { row(j) } else { &zeros[..p.iw] });
            isa.dispatch(Input { rows: &rows[..count], values: transformed, pitch: scratch.row });
            for (k, from) in transformed.chunks_exact(scratch.row).take(count).enumerate() {
                let at = (bands.before(k) + phase * p.ic + ic) * line.pitch();
                line.copy(isa, &from[..p.iw], &mut values[at..at + line.pitch()]);
            }
        }
    }

    /// The sums of all products for a block of columns and of output channels.
    fn multiply(&self, [oc, vectors]: [usize; 2], [column, columns]: [usize; 2], values: &[f32], sums: &mut [f32]) {
        let Run { isa, p, ref bands, ref line, w, .. } = *self;
        let (width, pitch, sums) = (vectors * I::LANES, line.pitch(), Shards::new(sums));
        // The blocks before this one are whole.
        let w = &w[oc * bands.depth()..][..width * bands.depth()];
        let tiles = I::PLANAR[vectors - 1];
        for k in 0..bands.products {
            let w = &w[bands.before(k) * p.kw * width..][..bands.planes(k) * p.kw * width];
            for (at, pixels) in cut(columns, tiles.len()) {
                let tile = Tile {
                    x: values,
                    x_at: bands.before(k) * pitch + column + at,
                    x_pitch: pitch,
                    taps: &line.taps,
                    channels: bands.planes(k),
                    w,
                    ahead: &[],
                    y: &sums,
                    y_at: (k * vectors * columns + at) * I::LANES,
                    y_pitch: columns * I::LANES,
                    channel: 0,
                    first: true,
                    finish: None,
                };
                // SAFETY: the sums are this task's own.
                unsafe { tiles[pixels - 1](isa, &tile) };
            }
        }
    }

    /// Transforms the sums of a block to the rows of a band that are in the image, finishes and stores them.
    fn output(
        &self,
        (image, first): (usize, usize),
        [oc, vectors]: [usize; 2],
        [column, columns]: [usize; 2],
        sums: &[f32],
    ) {
        let Run { isa, p, planes, ref bands, ref finish, ref y, .. } = *self;
        let plane = image * p.oc.div_ceil(I::LANES) + oc / I::LANES;
        isa.dispatch(Output::<M> {
            sums,
            size: [bands.products, vectors, columns],
            rows: M.min(p.oh() - first),
            channel: oc,
            at: (plane * planes.y + first * p.ow() + column) * I::LANES,
            pitch: [planes.y * I::LANES, p.ow() * I::LANES],
            finish,
            y,
        });
    }
}
