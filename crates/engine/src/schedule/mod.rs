//! Schedules: how each layer runs, as plain values with a text form.
//!
//! Choosing is a pure function of graph and machine. A schedule holds only values: to drop it, or to change it,
//! changes speed, never results beyond rounding.
//!
//! `space` says what can be chosen, `cost` predicts how long each choice takes, `measure` runs it, `search` picks, and
//! `store` keeps what was measured. Only `measure` looks at the clock.

mod cost;
mod group;
mod loops;
mod measure;
mod problem;
mod reuse;
mod search;
mod space;
mod store;
mod text;

use std::collections::BTreeMap;
use std::ops::Range;

use tilewise_kernels::Cpu;
use tilewise_kernels::conv::fused::FusedKernel;
use tilewise_kernels::conv::{ConvBlocks, ConvKernel, Layout};
use tilewise_kernels::gemm::{GemmBlocks, GemmKernel};

pub use cost::{Bound, Machine, Predicted, predict, predict_fixed};
pub use group::Group;
pub use measure::{Bench, Constants, machine, run_timed};
pub use problem::{Problem, Question};
pub use search::{Budget, Changed, Measure, Tuned, recall, search};
pub use space::{candidates, default, fits};
pub use store::{Record, Store};
pub use text::{ChoiceError, ScheduleError};

/// How one layer runs.
#[derive(Clone, Copy)]
pub enum Choice {
    /// A convolution.
    Conv(&'static ConvKernel, ConvBlocks),
    /// A depthwise convolution fused with the pointwise one whose layer it is.
    Fused(&'static FusedKernel, ConvBlocks),
    /// A matrix product.
    Gemm(&'static GemmKernel, GemmBlocks),
}

impl Choice {
    /// The layouts of the images that it reads and writes, where it has the choice.
    pub(crate) fn layouts(&self) -> Option<[Layout; 2]> {
        match self {
            Choice::Conv(kernel, _) => Some([kernel.x, kernel.y]),
            Choice::Fused(..) | Choice::Gemm(..) => None,
        }
    }

    /// The kernel's name.
    pub fn kernel(&self) -> &'static str {
        match self {
            Choice::Conv(kernel, _) => kernel.id.name,
            Choice::Fused(kernel, _) => kernel.id.name,
            Choice::Gemm(kernel, _) => kernel.id.name,
        }
    }
}

/// The same kernel with the same blocks in the same order.
impl PartialEq for Choice {
    fn eq(&self, other: &Self) -> bool {
        self.kernel() == other.kernel()
            && match (self, other) {
                (Choice::Conv(_, a), Choice::Conv(_, b)) | (Choice::Fused(_, a), Choice::Fused(_, b)) => a == b,
                (Choice::Gemm(_, a), Choice::Gemm(_, b)) => a == b,
                (Choice::Conv(..) | Choice::Fused(..) | Choice::Gemm(..), _) => false,
            }
    }
}

impl std::fmt::Debug for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// What a layer computes and how.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Decision {
    /// What.
    pub problem: Problem,
    /// How.
    pub choice: Choice,
}

impl Decision {
    /// The same for some of the output rows, with blocks for so many cores.
    pub(crate) fn rows(&self, rows: Range<usize>, cores: usize) -> Decision {
        let height = rows.len();
        let (problem, choice) = match (self.problem, self.choice) {
            (Problem::Conv(p), Choice::Conv(kernel, blocks)) => {
                (Problem::Conv(p.rows(rows).0), Choice::Conv(kernel, blocks.for_rows(height, cores)))
            }
            (Problem::Pair(p), Choice::Fused(kernel, blocks)) => {
                (Problem::Pair(p.rows(rows).0), Choice::Fused(kernel, blocks.for_rows(height, cores)))
            }
            whole => whole,
        };
        Decision { problem, choice }
    }

    /// The choice as loops on a machine, to be read.
    pub fn loops(&self, cpu: &Cpu) -> String {
        loops::loops(self, cpu)
    }
}

/// An entry of a schedule that a network cannot follow.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("layer '{layer}' cannot run as '{choice}': {reason}")]
pub struct Misfit {
    /// The layer that the entry names.
    pub layer: String,
    /// How it was to run.
    pub choice: String,
    /// Why it does not.
    pub reason: String,
}

/// How the layers of a network run, by the name of the layer.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Schedule {
    layers: BTreeMap<String, Choice>,
    groups: BTreeMap<String, Group>,
    /// Entries of a text whose order of loops is none.
    refused: Vec<Misfit>,
}

impl Schedule {
    /// The choice for a layer, where there is one.
    pub fn get(&self, layer: &str) -> Option<&Choice> {
        self.layers.get(layer)
    }

    /// Sets the choice for a layer.
    pub fn set(&mut self, layer: &str, choice: Choice) {
        self.layers.insert(layer.to_owned(), choice);
    }

    /// How a layer stands with its neighbours, where that is said.
    pub fn group(&self, layer: &str) -> Option<Group> {
        self.groups.get(layer).copied()
    }

    /// Says how a layer stands with its neighbours.
    pub fn set_group(&mut self, layer: &str, group: Group) {
        self.groups.insert(layer.to_owned(), group);
    }

    /// Sets the choices and groups of another schedule.
    pub fn extend(&mut self, other: &Schedule) {
        self.layers.extend(other.iter().map(|(layer, choice)| (layer.to_owned(), *choice)));
        self.groups.extend(other.groups().map(|(layer, group)| (layer.to_owned(), *group)));
    }

    /// Leaves a layer to the kernels' own choosers.
    pub fn unset(&mut self, layer: &str) {
        self.layers.remove(layer);
    }

    /// True where no layer is named.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty() && self.groups.is_empty() && self.refused.is_empty()
    }

    /// The entries of the layers that `first` is true for, and the others.
    pub(crate) fn split(&self, first: impl Fn(&str) -> bool) -> [Schedule; 2] {
        let mut parts = [Schedule::default(), Schedule { refused: self.refused.clone(), ..Schedule::default() }];
        self.iter().for_each(|(layer, choice)| parts[usize::from(!first(layer))].set(layer, *choice));
        self.groups().for_each(|(layer, group)| parts[usize::from(!first(layer))].set_group(layer, *group));
        parts
    }

    /// Entries that no network can follow.
    pub(crate) fn refused(&self) -> &[Misfit] {
        &self.refused
    }

    /// The layers and their choices, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Choice)> {
        self.layers.iter().map(|(layer, choice)| (layer.as_str(), choice))
    }

    /// The layers of which it is said how they stand with their neighbours, sorted by name.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&str, &Group)> {
        self.groups.iter().map(|(layer, group)| (layer.as_str(), group))
    }
}
