//! Convolution: the problem's kernels, one method a folder, and what a row of their table says.

mod choose;
mod depthwise;
mod direct;
mod epilogue;
mod fft;
mod first;
pub mod fused;
pub mod im2col;
mod pointwise;
mod transformed;
pub mod transposed;
mod winograd;

pub use choose::{candidates, choose, cycles};

use crate::catalog::KernelId;
use crate::{Conv2d, Ctx};

/// How a kernel wants an image batch in memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Layout {
    /// `[n][c][h][w]`
    Nchw,
    /// `[n][ceil(c / V)][h][w][V]`, with `V` the lanes of the kernel's tier. The lanes past `c` are unspecified: a
    /// kernel may write anything there and lets nothing from there reach a real lane.
    Nchwc,
}

/// Loop blocks of a convolution: values that change speed, never results.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ConvBlocks {
    /// Output rows of one task; of a Winograd or FFT kernel, its squares of outputs.
    pub rows: usize,
    /// Output channels of one task.
    pub oc: usize,
    /// Input channels that are accumulated before the next pixels are taken up.
    pub ic: usize,
}

/// What a convolution reads and writes.
pub struct ConvArgs<'a> {
    /// Input image batch, in the kernel's layout.
    pub x: &'a [f32],
    /// Weights as the kernel's `pack` wrote them.
    pub w: &'a [f32],
    /// One value an output channel, filled up to whole vectors; empty where the epilogue has none.
    pub bias: &'a [f32],
    /// An array like the output; empty where the epilogue has none.
    pub residual: &'a [f32],
    /// Output image batch, in the kernel's layout. Its old contents do not matter.
    pub y: &'a mut [f32],
}

/// One row of the table of convolution kernels.
pub struct ConvKernel {
    /// Name, tile and tier.
    pub id: KernelId,
    /// Layout of the input.
    pub x: Layout,
    /// Layout of the output and of the residual.
    pub y: Layout,
    /// True for the problems that the kernel computes.
    pub accepts: fn(&Conv2d) -> bool,
    /// Good blocks for a problem on a machine, before any measurement.
    pub blocks: fn(&Conv2d, &crate::Cpu) -> ConvBlocks,
    /// Length of the packed weights, in f32.
    pub packed_len: fn(&Conv2d) -> usize,
    /// Packs weights `[oc][ic / groups][kh][kw]`.
    pub pack: fn(&Conv2d, w: &[f32], packed: &mut [f32]),
    /// Length of the scratch for a number of threads, in f32.
    pub scratch_len: fn(&Conv2d, &ConvBlocks, threads: usize) -> usize,
    /// Computes the convolution.
    pub run: fn(&Conv2d, &ConvBlocks, ConvArgs<'_>, Ctx<'_>),
}

/// Every convolution kernel, in the order in which a choice looks at them: the more special before the more general.
pub static ROWS: &[&ConvKernel] = &[
    &depthwise::ROWS[0],
    &depthwise::ROWS[1],
    &depthwise::ROWS[2],
    &first::ROWS[0],
    &first::ROWS[1],
    &first::ROWS[2],
    &first::ROWS[3],
    &first::ROWS[4],
    &pointwise::ROWS[0],
    &pointwise::ROWS[1],
    &pointwise::ROWS[2],
    &pointwise::ROWS[3],
    &pointwise::ROWS[4],
    &pointwise::ROWS[5],
    &pointwise::ROWS[6],
    &direct::ROWS[0],
    &direct::ROWS[1],
    &direct::ROWS[2],
    &direct::ROWS[3],
    &direct::ROWS[4],
    &direct::ROWS[5],
    &direct::ROWS[6],
    &winograd::ROWS[0],
    &winograd::ROWS[1],
    &winograd::ROWS[2],
    &winograd::ROWS[3],
    &winograd::ROWS[4],
    &winograd::ROWS[5],
    &winograd::ROWS[6],
    &winograd::ROWS[7],
    &winograd::ROWS[8],
    &winograd::ROWS[9],
    &winograd::ROWS[10],
    &winograd::ROWS[11],
    &winograd::ROWS[12],
    &winograd::ROWS[13],
    &winograd::ROWS[14],
    &winograd::ROWS[15],
    &winograd::ROWS[16],
    &winograd::ROWS[17],
    &winograd::ROWS[18],
    &winograd::ROWS[19],
    &winograd::ROWS[20],
    &winograd::ROWS[21],
    &winograd::ROWS[22],
    &winograd::ROWS[23],
    &winograd::ROWS[24],
    &winograd::ROWS[25],
    &winograd::ROWS[26],
    &winograd::ROWS[27],
    &winograd::ROWS[28],
    &winograd::ROWS[29],
    &winograd::ROWS[30],
    &winograd::ROWS[31],
    &winograd::ROWS[32],
    &winograd::ROWS[33],
    &winograd::ROWS[34],
    &fft::ROWS[0],
    &fft::ROWS[1],
    &fft::ROWS[2],
    &fft::ROWS[3],
    im2col::ROWS[0],
    im2col::ROWS[1],
    im2col::ROWS[2],
    im2col::ROWS[3],
    im2col::ROWS[4],
];

#[cfg(test)]
mod tests;
