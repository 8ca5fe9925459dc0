//! Schedules: how each layer runs, as plain values with a text form.
//!
//! Choosing is a pure function of graph and machine. A schedule holds only values: to drop it, or to change it,
//! changes speed, never results beyond rounding.

pub(crate) mod loops;
mod text;

use std::collections::BTreeMap;

use tilewise_kernels::conv::fused::FusedKernel;
use tilewise_kernels::conv::{ConvBlocks, ConvKernel};
use tilewise_kernels::gemm::{GemmBlocks, GemmKernel};

pub use text::ScheduleError;

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
    /// The kernel's name.
    pub fn kernel(&self) -> &'static str {
        match self {
            Choice::Conv(kernel, _) => kernel.id.name,
            Choice::Fused(kernel, _) => kernel.id.name,
            Choice::Gemm(kernel, _) => kernel.id.name,
        }
    }
}

/// How the layers of a network run, by the name of the layer.
#[derive(Clone, Default)]
pub struct Schedule {
    layers: BTreeMap<String, Choice>,
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

    /// The layers and their choices, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Choice)> {
        self.layers.iter().map(|(layer, choice)| (layer.as_str(), choice))
    }
}
