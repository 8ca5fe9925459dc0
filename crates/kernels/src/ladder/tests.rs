//! Every rung against the reference on sizes that divide nothing, and what is counted for it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::{Conv2d, Pads, Tier};

/// Rungs of one list that are wrong for a problem, on a tier.
fn wrong<P: Copy + fmt::Display + 'static>(rungs: &'static [Rung<P>], p: P, cpu: &Cpu, threads: usize) -> Vec<String> {
    let pool = Pool::new(threads);
    let cpu = cpu.clone().with_cores(threads);
    let setting = Setting { cpu: &cpu, pool: &pool, time: Duration::ZERO };
    let mut found = Vec::new();
    for rung in ready(rungs, p).unwrap() {
        // A second run in the same memory must not find what the first left there.
        let Some(climbed) = rung.climb(&setting) else { continue };
        if !climbed.is_right() {
            found.push(format!("{} {} {p}: error {}", cpu.tier, rung.name, climbed.error));
        }
        let counted = climbed.traffic.is_none_or(|traffic| {
            let [l1, l2, l3, dram] = traffic.served;
            l1 > 0.0 && l1.is_finite() && [l2, l3, dram].iter().all(|bytes| *bytes >= 0.0) && traffic.working_set > 0.0
        });
        if !counted {
            found.push(format!("{} {} {p}: {:?}", cpu.tier, rung.name, climbed.traffic));
        }
    }
    found
}

fn tiers() -> impl Iterator<Item = Cpu> {
    Tier::ALL.into_iter().filter(|tier| tier.available()).map(|tier| Cpu::probe().with_tier(tier))
}

#[test]
fn products_of_any_size_equal_the_reference() {
    let sizes = [[1, 1, 1], [3, 5, 7], [17, 33, 65], [64, 64, 64], [1, 130, 50], [130, 1, 50], [67, 131, 259]];
    let mut found = Vec::new();
    for cpu in tiers() {
        for size in sizes {
            for threads in [1, 2] {
                found.extend(wrong(gemm::RUNGS, gemm::product(&size).unwrap(), &cpu, threads));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// Problems whose borders, strides and channels divide nothing.
fn convolutions() -> Vec<Conv2d> {
    let of = |sizes: &[usize]| conv::problem(sizes).unwrap();
    let lopsided = Pads { top: 2, left: 0, bottom: 1, right: 3 };
    vec![
        of(&[1, 1, 1]),
        of(&[5, 7, 3]),
        of(&[19, 13, 3]),
        of(&[33, 15, 3, 2]),
        of(&[16, 11, 5]),
        of(&[7, 17, 7, 3]),
        of(&[20, 9, 1]),
        of(&[8, 12, 2]),
        Conv2d { oc: 23, iw: 18, pads: lopsided, ..of(&[6, 14, 3]) },
        Conv2d { oc: 3, dilation: [2, 3], stride: [2, 1], ..of(&[9, 19, 3]) },
    ]
}

#[test]
fn convolutions_of_any_size_equal_the_reference() {
    let mut found = Vec::new();
    for cpu in tiers() {
        for p in convolutions() {
            found.extend(wrong(conv::RUNGS, p, &cpu, 2));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn layers_of_any_size_equal_the_reference() {
    let mut found = Vec::new();
    for cpu in tiers() {
        for p in convolutions() {
            for rungs in [layers::SEPARABLE, layers::BATCH_NORM, layers::FUSION] {
                found.extend(wrong(rungs, p, &cpu, 2));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_rung_of_every_ladder_runs_on_this_machine() {
    let cpu = Cpu::probe().with_cores(1);
    let setting = Setting { cpu: &cpu, pool: &Pool::new(1), time: Duration::ZERO };
    let mut left_out = Vec::new();
    for ladder in LADDERS {
        let sizes = if ladder.name == "gemm" { vec![48] } else { vec![32, 16, 3] };
        for rung in ladder.rungs(&sizes).unwrap() {
            assert!(rung.change.ends_with('.') && !rung.change.trim_end_matches('.').contains(". "), "{}", rung.change);
            if rung.climb(&setting).is_none() {
                left_out.push(rung.name);
            }
        }
    }
    // A Fourier kernel is for the tiers that have one.
    left_out.retain(|name| *name != "fft");
    assert!(left_out.is_empty(), "{left_out:?}");
}

#[test]
fn a_rung_that_computes_nothing_is_not_right() {
    static IDLE: &[Rung<gemm::Product>] = &[Rung {
        name: "idle",
        change: "Does nothing.",
        of: &Computation { macs: |_| 1, reference: |_| vec![1.0] },
        traffic: |_, _| None,
        build: |_, _| Some(Built::new(1, |_, _| ())),
    }];
    assert_eq!(wrong(IDLE, gemm::product(&[1]).unwrap(), &Cpu::scalar(), 1).len(), 1);
}

#[test]
fn sizes_that_make_no_problem_are_refused_by_name() {
    let cases: [(usize, &[usize]); 6] =
        [(0, &[1, 2]), (0, &[0]), (0, &[1 << 20]), (1, &[8]), (1, &[8, 0, 3]), (1, &[8, 5000, 3])];
    for (ladder, sizes) in cases {
        let error = LADDERS[ladder].rungs(sizes).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(LADDERS[ladder].name) && error.contains(LADDERS[ladder].sizes), "{sizes:?}: {error}");
    }
}

#[test]
fn better_rungs_ask_less_of_the_caches() {
    let cpu = Cpu::zen5();
    let p = gemm::product(&[1024]).unwrap();
    let served = |name: &str| {
        let rung = gemm::RUNGS.iter().find(|rung| rung.name == name).unwrap();
        (rung.traffic)(&p, &cpu).unwrap().served
    };
    let flops = 2.0 * (1u64 << 30) as f64;
    // Two loads for each multiply-add and one store a sum; a vector of B and a sixteenth of a value of A, and each sum
    // loaded and stored once a block of 64.
    let cases = [
        ("naive", 0, flops / (4.0 * (2.0 + 1.0 / 1024.0) * (1u64 << 30) as f64)),
        ("simd-columns", 0, flops / (4.0 * (1.0 / 16.0 + 1.0 + 2.0 / 64.0) * (1u64 << 30) as f64)),
    ];
    for (name, level, want) in cases {
        let got = flops / served(name)[level];
        assert!((got / want - 1.0).abs() < 0.02, "{name}: {got}, not {want}");
    }
    for (worse, better, level) in [("naive", "blocked", 1), ("blocked", "packed", 2), ("simd-columns", "packed", 0)] {
        let figures = [worse, better].map(|name| served(name)[level]);
        assert!(figures[1] < figures[0], "{worse}, {better}: {figures:?}");
    }
}
