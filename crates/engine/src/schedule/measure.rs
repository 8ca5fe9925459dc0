//! Measuring: the only part of scheduling that looks at the clock.
//!
//! A choice is timed on operands of its problem's sizes, in the state in which a network leaves the caches: the input
//! was just written, the weights were last read a whole run ago. Candidates take turns, so that a disturbance meets all
//! of them, and the fastest of the turns counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tilewise_kernels::conv::fused::{FusedArgs, FusedKernel};
use tilewise_kernels::conv::{self, ConvArgs, ConvBlocks, ConvKernel, Layout};
use tilewise_kernels::gemm::{Gemm, GemmArgs, GemmBlocks, GemmKernel, Offsets, Rhs};
use tilewise_kernels::measure::{evict, fma_latency, fma_peak, pass_rate, sweep, turns, working_sets};
use tilewise_kernels::movement::{Reorder, choose_reorder};
use tilewise_kernels::{Conv2d, Cpu, Ctx, DepthwisePointwise, Epilogue, MAX_LANES, Pads, Pool};
use tilewise_tensor::{AlignedBuffer, Tensor, View};

use super::cost::{Level, cold};
use super::search::Measure;
use super::{Choice, Machine, Problem};
use crate::{Arena, Plan, PlanError, RunError};

/// Turns after which a time is taken to be the least, and those without which it is not.
const TURNS: usize = 8;
const FEWEST_TURNS: usize = 3;

/// How much slower than the fastest so far a candidate is given up, after two turns, or one that takes long: the first
/// turn also brings code into memory.
const HOPELESS: f64 = 1.15;
const LONG: f64 = 1e-3;

/// Turns of whole networks after which the steps of all are known well enough.
const MOST_RUNS: usize = 6;

/// Time for each candidate of a problem.
const EACH: Duration = Duration::from_millis(7);

/// Values that are taken out of the caches one line after the other: more leave them by passing through.
const MOST_EVICTED: usize = 8 << 20;

/// Input channels of the two convolutions that [`tile_peak`] compares; the weights of both stay in L1 with room to spare.
const TILE_DEPTHS: [usize; 2] = [64, 192];

/// Runs of each in a moment, of some 10 to 40 microseconds, and dispatches.
const MOMENT_RUNS: usize = 20;

/// How long a multiply-add is watched in a moment.
const MOMENT: Duration = Duration::from_micros(100);

/// Values read from memory in a moment.
const MOMENT_VALUES: usize = 1 << 20;

/// How long the constants of a machine are measured.
const MOMENTS: Duration = Duration::from_millis(200);

/// The constants of a machine, in less than half a second.
pub fn machine(cpu: &Cpu, pool: &Pool) -> Machine {
    let mut constants = Constants::new(cpu, pool);
    turns(FEWEST_TURNS, MOMENTS).for_each(|_| constants.moment());
    constants.machine()
}

/// The constants of a machine, as the best of some moments: what runs between them is held against the machine as it was
/// then, whose clock, and whose share of a cache or of the memory that others use too, is another a minute later.
pub struct Constants<'a> {
    cpu: &'a Cpu,
    pool: &'a Pool,
    /// What is read from each level; of the last one so many values at a time, from `next` on.
    sets: [Room; 4],
    next: usize,
    best: Machine,
}

impl<'a> Constants<'a> {
    /// Nothing is measured yet.
    pub fn new(cpu: &'a Cpu, pool: &'a Pool) -> Self {
        let sets = working_sets(cpu).map(|bytes| {
            let mut room = Room::new();
            room.of(bytes.max(1 << 12) / size_of::<f32>());
            room
        });
        let best = Machine { fma: 0.0, tile: 0.0, latency: f64::INFINITY, read: [0.0; 4], dispatch: f64::INFINITY };
        Constants { cpu, pool, sets, next: 0, best }
    }

    /// Measures each of them once more, in some five milliseconds.
    pub fn moment(&mut self) {
        let Constants { cpu, pool, sets, next, best } = self;
        let tier = cpu.tier;
        best.fma = best.fma.max(1e9 * fma_peak(tier, pool, MOMENT));
        best.latency = best.latency.min(fma_latency(tier, MOMENT));
        best.tile = best.tile.max(tile_peak(cpu, pool).unwrap_or(best.fma));
        for (level, (set, rate)) in sets.iter().zip(&mut best.read).enumerate() {
            let (mut values, mut passes): (&[f32], _) = (set.0.as_slice(), FEWEST_TURNS);
            if level == 3 {
                (values, passes) = (&values[*next..values.len().min(*next + MOMENT_VALUES)], 1);
            }
            // The first pass brings what a cache is to hold.
            let rates = (0..passes).map(|_| 1e9 * pass_rate(tier, pool, values));
            *rate = rates.fold(*rate, f64::max);
        }
        *next = (*next + MOMENT_VALUES) % sets[3].0.as_slice::<f32>().len().next_multiple_of(MOMENT_VALUES);
        let dispatch = (0..MOMENT_RUNS).map(|_| timed(|| pool.run(pool.threads(), &|_| ())));
        best.dispatch = dispatch.fold(best.dispatch, f64::min);
    }

    /// The best of all moments.
    pub fn machine(&self) -> Machine {
        let Machine { fma, tile, dispatch, .. } = self.best;
        let dispatch = if self.pool.threads() > 1 { dispatch } else { 0.0 };
        Machine { tile: tile.min(fma), dispatch, ..self.best }
    }
}

/// FLOP/s of the widest register tile of a pointwise convolution on all threads at once, one image each, whose strips
/// stand in L2 and whose weights in L1; `None` where no kernel computes it. Of two depths the difference counts: what
/// both have, the edges of tiles and the start of the threads, falls out.
fn tile_peak(cpu: &Cpu, pool: &Pool) -> Option<f64> {
    let [shallow, deep] = TILE_DEPTHS.map(|ic| {
        let p = pointwise(pool.threads(), ic).validated().ok()?;
        let kernel = conv::candidates(&p, cpu).find(|kernel| kernel.id.op == "conv-pointwise")?;
        let (blocks, [x, y]) = ((kernel.blocks)(&p, cpu), images(&p, kernel));
        let scratch = (kernel.scratch_len)(&p, &blocks, pool.threads());
        let mut rooms = [Room::new(), Room::new(), Room::new(), Room::new()];
        let [xs, ws, ys, scratches] = &mut rooms;
        let (w, mut best) = ((kernel.packed_len)(&p), f64::INFINITY);
        for _ in 0..MOMENT_RUNS {
            let args = ConvArgs { x: xs.of(x), w: ws.of(w), bias: &[], residual: &[], y: ys.of(y) };
            let ctx = Ctx { pool, scratch: scratches.of(scratch) };
            best = best.min(timed(|| (kernel.run)(&p, &blocks, args, ctx)));
        }
        Some((p.macs(), best))
    });
    let ((few, short), (many, long)) = (shallow?, deep?);
    (long > short).then(|| 2.0 * (many - few) as f64 / (long - short))
}

/// A pointwise convolution of images of 14 x 14 pixels to two vectors of channels.
fn pointwise(n: usize, ic: usize) -> Conv2d {
    Conv2d {
        n,
        ic,
        ih: 14,
        iw: 14,
        oc: 2 * MAX_LANES,
        kh: 1,
        kw: 1,
        stride: [1, 1],
        dilation: [1, 1],
        pads: Pads::default(),
        groups: 1,
        epilogue: Epilogue::default(),
    }
}

/// Memory that grows to what is asked for and holds one small number everywhere: how long a kernel takes depends on no
/// value but those that are no normal numbers.
struct Room(AlignedBuffer);

impl Room {
    fn new() -> Self {
        Room(AlignedBuffer::zeroed(0))
    }

    fn of(&mut self, len: usize) -> &mut [f32] {
        if self.0.len() < len * size_of::<f32>() {
            self.0 = AlignedBuffer::zeroed(len * size_of::<f32>());
            self.0.as_mut_slice().fill(0.01f32);
        }
        &mut self.0.as_mut_slice()[..len]
    }
}

/// A bench to time kernels on.
pub struct Bench {
    cpu: Cpu,
    pool: Arc<Pool>,
    x: Room,
    w: Room,
    bias: Room,
    residual: Room,
    y: Room,
    scratch: Room,
    sweep: Room,
}

impl Bench {
    /// A bench for a machine and the pool that it will run with.
    pub fn new(cpu: &Cpu, pool: Arc<Pool>) -> Self {
        let [x, w, bias, residual, y, scratch, sweep] = std::array::from_fn(|_| Room::new());
        Bench { cpu: cpu.clone(), pool, x, w, bias, residual, y, scratch, sweep }
    }

    /// Leaves the caches as a network's other layers do: the second level to others; `weights` values in memory, where the
    /// last level would not keep them until the next run; then `scratch` values, which one step after the other uses, and
    /// the `x` values of the input just written.
    fn settle(&mut self, weights: usize, scratch: usize, x: usize) {
        let others = 2 * self.cpu.l2.size * self.pool.threads();
        sweep(self.cpu.tier, &self.pool, self.sweep.of(others / size_of::<f32>()));
        if cold(&self.cpu, weights * size_of::<f32>()) == Level::Dram {
            evict(self.w.of(weights.min(MOST_EVICTED)));
        }
        sweep(self.cpu.tier, &self.pool, self.scratch.of(scratch));
        sweep(self.cpu.tier, &self.pool, self.x.of(x));
    }

    /// Seconds of one run of a choice; endless where it is none for the problem.
    fn once(&mut self, problem: &Problem, choice: &Choice) -> f64 {
        match (problem, choice) {
            (Problem::Conv(p) | Problem::FlatConv(p), Choice::Conv(kernel, blocks)) => self.conv(p, kernel, blocks),
            (Problem::Pair(p), Choice::Fused(kernel, blocks)) => self.fused(p, kernel, blocks),
            (&Problem::Gemm { problem, count, packed }, Choice::Gemm(kernel, blocks)) => {
                let batch: Vec<Offsets> = (0..count).map(|i| offsets(&problem, i, packed)).collect();
                self.product(&problem, packed, &batch, (kernel, blocks))
            }
            (Problem::Conv(_) | Problem::FlatConv(_) | Problem::Pair(_) | Problem::Gemm { .. }, _) => f64::INFINITY,
        }
    }

    fn conv(&mut self, p: &Conv2d, kernel: &ConvKernel, blocks: &ConvBlocks) -> f64 {
        let ([x, y], w) = (images(p, kernel), (kernel.packed_len)(p));
        let scratch = (kernel.scratch_len)(p, blocks, self.cpu.cores);
        self.settle(w, scratch, x);
        let args = ConvArgs {
            x: self.x.of(x),
            w: self.w.of(w),
            bias: self.bias.of(bias(&p.epilogue, p.oc)),
            residual: self.residual.of(if p.epilogue.residual { y } else { 0 }),
            y: self.y.of(y),
        };
        let ctx = Ctx { pool: &self.pool, scratch: self.scratch.of(scratch) };
        timed(|| (kernel.run)(p, blocks, args, ctx))
    }

    fn fused(&mut self, p: &DepthwisePointwise, kernel: &FusedKernel, blocks: &ConvBlocks) -> f64 {
        let (dw, pw) = (&p.depthwise, &p.pointwise);
        let ([x, _], [_, y]) = (images(dw, kernel.depthwise), images(pw, kernel.pointwise));
        // Whole cache lines, as in a plan.
        let [first, second] = [(kernel.depthwise.packed_len)(dw), (kernel.pointwise.packed_len)(pw)]
            .map(|len| len.next_multiple_of(MAX_LANES));
        let scratch = (kernel.scratch_len)(p, blocks, self.cpu.cores);
        self.settle(first + second, scratch, x);
        let biases = [bias(&dw.epilogue, dw.oc), bias(&pw.epilogue, pw.oc)];
        let (w, b) = (&*self.w.of(first + second), &*self.bias.of(biases[0] + biases[1]));
        let args = FusedArgs {
            x: self.x.of(x),
            w: w.split_at(first).into(),
            bias: b.split_at(biases[0]).into(),
            residual: self.residual.of(if pw.epilogue.residual { y } else { 0 }),
            y: self.y.of(y),
        };
        let ctx = Ctx { pool: &self.pool, scratch: self.scratch.of(scratch) };
        timed(|| (kernel.run)(p, blocks, args, ctx))
    }

    fn product(
        &mut self,
        p: &Gemm,
        packed: bool,
        batch: &[Offsets],
        (kernel, blocks): (&GemmKernel, &GemmBlocks),
    ) -> f64 {
        let [a, c] = [p.m * p.k, p.m * p.n].map(|len| len * batch.len());
        let b = if packed { (kernel.packed_b_len)(p) } else { p.k * p.n * batch.len() };
        let scratch = (kernel.scratch_len)(p, blocks, packed, self.cpu.cores);
        self.settle(b, scratch, a);
        let b = &*self.w.of(b);
        let args = GemmArgs {
            a: self.x.of(a),
            b: if packed { Rhs::Packed(b) } else { Rhs::Plain(b) },
            bias: self.bias.of(bias(&p.epilogue, p.n)),
            residual: self.residual.of(if p.epilogue.residual { c } else { 0 }),
            c: self.y.of(c),
            batch,
        };
        let ctx = Ctx { pool: &self.pool, scratch: self.scratch.of(scratch) };
        timed(|| (kernel.run)(p, blocks, args, ctx))
    }
}

impl Measure for Bench {
    fn machine(&mut self) -> Machine {
        machine(&self.cpu, &self.pool)
    }

    fn times(&mut self, problem: &Problem, choices: &[Choice]) -> Vec<f64> {
        let mut best = vec![f64::INFINITY; choices.len()];
        for turn in turns(FEWEST_TURNS, EACH * choices.len() as u32).take(TURNS) {
            let least = best.iter().copied().fold(f64::INFINITY, f64::min);
            // One that nothing comes near to is known well enough.
            if turn >= FEWEST_TURNS
                && best.len() > 1
                && best.iter().filter(|&&time| time <= HOPELESS * least).count() < 2
            {
                break;
            }
            for (best, choice) in best.iter_mut().zip(choices) {
                let is_new = turn == 0 || (turn == 1 && *best < LONG);
                if is_new || *best <= HOPELESS * least {
                    *best = best.min(self.once(problem, choice));
                }
            }
        }
        best
    }

    fn reorder(&mut self, p: &Reorder) -> f64 {
        let kernel = choose_reorder(self.cpu.tier);
        let (planar, blocked) = (p.n * p.c * p.pixels, p.blocked_len(self.cpu.tier.lanes()));
        let mut ways = [f64::INFINITY; 2];
        for _ in 0..TURNS {
            self.settle(0, 0, blocked);
            let ctx = Ctx { pool: &self.pool, scratch: &mut [] };
            let there = timed(|| (kernel.to_blocked)(p, self.x.of(planar), self.y.of(blocked), ctx));
            self.settle(0, 0, blocked);
            let ctx = Ctx { pool: &self.pool, scratch: &mut [] };
            let back = timed(|| (kernel.to_planar)(p, self.x.of(blocked), self.y.of(planar), ctx));
            ways = [ways[0].min(there), ways[1].min(back)];
        }
        ways[0].max(ways[1])
    }
}

fn timed(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64()
}

/// Values of the input and of the output image batch as a kernel has them.
fn images(p: &Conv2d, kernel: &ConvKernel) -> [usize; 2] {
    let channels = |c: usize, layout: Layout| match layout {
        Layout::Nchw => c,
        Layout::Nchwc => c.next_multiple_of(kernel.id.tier.lanes()),
    };
    [p.n * channels(p.ic, kernel.x) * p.ih * p.iw, p.n * channels(p.oc, kernel.y) * p.oh() * p.ow()]
}

/// Values of a bias, filled up to whole vectors of any tier.
fn bias(epilogue: &Epilogue, len: usize) -> usize {
    if epilogue.bias { len.next_multiple_of(MAX_LANES) } else { 0 }
}

/// Where the operands of a product of a batch stand: one after the other.
fn offsets(p: &Gemm, i: usize, packed: bool) -> Offsets {
    Offsets { a: i * p.m * p.k, b: if packed { 0 } else { i * p.k * p.n }, c: i * p.m * p.n }
}

/// The least seconds of each step of some plans for the same inputs, which run by turns until `time` is over, or
/// [`MOST_RUNS`] are.
///
/// # Errors
/// [`PlanError`], where the memory of a run is not to be had. A run that fails is as long as it gets.
pub(super) fn in_place<const N: usize>(
    plans: [&Plan; N],
    pool: &Arc<Pool>,
    time: Duration,
) -> Result<[Vec<f64>; N], PlanError> {
    let inputs: Result<Vec<Tensor>, _> = plans[0].inputs().iter().map(|i| Tensor::zeros(i.dtype, &i.shape)).collect();
    let inputs = inputs?;
    let views: Vec<View<'_>> = inputs.iter().map(Tensor::view).collect();
    let arenas: Result<Vec<Arena>, _> = plans.iter().map(|plan| Arena::new(plan, Arc::clone(pool))).collect();
    let mut arenas = arenas?;
    let mut best = plans.map(|plan| vec![f64::INFINITY; plan.steps().len()]);
    for _ in turns(FEWEST_TURNS, time).take(MOST_RUNS) {
        for ((plan, arena), best) in plans.iter().zip(&mut arenas).zip(&mut best) {
            if run_timed(plan, &views, arena, best).is_err() {
                let mut first = 0.0;
                return Ok(plans.map(|plan| vec![std::mem::replace(&mut first, f64::INFINITY); plan.steps().len()]));
            }
        }
    }
    Ok(best)
}

/// Runs a plan as [`Plan::run`] does, and lowers `fastest`, by step, to the seconds that this run took.
///
/// # Errors
/// As [`Plan::run`].
pub fn run_timed(plan: &Plan, inputs: &[View<'_>], arena: &mut Arena, fastest: &mut [f64]) -> Result<(), RunError> {
    let mut seconds = vec![0.0; fastest.len()];
    plan.run_observed(inputs, arena, |step, time| seconds[step] += time.as_secs_f64())?;
    fastest.iter_mut().zip(seconds).for_each(|(fastest, seconds)| *fastest = fastest.min(seconds));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{candidates, default, space};
    use super::*;

    #[test]
    fn every_kind_of_problem_is_timed() {
        let cpu = Cpu::probe().with_cores(2);
        let mut bench = Bench::new(&cpu, Arc::new(Pool::new(2)));
        for problem in space::tests::problems() {
            let choices: Vec<Choice> = candidates(&problem, &cpu).into_iter().take(2).collect();
            let times = bench.times(&problem, &choices);
            assert!(times.iter().all(|&time| time > 0.0 && time < 10.0), "{problem}: {times:?}");
        }
        // What is none for the problem is never the fastest.
        let [conv, pair] = [&space::tests::problems()[0], &space::tests::problems()[7]];
        let choice = default(conv, &cpu).unwrap();
        assert_eq!(bench.times(pair, &[choice]), [f64::INFINITY]);
        assert!(bench.reorder(&Reorder { n: 1, c: 20, pixels: 49 }) > 0.0);
    }
}
