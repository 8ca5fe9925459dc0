//! The classic steps from a naive loop to a tuned kernel, each a runnable rung that is checked against the reference.
//!
//! A [`Ladder`] is a list of rungs that compute the same thing, or, where a cheaper network layer is the step, what
//! takes its place. [`Ladder::rungs`] makes them ready for a size; [`Ready::climb`] runs one, times it, and holds its
//! output against the naive twin in f64.

mod conv;
mod gemm;
mod layers;
mod nest;
pub(crate) mod operands;

use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tilewise_tensor::{AlignedBuffer, difference};

use crate::measure::turns;
use crate::{Cpu, Pool};
pub use nest::{LEVELS, Traffic};

/// The largest error, relative to the range of the output, of a rung that is right. Winograd's F(6x6) rounds to
/// 1.5e-4, plain sums of a few thousand products to 1e-5; a wrong index is off by the range itself.
pub const TOLERANCE: f64 = 2e-4;

/// A run that takes longer than this is not repeated.
const LONG: Duration = Duration::from_millis(500);

/// Sizes that make no problem of a ladder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given} is no size of the {ladder} ladder: {reason}; expected {expected}")]
pub struct SizeError {
    given: String,
    ladder: &'static str,
    reason: String,
    expected: &'static str,
}

/// What is computed, for any sizes.
struct Computation<P> {
    /// Multiply-adds of the definition.
    macs: fn(&P) -> u64,
    /// The naive twin's output.
    reference: fn(&P) -> Vec<f32>,
}

/// One step of a ladder.
struct Rung<P: 'static> {
    name: &'static str,
    /// What changed from the rung before, in one sentence.
    change: &'static str,
    of: &'static Computation<P>,
    /// What it moves by count; `None` where no loop nest describes it, or no kernel takes the problem.
    traffic: fn(&P, &Cpu) -> Option<Traffic>,
    /// Operands and code; `None` where no kernel takes the problem.
    build: fn(&P, &Cpu) -> Option<Built>,
}

/// Fills the output.
type Run = Box<dyn FnMut(&mut [f32], &Pool)>;

/// Brings an output into the order of the reference.
type Plain = Box<dyn Fn(&[f32]) -> Vec<f32>>;

/// A rung on a machine, timed and checked.
type Climb = Box<dyn Fn(&Setting<'_>) -> Option<Climbed>>;

/// A rung with its operands.
struct Built {
    /// The output, as the rung leaves it.
    y: AlignedBuffer,
    run: Run,
    /// The output in the order of the reference.
    plain: Plain,
}

impl Built {
    /// A rung whose output of `len` numbers is already in the reference's order.
    fn new(len: usize, run: impl FnMut(&mut [f32], &Pool) + 'static) -> Self {
        Built { y: operands::zeros(len), run: Box::new(run), plain: Box::new(<[f32]>::to_vec) }
    }
}

/// A list of rungs by name.
pub struct Ladder {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// How its sizes are written.
    pub sizes: &'static str,
    /// The sizes where none are given.
    pub default: &'static [usize],
    ready: fn(&[usize]) -> Result<Vec<Ready>, String>,
}

/// Every ladder, in the order of the lecture.
pub static LADDERS: &[Ladder] = &[
    Ladder {
        name: "gemm",
        about: "matrix multiplication from three loops to a packed register tile",
        sizes: "N or MxNxK",
        default: &[512],
        ready: |sizes| ready(gemm::RUNGS, gemm::product(sizes)?),
    },
    Ladder {
        name: "conv",
        about: "convolution by loops, by columns, by blocks, and by transforms",
        sizes: "CHANNELSxPIXELSxKERNEL[xSTRIDE]",
        default: &[64, 56, 3, 1],
        ready: |sizes| ready(conv::RUNGS, conv::problem(sizes)?),
    },
    Ladder {
        name: "depthwise",
        about: "a dense convolution against a depthwise separable one",
        sizes: "CHANNELSxPIXELSxKERNEL[xSTRIDE]",
        default: &[64, 112, 3, 1],
        ready: |sizes| ready(layers::SEPARABLE, conv::problem(sizes)?),
    },
    Ladder {
        name: "batch-norm",
        about: "batch norm behind a convolution, and folded into it",
        sizes: "CHANNELSxPIXELSxKERNEL[xSTRIDE]",
        default: &[64, 112, 1, 1],
        ready: |sizes| ready(layers::BATCH_NORM, conv::problem(sizes)?),
    },
    Ladder {
        name: "fusion",
        about: "bias, sum and ReLU as layers of their own, and fused into the convolution",
        sizes: "CHANNELSxPIXELSxKERNEL[xSTRIDE]",
        default: &[64, 112, 1, 1],
        ready: |sizes| ready(layers::FUSION, conv::problem(sizes)?),
    },
];

impl Ladder {
    /// The rungs for sizes, in order; nothing is computed yet.
    ///
    /// # Errors
    /// [`SizeError`] for sizes that make no problem.
    pub fn rungs(&self, sizes: &[usize]) -> Result<Vec<Ready>, SizeError> {
        (self.ready)(sizes).map_err(|reason| SizeError {
            given: sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("x"),
            ladder: self.name,
            reason,
            expected: self.sizes,
        })
    }
}

/// Where rungs run.
pub struct Setting<'a> {
    /// The machine; its cores are the threads of the pool.
    pub cpu: &'a Cpu,
    /// The threads of the rungs that have several.
    pub pool: &'a Pool,
    /// How long a rung is repeated; its fastest run counts. One run is enough where it takes over half a second.
    pub time: Duration,
}

/// A rung that was climbed.
#[derive(Clone, Copy, Debug)]
pub struct Climbed {
    /// The fastest run.
    pub seconds: f64,
    /// Runs that were timed.
    pub runs: usize,
    /// Largest error over the largest magnitude of the reference.
    pub error: f64,
    /// What it moves by count, where its loops are known.
    pub traffic: Option<Traffic>,
}

impl Climbed {
    /// True where the output is the reference's within [`TOLERANCE`].
    pub fn is_right(&self) -> bool {
        self.error <= TOLERANCE
    }
}

/// A rung for sizes.
pub struct Ready {
    /// Its name.
    pub name: &'static str,
    /// What changed from the rung before, in one sentence.
    pub change: &'static str,
    /// The problem as text.
    pub problem: String,
    /// Multiply-adds of what is computed, by its definition: a method that needs fewer shows a higher rate.
    pub macs: u64,
    climb: Climb,
}

impl Ready {
    /// Runs it; `None` where the machine's instruction set has no kernel for the problem.
    pub fn climb(&self, setting: &Setting<'_>) -> Option<Climbed> {
        (self.climb)(setting)
    }
}

/// Rungs made ready; those that compute the same share its reference.
fn ready<P: Copy + fmt::Display + 'static>(rungs: &'static [Rung<P>], p: P) -> Result<Vec<Ready>, String> {
    type Reference = Rc<OnceCell<Vec<f32>>>;
    let mut references: Vec<(*const Computation<P>, Reference)> = Vec::new();
    let mut reference = |of: &'static Computation<P>| {
        if let Some((_, known)) = references.iter().find(|(other, _)| std::ptr::eq(*other, of)) {
            return Rc::clone(known);
        }
        let new = Reference::default();
        references.push((of, Rc::clone(&new)));
        new
    };
    let one = |rung: &'static Rung<P>| {
        let expected = reference(rung.of);
        let climb =
            move |setting: &Setting<'_>| climb(rung, &p, expected.get_or_init(|| (rung.of.reference)(&p)), setting);
        let macs = (rung.of.macs)(&p);
        Ready { name: rung.name, change: rung.change, problem: p.to_string(), macs, climb: Box::new(climb) }
    };
    Ok(rungs.iter().map(one).collect())
}

fn climb<P>(rung: &Rung<P>, p: &P, expected: &[f32], setting: &Setting<'_>) -> Option<Climbed> {
    let Built { mut y, mut run, plain } = (rung.build)(p, setting.cpu)?;
    let y = y.as_mut_slice();
    // What a rung leaves out must not pass for what it computed.
    y.fill(f32::NAN);
    let mut once = |y: &mut [f32]| {
        let start = Instant::now();
        run(y, setting.pool);
        start.elapsed()
    };
    let (mut best, mut runs) = (once(y), 1);
    let error = difference(&plain(y), expected, 0.0, 0.0).max_rel;
    if best < LONG {
        for _ in turns(0, setting.time) {
            best = best.min(once(y));
            runs += 1;
        }
    }
    Some(Climbed { seconds: best.as_secs_f64(), runs, error, traffic: (rung.traffic)(p, setting.cpu) })
}

#[cfg(test)]
mod tests;
