//! Functions of two numbers with broadcasting, and an activation on what comes out.

use std::ops::Range;

use super::Broadcast;
use super::broadcast::Piece;
use super::unary::Map;
use crate::catalog::KernelId;
use crate::rows::tiered;
use crate::{Ctx, Isa, MAX_LANES, Shards, SimdOp, Tier, Unary};

/// A function of two numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Binary {
    /// a + b
    Add,
    /// a - b
    Sub,
    /// a b
    Mul,
    /// a / b
    Div,
    /// The smaller; NaN where one is NaN.
    Min,
    /// The larger; NaN where one is NaN.
    Max,
    /// a to the power of b
    Pow,
    /// a, or a b below zero
    PRelu,
}

/// `y = act(op(a, b))` over two broadcast arrays.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BinaryProblem {
    /// What is computed.
    pub op: Binary,
    /// Applied to the result.
    pub act: Unary,
    /// Which elements meet.
    pub broadcast: Broadcast,
}

/// One row of the table of kernels for functions of two numbers.
pub struct BinaryKernel {
    /// Name and tier.
    pub id: KernelId,
    /// `y = act(op(a, b))`. Panics when a length is not what the broadcast says.
    pub run: fn(&BinaryProblem, a: &[f32], b: &[f32], y: &mut [f32], Ctx<'_>),
    /// `y = act(op(y, b))`. Panics when a length is not what the broadcast says, or the left operand is repeated.
    pub run_in_place: fn(&BinaryProblem, y: &mut [f32], b: &[f32], Ctx<'_>),
}

/// One row a tier, in the order of [`Tier::ALL`].
pub(super) static ROWS: [BinaryKernel; 3] =
    tiered!(BinaryKernel, "binary", "f32", F32, { run: run, run_in_place: run_in_place });

/// The kernel of a tier.
pub fn choose_binary(tier: Tier) -> &'static BinaryKernel {
    &ROWS[tier as usize]
}

fn run<I: Isa>(p: &BinaryProblem, a: &[f32], b: &[f32], y: &mut [f32], ctx: Ctx<'_>) {
    assert_eq!([a.len(), b.len()], p.broadcast.operand_lens());
    pieces::<I, false>(p, a, b, y, ctx);
}

fn run_in_place<I: Isa>(p: &BinaryProblem, y: &mut [f32], b: &[f32], ctx: Ctx<'_>) {
    assert!(p.broadcast.covers(0) && b.len() == p.broadcast.operand_lens()[1]);
    pieces::<I, true>(p, &[], b, y, ctx);
}

fn pieces<I: Isa, const IN_PLACE: bool>(p: &BinaryProblem, a: &[f32], b: &[f32], y: &mut [f32], ctx: Ctx<'_>) {
    assert_eq!(y.len(), p.broadcast.output_len());
    if y.is_empty() {
        return;
    }
    let (isa, y, map) = (I::require(), Shards::new(y), &p.broadcast);
    ctx.pool.run(map.pieces(), &|task| {
        let piece = map.piece(task.index);
        let start = (piece.outer.start * map.rows().0 + piece.rows.start) * map.run() + piece.run.start;
        let len = piece.outer.len() * piece.rows.len() * piece.run.len();
        // SAFETY: the pieces of different tasks do not overlap.
        let y = unsafe { y.range(start..start + len) };
        isa.dispatch(Rows::<IN_PLACE> { p, piece, a, b, y });
    });
}

/// One piece. In place, `a` is empty and `y` holds the left operand.
struct Rows<'a, const IN_PLACE: bool> {
    p: &'a BinaryProblem,
    piece: Piece,
    a: &'a [f32],
    b: &'a [f32],
    y: &'a mut [f32],
}

impl<const IN_PLACE: bool> SimdOp for Rows<'_, IN_PLACE> {
    type Output = ();

    /// Each arm names its function, so that the loops hold no branch on it. The sum with relu, which ends residual
    /// blocks, is one pass; other activations are a second pass over what is in the first-level cache.
    #[inline(always)]
    fn call<I: Isa>(mut self, isa: I) {
        let act = self.p.act;
        if self.p.op == Binary::Add && act == Unary::Relu {
            return self.shapes::<I, true>(isa, Binary::Add);
        }
        match self.p.op {
            Binary::Add => self.shapes::<I, false>(isa, Binary::Add),
            Binary::Sub => self.shapes::<I, false>(isa, Binary::Sub),
            Binary::Mul => self.shapes::<I, false>(isa, Binary::Mul),
            Binary::Div => self.shapes::<I, false>(isa, Binary::Div),
            Binary::Min => self.shapes::<I, false>(isa, Binary::Min),
            Binary::Max => self.shapes::<I, false>(isa, Binary::Max),
            Binary::Pow => self.shapes::<I, false>(isa, Binary::Pow),
            Binary::PRelu => self.shapes::<I, false>(isa, Binary::PRelu),
        }
        if act != Unary::Identity {
            isa.dispatch(Map::<true> { f: act, x: &[], y: self.y });
        }
    }
}

impl<const IN_PLACE: bool> Rows<'_, IN_PLACE> {
    /// Picks the loop by which operands go on along the run.
    #[inline(always)]
    fn shapes<I: Isa, const RELU: bool>(&mut self, isa: I, op: Binary) {
        match self.p.broadcast.vectors() {
            [true, true] => self.rows::<I, true, true, RELU>(isa, op),
            [false, _] => self.rows::<I, false, true, RELU>(isa, op),
            [true, false] => self.rows::<I, true, false, RELU>(isa, op),
        }
    }

    #[inline(always)]
    fn rows<I: Isa, const A: bool, const B: bool, const RELU: bool>(&mut self, isa: I, op: Binary) {
        let (_, steps) = self.p.broadcast.rows();
        let Range { start: from, end: to } = self.piece.run;
        let mut at = 0;
        for outer in self.piece.outer.clone() {
            let offsets = self.p.broadcast.offsets(outer);
            for row in self.piece.rows.clone() {
                let y = &mut self.y[at..at + to - from];
                let run = |s: &'_ [f32], side: usize, vector: bool| {
                    let start = offsets[side] + row * steps[side] + if vector { from } else { 0 };
                    start..if vector { start + (to - from) } else { (start + 1).min(s.len()) }
                };
                let a = if IN_PLACE { &[][..] } else { &self.a[run(self.a, 0, A)] };
                let b = &self.b[run(self.b, 1, B)];
                line::<I, A, B, IN_PLACE, RELU>(isa, op, a, b, y);
                at += y.len();
            }
        }
    }
}

/// One contiguous run. An operand that is no vector is its first element; in place, `y` holds the left operand.
#[inline(always)]
fn line<I: Isa, const A: bool, const B: bool, const IN_PLACE: bool, const RELU: bool>(
    isa: I,
    op: Binary,
    a: &[f32],
    b: &[f32],
    y: &mut [f32],
) {
    let whole = y.len() - y.len() % I::LANES;
    assert!((IN_PLACE || if A { a.len() == y.len() } else { !a.is_empty() }) && (!B || b.len() == y.len()));
    let first_a = isa.splat(if A || IN_PLACE { 0.0 } else { a[0] });
    let first_b = isa.splat(if B { 0.0 } else { b[0] });
    for i in (0..whole).step_by(I::LANES) {
        // SAFETY: i + LANES <= whole <= the lengths of y and of every operand that is a vector, as asserted.
        let left = if IN_PLACE || A { unsafe { isa.load_at(if IN_PLACE { y } else { a }, i) } } else { first_a };
        // SAFETY: as above.
        let right = if B { unsafe { isa.load_at(b, i) } } else { first_b };
        // SAFETY: as above.
        unsafe { isa.store_at(y, i, combine::<I, RELU>(isa, op, left, right)) };
    }
    if whole < y.len() {
        let left =
            if IN_PLACE || A { isa.load_part(if IN_PLACE { &y[whole..] } else { &a[whole..] }) } else { first_a };
        let right = if B { isa.load_part(&b[whole..]) } else { first_b };
        isa.store_part(&mut y[whole..], combine::<I, RELU>(isa, op, left, right));
    }
}

#[inline(always)]
fn combine<I: Isa, const RELU: bool>(isa: I, op: Binary, a: I::F, b: I::F) -> I::F {
    let y = match op {
        Binary::Add => isa.add(a, b),
        Binary::Sub => isa.sub(a, b),
        Binary::Mul => isa.mul(a, b),
        Binary::Div => isa.div(a, b),
        Binary::Min => or_first_nan(isa, a, isa.min(a, b)),
        Binary::Max => or_first_nan(isa, a, isa.max(a, b)),
        Binary::Pow => powers(isa, a, b),
        Binary::PRelu => isa.select(isa.lt(a, isa.zero()), isa.mul(a, b), a),
    };
    if RELU { isa.max(isa.zero(), y) } else { y }
}

/// `y`, or `a` where that is NaN: minimum and maximum of two vectors keep a NaN of the second alone.
#[inline(always)]
fn or_first_nan<I: Isa>(isa: I, a: I::F, y: I::F) -> I::F {
    isa.select(isa.eq(a, a), y, a)
}

/// Lane by lane: a general power needs a logarithm of more than single precision, and no network spends time here.
#[inline(always)]
fn powers<I: Isa>(isa: I, a: I::F, b: I::F) -> I::F {
    let (mut base, mut exponent) = ([0.0; MAX_LANES], [0.0; MAX_LANES]);
    isa.store(&mut base, a);
    isa.store(&mut exponent, b);
    raise(&mut base, &exponent, I::LANES);
    isa.load(&base)
}

/// Not generic and not inlined: the calls of the standard library stand in the program once.
#[inline(never)]
fn raise(base: &mut [f32; MAX_LANES], exponent: &[f32; MAX_LANES], lanes: usize) {
    for (base, &exponent) in base.iter_mut().zip(exponent).take(lanes) {
        *base = base.powf(exponent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::trial::{assert_close, each_tier, numbers};

    const OPS: [Binary; 8] =
        [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Min, Binary::Max, Binary::Pow, Binary::PRelu];

    fn check(op: Binary, act: Unary, shapes: [&[usize]; 2]) {
        let p = BinaryProblem { op, act, broadcast: Broadcast::new(shapes[0], shapes[1]).unwrap() };
        let [a_len, b_len] = p.broadcast.operand_lens();
        let mut a = numbers(a_len, 1);
        let b: Vec<f32> = numbers(b_len, 2).iter().map(|x| if x.abs() < 0.1 { 0.5 } else { *x }).collect();
        if op == Binary::Pow {
            a.iter_mut().for_each(|x| *x = x.abs());
        } else if let Some(first) = a.first_mut() {
            *first = f32::NAN;
        }
        let want = reference::binary(op, act, (&a, shapes[0]), (&b, shapes[1]));
        each_tier(0, |tier, ctx| {
            let (kernel, pool) = (choose_binary(tier), ctx.pool);
            let mut y = vec![9.0; want.len()];
            (kernel.run)(&p, &a, &b, &mut y, ctx);
            assert_close(&format!("{} {op:?} {act:?} {shapes:?}", kernel.id.name), &y, &want, 2e-6);
            if p.broadcast.covers(0) {
                let mut same = a.clone();
                (kernel.run_in_place)(&p, &mut same, &b, Ctx { pool, scratch: &mut [] });
                assert!(same.iter().zip(&y).all(|(s, y)| s.to_bits() == y.to_bits()), "in place");
            }
        });
    }

    #[test]
    fn every_function_equals_the_reference_on_every_kind_of_run() {
        for op in OPS {
            for act in [Unary::Identity, Unary::Relu, Unary::Sigmoid] {
                check(op, act, [&[3, 37], &[3, 37]]);
                check(op, act, [&[3, 37], &[1]]);
                check(op, act, [&[1], &[3, 37]]);
            }
        }
    }

    #[test]
    fn every_way_of_broadcasting_equals_the_reference() {
        let shapes: &[[&[usize]; 2]] = &[
            [&[], &[]],
            [&[0, 3], &[1]],
            [&[2, 3, 4, 5], &[3, 1, 1]],
            [&[2, 3, 70, 16], &[2, 3, 1, 16]],
            [&[1, 3, 1, 5], &[2, 1, 4, 1]],
            [&[3, 1, 9001], &[1, 2, 9001]],
            [&[20_000], &[20_000]],
            [&[200, 50, 4], &[50, 1]],
            [&[2, 1, 2, 1, 2, 1, 2], &[1, 2, 1, 2, 1, 2, 1]],
        ];
        for &pair in shapes {
            check(Binary::Add, Unary::Relu, pair);
            check(Binary::Sub, Unary::Identity, pair);
        }
    }
}
