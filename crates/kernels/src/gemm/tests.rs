//! Every matrix-product kernel of this machine against the naive loops, and against itself in other cuts.

use tilewise_tensor::AlignedBuffer;

use super::*;
use crate::trial::{Random, assert_sums};
use crate::{Cpu, Epilogue, Pool, Tier, Unary, reference};

/// Operands of a batch of products.
struct Operands {
    a: Vec<f32>,
    b: Vec<f32>,
    bias: Vec<f32>,
    residual: Vec<f32>,
    batch: Vec<Offsets>,
}

#[derive(Clone, Copy)]
struct Case {
    p: Gemm,
    batch: usize,
    /// Every product has its own B.
    own_b: bool,
}

const fn plain(m: usize, n: usize, k: usize) -> Gemm {
    let (a, b) = (Strides { row: k, col: 1 }, Strides { row: n, col: 1 });
    Gemm { m, n, k, a, b, alpha: 1.0, epilogue: Epilogue { bias: false, residual: false, act: Unary::Identity } }
}

fn operands(case: &Case, random: &mut Random) -> Operands {
    let Gemm { m, n, k, epilogue, .. } = case.p;
    let b_step = if case.own_b { k * n } else { 0 };
    let batch = (0..case.batch).map(|i| Offsets { a: i * m * k, b: i * b_step, c: i * m * n }).collect();
    let bias = if epilogue.bias { random.values(n) } else { Vec::new() };
    let residual = if epilogue.residual { random.values(case.batch * m * n) } else { Vec::new() };
    let a = random.values(case.batch * m * k);
    let b = random.values(if case.own_b { case.batch * k * n } else { k * n });
    Operands { a, b, bias, residual, batch }
}

fn run(row: &GemmKernel, p: &Gemm, blocks: &GemmBlocks, o: &Operands, packed: bool, pool: &Pool) -> Vec<f32> {
    let mut panels = AlignedBuffer::zeroed((row.packed_b_len)(p) * 4);
    (row.pack_b)(p, &o.b, panels.as_mut_slice());
    // Old contents of output and scratch must not matter.
    let mut scratch = vec![f32::NAN; (row.scratch_len)(p, blocks, packed, pool.threads())];
    let mut c = vec![f32::NAN; o.batch.len() * p.m * p.n];
    let b = if packed { Rhs::Packed(panels.as_slice()) } else { Rhs::Plain(&o.b) };
    let args = GemmArgs { a: &o.a, b, bias: &o.bias, residual: &o.residual, c: &mut c, batch: &o.batch };
    (row.run)(p, blocks, args, Ctx { pool, scratch: &mut scratch });
    c
}

fn expected(p: &Gemm, o: &Operands) -> Vec<f32> {
    o.batch.iter().flat_map(|&at| reference::gemm(p, &o.a, &o.b, &o.bias, &o.residual, at)).collect()
}

fn rows() -> impl Iterator<Item = &'static GemmKernel> {
    ROWS.iter().copied().filter(|row| row.id.tier.available())
}

fn random_case(random: &mut Random) -> Case {
    let mut p = plain(random.below(40), random.below(150), random.below(70));
    if random.below(3) == 0 {
        p.m = 1;
    }
    if random.below(2) == 0 {
        p.a = Strides { row: 1, col: p.m };
    }
    if random.below(2) == 0 {
        p.b = Strides { row: 1, col: p.k };
    }
    if random.below(8) == 0 {
        // Rows that share a set of the cache: A is packed.
        p = plain(p.m, p.n, 1024);
    }
    p.alpha = [1.0, 0.5, -2.0][random.below(3)];
    p.epilogue = random.epilogue();
    let batch = 1 + random.below(4);
    Case { p, batch, own_b: random.below(2) == 0 }
}

#[test]
fn every_kernel_equals_the_naive_loops() {
    let pools = [Pool::new(1), Pool::new(2)];
    let cpu = Cpu::zen4();
    for (seed, integral) in (0..160).map(|seed| (seed, seed % 2 == 0)) {
        let mut random = Random::new(seed, integral);
        let case = random_case(&mut random);
        let o = operands(&case, &mut random);
        let want = expected(&case.p, &o);
        for row in rows() {
            // A packed B is one matrix for the whole batch.
            let can_pack = !case.own_b || case.batch == 1;
            for (pool, packed) in pools.iter().flat_map(|pool| [(pool, false), (pool, can_pack)]) {
                let blocks = (row.blocks)(&case.p, &cpu);
                let got = run(row, &case.p, &blocks, &o, packed, pool);
                let what = format!("{} {:?} batch {} packed {packed}", row.id.name, case.p, case.batch);
                assert_sums(&got, &want, case.p.k, integral, &what);
            }
        }
    }
}

#[test]
fn a_row_has_the_same_bits_whatever_the_blocks_order_threads_tile_and_other_rows() {
    let mut random = Random::new(7, false);
    let epilogue = Epilogue { bias: true, residual: true, act: Unary::Relu };
    let p = Gemm { epilogue, alpha: 0.3, ..plain(61, 300, 97) };
    let case = Case { p, batch: 1, own_b: true };
    let o = operands(&case, &mut random);
    let pools = [Pool::new(1), Pool::new(2), Pool::new(5)];
    for tier in Tier::ALL.into_iter().filter(|tier| tier.available()) {
        let mut first: Option<Vec<f32>> = None;
        for row in rows().filter(|row| row.id.tier == tier) {
            for seed in 0..60 {
                let mut random = Random::new(seed, false);
                let blocks = GemmBlocks {
                    mc: random.below(100),
                    kc: random.below(120),
                    nc: random.below(400),
                    order: random.order(),
                };
                let pool = &pools[random.below(3)];
                let got = run(row, &p, &blocks, &o, seed % 2 == 0, pool);
                let first = first.get_or_insert_with(|| got.clone());
                assert!(got == *first, "{} {blocks:?} {} threads", row.id.name, pool.threads());
                let at = random.below(p.m);
                let alone = Operands {
                    a: o.a[at * p.k..][..p.k].to_vec(),
                    b: o.b.clone(),
                    bias: o.bias.clone(),
                    residual: o.residual[at * p.n..][..p.n].to_vec(),
                    batch: o.batch.clone(),
                };
                let got = run(row, &Gemm { m: 1, ..p }, &blocks, &alone, seed % 2 == 0, pool);
                assert!(got == first[at * p.n..][..p.n], "{} row {at} alone {blocks:?}", row.id.name);
            }
        }
    }
}

#[test]
fn empty_sizes_are_handled() {
    let pool = Pool::new(2);
    for row in rows() {
        for (m, n, k) in [(0, 4, 4), (4, 0, 4), (4, 4, 0), (0, 0, 0), (1, 5, 0)] {
            let epilogue = Epilogue { bias: true, residual: false, act: Unary::Identity };
            let case = Case { p: Gemm { epilogue, ..plain(m, n, k) }, batch: 2, own_b: false };
            let o = operands(&case, &mut Random::new(1, true));
            for packed in [false, true] {
                let got = run(row, &case.p, &(row.blocks)(&case.p, &Cpu::zen5()), &o, packed, &pool);
                assert_eq!(got, expected(&case.p, &o), "{} {m}x{n}x{k}", row.id.name);
            }
        }
        let none = Operands { batch: Vec::new(), a: vec![], b: vec![0.0; 4], bias: vec![], residual: vec![] };
        assert!(run(row, &plain(2, 2, 2), &GemmBlocks::default(), &none, false, &pool).is_empty());
    }
}

#[test]
fn the_choice_follows_from_problem_and_machine() {
    let cases = [
        (Cpu::zen5(), (1, 4096, 4096), "gemm_f32_1x128_avx512"),
        (Cpu::zen5(), (3136, 64, 64), "gemm_f32_6x64_avx512"),
        (Cpu::zen4(), (784, 128, 1152), "gemm_f32_6x64_avx512"),
        (Cpu::zen4(), (784, 96, 1152), "gemm_f32_8x48_avx512"),
        (Cpu::zen4(), (784, 32, 1152), "gemm_f32_14x32_avx512"),
        (Cpu::zen4(), (4, 4096, 9216), "gemm_f32_6x64_avx512"),
        // One panel of rows, so that B streams once.
        (Cpu::zen4(), (8, 4096, 9216), "gemm_f32_8x48_avx512"),
        (Cpu::zen4(), (12, 4096, 9216), "gemm_f32_14x32_avx512"),
        // 13 vectors: three tiles of four and one of one.
        (Cpu::zen4(), (197, 197, 64), "gemm_f32_6x64_avx512"),
        (Cpu::haswell(), (256, 256, 256), "gemm_f32_6x16_avx2"),
        (Cpu::haswell(), (1, 1000, 2048), "gemm_f32_1x64_avx2"),
        (Cpu::scalar(), (0, 0, 0), "gemm_f32_4x8_scalar"),
    ];
    let wrong: Vec<String> = cases
        .into_iter()
        .filter_map(|(cpu, (m, n, k), name)| {
            let chosen = choose(&plain(m, n, k), &cpu).0.id.name;
            (chosen != name).then(|| format!("{} {m}x{n}x{k}: {chosen}, not {name}", cpu.name))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
