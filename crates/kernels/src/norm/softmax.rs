//! Softmax and its logarithm along one axis.

use crate::catalog::KernelId;
use crate::math::{exp, ln};
use crate::rows::tiered;
use crate::{Ctx, Isa, MAX_LANES, Shards, SimdOp, Tier};

/// `exp(x) / sum(exp(x))` along the middle of `(outer, len, inner)`, without overflow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Softmax {
    /// Product of the extents before the axis.
    pub outer: usize,
    /// The axis.
    pub len: usize,
    /// Product of the extents behind the axis.
    pub inner: usize,
    /// The logarithm of the softmax instead.
    pub log: bool,
}

/// One row of the table of softmax kernels.
pub struct SoftmaxKernel {
    /// Name and tier.
    pub id: KernelId,
    /// Normalises `x` into `y`. Panics when a length is not what the problem says.
    pub run: fn(&Softmax, x: &[f32], y: &mut [f32], Ctx<'_>),
}

/// One row a tier, in the order of [`Tier::ALL`].
pub(super) static ROWS: [SoftmaxKernel; 3] = tiered!(SoftmaxKernel, "softmax", "f32", F32, { run: run });

/// The kernel of a tier.
pub fn choose_softmax(tier: Tier) -> &'static SoftmaxKernel {
    &ROWS[tier as usize]
}

fn run<I: Isa>(p: &Softmax, x: &[f32], y: &mut [f32], ctx: Ctx<'_>) {
    let matrix = p.len * p.inner;
    assert!(x.len() == p.outer * matrix && y.len() == x.len());
    if y.is_empty() {
        return;
    }
    let (isa, y) = (I::require(), Shards::new(y));
    if p.inner == 1 {
        let rows = (super::CHUNK / p.len).max(1);
        return ctx.pool.run(p.outer.div_ceil(rows), &|task| {
            let range = task.index * rows * p.len..p.outer.min((task.index + 1) * rows) * p.len;
            // SAFETY: the rows of different tasks do not overlap.
            let y = unsafe { y.range(range.clone()) };
            isa.dispatch(Rows { p, x: &x[range], y });
        });
    }
    let vectors = p.inner.div_ceil(I::LANES);
    ctx.pool.run(p.outer * vectors, &|task| {
        let (outer, from) = (task.index / vectors, task.index % vectors * I::LANES);
        let x = &x[outer * matrix..(outer + 1) * matrix];
        isa.dispatch(Columns { p, x, y: &y, at: outer * matrix, from, lanes: I::LANES.min(p.inner - from) });
    });
}

/// Contiguous rows.
struct Rows<'a> {
    p: &'a Softmax,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl SimdOp for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let Rows { p, x, y } = self;
        for (x, y) in x.chunks_exact(p.len).zip(y.chunks_exact_mut(p.len)) {
            let largest = isa.splat(largest(isa, x));
            let mut sum = isa.zero();
            let (whole, part) = x.split_at(x.len() - x.len() % I::LANES);
            let (y_whole, y_part) = y.split_at_mut(whole.len());
            for (x, y) in whole.chunks_exact(I::LANES).zip(y_whole.chunks_exact_mut(I::LANES)) {
                let e = exp(isa, isa.sub(isa.load(x), largest));
                isa.store(y, e);
                sum = isa.add(sum, e);
            }
            let e = exp(isa, isa.sub(isa.load_part(part), largest));
            let is_there = isa.lt(isa.zero(), isa.load_part(&[1.0; MAX_LANES][..part.len()]));
            let sum = isa.splat(isa.sum(isa.add(sum, isa.select(is_there, e, isa.zero()))));
            if p.log {
                let offset = ln(isa, sum);
                for (x, y) in x.chunks(I::LANES).zip(y.chunks_mut(I::LANES)) {
                    isa.store_part(y, isa.sub(isa.sub(isa.load_part(x), largest), offset));
                }
                continue;
            }
            let factor = isa.div(isa.splat(1.0), sum);
            for y in y_whole.chunks_exact_mut(I::LANES) {
                isa.store(y, isa.mul(isa.load(y), factor));
            }
            isa.store_part(y_part, isa.mul(e, factor));
        }
    }
}

#[inline(always)]
fn largest<I: Isa>(isa: I, x: &[f32]) -> f32 {
    let (whole, rest) = x.split_at(x.len() - x.len() % I::LANES);
    let mut lanes = isa.splat(f32::NEG_INFINITY);
    for x in whole.chunks_exact(I::LANES) {
        lanes = isa.max(lanes, isa.load(x));
    }
    rest.iter().fold(isa.largest(lanes), |a, &b| a.max(b))
}

/// One vector of neighbouring columns, from column `from`; they belong to one task alone.
struct Columns<'a> {
    p: &'a Softmax,
    x: &'a [f32],
    y: &'a Shards<'a, f32>,
    /// Where the matrix begins in `y`.
    at: usize,
    from: usize,
    lanes: usize,
}

impl SimdOp for Columns<'_> {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let Columns { p, x, y, at, from, lanes } = self;
        let place = |row: usize| row * p.inner + from..row * p.inner + from + lanes;
        let out = |row: usize| {
            let place = place(row);
            // SAFETY: these columns belong to this task alone, which holds one part of one row at a time.
            unsafe { y.range(at + place.start..at + place.end) }
        };
        let mut largest = isa.splat(f32::NEG_INFINITY);
        for i in 0..p.len {
            largest = isa.max(largest, isa.load_part(&x[place(i)]));
        }
        let mut sum = isa.zero();
        for i in 0..p.len {
            let e = exp(isa, isa.sub(isa.load_part(&x[place(i)]), largest));
            isa.store_part(out(i), e);
            sum = isa.add(sum, e);
        }
        let (factor, offset) = (isa.div(isa.splat(1.0), sum), ln(isa, sum));
        for i in 0..p.len {
            let y = out(i);
            let v = if p.log {
                isa.sub(isa.sub(isa.load_part(&x[place(i)]), largest), offset)
            } else {
                isa.mul(isa.load_part(y), factor)
            };
            isa.store_part(y, v);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::trial::{assert_close, each_tier, numbers};

    #[test]
    fn rows_and_columns_equal_the_reference() {
        for (outer, len, inner) in [(3, 1000, 1), (9000, 3, 1), (2, 5, 37), (1, 21, 300), (2, 1, 1), (0, 3, 1)] {
            for log in [false, true] {
                let p = Softmax { outer, len, inner, log };
                let x: Vec<f32> = numbers(outer * len * inner, 4).iter().map(|x| x * 30.0 - 200.0).collect();
                let want = reference::softmax(&p, &x);
                each_tier(0, |tier, ctx| {
                    let mut y = vec![9.0; x.len()];
                    (choose_softmax(tier).run)(&p, &x, &mut y, ctx);
                    assert_close(&format!("{} {p:?}", choose_softmax(tier).id.name), &y, &want, 2e-6);
                });
            }
        }
    }
}
