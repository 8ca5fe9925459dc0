//! Implicit im2col against the naive loops on random problems, and against itself in other cuts.

use super::*;
use crate::trial::{Random, assert_sums};
use crate::{Pads, Pool, Unary, reference};

struct Operands {
    x: Vec<f32>,
    w: Vec<f32>,
    bias: Vec<f32>,
    residual: Vec<f32>,
}

fn operands(p: &Conv2d, random: &mut Random) -> Operands {
    Operands {
        x: random.values(p.n * p.ic * p.ih * p.iw),
        w: random.values(p.oc * depth(p)),
        bias: if p.epilogue.bias { random.values(p.oc) } else { Vec::new() },
        residual: if p.epilogue.residual { random.values(p.n * p.oc * p.oh() * p.ow()) } else { Vec::new() },
    }
}

fn random_problem(random: &mut Random) -> Conv2d {
    loop {
        let groups = 1 + random.below(3);
        let p = Conv2d {
            n: random.below(4),
            ic: groups * (1 + random.below(5)),
            ih: 1 + random.below(14),
            iw: 1 + random.below(14),
            oc: groups * (1 + random.below(20)),
            kh: 1 + random.below(4),
            kw: 1 + random.below(4),
            stride: [1 + random.below(3), 1 + random.below(3)],
            dilation: [1 + random.below(2), 1 + random.below(3)],
            pads: Pads { top: random.below(4), left: random.below(4), bottom: random.below(4), right: random.below(4) },
            groups,
            epilogue: random.epilogue(),
        };
        if let Ok(p) = p.validated() {
            return p;
        }
    }
}

fn run(row: &ConvKernel, p: &Conv2d, blocks: &ConvBlocks, o: &Operands, pool: &Pool) -> Vec<f32> {
    let mut w = vec![f32::NAN; (row.packed_len)(p)];
    (row.pack)(p, &o.w, &mut w);
    let mut scratch = vec![f32::NAN; (row.scratch_len)(p, blocks, pool.threads())];
    let mut y = vec![f32::NAN; p.n * p.oc * p.oh() * p.ow()];
    let args = ConvArgs { x: &o.x, w: &w, bias: &o.bias, residual: &o.residual, y: &mut y };
    (row.run)(p, blocks, args, Ctx { pool, scratch: &mut scratch });
    y
}

fn rows() -> impl Iterator<Item = &'static ConvKernel> {
    ROWS.iter().filter(|row| row.id.tier.available())
}

#[test]
fn every_kernel_equals_the_naive_loops() {
    let pools = [Pool::new(1), Pool::new(2)];
    for (seed, integral) in (0..200).map(|seed| (seed, seed % 2 == 0)) {
        let mut random = Random::new(seed, integral);
        let mut p = random_problem(&mut random);
        if seed % 8 == 0 {
            p = Conv2d { kh: 1, kw: 1, stride: [1, 1], pads: Pads::default(), ..p };
        }
        let o = operands(&p, &mut random);
        let want = reference::conv2d(&p, &o.x, &o.w, &o.bias, &o.residual);
        for row in rows() {
            assert!((row.accepts)(&p));
            for pool in &pools {
                let got = run(row, &p, &(row.blocks)(&p, &Cpu::zen4()), &o, pool);
                assert_sums(&got, &want, depth(&p), integral, &format!("{} {p}", row.id.name));
            }
        }
    }
}

#[test]
fn bits_depend_neither_on_blocks_nor_on_threads() {
    let p = Conv2d {
        n: 2,
        ic: 9,
        ih: 21,
        iw: 17,
        oc: 40,
        kh: 3,
        kw: 3,
        stride: [1, 1],
        dilation: [1, 1],
        pads: Pads { top: 1, left: 1, bottom: 1, right: 1 },
        groups: 1,
        epilogue: crate::Epilogue { bias: true, residual: true, act: Unary::Relu },
    };
    let pools = [Pool::new(1), Pool::new(2), Pool::new(3)];
    let o = operands(&p, &mut Random::new(3, false));
    for tier in crate::Tier::ALL.into_iter().filter(|tier| tier.available()) {
        let mut first: Option<Vec<f32>> = None;
        for row in rows().filter(|row| row.id.tier == tier) {
            for seed in 0..30 {
                let mut random = Random::new(seed, false);
                let blocks = ConvBlocks {
                    rows: random.below(25),
                    oc: random.below(50),
                    ic: random.below(12),
                    ..Default::default()
                };
                let pool = &pools[random.below(3)];
                let got = run(row, &p, &blocks, &o, pool);
                let first = first.get_or_insert_with(|| got.clone());
                assert!(got == *first, "{} {blocks:?} {} threads", row.id.name, pool.threads());
            }
        }
    }
}
