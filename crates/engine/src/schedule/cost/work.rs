//! What a choice does, counted: cycles of multiply-adds, loads of vectors, bytes that each level hands over.

use tilewise_kernels::conv::{self, Bands, ConvBlocks, ConvKernel, ConvStage, Layout, Squares};
use tilewise_kernels::gemm::{Gemm, GemmBlocks, GemmKernel};
use tilewise_kernels::{Conv2d, Cpu, DepthwisePointwise};

use super::super::reuse::{self, Reuse};
use super::super::{Choice, Decision, Problem};
use super::{Machine, Predicted};

/// Bytes of an f32.
const F32: f64 = size_of::<f32>() as f64;

/// Cycles to enter and leave a register tile: the call, and the latency of its first and last multiply-adds.
const TILE: f64 = 20.0;

/// Vector operations that copying a vector counts as: a load, a store, and the miss of L1 that one of them mostly is.
const COPY: f64 = 3.0;

/// A level of the memory beyond L1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::schedule) enum Level {
    L2,
    L3,
    Dram,
}

/// Where a layer's activations are found, `bytes` of them: the layer before it has just written them.
pub(super) fn home(cpu: &Cpu, bytes: usize) -> Level {
    match bytes {
        bytes if bytes <= cpu.l2.size => Level::L2,
        bytes if bytes <= cpu.l3.size / 2 => Level::L3,
        _ => Level::Dram,
    }
}

/// Bytes of the last level that we can count on. One that is more than sixteen times the second levels of our cores
/// belongs to the cores of others too: twice these.
pub(in crate::schedule) fn last_level(cpu: &Cpu) -> usize {
    let near = cpu.l2.size * cpu.cores.max(1);
    if cpu.l3.size > 16 * near { 2 * near } else { cpu.l3.size }
}

/// Where weights are found when a layer begins. A network has many layers: until its next run, the last level keeps a
/// small one's weights only.
pub(in crate::schedule) fn cold(cpu: &Cpu, bytes: usize) -> Level {
    if bytes <= last_level(cpu) / 8 { Level::L3 } else { Level::Dram }
}

/// Counts over all cores.
pub(super) struct Work {
    /// Cycles of multiply-adds.
    cycles: f64,
    /// Vectors loaded.
    loads: f64,
    /// Bytes from L2, L3 and memory.
    bytes: [f64; 3],
    /// Those of them that multiply-adds wait for: what comes in the order of tiles is not fetched ahead.
    awaited: [f64; 3],
    /// Cycles in which nothing is multiplied.
    idle: f64,
    tasks: usize,
    /// Vector multiply-adds a cycle.
    rate: f64,
}

impl Work {
    pub(super) fn new(tasks: usize, rate: f64) -> Self {
        Work { cycles: 0.0, loads: 0.0, bytes: [0.0; 3], awaited: [0.0; 3], idle: 0.0, tasks, rate }
    }

    /// Adds vector multiply-adds that do not wait for each other.
    pub(super) fn multiplies(&mut self, count: f64) {
        self.cycles += count / self.rate;
    }

    /// The work of a decision; none where the choice is none for the problem.
    pub(super) fn of(decision: &Decision, cpu: &Cpu, machine: &Machine) -> Self {
        let rate = machine.fma_per_cycle(cpu);
        match (&decision.problem, &decision.choice) {
            (Problem::Conv(p) | Problem::FlatConv(p), Choice::Conv(kernel, blocks)) => {
                convolution(p, (kernel, blocks), cpu, rate)
            }
            (Problem::Pair(p), Choice::Fused(kernel, blocks)) => fused(p, kernel.id.tile, blocks, (cpu, rate)),
            (Problem::Gemm { problem, count, packed }, Choice::Gemm(kernel, blocks)) => {
                product(problem, (*count, *packed), (kernel, blocks), cpu, rate)
            }
            (Problem::Conv(_) | Problem::FlatConv(_) | Problem::Pair(_) | Problem::Gemm { .. }, _) => {
                Work::new(1, rate)
            }
        }
    }

    /// Bytes that come from a level.
    pub(super) fn moves(&mut self, from: Level, bytes: f64) {
        self.bytes[from as usize] += bytes;
    }

    /// Bytes that are written and go to a level: a line is fetched before it is written, and handed back where it does not
    /// stay in L2.
    fn writes(&mut self, to: Level, bytes: f64) {
        self.moves(to, if to > Level::L2 { 2.0 * bytes } else { bytes });
    }

    /// Bytes that come from a level and are waited for.
    fn waits(&mut self, from: Level, bytes: f64) {
        self.moves(from, bytes);
        if from > Level::L2 {
            self.awaited[from as usize] += bytes;
        }
    }

    /// The seconds that the counts take.
    pub(super) fn time(&self, cpu: &Cpu, machine: &Machine) -> Predicted {
        let (cores, tasks) = (cpu.cores.max(1), self.tasks.max(1));
        // The cores wait for the one with the most tasks.
        let uneven = (tasks.div_ceil(cores) * cores) as f64 / tasks as f64;
        let cycle = uneven * machine.cycle(cpu) / cores as f64;
        let loaded = self.loads * cpu.tier.lanes() as f64 * F32;
        let [l1, l2, l3, dram] = machine.read;
        let [near, last, memory] = self.bytes;
        let terms = [self.cycles * cycle, loaded * uneven / l1, near * uneven / l2, last / l3, memory / dram];
        let (awaited, busy) = (self.awaited[1] / l3 + self.awaited[2] / dram, terms[0].max(terms[1]));
        // What is asked for ahead is hidden behind a quarter of the multiply-adds, two thirds of it at most; and they do not
        // wait longer than they take where the reading itself is the bound.
        let waiting = (awaited - (awaited * 2.0 / 3.0).min(busy / 4.0)).min(busy);
        let dispatch = if cores > 1 && tasks > 1 { machine.dispatch } else { 0.0 };
        Predicted { terms, overhead: self.idle * cycle + waiting + dispatch }
    }

    /// Adds register tiles of `tile` over `across` pixels and `channels` outputs, `depth` deep in `passes`, `times` over.
    fn tiles(&mut self, cpu: &Cpu, tile: [usize; 2], size: [usize; 2], [depth, passes]: [usize; 2], times: f64) {
        let (lanes, [most, width], [across, channels]) = (cpu.tier.lanes(), tile, size);
        let count = across.div_ceil(most).max(1);
        let each = across as f64 / count as f64;
        let mut block = |vectors: usize, blocks: usize| {
            let times = times * (count * blocks) as f64;
            let sums = each * vectors as f64;
            let step = (sums / self.rate).max(cpu.fma_latency as f64);
            self.cycles += times * depth as f64 * step;
            self.loads += times * depth as f64 * (each + vectors as f64);
            self.idle += times * passes as f64 * (TILE + 2.0 * sums);
        };
        block(width / lanes, channels / width);
        if channels % width > 0 {
            block((channels % width).div_ceil(lanes), 1);
        }
    }

    /// Adds the weights of a layer, read from where they are found by each core that needs them, and then `again` times.
    /// `beside` bytes stand in L2 together with a task's weights.
    fn weights(&mut self, cpu: &Cpu, [all, of_task, beside]: [usize; 3], readers: usize, again: f64) {
        let first = cold(cpu, all);
        self.waits(first, all as f64);
        let stays = if of_task + beside <= cpu.l2.size * 3 / 4 { Level::L2 } else { first.min(Level::L3) };
        self.moves(Level::L3, all as f64 * (readers.max(1) - 1) as f64);
        self.moves(stays, all as f64 * (again - readers as f64).max(0.0));
    }
}

/// Bytes of `values` f32.
pub(super) fn bytes(values: usize) -> usize {
    values * size_of::<f32>()
}

fn convolution(p: &Conv2d, (kernel, blocks): (&ConvKernel, &ConvBlocks), cpu: &Cpu, rate: f64) -> Work {
    if let Some(squares) = conv::squares(p, kernel) {
        return transformed(p, (kernel.id.tile, &squares, blocks), cpu, rate);
    }
    if let Some(reuse) = reuse::convolution(p, kernel, blocks) {
        return direct(p, (kernel, blocks), &reuse, (cpu, rate));
    }
    if let Some(bands) = conv::bands(p, kernel) {
        return banded(p, (kernel.id.tile, &bands, blocks), cpu, rate);
    }
    match kernel.id.op {
        "conv-depthwise" => depthwise(p, blocks, cpu, rate),
        "conv-im2col" => im2col(p, kernel.id.tile, blocks, (cpu, rate)),
        // A method that is not modelled: what its own chooser counts.
        _ => {
            let mut work = Work::new(cpu.cores, rate);
            work.cycles = conv::cycles(p, kernel, cpu) as f64;
            activations(&mut work, p, cpu, 1.0);
            work
        }
    }
}

/// Adds the input, read `again` times, and the output and residual of a convolution.
fn activations(work: &mut Work, p: &Conv2d, cpu: &Cpu, again: f64) {
    let (x, y) = (p.n * p.ic * p.ih * p.iw, p.n * p.oc * p.oh() * p.ow());
    let written = if p.epilogue.residual { 2 * y } else { y };
    let level = home(cpu, bytes(x + written));
    work.waits(level, bytes(x) as f64 * again);
    work.writes(level, bytes(written) as f64);
}

/// Strips of rows by parts of the output channels; see `kernels::conv::direct`.
fn direct(
    p: &Conv2d,
    (kernel, blocks): (&ConvKernel, &ConvBlocks),
    reuse: &Reuse<ConvStage>,
    (cpu, rate): (&Cpu, f64),
) -> Work {
    let (lanes, tile @ [_, width]) = (cpu.tier.lanes(), kernel.id.tile);
    let (icg, ocg, taps, [oh, ow]) = (p.ic / p.groups, p.oc / p.groups, p.kh * p.kw, [p.oh(), p.ow()]);
    let rows = blocks.rows.clamp(1, oh);
    let oc = blocks.oc.clamp(1, ocg).next_multiple_of(width);
    let (strips, parts, passes) = (oh.div_ceil(rows), ocg.div_ceil(oc), icg.div_ceil(blocks.ic.max(1)));
    let copied = p.pads != Default::default() || p.stride[1] != 1;
    let flat = taps == 1 && p.pads == Default::default() && (copied || p.stride[0] == 1);
    let images = p.n * p.groups;
    let mut work = Work::new(images * strips * parts, rate);
    let (lines, across) = if flat { (oh as f64 / rows as f64, rows * ow) } else { (oh as f64, ow) };
    work.tiles(cpu, tile, [across, ocg], [icg * taps, passes], lines * images as f64);

    // Input rows of a strip, those that it shares with the next among them.
    let high = ((rows - 1) * p.stride[0] + p.reach()[0]).min(p.ih);
    let strip = bytes(icg * high * p.iw);
    // Rows of a plane are picked apart value by value.
    let each = if kernel.x == Layout::Nchw { 1.0 } else { COPY / lanes as f64 };
    work.idle += each * images as f64 * reuse.packed(ConvStage::PackX) / F32;
    // What L1 does not keep comes from L2; sums go there and back between the passes.
    let [x, w, y] = [0, 1, 2].map(|operand| reuse.moved(operand, cpu.l1d.size));
    let sums = 2.0 * (y - bytes(ocg * oh * ow) as f64).max(0.0);
    work.moves(Level::L2, images as f64 * (x + w + sums));
    let readings = reuse.moved(1, cpu.l2.size) / bytes(ocg * icg * taps) as f64;
    let weights = [bytes(p.oc * icg * taps), bytes(oc * icg * taps), strip];
    let readers = (p.n * strips).min(cpu.cores.max(1));
    work.weights(cpu, weights, readers, p.n as f64 * readings.max(strips as f64));
    activations(&mut work, p, cpu, (strips * high) as f64 / p.ih as f64);
    work
}

/// Blocks of squares by parts of the output channels; see `kernels::conv::transformed`.
fn transformed(p: &Conv2d, (tile, squares, blocks): ([usize; 2], &Squares, &ConvBlocks), cpu: &Cpu, rate: f64) -> Work {
    let lanes = cpu.tier.lanes();
    let (icg, ocg, points, all) = (p.ic / p.groups, p.oc / p.groups, squares.positions, squares.count);
    let each = blocks.rows.clamp(1, all);
    let oc = blocks.oc.clamp(1, ocg).next_multiple_of(tile[1]);
    let (strips, parts) = (all.div_ceil(each), ocg.div_ceil(oc));
    let mut work = Work::new(if squares.fused { p.groups * strips * parts } else { points * parts }, rate);
    let tasks = p.groups as f64 * all as f64 / each as f64;
    work.tiles(cpu, tile, [each, ocg], [icg, icg.div_ceil(blocks.ic.max(1))], tasks * points as f64);

    let [input, output] = squares.operations.map(|count| count as f64);
    let times = if squares.fused { parts } else { 1 };
    let vectors = [icg.div_ceil(lanes) * times, ocg.div_ceil(lanes)].map(|count| (p.groups * all * count) as f64);
    let operations = vectors[0] * input + vectors[1] * output;
    // Sums and products of a line wait for each other: an operation takes one and a half cycles (measured on Granite
    // Rapids). Each value is loaded and stored by the pass over the rows and by that over the columns.
    work.idle += 1.5 * operations + 4.0 * points as f64 * (vectors[0] + vectors[1]);
    let values = bytes(points * each * icg.next_multiple_of(lanes));
    let products = bytes(points * each * ocg);
    let readings = if values / points <= cpu.l1d.size / 2 { 1.0 } else { ocg.div_ceil(tile[1]) as f64 };
    let weights = bytes(squares.filters * p.oc * icg);
    if squares.fused {
        let reach = if values <= cpu.l2.size { Level::L2 } else { Level::L3 };
        work.moves(reach, tasks * (1.0 + readings) * values as f64);
        work.moves(Level::L2, 2.0 * tasks * products as f64);
        let of_task = bytes(squares.filters * oc * icg);
        work.weights(cpu, [weights, of_task, values], strips.min(cpu.cores.max(1)), strips as f64);
        activations(&mut work, p, cpu, parts as f64);
    } else {
        // One position at a time is near, while all of its weights pass.
        work.moves(Level::L2, tasks * readings * values as f64);
        work.moves(home(cpu, values + products), tasks * (2 * values + 2 * products) as f64);
        work.weights(cpu, [weights, weights, values], 1, strips as f64);
        activations(&mut work, p, cpu, 1.0);
    }
    work
}

/// Bands of output rows by parts of the output channels; see `kernels::conv::first`.
fn banded(p: &Conv2d, (tile, bands, blocks): ([usize; 2], &Bands, &ConvBlocks), cpu: &Cpu, rate: f64) -> Work {
    let (lanes, all) = (cpu.tier.lanes(), p.oh().div_ceil(bands.rows));
    let strips = all.div_ceil(blocks.rows.clamp(1, p.oh()).div_ceil(bands.rows));
    let oc = blocks.oc.clamp(1, p.oc).next_multiple_of(tile[1]);
    let parts = p.oc.div_ceil(oc);
    let mut work = Work::new(p.n * strips * parts, rate);
    let count = (p.n * all) as f64;
    work.tiles(cpu, tile, [p.ow(), p.oc], [bands.depth(), bands.products], count);
    let [input, output] = bands.operations().map(|operations| count * operations as f64);
    // The sums of an output wait for each other: half of the pipes are busy.
    let vectors = [parts * p.iw.div_ceil(lanes), 2 * p.ow() * p.oc.div_ceil(lanes)].map(|count| count as f64);
    work.idle += (input * vectors[0] + output * vectors[1]) / rate;
    // Weights pass from L2 for each two tiles of a band.
    let weights = bytes(bands.depth() * p.oc);
    work.moves(Level::L2, count * (weights * p.ow().div_ceil(2 * tile[0])) as f64);
    work.weights(cpu, [weights, bytes(bands.depth() * oc), 0], (p.n * strips).min(cpu.cores.max(1)), count);
    let high = ((bands.rows - 1) * p.stride[0] + p.kh) as f64 / (bands.rows * p.stride[0]) as f64;
    activations(&mut work, p, cpu, parts as f64 * high);
    work
}

/// Columns of tiles go down each plane; see `kernels::conv::depthwise`.
fn depthwise(p: &Conv2d, blocks: &ConvBlocks, cpu: &Cpu, rate: f64) -> Work {
    let lanes = cpu.tier.lanes();
    let planes = p.n * p.oc.div_ceil(lanes);
    let tasks = planes.div_ceil(blocks.oc.div_ceil(lanes).max(1)) * p.oh().div_ceil(blocks.rows.max(1));
    let mut work = Work::new(tasks, rate);
    sweep(&mut work, p, planes * p.oh());
    // Planes are read one address after the other, and fetched ahead.
    let (x, y) = (bytes(p.n * p.ic * p.ih * p.iw), bytes(p.n * p.oc * p.oh() * p.ow()));
    work.moves(home(cpu, x + y), (x + y) as f64);
    work
}

/// Adds `rows` rows of a channel vector's depthwise outputs.
fn sweep(work: &mut Work, p: &Conv2d, rows: usize) {
    let outputs = (rows * p.ow()) as f64;
    let taps = (p.kh * p.kw) as f64;
    work.multiplies(outputs * taps);
    // A tap of one output is a load, unless its neighbour has it in a register; weights are loaded once a tile.
    work.loads += outputs * (taps + 1.0);
    work.idle += outputs * 2.0;
}

/// A strip of the depthwise output at a time; see `kernels::conv::fused`.
fn fused(p: &DepthwisePointwise, tile: [usize; 2], blocks: &ConvBlocks, (cpu, rate): (&Cpu, f64)) -> Work {
    let (dw, pw, lanes) = (&p.depthwise, &p.pointwise, cpu.tier.lanes());
    let rows = blocks.rows.clamp(1, pw.ih);
    let strips = pw.ih.div_ceil(rows);
    let mut work = Work::new(pw.n * strips, rate);
    sweep(&mut work, dw, dw.n * dw.oc.div_ceil(lanes) * dw.oh());
    let passes = pw.ic.div_ceil(blocks.ic.max(1));
    let images = pw.n as f64 * pw.ih as f64 / rows as f64;
    work.tiles(cpu, tile, [rows * pw.iw, pw.oc], [pw.ic, passes], images);
    let strip = bytes(pw.ic * rows * pw.iw);
    let between = images * strip as f64;
    let reach = if strip <= cpu.l2.size { Level::L2 } else { Level::L3 };
    work.moves(reach, between * (1.0 + pw.oc.div_ceil(tile[1]) as f64));
    let weights = bytes(pw.ic * pw.oc);
    work.weights(cpu, [weights, weights, strip], strips.min(cpu.cores.max(1)), (pw.n * strips) as f64);
    let (x, y) = (bytes(dw.n * dw.ic * dw.ih * dw.iw), bytes(pw.n * pw.oc * pw.ih * pw.iw));
    let written = if pw.epilogue.residual { 2 * y } else { y };
    work.moves(home(cpu, x + written), (x + written) as f64);
    work
}

/// A matrix product whose right operand is packed from the image; see `kernels::conv::im2col`.
fn im2col(p: &Conv2d, tile: [usize; 2], blocks: &ConvBlocks, (cpu, rate): (&Cpu, f64)) -> Work {
    let (m, n, k) = (p.oc / p.groups, p.oh() * p.ow(), p.ic / p.groups * p.kh * p.kw);
    let images = p.n * p.groups;
    let kc = blocks.ic.saturating_mul(p.kh * p.kw).clamp(1, k);
    let mut work = Work::new((images * m.div_ceil(tile[0]) * n.div_ceil(tile[1])).min(cpu.cores), rate);
    work.tiles(cpu, tile, [m, n], [k, k.div_ceil(kc)], images as f64);
    // Columns of neighbouring pixels are neighbours only within a row.
    work.idle += images as f64 * (k * n) as f64 * if p.ow() >= cpu.tier.lanes() { 0.5 } else { 1.0 };
    let block = blocks.rows.saturating_mul(p.ow()).clamp(1, n);
    work.moves(Level::L2, images as f64 * (bytes(k * n) + bytes(m * k) * n.div_ceil(tile[1])) as f64);
    let weights = bytes(p.oc * k);
    work.weights(cpu, [weights, bytes(m * kc), bytes(kc * block)], 1, (p.n * n.div_ceil(block)) as f64);
    activations(&mut work, p, cpu, 1.0);
    work
}

/// The loops of a matrix product; see `kernels::gemm::product`.
fn product(
    p: &Gemm,
    (count, packed): (usize, bool),
    (kernel, blocks): (&GemmKernel, &GemmBlocks),
    cpu: &Cpu,
    rate: f64,
) -> Work {
    let Gemm { m, n, k, .. } = *p;
    let tile @ [mr, nr] = kernel.id.tile;
    let panels = m.div_ceil(mr) * n.div_ceil(nr);
    let mut work = Work::new((count * panels).min(cpu.cores), rate);
    work.tiles(cpu, tile, [m, n], [k, k.div_ceil(blocks.kc.max(1))], count as f64);
    let (a, b, c) = (bytes(m * k * count), bytes(k * n * count), bytes(m * n * count));
    let reuse = reuse::product(p, (count, packed), (kernel, blocks), cpu);
    if m > mr {
        let [a, b] = [0, 1].map(|operand| reuse.moved(operand, cpu.l1d.size));
        work.moves(Level::L2, count as f64 * (a + b));
    }
    if !p.reads_a_in_place() {
        // About a cycle a value.
        work.idle += (m * k * count * n.div_ceil(blocks.nc.max(1))) as f64;
    }
    let [from_a, from_b] = [0, 1].map(|operand| count as f64 * reuse.moved(operand, cpu.l2.size));
    let again = from_b / b.max(1) as f64;
    if packed {
        work.weights(cpu, [b, b, a], 1, again);
    } else {
        work.idle += COPY * (k * n * count) as f64 / cpu.tier.lanes() as f64;
        work.moves(home(cpu, b), b as f64 * again);
    }
    work.moves(home(cpu, a + c), from_a + c as f64);
    work
}
