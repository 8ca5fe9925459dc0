//! The engine's kernels on a problem, with everything around them made ready.

use tilewise_tensor::AlignedBuffer;

use crate::conv::{ConvArgs, ConvBlocks, ConvKernel, Layout};
use crate::ladder::operands::{aligned, zeros};
use crate::movement::{Reorder, choose_reorder};
use crate::{Conv2d, Cpu, Ctx, Pool, Tier};

/// A layout of an image batch `[n][c][pixels]`.
#[derive(Clone, Copy)]
pub(in crate::ladder) struct Image {
    pub(in crate::ladder) shape: Reorder,
    pub(in crate::ladder) layout: Layout,
    pub(in crate::ladder) tier: Tier,
}

impl Image {
    /// Length in f32, unused lanes among them.
    pub(in crate::ladder) fn len(&self) -> usize {
        match self.layout {
            Layout::Nchw => self.shape.n * self.shape.c * self.shape.pixels,
            Layout::Nchwc => self.shape.blocked_len(self.tier.lanes()),
        }
    }

    /// A planar batch in this layout.
    pub(in crate::ladder) fn of(&self, planar: &[f32]) -> AlignedBuffer {
        if self.layout == Layout::Nchw {
            return aligned(planar);
        }
        let mut blocked = zeros(self.len());
        let ctx = Ctx { pool: &Pool::new(1), scratch: &mut [] };
        (choose_reorder(self.tier).to_blocked)(&self.shape, planar, blocked.as_mut_slice(), ctx);
        blocked
    }

    /// A batch in this layout as planes.
    pub(in crate::ladder) fn plain(&self, values: &[f32]) -> Vec<f32> {
        if self.layout == Layout::Nchw {
            return values.to_vec();
        }
        let mut planar = vec![0.0; self.shape.n * self.shape.c * self.shape.pixels];
        let ctx = Ctx { pool: &Pool::new(1), scratch: &mut [] };
        (choose_reorder(self.tier).to_planar)(&self.shape, values, &mut planar, ctx);
        planar
    }
}

/// A kernel with packed weights, a bias of whole vectors, a residual in its layout, and scratch.
pub(in crate::ladder) struct Prepared {
    pub(in crate::ladder) p: Conv2d,
    row: &'static ConvKernel,
    blocks: ConvBlocks,
    w: AlignedBuffer,
    bias: AlignedBuffer,
    residual: AlignedBuffer,
    scratch: AlignedBuffer,
}

impl Prepared {
    /// `bias` and `residual` are as the reference takes them: empty where the epilogue has none.
    pub(in crate::ladder) fn new(
        p: &Conv2d,
        row: &'static ConvKernel,
        cpu: &Cpu,
        w: &[f32],
        bias: &[f32],
        residual: &[f32],
    ) -> Self {
        let blocks = (row.blocks)(p, cpu);
        let mut packed = zeros((row.packed_len)(p));
        (row.pack)(p, w, packed.as_mut_slice());
        let scratch = zeros((row.scratch_len)(p, &blocks, cpu.cores));
        let no_residual = zeros(0);
        let mut made = Prepared {
            p: *p,
            row,
            blocks,
            w: packed,
            bias: padded(bias, row.id.tier.lanes()),
            residual: no_residual,
            scratch,
        };
        if p.epilogue.residual {
            made.residual = made.output().of(residual);
        }
        made
    }

    /// The layout of the output.
    pub(in crate::ladder) fn output(&self) -> Image {
        let p = &self.p;
        let shape = Reorder { n: p.n, c: p.oc, pixels: p.oh() * p.ow() };
        Image { shape, layout: self.row.y, tier: self.row.id.tier }
    }

    /// A planar image batch in the layout of the input.
    pub(in crate::ladder) fn input(&self, planar: &[f32]) -> AlignedBuffer {
        let p = &self.p;
        let shape = Reorder { n: p.n, c: p.ic, pixels: p.ih * p.iw };
        Image { shape, layout: self.row.x, tier: self.row.id.tier }.of(planar)
    }

    /// The weights as the kernel packed them.
    pub(in crate::ladder) fn weights(&self) -> &[f32] {
        self.w.as_slice()
    }

    /// The convolution of `x`, in the kernel's layouts.
    pub(in crate::ladder) fn run(&mut self, x: &[f32], y: &mut [f32], pool: &Pool) {
        let (w, bias, residual) = (self.w.as_slice(), self.bias.as_slice(), self.residual.as_slice());
        let ctx = Ctx { pool, scratch: self.scratch.as_mut_slice() };
        (self.row.run)(&self.p, &self.blocks, ConvArgs { x, w, bias, residual, y }, ctx);
    }
}

/// One value a channel, filled up to whole vectors.
pub(in crate::ladder) fn padded(values: &[f32], lanes: usize) -> AlignedBuffer {
    let mut padded = zeros(values.len().next_multiple_of(lanes));
    padded.as_mut_slice()[..values.len()].copy_from_slice(values);
    padded
}
