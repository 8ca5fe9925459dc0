//! The ceilings of this machine, measured: multiply-adds and reads. The yardstick of every kernel.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::{Avx2, Avx512, Cpu, Isa, Pool, Scalar, SimdOp, Tier};

/// Independent sums: more than latency times multiply-adds a cycle on any machine, and few enough for 16 registers.
const SUMS: usize = 12;
/// Steps between two looks at the clock.
const STEPS: usize = 4096;

struct Multiply {
    steps: usize,
}

impl SimdOp for Multiply {
    type Output = f32;

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) -> f32 {
        let (a, b) = (isa.splat(black_box(0.999)), isa.splat(black_box(1e-3)));
        let mut sums = [isa.zero(); SUMS];
        for _ in 0..self.steps {
            for sum in &mut sums {
                *sum = isa.fma(*sum, a, b);
            }
        }
        sums.into_iter().map(|sum| isa.sum(sum)).sum()
    }
}

/// Multiply-adds each of which waits for the one before.
struct Chain {
    steps: usize,
}

impl SimdOp for Chain {
    type Output = f32;

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) -> f32 {
        let (a, b) = (isa.splat(black_box(0.999)), isa.splat(black_box(1e-3)));
        isa.sum((0..self.steps).fold(isa.zero(), |sum, _| isa.fma(sum, a, b)))
    }
}

struct Read<'a> {
    data: &'a [f32],
    times: usize,
}

impl SimdOp for Read<'_> {
    type Output = f32;

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) -> f32 {
        let mut sums = [isa.zero(); 8];
        for _ in 0..self.times {
            for part in black_box(self.data).chunks_exact(8 * I::LANES) {
                for (i, sum) in sums.iter_mut().enumerate() {
                    // The largest of the values: one cheap operation a load, which cannot be left out.
                    *sum = isa.max(*sum, isa.load(&part[i * I::LANES..]));
                }
            }
        }
        sums.into_iter().map(|sum| isa.largest(sum)).fold(0.0, f32::max)
    }
}

/// Runs `op` on a tier, where the machine has it.
pub(crate) fn dispatch<O: SimdOp>(tier: Tier, op: O) -> Option<O::Output> {
    match tier {
        Tier::Scalar => Scalar::get().map(|isa| isa.dispatch(op)),
        Tier::Avx2 => Avx2::get().map(|isa| isa.dispatch(op)),
        Tier::Avx512 => Avx512::get().map(|isa| isa.dispatch(op)),
    }
}

/// The turns of a measurement, counted from 0: at least `least`, and more until `time` is over.
pub fn turns(least: usize, time: Duration) -> impl Iterator<Item = usize> {
    let until = Instant::now() + time;
    (0..).take_while(move |turn| *turn < least || Instant::now() < until)
}

/// Multiply-adds of full f32 vectors on all threads of the pool at once, in GFLOP/s (two operations each): the best
/// of the stretches that fit in `time`. Zero where the machine lacks the tier.
pub fn fma_peak(tier: Tier, pool: &Pool, time: Duration) -> f64 {
    let threads = pool.threads();
    let operations = (2 * SUMS * STEPS * tier.lanes() * threads) as f64;
    let mut best = 0f64;
    for _ in turns(1, time) {
        let start = Instant::now();
        pool.run(threads, &|_| {
            black_box(dispatch(tier, Multiply { steps: STEPS }));
        });
        best = best.max(operations / start.elapsed().as_secs_f64());
    }
    if tier.available() { best / 1e9 } else { 0.0 }
}

/// Seconds from the input of a multiply-add of full f32 vectors to its result: the best of the stretches that fit in
/// `time`. Endless where the machine lacks the tier.
pub fn fma_latency(tier: Tier, time: Duration) -> f64 {
    let mut best = f64::INFINITY;
    for _ in turns(1, time).take_while(|_| tier.available()) {
        let start = Instant::now();
        black_box(dispatch(tier, Chain { steps: STEPS }));
        best = best.min(start.elapsed().as_secs_f64() / STEPS as f64);
    }
    best
}

/// Working sets in bytes that the threads of a machine together read from L1, L2, L3 and memory: half of the first two
/// levels, which are surely inside; of the third, no more than leaves the second without being other processes' as well;
/// and what is outside all of them, as far as that does not take memory that somebody else needs.
pub fn working_sets(cpu: &Cpu) -> [usize; 4] {
    let near = cpu.l2.size * cpu.cores;
    [
        cpu.l1d.size / 2 * cpu.cores,
        near / 2,
        (cpu.l3.size / 2).min((4 * near).max(16 << 20)),
        (cpu.l3.size * 4).clamp(64 << 20, 512 << 20),
    ]
}

/// Reads all of `data` once, each thread of the pool a part: the caches then hold as much of it as they can.
pub fn sweep(tier: Tier, pool: &Pool, data: &[f32]) {
    let part = data.len().div_ceil(pool.threads()).max(1);
    pool.run(data.len().div_ceil(part), &|task| {
        let mine = &data[task.index * part..data.len().min((task.index + 1) * part)];
        black_box(dispatch(tier, Read { data: mine, times: 1 }));
    });
}

/// Takes what `data` holds out of all caches, so that it is read from memory the next time.
pub fn evict(data: &[f32]) {
    for line in data.chunks(64 / size_of::<f32>()) {
        // SAFETY: the instruction is in the base set and changes no memory.
        unsafe { std::arch::x86_64::_mm_clflush(line.as_ptr().cast()) };
    }
    // SAFETY: as above. Nothing is timed before the last line has left.
    unsafe { std::arch::x86_64::_mm_mfence() };
}

/// Bytes a second, in GB/s, that all threads of the pool together read from one working set of `bytes`, each its own
/// part again and again: the best of the passes that fit in `time`.
pub fn read_rate(tier: Tier, pool: &Pool, bytes: usize, time: Duration) -> f64 {
    let mut data = tilewise_tensor::AlignedBuffer::zeroed(bytes.max(1 << 12));
    // Pages that nobody wrote to are all the same page of zeros, which never leaves the cache.
    data.as_mut_slice::<f32>().fill(1.0);
    turns(1, time).map(|_| pass_rate(tier, pool, data.as_slice())).fold(0.0, f64::max)
}

/// Bytes a second, in GB/s, of one pass in which all threads of the pool together read `data`, each its own part.
pub fn pass_rate(tier: Tier, pool: &Pool, data: &[f32]) -> f64 {
    let threads = pool.threads();
    let part = data.len() / threads;
    // Long enough for the clock, also in the first level.
    let times = ((1 << 22) / size_of_val(data).max(1)).max(1);
    let start = Instant::now();
    pool.run(threads, &|task| {
        let mine = &data[task.index * part..(task.index + 1) * part];
        black_box(dispatch(tier, Read { data: mine, times }));
    });
    (part * threads * size_of::<f32>() * times) as f64 / start.elapsed().as_secs_f64() / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_positive_on_every_tier() {
        let (pool, time) = (Pool::new(2), Duration::from_millis(2));
        for tier in Tier::ALL.into_iter().filter(|tier| tier.available()) {
            assert!(fma_peak(tier, &pool, time) > 0.1, "{tier}");
            assert!((1e-11..1e-7).contains(&fma_latency(tier, time)), "{tier}");
            assert!(read_rate(tier, &pool, 1 << 15, time) > 0.1, "{tier}");
        }
    }
}
