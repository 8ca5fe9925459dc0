//! Transposed convolution against the naive loops on random problems.

use super::*;
use crate::trial::{Random, assert_sums};
use crate::{Pads, Pool, reference};

fn random_problem(random: &mut Random) -> ConvTranspose2d {
    loop {
        let groups = 1 + random.below(3);
        let p = ConvTranspose2d {
            n: random.below(3),
            ic: groups * (1 + random.below(5)),
            ih: 1 + random.below(9),
            iw: 1 + random.below(9),
            oc: groups * (1 + random.below(7)),
            kh: 1 + random.below(4),
            kw: 1 + random.below(4),
            stride: [1 + random.below(3), 1 + random.below(3)],
            dilation: [1 + random.below(2), 1 + random.below(3)],
            pads: Pads { top: random.below(4), left: random.below(4), bottom: random.below(4), right: random.below(4) },
            output_pads: [random.below(2), random.below(2)],
            groups,
            epilogue: random.epilogue(),
        };
        if let Ok(p) = p.validated() {
            return p;
        }
    }
}

#[test]
fn every_kernel_equals_the_naive_loops() {
    let pools = [Pool::new(1), Pool::new(2)];
    for (seed, integral) in (0..200).map(|seed| (seed, seed % 2 == 0)) {
        let mut random = Random::new(seed, integral);
        let p = random_problem(&mut random);
        let len = p.n * p.oc * p.oh() * p.ow();
        let x = random.values(p.n * p.ic * p.ih * p.iw);
        let w = random.values(p.ic * p.oc / p.groups * p.kh * p.kw);
        let bias = if p.epilogue.bias { random.values(p.oc) } else { Vec::new() };
        let residual = if p.epilogue.residual { random.values(len) } else { Vec::new() };
        let want = reference::conv_transpose2d(&p, &x, &w, &bias, &residual);
        for row in ROWS.into_iter().filter(|row| row.id.tier.available()) {
            let mut packed = vec![f32::NAN; (row.packed_len)(&p)];
            (row.pack)(&p, &w, &mut packed);
            let fitted = (row.blocks)(&p, &Cpu::zen4());
            let small =
                GemmBlocks { mc: random.below(9), kc: random.below(5), nc: random.below(40), order: random.order() };
            let mut first: Option<Vec<f32>> = None;
            for (pool, blocks) in pools.iter().flat_map(|pool| [(pool, fitted), (pool, small)]) {
                let mut scratch = vec![f32::NAN; (row.scratch_len)(&p, &blocks, pool.threads())];
                let mut y = vec![f32::NAN; len];
                let args = TransposedArgs { x: &x, w: &packed, bias: &bias, residual: &residual, y: &mut y };
                (row.run)(&p, &blocks, args, Ctx { pool, scratch: &mut scratch });
                let what = format!("{} {p}", row.id.name);
                assert_sums(&y, &want, p.ic / p.groups * p.kh * p.kw, integral, &what);
                assert!(y == *first.get_or_insert_with(|| y.clone()), "{what}: other bits with {blocks:?}");
            }
        }
    }
}
