//! The time of a kernel of this kind, counted in cycles, and the blocks that make it shortest.

use super::grid::Grid;
use super::{Transform, outputs_of};
use crate::conv::{ConvBlocks, choose};
use crate::{Conv2d, Cpu};

/// What the time of a row depends on beside the problem.
#[derive(Clone, Copy, Debug)]
pub(in crate::conv) struct Method {
    /// Rows and columns of a square's inputs, and its values.
    inputs: [usize; 2],
    stride: usize,
    positions: usize,
    /// Values of a transformed filter.
    filters: usize,
    /// Operations of the input and the output transform of a square of so many outputs.
    operations: fn([usize; 2]) -> [usize; 2],
    /// The register tile: squares, output channels.
    tile: [usize; 2],
    lanes: usize,
    fused: bool,
}

/// How a kernel that goes by way of a transform covers a problem's outputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Squares {
    /// Rows and columns of a square's inputs.
    pub inputs: [usize; 2],
    /// Rows and columns of its outputs.
    pub outputs: [usize; 2],
    /// Values of a square, each of which is one product.
    pub positions: usize,
    /// Values of a transformed filter, of which each multiplies at one position or at some.
    pub filters: usize,
    /// Squares of the whole batch.
    pub count: usize,
    /// Vector operations of the input transform and of the output transform of a square.
    pub operations: [usize; 2],
    /// True where a block of squares goes from inputs to outputs before the next one begins.
    pub fused: bool,
}

/// Bytes a cycle that a core reads from L2, one address after the other.
const L2: usize = 32;

/// Bytes of an f32.
const F32: usize = size_of::<f32>();

impl Method {
    /// Of a kernel with one pass.
    pub(in crate::conv) fn fused<T: Transform>(tile: [usize; 2], lanes: usize) -> Self {
        let (inputs, stride, positions, operations) = (T::INPUTS, T::STRIDE, T::POSITIONS, T::operations);
        Method { inputs, stride, positions, filters: T::FILTERS, operations, tile, lanes, fused: true }
    }

    /// Of a kernel with three.
    pub(in crate::conv) fn nonfused<T: Transform>(tile: [usize; 2], lanes: usize) -> Self {
        Method { fused: false, ..Method::fused::<T>(tile, lanes) }
    }

    /// How squares cover a problem.
    pub(in crate::conv) fn cover(&self, p: &Conv2d) -> Squares {
        let outputs = self.outputs(p);
        let Method { inputs, positions, filters, fused, .. } = *self;
        let (count, operations) = (self.squares(p), (self.operations)(outputs));
        Squares { inputs, outputs, positions, filters, count, operations, fused }
    }

    /// Rows and columns of a square's outputs.
    fn outputs(&self, p: &Conv2d) -> [usize; 2] {
        outputs_of(self.inputs, self.stride, p)
    }

    /// Squares that cover the outputs.
    pub(in crate::conv) fn squares(&self, p: &Conv2d) -> usize {
        Grid::new(p, self.outputs(p)).squares
    }

    /// Cycles of a problem on one core, in proportion to its batch.
    pub(in crate::conv) fn cycles(&self, p: &Conv2d, cpu: &Cpu) -> u64 {
        self.best(&Conv2d { n: 1, ..*p }, &cpu.clone().with_cores(1)).0 * p.n as u64
    }

    /// The blocks with which a problem takes the least time.
    pub(super) fn blocks(&self, p: &Conv2d, cpu: &Cpu) -> ConvBlocks {
        self.best(p, cpu).1
    }

    /// The least time of the cores together, and its blocks.
    fn best(&self, p: &Conv2d, cpu: &Cpu) -> (u64, ConvBlocks) {
        let (time, blocks) = if self.fused { self.best_fused(p, cpu) } else { self.best_nonfused(p, cpu) };
        (time, ConvBlocks { ic: self.pass(p, cpu), ..blocks })
    }

    /// Input channels of a pass: the values that a tile reads take three quarters of L1, or all values are read from L2 by
    /// each block of output channels.
    fn pass(&self, p: &Conv2d, cpu: &Cpu) -> usize {
        let (icg, most) = (p.ic / p.groups, cpu.l1d.size * 3 / 4 / (self.tile[0] * F32));
        icg.div_ceil(icg.div_ceil(most.max(self.lanes))).next_multiple_of(self.lanes)
    }

    /// Three passes over as many squares as make it fastest: all of them, unless their values leave L3, at a rate that
    /// costs more than reading the weights again.
    fn best_nonfused(&self, p: &Conv2d, cpu: &Cpu) -> (u64, ConvBlocks) {
        let (cores, all) = (cpu.cores.max(1), self.squares(p).max(1));
        let choices = (1..=8).flat_map(|strips| (1..=cores).map(move |parts| (strips, parts)));
        let times = choices.map(|(strips, parts)| {
            let (rows, oc) = (all.div_ceil(strips), p.oc.div_ceil(parts).next_multiple_of(self.tile[1]));
            let passes = |again| self.passes(p, cpu, rows, oc.min(p.oc), again);
            let time = passes(false) + (all.div_ceil(rows) - 1) * passes(true);
            (time as u64, ConvBlocks { rows, oc, ..ConvBlocks::default() })
        });
        times.reduce(|best, other| if other.0 < best.0 { other } else { best }).unwrap_or_default()
    }

    /// The least time of the cores together, and its blocks: many squares to a task, so that the weights are read
    /// seldom, but few enough for their values to stay in L2, unless each reading of the weights would be one of
    /// memory; output channels shared out where squares are too few for all cores.
    fn best_fused(&self, p: &Conv2d, cpu: &Cpu) -> (u64, ConvBlocks) {
        let (ocg, cores) = (p.oc / p.groups, cpu.cores.max(1));
        let all = self.squares(p).max(1);
        let mut best = (u64::MAX, ConvBlocks { rows: 1, oc: ocg, ..ConvBlocks::default() });
        let mut strips = all;
        while strips > 0 {
            let squares = all.div_ceil(strips);
            if best.0 < u64::MAX && self.values(p, squares) > near(cpu) && self.stays(p, cpu) {
                break;
            }
            for parts in 1..=cores {
                let oc = ocg.div_ceil(parts).next_multiple_of(self.tile[1]);
                let tasks = p.groups * strips * ocg.div_ceil(oc);
                let rounds = tasks.div_ceil(cores);
                // What does not stay in L3 comes from memory for each core that reads it.
                let readers = if self.stays(p, cpu) { 1 } else { strips.min(cores) };
                let task = |again| self.task(p, cpu, [squares, oc.min(ocg), readers], again);
                // The first ones bring the weights.
                let time = (task(false) + (rounds - 1) * task(true)) as u64;
                if time < best.0 {
                    best = (time, ConvBlocks { rows: squares, oc, ..best.1 });
                }
            }
            // The next number of strips with more squares each.
            strips = (strips - 1).min(all.div_ceil(squares + 1)) * usize::from(strips > 1);
        }
        best
    }

    /// Bytes of the transformed inputs and the products of a block of squares.
    fn values(&self, p: &Conv2d, squares: usize) -> usize {
        let vectors = (p.ic / p.groups).div_ceil(self.lanes) + self.tile[1] / self.lanes;
        self.positions * squares * vectors * self.lanes * F32
    }

    /// Bytes of the weights of some output channels of a group.
    fn weights(&self, p: &Conv2d, oc: usize) -> usize {
        self.filters * (p.ic / p.groups) * oc.next_multiple_of(self.lanes) * F32
    }

    /// True where the weights stay in L3 from one block of squares to the next: they take three eighths of it at most,
    /// as other cores have a share and images pass through.
    fn stays(&self, p: &Conv2d, cpu: &Cpu) -> bool {
        self.weights(p, p.oc / p.groups) <= cpu.l3_share() * 3 / 8
    }

    /// Cycles of one task of so many squares and output channels, while so many read the same weights from memory; `again`
    /// where other tasks have read them.
    fn task(&self, p: &Conv2d, cpu: &Cpu, [squares, oc, readers]: [usize; 3], again: bool) -> usize {
        let (icg, width) = (p.ic / p.groups, self.tile[1]);
        let (ics, ocs) = (icg.div_ceil(self.lanes), oc.div_ceil(self.lanes));
        let (values, weights) = (self.values(p, squares), self.weights(p, oc));
        let from = |rate: usize| (self.lanes * F32).div_ceil(rate);
        let value = match () {
            () if values <= near(cpu) => from(L2),
            () if values <= cpu.l3_share() / (2 * cpu.cores.max(1)) => from(cpu.read_rates.l3),
            () => from(cpu.read_rates.memory),
        };
        let first = first_rate(cpu, self.weights(p, p.oc / p.groups));
        let weight = match () {
            () if again && weights + values <= near(cpu) => from(L2) * AWAITED,
            () if again && self.stays(p, cpu) => from(cpu.read_rates.l3) * AWAITED,
            // Once, or from memory each time. Prefetchers follow a stream of one vector a step less well than a wider one: on
            // Zen 4 a whole layer whose weights are read once took a quarter more time on AVX-512, and two fifths more on
            // AVX2; on Granite Rapids half more where they are read from memory twice.
            () if width == self.lanes => readers * 16 * self.lanes * F32 / first * 3 / 2,
            () => readers * 16 * self.lanes * F32 / first,
        };
        let products = |weight: usize| self.products(cpu, [squares, icg, oc], value, weight);
        // Weights that an earlier position has read are in L2, and asked for ahead as those of direct tiles are.
        self.filters * products(weight)
            + (self.positions - self.filters) * products(0)
            + squares * self.transforms(p, cpu, [ics, ocs], value)
    }

    /// Cycles of the cores together for three passes over so many squares, with `oc` output channels to a task of the
    /// second; `again` where other passes read the same weights.
    fn passes(&self, p: &Conv2d, cpu: &Cpu, squares: usize, oc: usize, again: bool) -> usize {
        let (cores, lanes) = (cpu.cores.max(1), self.lanes);
        let (ics, ocs) = (p.ic.div_ceil(lanes), p.oc.div_ceil(lanes));
        let from = |rate: usize| (lanes * F32).div_ceil(rate);
        let position = squares * (ics + ocs) * lanes * F32;
        let stays = position * self.positions <= cpu.l3.size / 4;
        let far = from(if stays { cpu.read_rates.l3 } else { cpu.read_rates.memory });
        let value = if position <= near(cpu) { from(L2) } else { far };
        let weight = match again && self.stays(p, cpu) {
            true => from(cpu.read_rates.l3) * AWAITED,
            false => 16 * lanes * F32 / first_rate(cpu, self.weights(p, p.oc)),
        };
        let rounds = (self.positions * p.oc.div_ceil(oc)).div_ceil(cores);
        // The first tiles of a position bring its values.
        let products = squares * ics * far + self.products(cpu, [squares, p.ic, oc], value, weight);
        rounds * products + squares * self.transforms(p, cpu, [ics.div_ceil(cores), ocs.div_ceil(cores)], far)
    }

    /// Cycles of the products of one position: `value` is what a vector of them costs to read, `weight` what one costs to wait
    /// for, in sixteenths.
    fn products(&self, cpu: &Cpu, [squares, icg, oc]: [usize; 3], value: usize, weight: usize) -> usize {
        let ([most, width], lanes) = (self.tile, self.lanes);
        // Values are read behind the sums, but for a sixteenth; an eighth where a position's values, which every
        // block of output channels reads, do not stay in L1.
        let hidden = if squares * icg * F32 <= cpu.l1d.size / 2 { 16 } else { 8 };
        // One position and block of output channels: the first of its tiles brings the weights.
        let block = |vectors: usize| {
            let count = squares.div_ceil(most);
            // Squares are shared out evenly: some tiles have one more than others.
            let (low, higher) = (squares / count, squares % count);
            let sums = (count - higher) * choose::steps(cpu, icg, low, vectors)
                + higher * choose::steps(cpu, icg, low + 1, vectors);
            let values = squares * icg.div_ceil(lanes) * value;
            // Beginning and storing the sums, which go to other pages than those of the tile before.
            let edges = count * 90 + 2 * squares * vectors;
            sums + values / hidden + awaited(icg * vectors * weight / 16, sums) + edges
        };
        let rest = oc % width;
        oc / width * block(width / lanes) + if rest == 0 { 0 } else { block(rest.div_ceil(lanes)) }
    }

    /// Cycles of the transforms of a square of so many vectors of input and output channels.
    fn transforms(&self, p: &Conv2d, cpu: &Cpu, [ics, ocs]: [usize; 2], value: usize) -> usize {
        let [input, output] = (self.operations)(self.outputs(p)).map(|operations| {
            // The operations, and each value moved into and out of L1, which is too small for all of them.
            operations / cpu.fma_per_cycle + self.positions * 3 * value / 2
        });
        ics * input + ocs * output
    }
}

/// Sixteenths of the reading of weights which squares read again and again that multiply-adds do not cover: what fits the
/// 3 x 3 layers of seven networks best on Granite Rapids.
const AWAITED: usize = 15;

/// Bytes a cycle of the first reading of weights in a run. A network has many layers: until its next run, L3 keeps a
/// small one's weights only.
fn first_rate(cpu: &Cpu, bytes: usize) -> usize {
    cpu.read_rates.weights[usize::from(bytes > cpu.l3_share() / 16)]
}

/// Of the cycles that reading weights takes those that multiply-adds wait for: it is asked for ahead, so that a quarter of
/// their time hides it, and two thirds of it at most. On Granite Rapids the products of 49 squares hid two thirds of the
/// reading from memory, those of 16 an eighth.
fn awaited(reading: usize, multiplying: usize) -> usize {
    reading - (reading * 2 / 3).min(multiplying / 4)
}

/// Cycles by which reading a kernel's weights lengthens a run, two thirds of it being hidden behind the multiply-adds.
pub(in crate::conv) fn weights(p: &Conv2d, cpu: &Cpu) -> usize {
    let bytes = p.oc * (p.ic / p.groups) * p.kh * p.kw * F32;
    bytes / first_rate(cpu, bytes) / 3
}

/// Bytes that stay in L2 while others pass through.
fn near(cpu: &Cpu) -> usize {
    cpu.l2.size * 3 / 4
}
