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

pub use choose::{bands, candidates, choose, cycles, squares};
pub use direct::{ConvStage, ORDERS};
pub use first::Bands;
pub use transformed::Squares;

use crate::catalog::KernelId;
use crate::nest::{Nest, Order};
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
    /// Output rows of one task, rounded up to whole bands of the kernel; of a kernel that goes by way of squares of
    /// outputs, so many of these.
    pub rows: usize,
    /// Output channels of one task.
    pub oc: usize,
    /// Input channels that are accumulated before the next pixels are taken up.
    pub ic: usize,
    /// The loops over them, of a kernel that has a [`ConvKernel::nest`].
    pub order: Order<ConvStage>,
}

impl ConvBlocks {
    /// The same for `rows` output rows: strips no higher, and as many for each of `cores`.
    #[must_use]
    pub fn for_rows(self, rows: usize, cores: usize) -> Self {
        let strips = rows.div_ceil(self.rows.max(1)).next_multiple_of(cores.max(1));
        ConvBlocks { rows: self.rows.min(rows.div_ceil(strips)), ..self }
    }
}

/// Pixels from one plane of an image batch to the next, where the rows of a problem are a part of larger images. What
/// a convolution reads and writes begins with the first of its rows in the first plane, and may end with its last row in
/// the last plane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Planes {
    /// In the input.
    pub x: usize,
    /// In the output and the residual.
    pub y: usize,
}

impl Planes {
    /// Those of images that have just the rows of the problem.
    pub fn of(p: &Conv2d) -> Self {
        Planes { x: p.ih * p.iw, y: p.oh() * p.ow() }
    }

    /// Pixels of the input from the first of `planes` planes to the end of the last row.
    pub(crate) fn x_len(self, p: &Conv2d, planes: usize) -> usize {
        planes.checked_sub(1).map_or(0, |before| before * self.x + p.ih * p.iw)
    }

    /// The same of the output.
    pub(crate) fn y_len(self, p: &Conv2d, planes: usize) -> usize {
        planes.checked_sub(1).map_or(0, |before| before * self.y + p.oh() * p.ow())
    }
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
    /// Output rows that it computes together: tasks and parts of an image begin at multiples.
    pub band: usize,
    /// True for the problems that the kernel computes.
    pub accepts: fn(&Conv2d) -> bool,
    /// Good blocks for a problem on a machine, before any measurement.
    pub blocks: fn(&Conv2d, &crate::Cpu) -> ConvBlocks,
    /// Length of the packed weights, in f32.
    pub packed_len: fn(&Conv2d) -> usize,
    /// Packs weights `[oc][ic / groups][kh][kw]`.
    pub pack: fn(&Conv2d, w: &[f32], packed: &mut [f32]),
    /// The loops that run each image and group; `None` where their order is the kernel's own.
    pub nest: Option<fn(&Conv2d, &ConvBlocks) -> Nest<ConvStage>>,
    /// Length of the scratch for a number of threads, in f32.
    pub scratch_len: fn(&Conv2d, &ConvBlocks, threads: usize) -> usize,
    /// Computes the convolution.
    pub run: fn(&Conv2d, &ConvBlocks, ConvArgs<'_>, Ctx<'_>),
    /// Computes it where input and output are some rows of larger images, from a multiple of `band` on and up to a
    /// multiple or the last; `None` for a kernel that takes none.
    pub run_part: Option<RunPart>,
}

/// Computes a convolution between planes that may hold more rows than it has.
pub type RunPart = fn(&Conv2d, &ConvBlocks, Planes, ConvArgs<'_>, Ctx<'_>);

/// The methods, in the order in which a choice looks at them: the more special before the more general.
const METHODS: [&[ConvKernel]; 7] =
    [&depthwise::ROWS, &first::ROWS, &pointwise::ROWS, &direct::ROWS, &winograd::ROWS, &fft::ROWS, &im2col::ROWS];

/// Every convolution kernel, method by method.
pub static ROWS: &[&ConvKernel] = &{
    const COUNT: usize = {
        let (mut count, mut method) = (0, 0);
        while method < METHODS.len() {
            count += METHODS[method].len();
            method += 1;
        }
        count
    };
    let mut rows = [&METHODS[0][0]; COUNT];
    let (mut method, mut from) = (0, 0);
    let mut to = 0;
    while to < COUNT {
        if from == METHODS[method].len() {
            (method, from) = (method + 1, 0);
        }
        rows[to] = &METHODS[method][from];
        (from, to) = (from + 1, to + 1);
    }
    rows
};

#[cfg(test)]
mod tests;
