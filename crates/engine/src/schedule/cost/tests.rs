//! Predictions on machines that are described, not measured.

use tilewise_kernels::catalog::catalog;
use tilewise_kernels::conv::{self, ConvBlocks};
use tilewise_kernels::{Conv2d, Cpu};

use super::super::space::tests::{conv, problems};
use super::super::{Choice, Decision, Problem, candidates, default};
use super::*;

/// A Zen 5 core at 3.65 GHz: multiply-adds and reads as measured on one.
fn zen5() -> (Cpu, Machine) {
    let read = [460e9, 235e9, 108e9, 40e9];
    let machine = Machine { fma: 233.6e9, tile: 233.6e9, latency: 4.0 / 3.65e9, read, dispatch: 0.0 };
    (Cpu::zen5().with_cores(1), machine)
}

fn time(p: Conv2d, choice: Choice) -> Predicted {
    let (cpu, machine) = zen5();
    predict(&Decision { problem: Problem::Conv(p), choice }, &cpu, &machine)
}

fn chosen(p: Conv2d) -> Predicted {
    time(p, default(&Problem::Conv(p), &zen5().0).unwrap())
}

#[test]
fn predictions_of_known_layers_are_near_what_was_measured() {
    // Milliseconds of a layer that runs again and again by itself, its weights in the cache, on one core of a Zen 5:
    // shape, kernel, time. In a network it takes longer, and that is what is predicted.
    let cases = [
        ("ic64 oc64 i56 p1", "conv-winograd4_f32_14x32_avx512", 0.30),
        ("ic128 oc128 i28 p1", "conv-winograd4_f32_14x32_avx512", 0.28),
        ("ic256 oc256 i56 p1", "conv-direct_f32_14x32_avx512", 16.1),
        ("ic256 oc64 i56 k1", "conv-pointwise_f32_14x32_avx512", 0.46),
        ("ic512 oc512 i14 k1", "conv-pointwise_f32_14x32_avx512", 0.44),
    ];
    for (shape, name, measured) in cases {
        let (cpu, p) = (zen5().0, conv(shape));
        let kernel = conv::candidates(&p, &cpu).find(|kernel| kernel.id.name == name).unwrap();
        let predicted = 1e3 * time(p, Choice::Conv(kernel, (kernel.blocks)(&p, &cpu))).seconds();
        let ratio = predicted / measured;
        assert!((0.8..1.6).contains(&ratio), "{shape}: {name}: {predicted} ms, {measured} measured");
    }
}

#[test]
fn more_work_takes_longer() {
    let sizes = |word: &str, sizes: [usize; 4]| sizes.map(|size| format!("i28 p1 {word}{size}"));
    for series in [sizes("ic", [64, 128, 256, 512]), sizes("oc", [64, 128, 256, 512]), sizes("n", [1, 2, 4, 8])] {
        let times = series.each_ref().map(|text| chosen(conv(text)).seconds());
        assert!(times.is_sorted_by(|a, b| a < b), "{series:?}: {times:?}");
    }
}

#[test]
fn a_faster_machine_is_never_slower() {
    let (cpu, machine) = zen5();
    let mut faster = vec![Machine { tile: 2.0 * machine.tile, ..machine }];
    for level in 0..4 {
        let mut read = machine.read;
        read[level] *= 2.0;
        faster.push(Machine { read, ..machine });
    }
    for problem in problems() {
        for choice in candidates(&problem, &cpu) {
            let decision = Decision { problem, choice };
            let before = predict(&decision, &cpu, &machine).seconds();
            assert!(before > 0.0 && before.is_finite(), "{decision:?}");
            for machine in &faster {
                assert!(
                    predict(&decision, &cpu, machine).seconds() <= before * (1.0 + 1e-12),
                    "{decision:?} {machine:?}"
                );
            }
        }
    }
}

#[test]
fn the_bound_is_what_the_layer_is_known_for() {
    let fully_connected = Problem::Gemm {
        problem: tilewise_kernels::gemm::Gemm {
            m: 1,
            n: 4096,
            k: 25088,
            a: tilewise_kernels::gemm::Strides { row: 25088, col: 1 },
            b: tilewise_kernels::gemm::Strides { row: 1, col: 25088 },
            alpha: 1.0,
            epilogue: Default::default(),
        },
        count: 1,
        packed: true,
    };
    let (cpu, machine) = zen5();
    let choice = default(&fully_connected, &cpu).unwrap();
    let streamed = predict(&Decision { problem: fully_connected, choice }, &cpu, &machine);
    assert_eq!(streamed.bound(), Bound::Dram);
    assert_eq!(chosen(conv("ic512 oc512 i14 k1")).bound(), Bound::Fma);
    // Bytes alone: in L2, in L3, in memory.
    let levels = [1 << 18, 4 << 20, 64 << 20].map(|bytes| predict_fixed("copy", [0, bytes], &cpu, &machine).bound());
    assert_eq!(levels, [Bound::L2, Bound::L3, Bound::Dram]);
}

#[test]
fn idle_cores_cost_time() {
    let p = conv("ic256 oc256 i56 k1");
    let kernel = conv::candidates(&p, &zen5().0).find(|k| k.id.tile == [14, 32]).unwrap();
    let best = (kernel.blocks)(&p, &zen5().0);
    let two = Cpu { cores: 2, ..zen5().0 };
    let machine = Machine { tile: 2.0 * zen5().1.tile, read: zen5().1.read.map(|rate| 2.0 * rate), ..zen5().1 };
    let on_two = |rows, oc| {
        let choice = Choice::Conv(kernel, ConvBlocks { rows, oc, ..best });
        predict(&Decision { problem: Problem::Conv(p), choice }, &two, &machine).seconds()
    };
    // One task for two cores multiplies twice as long as two.
    assert!(on_two(56, 256) > 1.5 * on_two(28, 256));
}

#[test]
fn every_kernel_without_a_choice_has_its_cycles() {
    let chosen = ["conv-", "gemm"];
    let operators = catalog().map(|id| id.op).filter(|op| !chosen.iter().any(|start| op.starts_with(start)));
    let priced = |op: &str| fixed::CYCLES.iter().any(|(name, _)| *name == op);
    let without: Vec<&str> = operators.chain(["conv-transposed"]).filter(|op| !priced(op)).collect();
    assert!(without.is_empty(), "{without:?}");
    let unknown: Vec<&str> =
        fixed::CYCLES.iter().map(|(name, _)| *name).filter(|name| catalog().all(|id| id.op != *name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn steps_without_a_choice_take_their_cycles_and_their_bytes() {
    let (cpu, machine) = zen5();
    let us = |kernel: &str, bytes| 1e6 * predict_fixed(kernel, [0, bytes], &cpu, &machine).seconds();
    // 256 KiB are 4096 vectors: 12 cycles each and 700 more, at 3.65 GHz.
    assert!((us("norm-rows_f32_8x16_avx512", 256 << 10) - 13.66).abs() < 0.01);
    // Half of L2 is near; of 4 MiB the other 3.5 come at 108 GB/s on top.
    let far = us("channels_f32_1x16_avx512", 4 << 20) - (1.6 * 65536.0 + 700.0) / 3650.0;
    assert!((far - 33.98).abs() < 0.01, "{far}");
    assert!(us("interpreted", 1 << 20) > 20.0 * us("unary_f32_1x16_avx512", 1 << 20));
}

#[test]
fn a_small_network_never_reads_beyond_the_level_that_holds_it() {
    let (cpu, machine) = zen5();
    for (bytes, read) in [
        (1 << 10, [460e9, 235e9, 235e9, 235e9]),
        (1 << 20, [460e9, 235e9, 235e9, 235e9]),
        (1 << 21, [460e9, 235e9, 108e9, 108e9]),
        (1 << 30, [460e9, 235e9, 108e9, 40e9]),
    ] {
        assert_eq!(machine.seen_by(bytes, &cpu).read, read, "{bytes}");
    }
}
