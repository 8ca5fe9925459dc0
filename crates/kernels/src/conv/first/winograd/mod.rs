//! The first layer with fewer products: minimal filtering down the rows, for kernels higher than their stride.
//!
//! Output row y reads input rows s y + k. The taps k fall into s phases, each of which is a filter without stride down
//! rows of its own: of its r taps, F(m, r) makes m output rows with m + r - 1 products in place of m r. All phases have
//! the same points ([`points`]), so that their products are summed like those of input channels, before they are transformed
//! back: a 7 x 7 kernel of stride 2 has phases of 4 and 3 taps, and 4 output rows take 13 products of rows in place of 28.
//!
//! A band is m output rows. A product of rows is what a convolution of one kernel row is, with a plane for each channel
//! and phase: the direct tiles compute it. A band's outputs are fixed by the problem, so that tasks change no bit, nor do
//! parts of an image that begin with a band.

mod band;
mod points;
mod transform;

use tilewise_tensor::DType;

use self::band::{Scratch, run};
use self::points::MOST;
use crate::catalog::KernelId;
use crate::conv::choose::steps;
use crate::conv::direct::Tiles;
use crate::conv::{ConvBlocks, ConvKernel, Layout, Planes};
use crate::{Conv2d, Cpu};

/// The row of an instruction set, bands of `M` rows, and tiles of `NV` vectors of output channels.
pub(super) const fn row<I: Tiles, const M: usize, const NV: usize>(op: &'static str, name: &'static str) -> ConvKernel {
    ConvKernel {
        id: KernelId { name, op, dtype: DType::F32, tile: [I::PLANAR[NV - 1].len(), NV * I::LANES], tier: I::TIER },
        x: Layout::Nchw,
        y: Layout::Nchwc,
        band: M,
        accepts: |p| {
            let [down, _] = p.stride;
            let fits = p.kh > down && M + p.kh.div_ceil(down) - 1 <= MOST;
            p.groups == 1 && p.ic <= super::MOST_CHANNELS && p.dilation == [1, 1] && fits
        },
        blocks: |p, cpu| blocks(p, cpu, M, NV * I::LANES),
        packed_len: |p| p.oc.next_multiple_of(I::LANES) * Bands::new(p, M).depth(),
        pack: |p, w, packed| pack(p, &Bands::new(p, M), w, packed, [I::LANES, NV * I::LANES]),
        nest: None,
        scratch_len: |p, _, threads| threads * Scratch::new::<I, NV>(p, &Bands::new(p, M)).len(),
        run: |p, blocks, args, ctx| run::<I, M, NV>(p, blocks, Planes::of(p), args, ctx),
        run_part: Some(run::<I, M, NV>),
    }
}

/// How bands of output rows, each computed together, cover a problem.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bands {
    /// Output rows of a band.
    pub rows: usize,
    /// Products of the longest phases; the others have one less.
    pub products: usize,
    /// Phases of the kernel rows, and how many of them are the longest, which come first.
    pub phases: usize,
    long: usize,
    ic: usize,
    kw: usize,
}

impl Bands {
    pub(in crate::conv) fn new(p: &Conv2d, rows: usize) -> Self {
        let (phases, taps) = (p.stride[0].min(p.kh), p.kh.div_ceil(p.stride[0]));
        let long = p.kh - (taps - 1) * phases;
        Bands { rows, products: rows + taps - 1, phases, long, ic: p.ic, kw: p.kw }
    }

    /// Products of a phase.
    fn of_phase(&self, phase: usize) -> usize {
        self.products - usize::from(phase >= self.long)
    }

    /// Planes that product `k` sums over: channels of the phases that have it.
    fn planes(&self, k: usize) -> usize {
        self.ic * if k + 1 < self.products { self.phases } else { self.long }
    }

    /// Planes of the products before `k`.
    fn before(&self, k: usize) -> usize {
        self.ic * self.phases * k
    }

    /// Multiply-adds of all products for one column and output channel.
    pub fn depth(&self) -> usize {
        (self.before(self.products - 1) + self.planes(self.products - 1)) * self.kw
    }

    /// Vector operations of the input transform, for a vector of a row's columns, and of the output transform, for one
    /// column of a vector of output channels. Loads and stores are among them, and what puts columns in order.
    pub fn operations(&self) -> [usize; 2] {
        let phase = |phase: usize| self.of_phase(phase) * (self.of_phase(phase) + 4);
        let input = (0..self.phases).map(phase).sum::<usize>() * self.ic;
        [input, self.products * (self.rows + 1) + 3 * self.rows]
    }

    /// Cycles of one image on one core, for tiles of `most` pixels by `width` output channels.
    pub(in crate::conv) fn cycles(&self, p: &Conv2d, cpu: &Cpu, [most, width]: [usize; 2]) -> usize {
        let (lanes, columns) = (cpu.tier.lanes(), p.ow());
        let tiles = columns.div_ceil(most);
        let block = |vectors: usize| {
            let edges = self.products * (tiles * 20 + 2 * columns * vectors);
            tiles * steps(cpu, self.depth(), columns.div_ceil(tiles), vectors) + edges
        };
        let rest = (p.oc % width).div_ceil(lanes);
        let products = p.oc / width * block(width / lanes) + if rest == 0 { 0 } else { block(rest) };
        // The sums of an output wait for each other: half of the pipes are busy.
        let [input, output] = self.operations();
        let operations = p.iw.div_ceil(lanes) * input + 2 * columns * p.oc.div_ceil(lanes) * output;
        p.oh().div_ceil(self.rows) * (products + operations / cpu.fma_per_cycle)
    }
}

/// As many bands to a task as give each core one; where bands are too few, output channels are shared out.
fn blocks(p: &Conv2d, cpu: &Cpu, rows: usize, width: usize) -> ConvBlocks {
    let (bands, cores) = (p.oh().div_ceil(rows), cpu.cores.max(1));
    let parts = (cores / (bands * p.n.max(1))).max(1);
    let oc = p.oc.div_ceil(parts).next_multiple_of(width);
    ConvBlocks { rows: bands.div_ceil(cores) * rows, oc, ic: p.ic, ..ConvBlocks::default() }
}

/// Transforms `[oc][ic][kh][kw]` and packs it in the order in which tiles read: for each block of `width` output channels
/// (the last may have fewer vectors), products, phases, input channels, kernel columns, lanes.
fn pack(p: &Conv2d, bands: &Bands, w: &[f32], packed: &mut [f32], [lanes, width]: [usize; 2]) {
    let mut rest = packed;
    for first in (0..p.oc).step_by(width) {
        let padded = width.min((p.oc - first).next_multiple_of(lanes));
        let (block, after) = rest.split_at_mut(bands.depth() * padded);
        rest = after;
        block.fill(0.0);
        let columns = (0..bands.phases * p.ic).flat_map(|plane| (0..p.kw).map(move |kx| (plane, kx)));
        for ((plane, kx), lane) in columns.flat_map(|column| (0..padded.min(p.oc - first)).map(move |l| (column, l))) {
            let (phase, ic) = (plane / p.ic, plane % p.ic);
            let at = |ky: usize| (((first + lane) * p.ic + ic) * p.kh + ky) * p.kw + kx;
            let (mut taps, mut values) = ([0.0; MOST], [0.0; MOST]);
            let rows = (phase..p.kh).step_by(p.stride[0]);
            let count = rows.len();
            taps.iter_mut().zip(rows).for_each(|(tap, ky)| *tap = f64::from(w[at(ky)]));
            let values = &mut values[..bands.of_phase(phase)];
            points::filter(&taps[..count], values);
            for (k, value) in values.iter().enumerate() {
                block[((bands.before(k) + plane) * p.kw + kx) * padded + lane] = *value as f32;
            }
        }
    }
}
