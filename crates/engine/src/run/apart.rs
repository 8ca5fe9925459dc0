//! Runs of sections: workers follow lanes of steps side by side.
//!
//! A worker begins with a lane of its own. Where the next step has to wait, or none is left, it takes up another lane that
//! nobody follows: so any number of workers, one alone too, comes to the end.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tilewise_kernels::{Pool, Task};

use super::memory::SharedMemory;
use crate::RunError;
use crate::plan::{Section, Step};

/// What the workers of a section share, made once for all sections of a plan.
pub(crate) struct Lanes {
    progress: Vec<Progress>,
    /// Nanoseconds of each step of a section.
    spent: Vec<AtomicU64>,
    failed: AtomicBool,
    error: Mutex<Option<RunError>>,
    /// The threads of a step: the worker that runs it.
    alone: Pool,
}

/// How many steps of a lane are done, doubled; bit 0: a worker follows it. In a cache line of its own.
#[repr(align(64))]
struct Progress(AtomicUsize);

const FOLLOWED: usize = 1;

impl Progress {
    fn done(&self) -> usize {
        self.0.load(Ordering::Acquire) / 2
    }

    /// Takes up the lane, where nobody follows it and `done` steps are done.
    fn take_up(&self, done: usize) -> bool {
        self.0.compare_exchange(2 * done, 2 * done + FOLLOWED, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Tells that `done` steps are done, and whether the worker goes on.
    fn tell(&self, done: usize, goes_on: bool) {
        self.0.store(2 * done + usize::from(goes_on), Ordering::Release);
    }
}

impl Lanes {
    /// For sections of so many lanes and steps at most.
    pub(crate) fn new<'a>(sections: impl Iterator<Item = &'a Section> + Clone) -> Self {
        let lanes = sections.clone().map(|section| section.lanes.len()).max().unwrap_or(0);
        let steps = sections.map(|section| section.steps().len()).max().unwrap_or(0);
        Lanes {
            progress: (0..lanes).map(|_| Progress(AtomicUsize::new(0))).collect(),
            spent: (0..steps).map(|_| AtomicU64::new(0)).collect(),
            failed: AtomicBool::new(false),
            error: Mutex::new(None),
            alone: Pool::new(1),
        }
    }

    /// Runs the steps of a section on the threads of a pool; with `timed`, their times are to be had from
    /// [`Lanes::shares`].
    ///
    /// # Errors
    /// The first of a step; others are not begun then.
    pub(crate) fn run(
        &mut self,
        section: &Section,
        steps: &[Step],
        (memory, pool): (SharedMemory<'_>, &Pool),
        timed: bool,
    ) -> Result<(), RunError> {
        self.progress.iter_mut().for_each(|lane| *lane.0.get_mut() = 0);
        *self.failed.get_mut() = false;
        let work = Work { section, steps, memory, lanes: self, timed };
        pool.run(section.lanes.len(), &|Task { index, .. }| work.follow_all(index));
        self.error.get_mut().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }

    /// Each step of the section that was timed last, with a part of `all` in proportion to its time on its core.
    pub(crate) fn shares(&self, section: &Section, all: Duration) -> impl Iterator<Item = (usize, Duration)> {
        let spent = self.spent[..section.steps().len()].iter().map(|spent| spent.load(Ordering::Relaxed));
        let sum = spent.clone().sum::<u64>().max(1);
        let share = move |spent: u64| all.mul_f64(spent as f64 / sum as f64);
        section.steps().zip(spent.map(share))
    }
}

struct Work<'a> {
    section: &'a Section,
    steps: &'a [Step],
    memory: SharedMemory<'a>,
    lanes: &'a Lanes,
    timed: bool,
}

impl Work<'_> {
    /// Runs steps until none is left to begin, those of one lane first.
    fn follow_all(&self, own: usize) {
        let lanes = self.section.lanes.len();
        while !self.lanes.failed.load(Ordering::Relaxed) {
            let mut rest = (own..lanes).chain(0..own).filter(|&lane| !self.is_done(lane)).peekable();
            if rest.peek().is_none() {
                return;
            }
            if !rest.any(|lane| self.follow(lane)) {
                std::hint::spin_loop();
            }
        }
    }

    fn is_done(&self, lane: usize) -> bool {
        self.lanes.progress[lane].done() == self.section.lanes[lane].len()
    }

    /// Runs the steps of a lane until one has to wait; false where nothing was done.
    fn follow(&self, lane: usize) -> bool {
        let progress = &self.lanes.progress[lane];
        let mut done = progress.done();
        let next = |done: usize| self.section.lanes[lane].get(done).copied().filter(|&step| self.is_ready(step));
        let Some(mut step) = next(done).filter(|_| progress.take_up(done)) else { return false };
        loop {
            if !self.run(step) {
                return true;
            }
            done += 1;
            let after = next(done).filter(|_| !self.lanes.failed.load(Ordering::Relaxed));
            progress.tell(done, after.is_some());
            match after {
                Some(after) => step = after,
                None => return true,
            }
        }
    }

    fn is_ready(&self, step: usize) -> bool {
        self.section.clock(step).iter().zip(&self.lanes.progress).all(|(&before, lane)| lane.done() >= before)
    }

    /// Runs a step; false where it failed, which ends the section.
    fn run(&self, step: usize) -> bool {
        /// Tells the others where a step panics, too: they would wait for it.
        struct Fails<'a>(&'a AtomicBool);
        impl Drop for Fails<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let fails = Fails(&self.lanes.failed);
        let start = self.timed.then(Instant::now);
        let one = &self.steps[step];
        // SAFETY: the steps that its clock counts are done, and of the others that may run now none writes what this
        // one names, nor touches what it writes: `plan::apart::clash` looks for such in the tests of all networks.
        let mut memory = unsafe { self.memory.of(one, &self.lanes.alone) };
        if let Err(error) = (one.run)(&mut memory) {
            self.lanes.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            return false;
        }
        if let Some(start) = start {
            let spent = start.elapsed().as_nanos() as u64;
            self.lanes.spent[step - self.section.steps().start].store(spent, Ordering::Relaxed);
        }
        std::mem::forget(fails);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::super::Memory;
    use super::super::memory::NOTHING;
    use super::*;
    use crate::plan::{BufferId, Place};

    const STEPS: usize = 6;

    /// Steps 0, 2, 4 in one lane and 1, 3, 5 in another; 3 waits for 2 and 4 for 3.
    fn section() -> Section {
        Section::of(&[(0, &[0, 0]), (1, &[0, 0]), (0, &[1, 0]), (1, &[2, 1]), (0, &[2, 2]), (1, &[2, 2])])
    }

    /// Runs the section; each step adds its threads, which is one, to what the one before in its lane has written, and
    /// writes that. Step number `fails` does what is asked.
    fn run(lanes: &mut Lanes, pool: &Pool, fails: Option<(usize, fn() -> RunError)>) -> Result<Vec<u8>, RunError> {
        let step = |number: usize| {
            let [from, to] = [number.saturating_sub(2), number].map(|at| BufferId(at as u32));
            let run = move |memory: &mut Memory<'_>| {
                if let Some((_, error)) = fails.filter(|fails| fails.0 == number) {
                    return Err(error());
                }
                let threads = memory.pool.threads() as u8;
                let before = if number < 2 { 0 } else { memory.read(from)[0] };
                let ([], [byte]) = memory.split::<u8, 0, 1>([], [to]);
                byte[0] = before + threads;
                Ok(())
            };
            let reads = if number < 2 { Vec::new() } else { vec![from] };
            Step::of(reads, vec![to], Box::new(run))
        };
        let steps: Vec<Step> = (0..STEPS).map(step).collect();
        let places: Vec<Place> = (0..STEPS).map(|at| Place::Arena(at..at + 1)).collect();
        let mut bytes = [0; STEPS];
        let mut memory = Memory::new(&places, &mut bytes, NOTHING, &mut [], pool);
        lanes.run(&section(), &steps, (memory.shared(), pool), true)?;
        Ok(bytes.to_vec())
    }

    #[test]
    fn any_number_of_workers_runs_all_steps_in_an_order_that_the_clocks_allow() {
        let mut lanes = Lanes::new([section()].iter());
        for threads in [1, 2, 3] {
            let pool = Pool::new(threads);
            for _ in 0..200 {
                assert_eq!(run(&mut lanes, &pool, None).unwrap(), [1, 1, 2, 2, 3, 3]);
            }
            let all = Duration::from_secs(6);
            let shares: Vec<(usize, Duration)> = lanes.shares(&section(), all).collect();
            let sum: f64 = shares.iter().map(|share| share.1.as_secs_f64()).sum();
            assert!(shares.iter().map(|share| share.0).eq(0..STEPS) && sum < 6.001, "{shares:?}");
        }
    }

    #[test]
    fn a_section_inside_a_task_runs_on_the_one_thread() {
        let pool = Pool::new(2);
        pool.run(2, &|_| {
            let mut lanes = Lanes::new([section()].iter());
            assert_eq!(run(&mut lanes, &pool, None).unwrap(), [1, 1, 2, 2, 3, 3]);
        });
    }

    #[test]
    fn errors_and_panics_reach_the_caller_and_the_next_run_is_as_good_as_ever() {
        let mut lanes = Lanes::new([section()].iter());
        for threads in [1, 2] {
            let pool = Pool::new(threads);
            for fails in (0..STEPS).cycle().take(60) {
                let error = run(&mut lanes, &pool, Some((fails, || RunError::Arena)));
                assert_eq!(error, Err(RunError::Arena), "{fails}");
                let run_and_panic = || run(&mut lanes, &pool, Some((fails, || panic!("step"))));
                assert!(catch_unwind(AssertUnwindSafe(run_and_panic)).is_err(), "{fails}");
                assert_eq!(run(&mut lanes, &pool, None).unwrap(), [1, 1, 2, 2, 3, 3]);
            }
        }
    }
}
