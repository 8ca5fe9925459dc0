//! The rounding of Winograd kernels, and the edges of their cover.

use super::*;
use crate::conv::ConvBlocks;
use crate::conv::tests::{Operands, conv, cpu, run};
use crate::trial::Random;
use crate::{Conv2d, Pads, Pool, Tier, reference};

/// The largest error of an output, relative to the standard deviation of the outputs, for each method.
pub(in crate::conv) fn bound(op: &str) -> f64 {
    match op.trim_end_matches("-nonfused") {
        "conv-direct" => 2.5e-5,
        "conv-winograd2" => 5e-6,
        "conv-winograd4" => 4e-5,
        "conv-winograd6" => 1.5e-4,
        "conv-winograd2r5" => 4e-5,
        "conv-winograd4r5" => 1.5e-4,
        "conv-winograd2s2" => 5e-6,
        "conv-winograd4s2" => 1.5e-5,
        "conv-winograd2r1x3" | "conv-winograd2r3x1" => 5e-6,
        "conv-winograd4r1x3" | "conv-winograd4r3x1" => 2e-5,
        "conv-winograd6r1x3" | "conv-winograd6r3x1" => 5e-5,
        "conv-winograd4r1x5" | "conv-winograd4r5x1" => 5e-5,
        "conv-winograd4r1x7" | "conv-winograd4r7x1" => 1e-4,
        "conv-winograd6r1x7" | "conv-winograd6r7x1" => 1.5e-4,
        "conv-first" => 1e-5,
        "conv-first-winograd2" => 1e-5,
        "conv-first-winograd4" => 1.5e-5,
        "conv-fft16" => 1e-5,
        _ => panic!("{op} has no stated bound"),
    }
}

fn deviation(values: &[f32]) -> f64 {
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
    (values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

#[test]
fn errors_stay_within_their_bounds() {
    let (pool, mut r) = (Pool::new(2), Random::new(7, false));
    let pads = Pads { top: 1, left: 1, bottom: 1, right: 1 };
    let mut worst = std::collections::BTreeMap::new();
    let squares = [
        (16, 24, 32, 3),
        (64, 14, 64, 3),
        (256, 13, 48, 3),
        (512, 7, 64, 3),
        (48, 13, 64, 5),
        (256, 9, 32, 5),
        (96, 20, 16, 7),
        (64, 31, 16, 11),
    ];
    let squares = squares.map(|(ic, size, oc, taps)| (ic, size, oc, [taps; 2]));
    let lines = [3, 5, 7].into_iter().flat_map(|taps| [[1, taps], [taps, 1]]);
    let lines = lines.flat_map(|kernel| [(64, 17, 64, kernel), (384, 12, 32, kernel)]);
    let problems = squares.into_iter().chain(lines).map(|problem| (problem, 1));
    let strided = [(64, 28, 64), (256, 27, 48), (512, 14, 64)].map(|(ic, size, oc)| ((ic, size, oc, [3, 3]), 2));
    let first = [(3, 64, 32, [7, 7], 2), (3, 63, 64, [7, 7], 1), (3, 99, 64, [11, 11], 4), (1, 40, 32, [5, 5], 2)];
    let first = first.into_iter().chain([(4, 60, 48, [9, 9], 2), (3, 40, 64, [5, 5], 1), (3, 40, 64, [3, 3], 1)]);
    let first = first.map(|(ic, size, oc, kernel, stride)| ((ic, size, oc, kernel), stride));
    for ((ic, size, oc, kernel), stride) in problems.chain(strided).chain(first) {
        for positive in [false, true] {
            let p = Conv2d { pads, stride: [stride; 2], ..conv(ic, [size, size], oc, kernel) };
            let mut operands = Operands::new(&p, |len| r.values(len));
            if positive {
                operands.x.iter_mut().for_each(|x| *x = x.max(0.0));
            }
            let expected = reference::conv2d(&p, &operands.x, &operands.w, &[], &[]);
            let unit = deviation(&expected);
            let rows = [&crate::conv::direct::ROWS[..], &crate::conv::first::ROWS, &ROWS, &crate::conv::fft::ROWS];
            let rows = rows.into_iter().flatten();
            for row in rows.filter(|row| row.id.tier.available() && (row.accepts)(&p)) {
                let actual = run(row, &p, &(row.blocks)(&p, &cpu(row.id.tier, 2)), &operands, &pool);
                let error = tilewise_tensor::difference(&actual, &expected, 0.0, 0.0).max_abs / unit;
                let seen = worst.entry((row.id.op, row.id.tier)).or_insert(0f64);
                *seen = seen.max(error);
            }
        }
    }
    assert!(worst.iter().all(|((op, _), error)| *error <= bound(op)), "{worst:#?}");
}

#[test]
fn work_is_cut_for_every_core_and_reads_large_weights_once() {
    let pads = Pads { top: 1, left: 1, bottom: 1, right: 1 };
    let cases = [(64, 56, true), (256, 14, true), (512, 7, true), (512, 28, false)];
    for (channels, size, in_l2) in cases {
        let p = Conv2d { pads, ..conv(channels, [size, size], channels, [3, 3]) };
        for cores in [1, 2, 4] {
            let cpu = cpu(Tier::Avx512, cores);
            let (row, blocks) = crate::conv::choose(&p, &cpu).unwrap();
            let method = method(&row.id).unwrap_or_else(|| panic!("{} on {p}", row.id.name));
            let strips = method.squares(&p).div_ceil(blocks.rows);
            // Where weights are waited for, three parts of them may be faster than four of the squares.
            assert!(
                strips * p.oc.div_ceil(blocks.oc) >= cores * 3 / 4,
                "{} on {p}, {cores} cores: {blocks:?}",
                row.id.name
            );
            let bytes = (row.scratch_len)(&p, &blocks, 1) * size_of::<f32>();
            assert_eq!(bytes <= cpu.l2.size * 3 / 4, in_l2, "{} on {p}: {bytes} bytes in {blocks:?}", row.id.name);
            // Weights larger than L3 are not read for one strip after the other.
            assert!(in_l2 || strips == 1, "{} on {p}, {cores} cores: {blocks:?}", row.id.name);
        }
    }
}

#[test]
fn three_passes_have_the_bits_of_one() {
    let (pools, mut r) = ([Pool::new(1), Pool::new(2)], Random::new(11, false));
    let pads = Pads { top: 2, left: 1, bottom: 2, right: 3 };
    let mut compared = 0;
    for (ic, size, oc, taps, dilation) in
        [(40, [19, 23], 70, 3, [2, 1]), (128, [15, 9], 48, 3, [1, 1]), (17, [30, 30], 33, 7, [1, 2])]
    {
        let p = Conv2d { n: 2, pads, dilation, ..conv(ic, size, oc, [taps; 2]) };
        let operands = Operands::new(&p, |len| r.values(len));
        let rows = || crate::conv::ROWS.iter().filter(|row| row.id.tier.available() && (row.accepts)(&p));
        for row in rows().filter(|row| row.id.op.ends_with("-nonfused")) {
            let name = row.id.name.replace("-nonfused", "");
            let fused = rows().find(|other| other.id.name == name).unwrap();
            let blocks = |rows, oc, ic| ConvBlocks { rows, oc, ic, ..ConvBlocks::default() };
            let expected = run(fused, &p, &(fused.blocks)(&p, &cpu(row.id.tier, 1)), &operands, &pools[0]);
            for (blocks, pool) in [(blocks(7, 32, 16), &pools[1]), (blocks(1000, 1000, 1000), &pools[0])] {
                let actual = run(row, &p, &blocks, &operands, pool);
                assert!(
                    actual.iter().map(|v| v.to_bits()).eq(expected.iter().map(|v| v.to_bits())),
                    "{name} on {p}, {blocks:?}"
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 0);
}
