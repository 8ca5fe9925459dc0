//! A factor and an offset for each channel, and an activation: batch norm that stands before no convolution it could
//! be folded into.

use super::CHUNK;
use super::unary::Map;
use crate::catalog::KernelId;
use crate::rows::tiered;
use crate::{Ctx, Isa, Shards, SimdOp, Tier, Unary};

/// `y = act(x * scale + shift)` over planes of pixels, with one factor and one offset a channel.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AffineProblem {
    /// Planes of all images: `n * c`, or `n * ceil(c / V)` where channels are blocked.
    pub planes: usize,
    /// Planes of one image.
    pub period: usize,
    /// Pixels of a plane.
    pub pixels: usize,
    /// Applied last.
    pub act: Unary,
}

/// `y = act(x * scale + shift)`. Panics when a length is not what the problem says.
pub type AffineFn = fn(&AffineProblem, x: &[f32], scale: &[f32], shift: &[f32], y: &mut [f32], Ctx<'_>);

/// One row of the table of kernels for a factor and an offset a channel.
pub struct AffineKernel {
    /// Name and tier.
    pub id: KernelId,
    /// Over `[planes][pixels]`, with `scale[period]` and `shift[period]`.
    pub planar: AffineFn,
    /// Over `[planes][pixels][V]`, with `scale[period][V]` and `shift[period][V]`.
    pub blocked: AffineFn,
}

/// One row a tier, in the order of [`Tier::ALL`].
pub(super) static ROWS: [AffineKernel; 3] =
    tiered!(AffineKernel, "affine", "f32", F32, { planar: planar, blocked: blocked });

/// The kernel of a tier.
pub fn choose_affine(tier: Tier) -> &'static AffineKernel {
    &ROWS[tier as usize]
}

fn planar<I: Isa>(p: &AffineProblem, x: &[f32], scale: &[f32], shift: &[f32], y: &mut [f32], ctx: Ctx<'_>) {
    run::<I, false>(p, x, [scale, shift], y, ctx);
}

fn blocked<I: Isa>(p: &AffineProblem, x: &[f32], scale: &[f32], shift: &[f32], y: &mut [f32], ctx: Ctx<'_>) {
    run::<I, true>(p, x, [scale, shift], y, ctx);
}

fn run<I: Isa, const BLOCKED: bool>(p: &AffineProblem, x: &[f32], factors: [&[f32]; 2], y: &mut [f32], ctx: Ctx<'_>) {
    let lanes = if BLOCKED { I::LANES } else { 1 };
    let plane = p.pixels * lanes;
    assert!(x.len() == p.planes * plane && y.len() == x.len(), "input and output are complete");
    assert!(factors.iter().all(|f| f.len() >= p.period * lanes), "every channel has its factors");
    if x.is_empty() {
        return;
    }
    // A task is some whole planes, or a part of one.
    let (planes, part) = ((CHUNK / plane).max(1), CHUNK.min(plane));
    let (isa, y, parts) = (I::require(), Shards::new(y), plane.div_ceil(part));
    ctx.pool.run(p.planes.div_ceil(planes) * parts, &|task| {
        let first = task.index / parts * planes;
        let within = task.index % parts * part;
        for number in first..p.planes.min(first + planes) {
            let range = number * plane + within..number * plane + plane.min(within + part);
            let at = number % p.period * lanes;
            let [scale, shift] = factors.map(|f| &f[at..at + lanes]);
            // SAFETY: the planes and parts of different tasks do not overlap.
            let y = unsafe { y.range(range.clone()) };
            isa.dispatch(Part { act: p.act, x: &x[range], scale, shift, y });
        }
    });
}

/// A part of a plane; `scale` and `shift` are one value, or a vector of them.
struct Part<'a> {
    act: Unary,
    x: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    y: &'a mut [f32],
}

impl Part<'_> {
    #[inline(always)]
    fn each<I: Isa, const RELU: bool>(&mut self, isa: I) {
        let spread = |f: &[f32]| if f.len() == 1 { isa.splat(f[0]) } else { isa.load(f) };
        let (scale, shift) = (spread(self.scale), spread(self.shift));
        let act = |x: I::F| {
            let y = isa.fma(x, scale, shift);
            if RELU { isa.max(isa.zero(), y) } else { y }
        };
        let (x, y) = (self.x, &mut *self.y);
        assert_eq!(x.len(), y.len());
        let whole = y.len() - y.len() % I::LANES;
        for i in (0..whole).step_by(I::LANES) {
            // SAFETY: i + LANES <= whole <= the lengths of x and y, which are equal.
            let v = unsafe { isa.load_at(x, i) };
            // SAFETY: as above.
            unsafe { isa.store_at(y, i, act(v)) };
        }
        if whole < y.len() {
            let v = isa.load_part(&x[whole..]);
            isa.store_part(&mut y[whole..], act(v));
        }
    }
}

impl SimdOp for Part<'_> {
    type Output = ();

    /// Activations other than relu are a second pass over what is in the first-level cache.
    #[inline(always)]
    fn call<I: Isa>(mut self, isa: I) {
        if self.act == Unary::Relu {
            return self.each::<I, true>(isa);
        }
        self.each::<I, false>(isa);
        if self.act != Unary::Identity {
            isa.dispatch(Map::<true> { f: self.act, x: &[], y: self.y });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::trial::{assert_close, blocked, each_tier, numbers, planar};

    #[test]
    fn every_layout_and_activation_equals_the_reference() {
        for (n, c, pixels) in [(1, 1, 1), (2, 5, 37), (1, 33, 49), (3, 16, 1), (1, 3, 9001)] {
            for act in [Unary::Identity, Unary::Relu, Unary::HardSwish] {
                let (x, scale, shift) = (numbers(n * c * pixels, 1), numbers(c, 2), numbers(c, 3));
                let channel = |i: usize| i / pixels % c;
                let value = |(i, &x): (usize, &f32)| {
                    let y = f64::from(x) * f64::from(scale[channel(i)]) + f64::from(shift[channel(i)]);
                    reference::unary(act, y) as f32
                };
                let want: Vec<f32> = x.iter().enumerate().map(value).collect();
                each_tier(0, |tier, Ctx { pool, .. }| {
                    let (kernel, what) = (choose_affine(tier), format!("{tier} {n}x{c}x{pixels} {act:?}"));
                    let mut y = vec![9.0; want.len()];
                    let p = AffineProblem { planes: n * c, period: c, pixels, act };
                    (kernel.planar)(&p, &x, &scale, &shift, &mut y, Ctx { pool, scratch: &mut [] });
                    assert_close(&what, &y, &want, 1e-6);
                    let v = tier.lanes();
                    let [scale, shift] = [&scale, &shift].map(|f| blocked(f, [1, c, 1], v));
                    let x = blocked(&x, [n, c, pixels], v);
                    let mut y = vec![9.0; x.len()];
                    let p = AffineProblem { planes: n * c.div_ceil(v), period: c.div_ceil(v), pixels, act };
                    (kernel.blocked)(&p, &x, &scale, &shift, &mut y, Ctx { pool, scratch: &mut [] });
                    assert_close(&what, &planar(&y, [n, c, pixels], v), &want, 1e-6);
                });
            }
        }
    }
}
