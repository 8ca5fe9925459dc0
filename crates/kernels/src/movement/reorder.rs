//! Between planar images (`Nchw`) and images blocked by channels (`Nchwc`).

use crate::catalog::KernelId;
use crate::rows::tiered;
use crate::{Ctx, Isa, MAX_LANES, Shards, SimdOp, Tier};

/// An image batch that changes its layout.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Reorder {
    /// Images.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Places of one channel: height times width.
    pub pixels: usize,
}

impl Reorder {
    /// Length of the blocked batch, in f32.
    pub fn blocked_len(&self, lanes: usize) -> usize {
        self.n * self.c.next_multiple_of(lanes) * self.pixels
    }
}

/// One row of the table of layout kernels; blocks are as wide as the tier's vectors.
pub struct ReorderKernel {
    /// Name and tier.
    pub id: KernelId,
    /// `[n][c][pixels]` to `[n][ceil(c / V)][pixels][V]`, with zeros in the lanes past `c`. Panics when a length is not
    /// what the problem says.
    pub to_blocked: fn(&Reorder, x: &[f32], y: &mut [f32], Ctx<'_>),
    /// The way back.
    pub to_planar: fn(&Reorder, x: &[f32], y: &mut [f32], Ctx<'_>),
}

/// One row a tier, in the order of [`Tier::ALL`].
pub(super) static ROWS: [ReorderKernel; 3] =
    tiered!(ReorderKernel, "reorder", "f32", F32, { to_blocked: to_blocked, to_planar: to_planar });

/// The kernel of a tier.
pub fn choose_reorder(tier: Tier) -> &'static ReorderKernel {
    &ROWS[tier as usize]
}

/// Pixels of one task: 64 KiB of 16 channels, a multiple of every vector.
const PIXELS: usize = 1024;

fn to_blocked<I: Isa>(p: &Reorder, x: &[f32], y: &mut [f32], ctx: Ctx<'_>) {
    assert!(x.len() == p.n * p.c * p.pixels && y.len() == p.blocked_len(I::LANES));
    let (isa, y, blocks) = (I::require(), Shards::new(y), p.c.div_ceil(I::LANES));
    let parts = p.pixels.div_ceil(PIXELS);
    ctx.pool.run(p.n * blocks * parts, &|task| {
        let piece = Piece::of::<I>(p, task.index, parts, blocks);
        let start = (task.index / parts * p.pixels + piece.first) * I::LANES;
        // SAFETY: the pixels of different tasks do not overlap.
        let y = unsafe { y.range(start..start + piece.len * I::LANES) };
        isa.dispatch(Gather {
            x: &x[piece.plane * p.pixels + piece.first..],
            pitch: p.pixels,
            planes: piece.planes,
            y,
        });
    });
}

fn to_planar<I: Isa>(p: &Reorder, x: &[f32], y: &mut [f32], ctx: Ctx<'_>) {
    assert!(y.len() == p.n * p.c * p.pixels && x.len() == p.blocked_len(I::LANES));
    let (isa, y, blocks) = (I::require(), Shards::new(y), p.c.div_ceil(I::LANES));
    let parts = p.pixels.div_ceil(PIXELS);
    ctx.pool.run(p.n * blocks * parts, &|task| {
        let piece = Piece::of::<I>(p, task.index, parts, blocks);
        let start = (task.index / parts * p.pixels + piece.first) * I::LANES;
        let x = &x[start..start + piece.len * I::LANES];
        isa.dispatch(Scatter {
            x,
            y: &y,
            at: piece.plane * p.pixels + piece.first,
            pitch: p.pixels,
            planes: piece.planes,
        });
    });
}

/// What one task moves: `len` pixels of `planes` planes.
struct Piece {
    /// The first plane, over all images.
    plane: usize,
    planes: usize,
    /// The first pixel.
    first: usize,
    len: usize,
}

impl Piece {
    fn of<I: Isa>(p: &Reorder, task: usize, parts: usize, blocks: usize) -> Self {
        let (image, block, first) = (task / parts / blocks, task / parts % blocks, task % parts * PIXELS);
        let channel = block * I::LANES;
        Piece {
            plane: image * p.c + channel,
            planes: I::LANES.min(p.c - channel),
            first,
            len: PIXELS.min(p.pixels - first),
        }
    }
}

/// Planes `pitch` apart in `x`, into pixels of whole vectors.
struct Gather<'a> {
    x: &'a [f32],
    pitch: usize,
    planes: usize,
    y: &'a mut [f32],
}

impl SimdOp for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        for (i, y) in self.y.chunks_mut(I::LANES * I::LANES).enumerate() {
            let width = y.len() / I::LANES;
            let mut square = [isa.zero(); MAX_LANES];
            for (plane, row) in square.iter_mut().enumerate().take(self.planes) {
                let start = plane * self.pitch + i * I::LANES;
                *row = isa.load_part(&self.x[start..start + width]);
            }
            for (pixel, y) in isa.transpose(square).into_iter().zip(y.chunks_exact_mut(I::LANES)) {
                isa.store(y, pixel);
            }
        }
    }
}

/// Pixels of whole vectors, into planes `pitch` apart from `at` on. The part of each plane that is written belongs to
/// this task alone.
struct Scatter<'a> {
    x: &'a [f32],
    y: &'a Shards<'a, f32>,
    at: usize,
    pitch: usize,
    planes: usize,
}

impl SimdOp for Scatter<'_> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        for (i, x) in self.x.chunks(I::LANES * I::LANES).enumerate() {
            let width = x.len() / I::LANES;
            let mut square = [isa.zero(); MAX_LANES];
            for (row, x) in square.iter_mut().zip(x.chunks_exact(I::LANES)) {
                *row = isa.load(x);
            }
            for (plane, row) in isa.transpose(square).into_iter().enumerate().take(self.planes) {
                let start = self.at + plane * self.pitch + i * I::LANES;
                // SAFETY: these pixels of this plane belong to this task alone.
                isa.store_part(unsafe { self.y.range(start..start + width) }, row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{blocked, each_tier, numbers};

    #[test]
    fn both_ways_equal_plain_indexing_and_pad_lanes_are_zero() {
        for (n, c, pixels) in [(1, 3, 7), (2, 16, 64), (1, 35, 1500), (2, 1, 1), (0, 3, 3)] {
            let p = Reorder { n, c, pixels };
            let x = numbers(n * c * pixels, 8);
            each_tier(0, |tier, ctx| {
                let (kernel, pool, v) = (choose_reorder(tier), ctx.pool, tier.lanes());
                let mut y = vec![f32::NAN; p.blocked_len(v)];
                (kernel.to_blocked)(&p, &x, &mut y, ctx);
                let naive = blocked(&x, [n, c, pixels], v).into_iter().map(|x| if x.is_nan() { 0.0 } else { x });
                assert_eq!(y, naive.collect::<Vec<f32>>(), "{}", kernel.id.name);
                let mut back = vec![9.0; x.len()];
                (kernel.to_planar)(&p, &y, &mut back, Ctx { pool, scratch: &mut [] });
                assert_eq!(back, x, "{}", kernel.id.name);
            });
        }
    }
}
