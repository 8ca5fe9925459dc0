//! Functions of one number over a slice.

use super::CHUNK;
use crate::catalog::KernelId;
use crate::math::apply_inlined;
use crate::rows::tiered;
use crate::{Ctx, Isa, Shards, SimdOp, Tier, Unary};

/// One row of the table of kernels for functions of one number.
pub struct UnaryKernel {
    /// Name and tier.
    pub id: KernelId,
    /// `y[i] = f(x[i])`. Panics when the lengths differ.
    pub run: fn(Unary, x: &[f32], y: &mut [f32], Ctx<'_>),
    /// `y[i] = f(y[i])`
    pub run_in_place: fn(Unary, y: &mut [f32], Ctx<'_>),
}

/// One row a tier, in the order of [`Tier::ALL`].
pub(super) static ROWS: [UnaryKernel; 3] =
    tiered!(UnaryKernel, "unary", "f32", F32, { run: run, run_in_place: run_in_place });

/// The kernel of a tier.
pub fn choose_unary(tier: Tier) -> &'static UnaryKernel {
    &ROWS[tier as usize]
}

fn run<I: Isa>(f: Unary, x: &[f32], y: &mut [f32], ctx: Ctx<'_>) {
    assert_eq!(x.len(), y.len());
    let (isa, len, y) = (I::require(), x.len(), Shards::new(y));
    ctx.pool.run(len.div_ceil(CHUNK), &|task| {
        let range = task.index * CHUNK..len.min((task.index + 1) * CHUNK);
        // SAFETY: chunks of different tasks do not overlap.
        let y = unsafe { y.range(range.clone()) };
        isa.dispatch(Map::<false> { f, x: &x[range], y });
    });
}

fn run_in_place<I: Isa>(f: Unary, y: &mut [f32], ctx: Ctx<'_>) {
    let (isa, y) = (I::require(), Shards::new(y));
    let len = y.len();
    ctx.pool.run(len.div_ceil(CHUNK), &|task| {
        // SAFETY: chunks of different tasks do not overlap.
        let y = unsafe { y.range(task.index * CHUNK..len.min((task.index + 1) * CHUNK)) };
        isa.dispatch(Map::<true> { f, x: &[], y });
    });
}

/// `f(x)`, or relu where that is known while compiling.
#[inline(always)]
fn activate<I: Isa, const RELU: bool>(isa: I, f: Unary, x: I::F) -> I::F {
    if RELU { isa.max(isa.zero(), x) } else { apply_inlined(isa, f, x) }
}

/// `y = f(x)`, or `y = f(y)` with `x` empty.
pub(super) struct Map<'a, const IN_PLACE: bool> {
    pub(super) f: Unary,
    pub(super) x: &'a [f32],
    pub(super) y: &'a mut [f32],
}

impl<const IN_PLACE: bool> Map<'_, IN_PLACE> {
    #[inline(always)]
    fn each<I: Isa, const RELU: bool>(self, isa: I) {
        let Map { f, x, y } = self;
        let whole = y.len() - y.len() % I::LANES;
        assert!(IN_PLACE || x.len() == y.len());
        for i in (0..whole).step_by(I::LANES) {
            // SAFETY: i is a multiple of LANES below `whole`, so i + LANES <= whole <= the length of x and y.
            let v = unsafe { isa.load_at(if IN_PLACE { y } else { x }, i) };
            // SAFETY: as above.
            unsafe { isa.store_at(y, i, activate::<I, RELU>(isa, f, v)) };
        }
        let v = isa.load_part(if IN_PLACE { &y[whole..] } else { &x[whole..] });
        isa.store_part(&mut y[whole..], activate::<I, RELU>(isa, f, v));
    }
}

impl<const IN_PLACE: bool> SimdOp for Map<'_, IN_PLACE> {
    type Output = ();

    /// Relu, whose loop is as short as loops come, gets one of its own; the others bear a predictable branch a vector.
    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        if self.f == Unary::Relu { self.each::<I, true>(isa) } else { self.each::<I, false>(isa) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::trial::{assert_close, each_tier, numbers};

    #[test]
    fn whole_and_partial_chunks_equal_the_reference_in_and_out_of_place() {
        for (f, len) in [(Unary::Relu, 0), (Unary::Tanh, 5), (Unary::Sigmoid, 2 * CHUNK), (Unary::Exp, 3 * CHUNK + 77)]
        {
            let x = numbers(len, 7);
            let want: Vec<f32> = x.iter().map(|&x| reference::unary(f, f64::from(x)) as f32).collect();
            each_tier(0, |tier, ctx| {
                let (kernel, mut y) = (choose_unary(tier), vec![f32::NAN; len]);
                let pool = ctx.pool;
                (kernel.run)(f, &x, &mut y, ctx);
                assert_close(kernel.id.name, &y, &want, 1e-6);
                let mut same = x.clone();
                (kernel.run_in_place)(f, &mut same, Ctx { pool, scratch: &mut [] });
                assert_eq!(same, y, "{}", kernel.id.name);
            });
        }
    }
}
