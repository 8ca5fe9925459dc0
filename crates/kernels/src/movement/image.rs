//! Decoded images into network inputs: bytes to normalised planes in one pass.

use crate::catalog::KernelId;
use crate::rows::tiered;
use crate::{Ctx, Isa, Shards, SimdOp, Tier};

/// A batch of images `[n][pixels][3]` of bytes that becomes planes `[n][3][pixels]`, each value times a scale plus a
/// shift.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ImageProblem {
    /// Images.
    pub n: usize,
    /// Height times width.
    pub pixels: usize,
    /// The planes are in the opposite order of the bytes: RGB to BGR, or back.
    pub swap: bool,
    /// Factor of each plane.
    pub scale: [f32; 3],
    /// Offset of each plane.
    pub shift: [f32; 3],
}

/// One row of the table of image kernels.
pub struct ImageKernel {
    /// Name and tier.
    pub id: KernelId,
    /// Fills the planes. Panics when a length is not what the problem says.
    pub run: fn(&ImageProblem, x: &[u8], y: &mut [f32], Ctx<'_>),
}

/// One row a tier, in the order of [`Tier::ALL`].
pub(super) static ROWS: [ImageKernel; 3] = tiered!(ImageKernel, "image", "u8f32", F32, { run: run });

/// The kernel of a tier.
pub fn choose_image(tier: Tier) -> &'static ImageKernel {
    &ROWS[tier as usize]
}

/// Pixels of one task.
const PIXELS: usize = 4096;

fn run<I: Isa>(p: &ImageProblem, x: &[u8], y: &mut [f32], ctx: Ctx<'_>) {
    assert!(x.len() == p.n * p.pixels * 3 && y.len() == x.len());
    let (isa, y, parts) = (I::require(), Shards::new(y), p.pixels.div_ceil(PIXELS));
    ctx.pool.run(p.n * parts, &|task| {
        let (image, first) = (task.index / parts, task.index % parts * PIXELS);
        let len = PIXELS.min(p.pixels - first);
        let start = image * p.pixels + first;
        let planes = [0, 1, 2].map(|plane| {
            let start = (image * 3 + plane) * p.pixels + first;
            // SAFETY: these pixels of this plane belong to this task alone.
            unsafe { y.range(start..start + len) }
        });
        isa.dispatch(Planes { p, x: &x[start * 3..(start + len) * 3], planes });
    });
}

struct Planes<'a> {
    p: &'a ImageProblem,
    x: &'a [u8],
    planes: [&'a mut [f32]; 3],
}

impl SimdOp for Planes<'_> {
    type Output = ();

    /// Plain loops, which the compiler turns into vectors with the instruction set that is switched on here.
    #[inline(always)]
    fn call<I: Isa>(self, _: I) {
        let pixels = self.x.as_chunks::<3>().0;
        for (plane, y) in self.planes.into_iter().enumerate() {
            let (scale, shift) = (self.p.scale[plane], self.p.shift[plane]);
            let channel = if self.p.swap { 2 - plane } else { plane };
            for (y, pixel) in y.iter_mut().zip(pixels) {
                *y = f32::from(pixel[channel]) * scale + shift;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::trial::each_tier;

    #[test]
    fn every_pixel_equals_the_reference_in_both_orders() {
        for (n, pixels, swap) in [(2, 5000, false), (1, 37, true), (3, 1, true), (0, 4, false)] {
            let p = ImageProblem { n, pixels, swap, scale: [0.5, -0.1, 2.0], shift: [1.0, 0.25, -3.0] };
            let x: Vec<u8> = (0..n * pixels * 3).map(|i| (i * 37 + i / 256) as u8).collect();
            let want = reference::image(&p, &x);
            each_tier(0, |tier, ctx| {
                let mut y = vec![f32::NAN; want.len()];
                (choose_image(tier).run)(&p, &x, &mut y, ctx);
                assert_eq!(y, want, "{}", choose_image(tier).id.name);
            });
        }
    }
}
