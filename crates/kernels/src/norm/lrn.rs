//! Local response normalisation: each value over a power of the squares in the channels around it.

use crate::catalog::KernelId;
use crate::conv::Layout;
use crate::math::{exp, ln};
use crate::rows::tiered;
use crate::{Ctx, Isa, Shards, SimdOp, Tier};

/// `y[c] = x[c] / (bias + alpha / size * sum(x[c - (size - 1) / 2 ..= c + size / 2]^2))^beta`, in which channels that
/// do not exist are zero (ONNX `LRN`; Krizhevsky et al. 2012 without the division by size).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Lrn {
    /// Images.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Places of one channel: height times width.
    pub pixels: usize,
    /// Channels of the window.
    pub size: usize,
    /// Factor of the sum of squares.
    pub alpha: f32,
    /// Exponent.
    pub beta: f32,
    /// Added to the scaled sum; positive.
    pub bias: f32,
    /// Layout of input and output, blocked by the kernel's lanes.
    pub layout: Layout,
}

impl Lrn {
    fn before(&self) -> usize {
        self.size.saturating_sub(1) / 2
    }

    fn after(&self) -> usize {
        self.size / 2
    }
}

/// One row of the table of kernels for local response normalisation.
pub struct LrnKernel {
    /// Name and tier.
    pub id: KernelId,
    /// Length of the scratch for a number of threads, in f32.
    pub scratch_len: fn(&Lrn, threads: usize) -> usize,
    /// Normalises `x` into `y`. Panics when a length is not what the problem says.
    pub run: fn(&Lrn, x: &[f32], y: &mut [f32], Ctx<'_>),
}

/// One row a tier, in the order of [`Tier::ALL`].
pub(super) static ROWS: [LrnKernel; 3] = tiered!(LrnKernel, "lrn", "f32", F32, { scratch_len: scratch_len, run: run });

/// The kernel of a tier.
pub fn choose_lrn(tier: Tier) -> &'static LrnKernel {
    &ROWS[tier as usize]
}

/// The squares of all channels of one pixel with zeros around, whole cache lines for each thread.
fn column_len<I: Isa>(p: &Lrn) -> usize {
    (p.before() + p.c.next_multiple_of(I::LANES) + p.after()).next_multiple_of(16)
}

fn scratch_len<I: Isa>(p: &Lrn, threads: usize) -> usize {
    match p.layout {
        Layout::Nchw => 0,
        Layout::Nchwc => column_len::<I>(p) * threads,
    }
}

fn run<I: Isa>(p: &Lrn, x: &[f32], y: &mut [f32], ctx: Ctx<'_>) {
    assert!(x.len() == y.len() && ctx.scratch.len() >= scratch_len::<I>(p, ctx.pool.threads()));
    let (isa, y) = (I::require(), Shards::new(y));
    match p.layout {
        Layout::Nchw => {
            assert_eq!(x.len(), p.n * p.c * p.pixels);
            // A few vectors of pixels down all channels: what the windows read again stays in the first-level cache.
            let width = I::LANES * 8;
            let parts = p.pixels.div_ceil(width);
            ctx.pool.run(p.n * parts, &|task| {
                let (image, first) = (task.index / parts, task.index % parts * width);
                let x = &x[image * p.c * p.pixels..(image + 1) * p.c * p.pixels];
                let len = width.min(p.pixels - first);
                isa.dispatch(Planes { p, x, y: &y, image, first, len });
            });
        }
        Layout::Nchwc => {
            let image_len = p.c.next_multiple_of(I::LANES) * p.pixels;
            assert_eq!(x.len(), p.n * image_len);
            let scratch = Shards::new(ctx.scratch);
            let (column, step) = (column_len::<I>(p), (super::CHUNK / p.c.max(1)).max(1));
            let parts = p.pixels.div_ceil(step);
            ctx.pool.run(p.n * parts, &|task| {
                // SAFETY: each worker has its own part, and runs one task at a time.
                let squares = unsafe { scratch.range(task.worker * column..(task.worker + 1) * column) };
                let (image, first) = (task.index / parts, task.index % parts * step);
                let x = &x[image * image_len..(image + 1) * image_len];
                let pixels = first..p.pixels.min(first + step);
                isa.dispatch(Blocks { p, x, y: &y, at: image * image_len, pixels, squares });
            });
        }
    }
}

/// `x / (bias + alpha / size * sum)^beta`
#[inline(always)]
fn scaled<I: Isa>(isa: I, p: &Lrn, x: I::F, sum: I::F) -> I::F {
    let base = isa.fma(sum, isa.splat(p.alpha / p.size as f32), isa.splat(p.bias));
    isa.mul(x, exp(isa, isa.mul(isa.splat(-p.beta), ln(isa, base))))
}

/// Some pixels of all planes of one image; they belong to one task alone.
struct Planes<'a> {
    p: &'a Lrn,
    x: &'a [f32],
    y: &'a Shards<'a, f32>,
    image: usize,
    first: usize,
    len: usize,
}

impl SimdOp for Planes<'_> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let Planes { p, x, y, image, first, len } = self;
        for channel in 0..p.c {
            let start = (image * p.c + channel) * p.pixels + first;
            // SAFETY: these pixels belong to this task alone.
            let y = unsafe { y.range(start..start + len) };
            let window = channel.saturating_sub(p.before())..p.c.min(channel + p.after() + 1);
            for (i, y) in y.chunks_mut(I::LANES).enumerate() {
                let at = first + i * I::LANES;
                let row = |channel: usize| &x[channel * p.pixels + at..channel * p.pixels + at + y.len()];
                let mut sum = isa.zero();
                for channel in window.clone() {
                    let v = isa.load_part(row(channel));
                    sum = isa.fma(v, v, sum);
                }
                let out = scaled(isa, p, isa.load_part(row(channel)), sum);
                isa.store_part(y, out);
            }
        }
    }
}

/// Some pixels of one blocked image; they belong to one task alone.
struct Blocks<'a> {
    p: &'a Lrn,
    x: &'a [f32],
    y: &'a Shards<'a, f32>,
    /// Where the image begins in `y`.
    at: usize,
    pixels: std::ops::Range<usize>,
    squares: &'a mut [f32],
}

impl SimdOp for Blocks<'_> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let Blocks { p, x, y, at, pixels, squares } = self;
        squares.fill(0.0);
        for pixel in pixels {
            let place = |block: usize| (block * p.pixels + pixel) * I::LANES;
            for (block, channel) in (0..p.c).step_by(I::LANES).enumerate() {
                // Only the channels that exist: the lanes past them may hold anything.
                let real = I::LANES.min(p.c - channel);
                let v = isa.load_part(&x[place(block)..place(block) + real]);
                isa.store(&mut squares[p.before() + channel..], isa.mul(v, v));
            }
            for (block, channel) in (0..p.c).step_by(I::LANES).enumerate() {
                let mut sum = isa.zero();
                for tap in 0..p.size {
                    sum = isa.add(sum, isa.load(&squares[channel + tap..]));
                }
                let v = isa.load(&x[place(block)..]);
                let start = at + place(block);
                // SAFETY: this pixel belongs to this task alone.
                isa.store(unsafe { y.range(start..start + I::LANES) }, scaled(isa, p, v, sum));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::trial::{assert_close, blocked, each_tier, numbers, planar};

    #[test]
    fn windows_of_any_size_equal_the_reference_in_both_layouts() {
        for (n, c, pixels, size) in [(2, 35, 61, 5), (1, 3, 200, 4), (1, 16, 5, 1), (2, 7, 9, 40)] {
            let p = Lrn { n, c, pixels, size, alpha: 0.9, beta: 0.75, bias: 1.5, layout: Layout::Nchw };
            let x = numbers(n * c * pixels, 11);
            let want = reference::lrn(&p, &x);
            each_tier(4096, |tier, ctx| {
                let (kernel, pool, v) = (choose_lrn(tier), ctx.pool, tier.lanes());
                let mut y = vec![9.0; x.len()];
                (kernel.run)(&p, &x, &mut y, Ctx { pool, scratch: &mut [] });
                assert_close(kernel.id.name, &y, &want, 1e-6);
                let p = Lrn { layout: Layout::Nchwc, ..p };
                let x = blocked(&x, [n, c, pixels], v);
                let mut y = vec![9.0; x.len()];
                (kernel.run)(&p, &x, &mut y, ctx);
                assert_close(kernel.id.name, &planar(&y, [n, c, pixels], v), &want, 1e-6);
            });
        }
    }
}
