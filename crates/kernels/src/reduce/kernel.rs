//! Reductions in four accumulators, along the row where it is contiguous, else with neighbouring columns in lanes.

use super::{Reduce, ReduceOp};
use crate::math::{exp, ln};
use crate::{Ctx, Isa, MAX_LANES, Shards, SimdOp};

/// Accumulators in flight, to cover the latency of the additions.
const CHAINS: usize = 4;

/// Vectors that are summed before the sum is added to the total: what keeps the rounding of long sums small.
const BLOCK: usize = 64 * CHAINS;

/// Outputs of one task with contiguous rows are as many as make up this many inputs.
const INPUTS: usize = 16_384;

pub(super) fn run<I: Isa>(p: &Reduce, x: &[f32], y: &mut [f32], ctx: Ctx<'_>) {
    assert!(x.len() == p.outer * p.len * p.inner && y.len() == p.outer * p.inner);
    if y.is_empty() {
        return;
    }
    let isa = I::require();
    // Columns of a task, then outer indices of a task: whole rows of columns where they are few.
    let columns = (INPUTS / p.len.max(1)).clamp(1, p.inner).next_multiple_of(I::LANES).min(p.inner);
    let outers = if columns == p.inner { (INPUTS / (p.len * p.inner).max(1)).clamp(1, p.outer) } else { 1 };
    let pieces = p.inner.div_ceil(columns);
    let y = Shards::new(y);
    ctx.pool.run(p.outer.div_ceil(outers) * pieces, &|task| {
        let from = task.index % pieces * columns;
        let to = p.inner.min(from + columns);
        let first = task.index / pieces * outers;
        for outer in first..p.outer.min(first + outers) {
            // SAFETY: the columns of different tasks do not overlap.
            let y = unsafe { y.range(outer * p.inner + from..outer * p.inner + to) };
            isa.dispatch(Columns { p, x: &x[outer * p.len * p.inner..(outer + 1) * p.len * p.inner], from, y });
        }
    });
}

/// Neighbouring columns, from column `from`, of the matrix `x` `[len][inner]`.
struct Columns<'a> {
    p: &'a Reduce,
    x: &'a [f32],
    from: usize,
    y: &'a mut [f32],
}

/// How values are taken into an accumulator.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fold {
    Sum,
    SumSquare,
    SumAbs,
    /// Sum of exp(x - shift).
    SumExp,
    Max,
    Min,
    Prod,
}

impl SimdOp for Columns<'_> {
    type Output = ();

    /// Each arm names its function, so that the loops hold no branch on it.
    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        match self.p.op {
            ReduceOp::Sum | ReduceOp::Mean | ReduceOp::LogSum => self.each(isa, Fold::Sum),
            ReduceOp::Max => self.each(isa, Fold::Max),
            ReduceOp::Min => self.each(isa, Fold::Min),
            ReduceOp::Prod => self.each(isa, Fold::Prod),
            ReduceOp::SumSquare | ReduceOp::L2 => self.each(isa, Fold::SumSquare),
            ReduceOp::L1 => self.each(isa, Fold::SumAbs),
            ReduceOp::LogSumExp => self.each(isa, Fold::SumExp),
        }
    }
}

impl Columns<'_> {
    #[inline(always)]
    fn each<I: Isa>(self, isa: I, fold: Fold) {
        let Columns { p, x, from, y } = self;
        if p.inner == 1 {
            let shift = if fold == Fold::SumExp {
                finite(isa, isa.splat(row(isa, Fold::Max, isa.zero(), x)))
            } else {
                isa.zero()
            };
            let total = isa.splat(row(isa, fold, shift, x));
            return isa.store_part(y, finish(isa, p, total, shift));
        }
        for (i, y) in y.chunks_mut(I::LANES).enumerate() {
            // With no rows there is nothing behind the column's first element either.
            let x = &x[(from + i * I::LANES).min(x.len())..];
            let shift = if fold == Fold::SumExp {
                finite(isa, column(isa, (Fold::Max, isa.zero()), x, p, y.len()))
            } else {
                isa.zero()
            };
            let total = column(isa, (fold, shift), x, p, y.len());
            isa.store_part(y, finish(isa, p, total, shift));
        }
    }
}

/// The shift of exponents: the largest, unless that is infinite or NaN.
#[inline(always)]
fn finite<I: Isa>(isa: I, largest: I::F) -> I::F {
    isa.select(isa.lt(isa.abs(largest), isa.splat(f32::INFINITY)), largest, isa.zero())
}

#[inline(always)]
fn finish<I: Isa>(isa: I, p: &Reduce, total: I::F, shift: I::F) -> I::F {
    match p.op {
        ReduceOp::Sum | ReduceOp::Max | ReduceOp::Min | ReduceOp::Prod | ReduceOp::SumSquare | ReduceOp::L1 => total,
        ReduceOp::Mean => isa.div(total, isa.splat(p.len as f32)),
        ReduceOp::L2 => isa.sqrt(total),
        // Without a shift that is the logarithm alone.
        ReduceOp::LogSum | ReduceOp::LogSumExp => isa.add(ln(isa, total), shift),
    }
}

/// What changes nothing when it is taken in.
#[inline(always)]
fn neutral(fold: Fold) -> f32 {
    match fold {
        Fold::Sum | Fold::SumSquare | Fold::SumAbs => 0.0,
        Fold::SumExp | Fold::Max => f32::NEG_INFINITY,
        Fold::Min => f32::INFINITY,
        Fold::Prod => 1.0,
    }
}

/// What an accumulator begins with.
#[inline(always)]
fn start(fold: Fold) -> f32 {
    if fold == Fold::SumExp { 0.0 } else { neutral(fold) }
}

#[inline(always)]
fn take_in<I: Isa>(isa: I, fold: Fold, shift: I::F, acc: I::F, x: I::F) -> I::F {
    match fold {
        Fold::Sum | Fold::Max | Fold::Min | Fold::Prod => merge(isa, fold, acc, x),
        Fold::SumSquare => isa.fma(x, x, acc),
        Fold::SumAbs => isa.add(acc, isa.abs(x)),
        Fold::SumExp => isa.add(acc, exp(isa, isa.sub(x, shift))),
    }
}

/// Two accumulators as one.
#[inline(always)]
fn merge<I: Isa>(isa: I, fold: Fold, a: I::F, b: I::F) -> I::F {
    match fold {
        Fold::Sum | Fold::SumSquare | Fold::SumAbs | Fold::SumExp => isa.add(a, b),
        // `max` and `min` keep a NaN of their second operand, here a; one of b is taken by hand.
        Fold::Max => isa.select(isa.eq(b, b), isa.max(b, a), b),
        Fold::Min => isa.select(isa.eq(b, b), isa.min(b, a), b),
        Fold::Prod => isa.mul(a, b),
    }
}

/// Takes in `count` vectors, `step` apart in `x`, of `lanes` values each.
#[inline(always)]
fn vectors<I: Isa>(isa: I, (fold, shift): (Fold, I::F), x: &[f32], [step, count, lanes]: [usize; 3]) -> I::F {
    let (mut total, first) = (isa.splat(start(fold)), isa.splat(start(fold)));
    for block in (0..count).step_by(BLOCK) {
        let end = count.min(block + BLOCK);
        let mut chains = [first; CHAINS];
        for at in (block..end).step_by(CHAINS) {
            for (i, acc) in chains.iter_mut().enumerate().take(end - at) {
                let values = &x[(at + i) * step..(at + i) * step + lanes];
                let v = if lanes == I::LANES { isa.load(values) } else { isa.load_part(values) };
                *acc = take_in(isa, fold, shift, *acc, v);
            }
        }
        let [a, b, c, d] = chains;
        total = merge(isa, fold, total, merge(isa, fold, merge(isa, fold, a, b), merge(isa, fold, c, d)));
    }
    total
}

/// The columns at the front of `x`, down all rows.
#[inline(always)]
fn column<I: Isa>(isa: I, fold: (Fold, I::F), x: &[f32], p: &Reduce, lanes: usize) -> I::F {
    vectors(isa, fold, x, [p.inner, p.len, lanes])
}

/// A contiguous row: whole vectors, then one that is filled up with what changes nothing, then the lanes in pairs.
#[inline(always)]
fn row<I: Isa>(isa: I, fold: Fold, shift: I::F, x: &[f32]) -> f32 {
    let whole = vectors(isa, (fold, shift), x, [I::LANES, x.len() / I::LANES, I::LANES]);
    let mut lanes = [neutral(fold); MAX_LANES];
    let rest = &x[x.len() - x.len() % I::LANES..];
    lanes[..rest.len()].copy_from_slice(rest);
    let all = take_in(isa, fold, shift, whole, isa.load(&lanes));
    isa.store(&mut lanes, all);
    let mut width = I::LANES / 2;
    while width > 0 {
        let upper = isa.load_part(&lanes[width..2 * width]);
        let merged = merge(isa, fold, isa.load_part(&lanes[..width]), upper);
        isa.store_part(&mut lanes[..width], merged);
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reduce::choose;
    use crate::reference;
    use crate::trial::{assert_close, each_tier, numbers};

    fn check(p: Reduce) {
        let mut x = numbers(p.outer * p.len * p.inner, 5);
        match p.op {
            // A product of many numbers leaves the range unless they are near 1; a logarithm needs a positive sum.
            ReduceOp::Prod => x.iter_mut().for_each(|x| *x = 1.0 + *x / 64.0),
            ReduceOp::LogSum => x.iter_mut().for_each(|x| *x = x.abs()),
            ReduceOp::LogSumExp => x.iter_mut().for_each(|x| *x *= 200.0),
            ReduceOp::Sum | ReduceOp::Mean | ReduceOp::Max | ReduceOp::Min => {}
            ReduceOp::SumSquare | ReduceOp::L1 | ReduceOp::L2 => {}
        }
        let want = reference::reduce(&p, &x);
        each_tier(0, |tier, ctx| {
            let mut y = vec![9.0; want.len()];
            (choose(tier).run)(&p, &x, &mut y, ctx);
            assert_close(&format!("{} {p:?}", choose(tier).id.name), &y, &want, 4e-6);
        });
    }

    #[test]
    fn every_reduction_equals_the_reference_along_rows_and_columns() {
        for op in ReduceOp::ALL {
            for (outer, len, inner) in [(5, 49, 1), (2, 5000, 1), (3, 1, 1), (2, 9, 21), (70, 49, 16), (2, 300, 37)] {
                check(Reduce { op, outer, len, inner });
            }
            check(Reduce { op, outer: 2, len: 0, inner: 3 });
            check(Reduce { op, outer: 2, len: 0, inner: 1 });
            check(Reduce { op, outer: 0, len: 4, inner: 3 });
        }
    }

    #[test]
    fn extremes_are_not_a_number_where_one_element_is_not() {
        // Rows that end inside a vector, after some vectors and after more than a block; columns, whole and not.
        for (len, inner) in [(5, 1), (16, 1), (77, 1), (BLOCK * MAX_LANES + 35, 1), (9, 21), (BLOCK + 3, 16)] {
            let p = |op| Reduce { op, outer: 2, len, inner };
            for (op, at) in [ReduceOp::Max, ReduceOp::Min]
                .into_iter()
                .flat_map(|op| (0..len).step_by(1 + len / 90).map(move |at| (op, at)))
            {
                // The element `at` of the second row's last column.
                let hit = (2 * len - 1 - at) * inner + inner - 1;
                let mut x = numbers(2 * len * inner, 5);
                x[hit] = f32::NAN;
                let want = reference::reduce(&p(op), &x);
                assert!(want[2 * inner - 1].is_nan() && !want[0].is_nan());
                each_tier(0, |tier, ctx| {
                    let mut y = vec![9.0; want.len()];
                    (choose(tier).run)(&p(op), &x, &mut y, ctx);
                    let same = y.iter().zip(&want).all(|(y, want)| y == want || y.is_nan() && want.is_nan());
                    assert!(same, "{} {:?}, NaN at {hit}", choose(tier).id.name, p(op));
                });
            }
        }
    }
}
