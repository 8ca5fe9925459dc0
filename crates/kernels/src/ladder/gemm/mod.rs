//! Matrix multiplication: the rungs, and the loops they are counted by.

mod plain;
mod simd;

use std::fmt;

use super::nest::{Loop, Nest, Operand, Traffic, loops};
use super::operands::{aligned, numbers, zeros};
use super::{Built, Computation, Rung};
use crate::gemm::{Gemm, GemmArgs, GemmBlocks, GemmKernel, Offsets, Rhs, Strides, choose};
use crate::{Cpu, Ctx, Epilogue, Tier, reference};

/// `C[m, n] = A[m, k] B[k, n]`, all row-major and dense.
#[derive(Clone, Copy, Debug)]
pub(super) struct Product {
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gemm m{} n{} k{}", self.m, self.n, self.k)
    }
}

impl Product {
    fn problem(&self) -> Gemm {
        Gemm {
            m: self.m,
            n: self.n,
            k: self.k,
            a: Strides { row: self.k, col: 1 },
            b: Strides { row: self.n, col: 1 },
            alpha: 1.0,
            epilogue: Epilogue::default(),
        }
    }

    fn a(&self) -> Vec<f32> {
        numbers(self.m * self.k, 1)
    }

    fn b(&self) -> Vec<f32> {
        numbers(self.k * self.n, 2)
    }
}

/// The product that sizes stand for.
pub(super) fn product(sizes: &[usize]) -> Result<Product, String> {
    let p = match *sizes {
        [n] => Product { m: n, n, k: n },
        [m, n, k] => Product { m, n, k },
        _ => return Err("one length or three".to_owned()),
    };
    let within = [p.m, p.n, p.k].iter().all(|length| (1..=1 << 14).contains(length));
    if within { Ok(p) } else { Err("a length is not from 1 to 16384".to_owned()) }
}

static PRODUCT: Computation<Product> = Computation {
    macs: |p| (p.m * p.n * p.k) as u64,
    reference: |p| reference::gemm(&p.problem(), &p.a(), &p.b(), &[], &[], Offsets::default()),
};

/// The steps, slowest first.
pub(super) static RUNGS: &[Rung<Product>] = &[
    Rung {
        name: "naive",
        change: "Three loops: each element of C is one dot product, and B is walked down its columns, a cache line for \
                 each value.",
        of: &PRODUCT,
        traffic: |p, cpu| Some(nest(p, loops([(I, 1), (J, 1), (K, 1)]), 0).traffic(cpu)),
        build: |p, _| Some(plain_rung(p, plain::naive)),
    },
    Rung {
        name: "blocked",
        change: "The loops walk over blocks of all three matrices that fit L1 together, so that a value is brought in \
                 once a block and not once a use: no gain yet where each addition waits for the one before, and not \
                 for memory.",
        of: &PRODUCT,
        traffic: |p, cpu| Some(nest(p, [blocks(square_in(cpu.l1d.size)), scalars()].concat(), 3).traffic(cpu)),
        build: |p, cpu| {
            let block = square_in(cpu.l1d.size);
            Some(plain_rung(p, move |p, a, b, c| plain::blocked(p, block, a, b, c)))
        },
    },
    Rung {
        name: "hierarchical",
        change: "Blocks for L1 inside blocks for L2: what L1 misses is found in L2.",
        of: &PRODUCT,
        traffic: |p, cpu| {
            let [outer, inner] = nested(cpu);
            Some(nest(p, [blocks(outer), blocks(inner), scalars()].concat(), 6).traffic(cpu))
        },
        build: |p, cpu| {
            let sizes = nested(cpu);
            Some(plain_rung(p, move |p, a, b, c| plain::hierarchical(p, sizes, a, b, c)))
        },
    },
    Rung {
        name: "simd-columns",
        change: "One vector of neighbouring columns of C at a time: a value of A is broadcast, and B is read along its \
                 rows.",
        of: &PRODUCT,
        traffic: |p, cpu| {
            let inner = loops([(I, 1), (J, cpu.tier.lanes()), (K, 1)]);
            Some(nest(p, [blocks(square_in(cpu.l1d.size)), inner].concat(), 3).traffic(cpu))
        },
        build: |p, cpu| simd_rung(p, cpu, Method::Columns),
    },
    Rung {
        name: "simd-dot",
        change: "The vectors run along the depth instead: B's block is transposed first, which suits few columns, but \
                 each sum ends in an addition across lanes.",
        of: &PRODUCT,
        traffic: |p, cpu| {
            let inner = loops([(I, 1), (J, 1), (K, cpu.tier.lanes())]);
            let copied = Traffic::again(2 * p.k * p.n, cpu);
            Some(copied.then(nest(p, [blocks(square_in(cpu.l1d.size)), inner].concat(), 3).traffic(cpu)))
        },
        build: |p, cpu| simd_rung(p, cpu, Method::Dot),
    },
    Rung {
        name: "simd-transposed",
        change: "A and C are transposed by blocks: a vector of rows meets one value of B after the other, in as many \
                 sums as a vector has lanes, none of which waits for another.",
        of: &PRODUCT,
        traffic: |p, cpu| {
            let lanes = cpu.tier.lanes();
            let inner = loops([(I, lanes), (J, lanes), (K, 1)]);
            let copied = Traffic::again(2 * p.m * p.k, cpu).then(Traffic::again(2 * p.m * p.n, cpu));
            Some(copied.then(nest(p, [blocks(square_in(cpu.l1d.size)), inner].concat(), 3).traffic(cpu)))
        },
        build: |p, cpu| simd_rung(p, cpu, Method::Transposed),
    },
    Rung {
        name: "packed",
        change: "The engine's kernel: B in panels as wide as a register tile, whose sums fill the registers, inside \
                 blocks for L1, L2 and L3.",
        of: &PRODUCT,
        traffic: |p, cpu| Some(packed_traffic(&p.problem(), cpu)),
        build: |p, cpu| Some(packed_rung(p, cpu)),
    },
];

const I: usize = 0;
const J: usize = 1;
const K: usize = 2;

fn nest(p: &Product, loops: Vec<Loop>, blocked: usize) -> Nest {
    let operands = vec![Operand::plain([I, K]), Operand::plain([K, J]), Operand::plain([I, J]).written()];
    Nest { extents: vec![p.m, p.n, p.k], loops, operands, blocked }
}

/// The loops over blocks of a side of all three dimensions.
fn blocks(side: usize) -> Vec<Loop> {
    loops([(I, side), (J, side), (K, side)])
}

/// The innermost loops of plain code.
fn scalars() -> Vec<Loop> {
    loops([(I, 1), (J, 1), (K, 1)])
}

/// The side of three square blocks that fill a cache, in whole lines of 16 values.
fn square_in(bytes: usize) -> usize {
    ((bytes / (3 * size_of::<f32>())).isqrt() / 16 * 16).max(16)
}

/// Sides of the blocks for L2 and for L1, the outer a multiple of the inner.
fn nested(cpu: &Cpu) -> [usize; 2] {
    let inner = square_in(cpu.l1d.size);
    [(square_in(cpu.l2.size) / inner).max(1) * inner, inner]
}

/// A rung of plain code on one thread.
fn plain_rung(p: &Product, f: impl Fn(&Product, &[f32], &[f32], &mut [f32]) + 'static) -> Built {
    let (p, a, b) = (*p, aligned(&p.a()), aligned(&p.b()));
    Built::new(p.m * p.n, move |c, _| f(&p, a.as_slice(), b.as_slice(), c))
}

/// Along which dimension the vectors run.
#[derive(Clone, Copy)]
enum Method {
    Columns,
    Dot,
    Transposed,
}

fn simd_rung(p: &Product, cpu: &Cpu, method: Method) -> Option<Built> {
    let (tier, side) = (cpu.tier, square_in(cpu.l1d.size));
    tier.available().then(|| {
        // The transposed blocks, of whole vectors.
        let mut scratch = zeros(2 * side * side);
        let (p, a, b) = (*p, aligned(&p.a()), aligned(&p.b()));
        Built::new(p.m * p.n, move |c, _| {
            let blocked =
                simd::Blocked { p, side, a: a.as_slice(), b: b.as_slice(), c, scratch: scratch.as_mut_slice() };
            run_simd(tier, method, blocked);
        })
    })
}

fn run_simd(tier: Tier, method: Method, blocked: simd::Blocked<'_>) {
    use crate::measure::dispatch;
    // A tier that the machine lacks has no rung.
    let _done = match method {
        Method::Columns => dispatch(tier, simd::Columns(blocked)),
        Method::Dot => dispatch(tier, simd::Dot(blocked)),
        Method::Transposed => dispatch(tier, simd::Transposed(blocked)),
    };
}

/// A product by the engine's kernel, with what it needs.
pub(super) struct Packed {
    p: Gemm,
    row: &'static GemmKernel,
    blocks: GemmBlocks,
    scratch: tilewise_tensor::AlignedBuffer,
}

impl Packed {
    pub(super) fn new(p: Gemm, cpu: &Cpu) -> Self {
        let (row, blocks) = choose(&p, cpu);
        let scratch = zeros((row.scratch_len)(&p, &blocks, false, cpu.cores));
        Packed { p, row, blocks, scratch }
    }

    /// `c = a b`; both are packed on the way.
    pub(super) fn run(&mut self, a: &[f32], b: &[f32], c: &mut [f32], pool: &crate::Pool) {
        let args = GemmArgs { a, b: Rhs::Plain(b), bias: &[], residual: &[], c, batch: &[Offsets::default()] };
        (self.row.run)(&self.p, &self.blocks, args, Ctx { pool, scratch: self.scratch.as_mut_slice() });
    }
}

fn packed_rung(p: &Product, cpu: &Cpu) -> Built {
    let mut packed = Packed::new(p.problem(), cpu);
    let (a, b) = (aligned(&p.a()), aligned(&p.b()));
    Built::new(p.m * p.n, move |c, pool| packed.run(a.as_slice(), b.as_slice(), c, pool))
}

/// The five loops around the register tile, and the packing of B.
pub(super) fn packed_traffic(p: &Gemm, cpu: &Cpu) -> Traffic {
    let (row, GemmBlocks { mc, kc, nc, .. }) = choose(p, cpu);
    let [mr, nr] = row.id.tile;
    let order = loops([(J, nc), (K, kc), (I, mc), (J, nr), (I, mr), (K, 1)]);
    let product = Product { m: p.m, n: p.n, k: p.k };
    Traffic::again(2 * p.k * p.n, cpu).then(nest(&product, order, 3).traffic(cpu))
}
