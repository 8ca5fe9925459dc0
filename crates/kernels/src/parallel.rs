//! The thread pool: one fork-join a step, dispatched within a few microseconds.
//!
//! Workers wait for work by spinning for a moment and then park, so that an idle process uses no CPU. Each worker has its
//! own range of the tasks, the same part in each loop, so that it finds much of what it wrote in one step near when it reads
//! it in the next; who is done claims from the ranges of others. Since a task's result does not depend on who runs
//! it, neither does the run's.

use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

/// How long a worker spins before it parks. Longer than any gap between two steps of one run, and short enough that
/// an idle process is at rest at once.
const SPIN: Duration = Duration::from_micros(200);

/// What a kernel is handed beside its operands.
pub struct Ctx<'a> {
    /// Where to run tasks.
    pub pool: &'a Pool,
    /// Scratch of the length that the kernel asked for, contents arbitrary, 64-byte aligned.
    pub scratch: &'a mut [f32],
}

impl Ctx<'_> {
    /// Runs tasks on all threads of the pool, each with `len` values of the scratch that it has for itself.
    pub(crate) fn run(self, tasks: usize, len: usize, task: &(dyn Fn(usize, &mut [f32]) + Sync)) {
        let scratch = Shards::new(self.scratch);
        self.pool.run(tasks, &|Task { index, worker }| {
            // SAFETY: a worker runs one task at a time, and the ranges of workers do not overlap.
            task(index, unsafe { scratch.range(worker * len..(worker + 1) * len) });
        });
    }
}

/// One piece of a parallel loop.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// Which piece, from 0 to the number of tasks.
    pub index: usize,
    /// Who runs it, from 0 to the number of threads: picks the part of the scratch.
    pub worker: usize,
}

type Job = *const (dyn Fn(Task) + Sync);

/// Bit 0 of `state`: the job may be joined. Bits 1 to 15: workers inside. Above: the job's number.
const OPEN: u64 = 1;
const WORKER: u64 = 1 << 1;
const INSIDE: u64 = (EPOCH - 1) & !OPEN;
const EPOCH: u64 = 1 << 16;

struct Shared {
    state: AtomicU64,
    job: UnsafeCell<Option<Job>>,
    tasks: AtomicUsize,
    ranges: Vec<Claims>,
    panic: Mutex<Option<Box<dyn std::any::Any + Send>>>,
    stop: AtomicBool,
    parked: Vec<AtomicBool>,
}

// SAFETY: `job` is written only by the one dispatching thread (it holds `Pool::dispatch`) while no worker is inside,
// and read only by workers that joined through `state`; the closure behind it is `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointer is dereferenced only while the dispatching call keeps the closure alive.
unsafe impl Send for Shared {}

/// The claims of the tasks that are a worker's before all others': the number of the loop in the upper half, which
/// makes those of earlier loops void, and how many were claimed in the lower. In a cache line of its own.
#[repr(align(64))]
struct Claims(AtomicU64);

impl Claims {
    /// Claims the next of `len` tasks of loop `epoch`.
    fn next(&self, epoch: u32, len: usize) -> Option<usize> {
        let claimed = |state: u64| if (state >> 32) as u32 == epoch { state as u32 as usize } else { 0 };
        let claim = |state: u64| {
            let next = claimed(state);
            (next < len).then(|| u64::from(epoch) << 32 | (next + 1) as u64)
        };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim).ok().map(claimed)
    }
}

/// A pool of worker threads that run parallel loops together with the calling thread.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<Thread>,
    handles: Vec<JoinHandle<()>>,
    dispatch: Mutex<()>,
}

impl Pool {
    /// A pool of `threads` threads in all, the caller of [`Pool::run`] among them (at least 1).
    pub fn new(threads: usize) -> Self {
        let extra = threads.clamp(1, 1 << 14) - 1;
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            job: UnsafeCell::new(None),
            tasks: AtomicUsize::new(0),
            ranges: (0..=extra).map(|_| Claims(AtomicU64::new(0))).collect(),
            panic: Mutex::new(None),
            stop: AtomicBool::new(false),
            parked: (0..extra).map(|_| AtomicBool::new(false)).collect(),
        });
        // A machine that refuses a thread gets a smaller pool: results do not depend on the number.
        let handles: Vec<JoinHandle<()>> = (0..extra)
            .map_while(|id| {
                let shared = Arc::clone(&shared);
                let name = format!("tilewise-{}", id + 1);
                std::thread::Builder::new().name(name).spawn(move || shared.work(id)).ok()
            })
            .collect();
        let workers = handles.iter().map(|h| h.thread().clone()).collect();
        Pool { shared, workers, handles, dispatch: Mutex::new(()) }
    }

    /// How many threads run tasks, the caller among them.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `f` for each task from 0 to `tasks`, and returns when all are done.
    ///
    /// While another call (from another thread, or an outer task) holds the workers, the tasks run on the calling
    /// thread alone, as worker 0.
    ///
    /// # Panics
    /// With the panic of a task.
    pub fn run(&self, tasks: usize, f: &(dyn Fn(Task) + Sync)) {
        let alone = |f: &(dyn Fn(Task) + Sync)| (0..tasks).for_each(|index| f(Task { index, worker: 0 }));
        if self.workers.is_empty() || tasks < 2 {
            return alone(f);
        }
        let _held = match self.dispatch.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return alone(f),
        };
        self.open(tasks, f);
        let epoch = self.shared.state.load(Ordering::Relaxed) / EPOCH;
        let mine = catch_unwind(AssertUnwindSafe(|| self.shared.claim(0, epoch, f)));
        // Nobody may join any more, and `f` must not be left before the last worker is out.
        self.shared.state.fetch_and(!OPEN, Ordering::SeqCst);
        while self.shared.state.load(Ordering::Acquire) & INSIDE != 0 {
            std::hint::spin_loop();
        }
        let theirs = self.shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(payload) = mine.err().or(theirs) {
            resume_unwind(payload);
        }
    }

    /// As [`Pool::run`], where each task writes a part of each of some slices: these are cut into as many equal parts as there
    /// are tasks, what is left over at their ends aside.
    ///
    /// # Panics
    /// With the panic of a task.
    pub fn run_parts<T: Send, const W: usize>(
        &self,
        tasks: usize,
        slices: [&mut [T]; W],
        f: &(dyn Fn(Task, [&mut [T]; W]) + Sync),
    ) {
        let slices = slices.map(Shards::new);
        self.run(tasks, &|task| {
            let part = |slice: &Shards<'_, T>| slice.len() / tasks * task.index..slice.len() / tasks * (task.index + 1);
            // SAFETY: every task has a number of its own, and the parts of two numbers do not overlap.
            f(task, std::array::from_fn(|i| unsafe { slices[i].range(part(&slices[i])) }));
        });
    }

    fn open(&self, tasks: usize, f: &(dyn Fn(Task) + Sync)) {
        let shared = &*self.shared;
        // SAFETY: only the lifetime is erased; `run` returns only after the last worker that read the pointer left.
        let job: Job = unsafe { std::mem::transmute::<*const (dyn Fn(Task) + Sync + '_), Job>(f) };
        // SAFETY: the job before this one is closed and has no worker inside, so nobody reads the cell.
        unsafe { *shared.job.get() = Some(job) };
        shared.tasks.store(tasks, Ordering::Relaxed);
        let number = shared.state.load(Ordering::Relaxed) / EPOCH;
        shared.state.store(number.wrapping_add(1).wrapping_mul(EPOCH) | OPEN, Ordering::SeqCst);
        // Pairs with the worker's store of `parked` and load of `state`: one of the two sides sees the other.
        let helpers = tasks - 1;
        for (thread, parked) in self.workers.iter().zip(&shared.parked).take(helpers) {
            if parked.swap(false, Ordering::SeqCst) {
                thread.unpark();
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for handle in self.handles.drain(..) {
            handle.thread().unpark();
            // A worker catches the panics of its tasks; there is nothing to report.
            let _ended = handle.join();
        }
    }
}

impl Shared {
    /// Runs tasks of a loop until none is left: those of the worker, then those of the workers behind it.
    fn claim(&self, worker: usize, epoch: u64, f: &(dyn Fn(Task) + Sync)) {
        let (tasks, workers) = (self.tasks.load(Ordering::Relaxed), self.ranges.len());
        for owner in (worker..workers).chain(0..worker) {
            let [start, end] = [owner, owner + 1].map(|part| part * tasks / workers);
            while let Some(claimed) = self.ranges[owner].next(epoch as u32, end - start) {
                f(Task { index: start + claimed, worker });
            }
        }
    }

    /// Leaves no task of a loop to be claimed.
    fn abandon(&self, epoch: u64) {
        let all = u64::from(epoch as u32) << 32 | u64::from(u32::MAX);
        self.ranges.iter().for_each(|range| range.0.store(all, Ordering::Relaxed));
    }

    fn work(&self, id: usize) {
        let mut seen = 0;
        loop {
            let Some(epoch) = self.wait(id, seen) else { return };
            seen = epoch;
            // SAFETY: this worker is counted in `state`, so the dispatching call keeps cell and closure in place.
            let job = unsafe { (*self.job.get()).map(|job| &*job) };
            if let Some(f) = job
                && let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.claim(id + 1, epoch, f)))
            {
                // The rest of the loop is not worth doing.
                self.abandon(epoch);
                *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(payload);
            }
            self.state.fetch_sub(WORKER, Ordering::Release);
        }
    }

    /// Waits for a job newer than `seen` and joins it; `None` when the pool ends.
    fn wait(&self, id: usize, seen: u64) -> Option<u64> {
        let mut until = Instant::now() + SPIN;
        loop {
            for _ in 0..64 {
                if let Some(epoch) = self.join(seen) {
                    return Some(epoch);
                }
                std::hint::spin_loop();
            }
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            if Instant::now() < until {
                continue;
            }
            self.parked[id].store(true, Ordering::SeqCst);
            let fresh = self.state.load(Ordering::SeqCst);
            let news = fresh & OPEN != 0 && fresh / EPOCH != seen;
            if !news && !self.stop.load(Ordering::SeqCst) {
                std::thread::park();
            }
            self.parked[id].store(false, Ordering::SeqCst);
            until = Instant::now() + SPIN;
        }
    }

    fn join(&self, seen: u64) -> Option<u64> {
        let state = self.state.load(Ordering::Acquire);
        if state & OPEN == 0 || state / EPOCH == seen {
            return None;
        }
        self.state
            .compare_exchange_weak(state, state + WORKER, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
            .then_some(state / EPOCH)
    }
}

/// A mutable slice that the tasks of one loop write disjoint ranges of.
pub struct Shards<'a, T> {
    start: *mut T,
    len: usize,
    owner: PhantomData<&'a mut [T]>,
}

// SAFETY: the slice is reached only through `range`, whose caller promises disjoint ranges.
unsafe impl<T: Send> Sync for Shards<'_, T> {}

impl<'a, T> Shards<'a, T> {
    /// Takes the slice for the time of a loop.
    pub fn new(slice: &'a mut [T]) -> Self {
        Shards { start: slice.as_mut_ptr(), len: slice.len(), owner: PhantomData }
    }

    /// The length of the slice.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is no element.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A part of the slice, to be written.
    ///
    /// # Safety
    /// No two ranges that are alive at the same time overlap.
    ///
    /// # Panics
    /// When the range does not lie inside the slice.
    #[expect(clippy::mut_from_ref, reason = "disjointness is the caller's promise")]
    #[inline(always)]
    pub unsafe fn range(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: inside the slice as just checked, and no other live range overlaps, as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_on_any_number_of_threads() {
        for threads in [1, 2, 3, 8] {
            let pool = Pool::new(threads);
            for tasks in [0, 1, 2, 7, 1000] {
                let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                for _ in 0..20 {
                    pool.run(tasks, &|task| {
                        assert!(task.worker < threads);
                        counts[task.index].fetch_add(1, Ordering::Relaxed);
                    });
                }
                assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 20), "{threads} threads, {tasks} tasks");
            }
        }
    }

    #[test]
    fn every_task_has_its_part_of_each_slice() {
        for threads in [1, 3] {
            let (mut a, mut b) = ([0; 10], [0; 5]);
            Pool::new(threads).run_parts(5, [&mut a, &mut b], &|task, parts| {
                parts.into_iter().flatten().for_each(|value| *value += task.index + 1);
            });
            assert_eq!((a, b), ([1, 1, 2, 2, 3, 3, 4, 4, 5, 5], [1, 2, 3, 4, 5]));
        }
    }

    #[test]
    fn parked_workers_wake_and_nested_loops_run_alone() {
        let pool = Pool::new(2);
        for _ in 0..5 {
            std::thread::sleep(SPIN * 5);
            let sum = AtomicUsize::new(0);
            pool.run(4, &|outer| {
                pool.run(3, &|inner| {
                    assert_eq!(inner.worker, 0);
                    sum.fetch_add(outer.index * 3 + inner.index, Ordering::Relaxed);
                });
            });
            assert_eq!(sum.into_inner(), (0..12).sum());
        }
    }

    #[test]
    fn an_idle_pool_parks_all_workers() {
        let pool = Pool::new(3);
        pool.run(3, &|_| ());
        // Far longer than the spin; a loaded machine may need more than one look.
        let parked = || pool.shared.parked.iter().all(|parked| parked.load(Ordering::SeqCst));
        assert!((0..100).any(|_| {
            std::thread::sleep(SPIN * 10);
            parked()
        }));
    }

    #[test]
    fn callers_on_other_threads_do_not_wait() {
        let pool = Pool::new(2);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let sum = AtomicUsize::new(0);
                        pool.run(10, &|task| {
                            sum.fetch_add(task.index, Ordering::Relaxed);
                        });
                        assert_eq!(sum.into_inner(), 45);
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_in_a_task_reaches_the_caller_and_the_pool_lives_on() {
        let pool = Pool::new(2);
        for _ in 0..10 {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                pool.run(8, &|task| assert!(task.index != 5, "task five"));
            }));
            assert!(caught.is_err());
            let count = AtomicUsize::new(0);
            pool.run(8, &|_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(count.into_inner(), 8);
        }
    }
}
