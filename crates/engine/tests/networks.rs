//! Compiled networks against the reference interpreter: every tier, one and two threads, alone and in a batch.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{NETWORKS, compile, inputs, machines, network, run, specialized};

use tilewise_engine::schedule::{Budget, Group, Store, search};
use tilewise_engine::{Arena, Network, PlanError, Schedule, Weights};
use tilewise_graph::{Images, evaluate};
use tilewise_kernels::{Cpu, Pool};
use tilewise_tensor::{DType, Tensor, View, difference};

#[test]
fn compiled_networks_equal_the_reference_on_every_tier() {
    let mut failures = Vec::new();
    for (name, text) in NETWORKS {
        let source = network(text);
        let graph = specialized(&source, 2);
        let inputs = inputs(&graph, 11);
        let expected = evaluate(&source, &inputs).unwrap();
        for cpu in machines() {
            for threads in [1, 2] {
                let actual = run(&compile(&graph, &cpu, threads), &inputs, threads);
                for (i, (actual, expected)) in actual.iter().zip(&expected).enumerate() {
                    let (actual, expected) = (actual.values::<f32>().unwrap(), expected.values::<f32>().unwrap());
                    let range = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
                    let d = difference(&actual, &expected, 2e-6 * f64::from(range), 1e-5);
                    if d.outside > 0 {
                        failures.push(format!("{name}, output {i}, {}, {threads} threads: {d:?}", cpu.tier));
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn no_operator_of_the_test_networks_is_interpreted() {
    for (name, text) in NETWORKS {
        let graph = specialized(&network(text), 1);
        for step in compile(&graph, &machines()[0], 1).steps() {
            assert_ne!(step.kernel, "interpreted", "{name}: {}", step.layer);
        }
    }
}

#[test]
fn layouts_follow_the_kernels_and_reorders_stand_only_between_them() {
    // The image is read as it comes; blocked from there on through gate, pool and the odd cut; row-major
    // for the caller.
    let text = "input x: f32[N,3,16,16]
        const w: f32[32,3,3,3] = fill
        a = Conv(x, w) strides=[2,2] pads=[1,1,1,1]
        b = Relu(a)
        p = MaxPool(b) kernel_shape=[2,2] strides=[2,2]
        m = Mul(p, two)
        const odd: i64[2] = 3 29
        c, d = Split(m, odd) axis=1
        const w1: f32[8,29,1,1] = fill
        e = Conv(d, w1)
        output c
        output e";
    let graph = specialized(&network(text), 1);
    for cpu in machines() {
        let plan = compile(&graph, &cpu, 1);
        let steps: Vec<String> =
            plan.steps().map(|step| format!("{} {}", step.op, step.kernel.split('_').next().unwrap())).collect();
        let expected = [
            "Conv conv-first",
            "MaxPool pool-max",
            "Mul binary",
            "Split channels",
            "Split channels",
            "Conv conv-pointwise",
            "Reorder reorder",
            "Reorder reorder",
        ];
        assert_eq!(steps, expected, "{}", cpu.tier);
    }
}

#[test]
fn parts_are_made_where_their_concatenation_wants_them() {
    let text = "input x: f32[N,16,8,8]
        const w: f32[32,16,3,3] = fill
        const v: f32[16,16,1,1] = fill
        a = Conv(x, w) pads=[1,1,1,1]
        b = Conv(x, v)
        c = Concat(a, b) axis=1
        d = Relu(b)
        e = Concat(c, d, b) axis=1
        f = GlobalAveragePool(e)
        output f";
    for (batch, copies) in [(1, 1), (2, 5)] {
        let graph = specialized(&network(text), batch);
        for cpu in machines() {
            let plan = compile(&graph, &cpu, 1);
            // Of one image, only the value that stands at two places is copied to the second one.
            assert_eq!(plan.steps().filter(|step| step.op == "Concat").count(), copies, "{} {batch}", cpu.tier);
        }
    }
}

#[test]
fn results_are_bit_identical_over_threads_and_batch_places() {
    for (name, text) in NETWORKS {
        let source = network(text);
        let (one, three) = (specialized(&source, 1), specialized(&source, 3));
        let batch = inputs(&three, 5);
        for cpu in machines() {
            let together = run(&compile(&three, &cpu, 2), &batch, 2);
            let alone: Vec<Vec<Tensor>> = (0..3)
                .map(|i| {
                    let image: Vec<Tensor> = batch.iter().map(|tensor| part(tensor, i, 3)).collect();
                    run(&compile(&one, &cpu, 1), &image, 1)
                })
                .collect();
            for (i, outputs) in alone.iter().enumerate() {
                for (output, expected) in together.iter().zip(outputs) {
                    let same = part(output, i, 3).bytes()[..] == expected.bytes()[..];
                    assert!(same, "{name}, image {i} of 3, {}", cpu.tier);
                }
            }
        }
    }
}

#[test]
fn batches_that_go_image_by_image_are_bit_identical_wherever_they_are_cut() {
    for (name, text) in NETWORKS {
        let source = network(text);
        let (one, all) = (specialized(&source, 1), specialized(&source, 4));
        let batch = inputs(&all, 5);
        let images = Images::of(&one, &all).unwrap().unwrap();
        assert_eq!(images.nodes().len(), all.nodes().count(), "{name}");
        for cpu in machines() {
            let expected = run(&compile(&all, &cpu, 1), &batch, 1);
            let cuts = Network::cuts(&images);
            for at in (0..cuts.len()).filter(|&at| cuts[at].is_some()) {
                let [head, tail] = images.cut(at).unwrap();
                let network = Network::ByImage { head, count: 4, tail };
                for threads in [1, 2] {
                    let cpu = cpu.clone().with_cores(threads);
                    let plan = network.compile(&Schedule::default(), &cpu, &Weights::default()).unwrap();
                    let by_image = plan.steps().filter(|step| step.times == 4).count();
                    assert!(by_image > 0 && plan.turns().len() == plan.steps().len());
                    for (output, expected) in run(&plan, &batch, threads).iter().zip(&expected) {
                        let same = output.bytes()[..] == expected.bytes()[..];
                        assert!(same, "{name}, cut after {at}, {}, {threads} threads", cpu.tier);
                    }
                    // Whoever watches sees every step: those of an image after each that the calling thread has.
                    let views: Vec<View<'_>> = batch.iter().map(Tensor::view).collect();
                    let mut arena = Arena::new(&plan, Arc::new(Pool::new(threads))).unwrap();
                    let mut seen = vec![0; plan.steps().len()];
                    plan.run_observed(&views, &mut arena, |step, _| seen[step] += 1).unwrap();
                    assert!(threads > 1 || seen == plan.turns(), "{seen:?}");
                    assert!(seen[by_image..] == plan.turns()[by_image..], "{seen:?}");
                }
            }
        }
    }
}

#[test]
fn a_schedule_names_layers_of_both_parts_of_a_batch() {
    let (_, text) = NETWORKS[0];
    let (one, all) = (specialized(&network(text), 1), specialized(&network(text), 4));
    let cpu = machines().pop().unwrap().with_cores(2);
    let images = Images::of(&one, &all).unwrap().unwrap();
    let at = 1;
    let [head, tail] = images.cut(at).unwrap();
    let network = Network::ByImage { head, count: 4, tail };
    let usual = network.compile(&Schedule::default(), &cpu, &Weights::default()).unwrap();
    let mut schedule = usual.schedule().clone();
    let (_, &choice) = usual.schedule().iter().next().unwrap();
    schedule.set("no layer of either", choice);
    let plan = network.compile(&schedule, &cpu, &Weights::default()).unwrap();
    assert_eq!(plan.schedule(), usual.schedule());
    let misfits: Vec<&str> = plan.misfits().iter().map(|misfit| misfit.layer.as_str()).collect();
    assert_eq!(misfits, ["no layer of either"]);
}

#[test]
fn inputs_are_read_in_place_wherever_they_stand() {
    let text = "input x: f32[N,32,5,5]
        const w: f32[16,32,3,3] = fill
        a = Conv(x, w) pads=[1,1,1,1]
        const half: i64[2] = 16 16
        b, c = Split(x, half) axis=1
        d = Add(a, b)
        output d
        output x
        output c";
    let alone = "input x: f32[N,32,5,5]
        const w: f32[16,32,3,3] = fill
        a = Conv(x, w) pads=[1,1,1,1]
        output a";
    for (text, copied) in [(text, true), (alone, false)] {
        let source = network(text);
        let (one, all) = (specialized(&source, 1), specialized(&source, 3));
        let batch = inputs(&all, 9);
        let expected = evaluate(&source, &batch).unwrap();
        let images = Images::of(&one, &all).unwrap().unwrap();
        let [head, tail] = images.cut(images.nodes().len()).unwrap();
        let networks = [Network::Whole(all.clone()), Network::ByImage { head, count: 3, tail }];
        for network in networks.iter().take(if copied { 1 } else { 2 }) {
            let cpu = machines().pop().unwrap().with_cores(2);
            let plan = network.compile(&Schedule::default(), &cpu, &Weights::default()).unwrap();
            let mut arena = Arena::new(&plan, Arc::new(Pool::new(2))).unwrap();
            // As aligned as can be, by elements only, and not at all.
            for off in [0, 4, 1] {
                let bytes = batch[0].bytes();
                let mut room = vec![0; bytes.len() + 64];
                let start = (0..64).find(|&at| room[at..].as_ptr().addr() % 64 == off).unwrap();
                room[start..start + bytes.len()].copy_from_slice(bytes);
                let view = &room[start..start + bytes.len()];
                let view = View::from_bytes(DType::F32, batch[0].shape(), view).unwrap();
                let outputs = plan.run(&[view], &mut arena).unwrap();
                for (i, expected) in expected.iter().enumerate() {
                    let (actual, expected) = (outputs.tensor(i), expected.values::<f32>().unwrap());
                    let gap = difference(&actual.values::<f32>().unwrap(), &expected, 1e-5, 1e-5);
                    assert_eq!(gap.outside, 0, "output {i}: {gap:?}");
                }
            }
        }
    }
}

/// The `i`th of `n` equal parts along the first axis.
fn part(tensor: &Tensor, i: usize, n: usize) -> Tensor {
    let values = tensor.values::<f32>().unwrap();
    let len = values.len() / n;
    let shape: Vec<usize> = [tensor.shape()[0] / n].iter().chain(&tensor.shape()[1..]).copied().collect();
    Tensor::from_slice(&shape, &values[i * len..(i + 1) * len]).unwrap()
}

#[test]
fn schedules_parse_back_and_change_no_bit() {
    for (name, text) in NETWORKS {
        let graph = specialized(&network(text), 1);
        let inputs = inputs(&graph, 3);
        let cpu = machines().pop().unwrap().with_cores(1);
        let plan = compile(&graph, &cpu, 1);
        let text = plan.schedule().to_string();
        let parsed: Schedule = text.parse().unwrap();
        assert_eq!(parsed.to_string(), text, "{name}");
        // Blocks of another size: one row, one channel block at a time.
        let cut: String = text.lines().map(|line| cut_blocks(line) + "\n").collect();
        let other = tilewise_engine::plan::compile(&graph, &cut.parse().unwrap(), &cpu, &Default::default()).unwrap();
        let pairs = run(&plan, &inputs, 1).into_iter().zip(run(&other, &inputs, 1));
        assert!(pairs.into_iter().all(|(a, b)| a.bytes()[..] == b.bytes()[..]), "{name}: {cut}");
    }
}

#[test]
fn a_depthwise_convolution_fused_with_the_next_changes_no_bit() {
    let text = "input x: f32[N,40,9,11]
        const d: f32[40,1,3,3] = fill
        const e: f32[40] = fill
        const w: f32[24,40,1,1] = fill
        const v: f32[24,40,1,1] = fill
        r = Conv(x, v) strides=[2,2]
        a = Conv(x, d, e) group=40 strides=[2,2] pads=[1,1,1,1] activation=\"Clip(0.0,6.0)\"
        b = Conv(a, w, -, r) activation=\"HardSwish\"
        output b";
    let graph = specialized(&network(text), 2);
    let inputs = inputs(&graph, 9);
    for cpu in machines() {
        let apart = compile(&graph, &cpu, 2);
        let kernel = tilewise_kernels::conv::fused::choose(cpu.tier).id.name;
        let schedule: Schedule = format!("tilewise schedule 1\n{kernel} rows=2 oc=24 ic=16 : b\n").parse().unwrap();
        let together = tilewise_engine::plan::compile(&graph, &schedule, &cpu, &Default::default()).unwrap();
        assert_eq!(together.steps().len() + 1, apart.steps().len(), "{}", cpu.tier);
        let step = together.steps().last().unwrap();
        assert!(step.kernel == kernel || step.op == "Reorder", "{}", step.kernel);
        assert!(together.schedule().to_string().contains(kernel));
        let pairs = run(&apart, &inputs, 2).into_iter().zip(run(&together, &inputs, 2));
        assert!(pairs.into_iter().all(|(a, b)| a.bytes()[..] == b.bytes()[..]), "{}", cpu.tier);
    }
}

/// A line of a schedule with the smallest number of rows in a task.
fn cut_blocks(line: &str) -> String {
    let words = line.split(' ').map(|word| if word.starts_with("rows=") { "rows=1" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn what_the_end_of_a_chain_adds_stands_whole() {
    let text = "input x: f32[N,3,60,60]
        const s: f32[16,3,3,3] = fill
        a = Conv(x, s) pads=[1,1,1,1] activation=\"Relu\"
        const d: f32[16,1,3,3] = fill
        b = Conv(a, d) group=16 pads=[1,1,1,1] activation=\"Relu\"
        const p: f32[16,16,1,1] = fill
        c = Conv(b, p, -, a)
        output c";
    let graph = specialized(&network(text), 1);
    let inputs = inputs(&graph, 9);
    for cpu in machines() {
        let apart = compile(&graph, &cpu, 1);
        let mut small = cpu.clone().with_cores(1);
        small.l2.size = 24 << 10;
        let kernel = tilewise_kernels::conv::fused::choose(cpu.tier).id.name;
        let schedule: Schedule = format!("tilewise schedule 1\n{kernel} rows=8 oc=16 ic=16 : c\n").parse().unwrap();
        let together = tilewise_engine::plan::compile(&graph, &schedule, &small, &Default::default()).unwrap();
        assert!(together.steps().any(|step| step.kernel == kernel));
        let pairs = run(&apart, &inputs, 1).into_iter().zip(run(&together, &inputs, 1));
        assert!(pairs.into_iter().all(|(a, b)| a.bytes()[..] == b.bytes()[..]), "{}", cpu.tier);
    }
}

/// Convolutions and poolings one behind the other.
const CHAINS: &str = "input x: f32[N,3,61,33]
        const s: f32[20,3,3,3] = fill
        const t: f32[20] = fill
        a = Conv(x, s, t) strides=[2,2] pads=[1,1,1,1] activation=\"Relu\"
        const d: f32[20,1,3,3] = fill
        b = Conv(a, d) group=20 pads=[1,1,1,1] activation=\"Clip(0.0,6.0)\"
        const p: f32[40,20,1,1] = fill
        c = Conv(b, p) activation=\"HardSwish\"
        const e: f32[40,1,5,5] = fill
        d2 = Conv(c, e) group=40 strides=[2,2] pads=[2,2,1,1]
        const q: f32[24,40,1,1] = fill
        f = Conv(d2, q)
        const g: f32[24,24,1,1] = fill
        const h: f32[24,1,3,3] = fill
        i = Conv(f, h) group=24 pads=[1,1,1,1]
        j = Conv(i, g, -, f)
        const k: f32[64,24,1,1] = fill
        l = Conv(j, k) activation=\"Relu\"
        const n: f32[64,1,3,3] = fill
        m = Conv(l, n) group=64 pads=[1,1,1,1]
        o = MaxPool(m) kernel_shape=[3,3] strides=[2,2] ceil_mode=1
        const u: f32[32,64,1,1] = fill
        v = Conv(o, u)
        w = AveragePool(v) kernel_shape=[3,3] pads=[1,1,1,1]
        output w";

#[test]
fn chains_of_steps_that_take_turns_change_no_bit() {
    for batch in [1, 2] {
        let graph = specialized(&network(CHAINS), batch);
        let inputs = inputs(&graph, 9);
        for (cpu, threads) in machines().into_iter().flat_map(|cpu| [(cpu.clone(), 1), (cpu, 2)]) {
            let plain = compile(&graph, &cpu, threads);
            assert!(plain.turns().iter().all(|&turns| turns == 1), "{:?}", plain.turns());
            // The caches are what is different: the kernels and their blocks stay.
            let mut small = cpu.clone().with_cores(threads);
            small.l2.size = 24 << 10;
            let plan = tilewise_engine::plan::compile(&graph, plain.schedule(), &small, &Default::default()).unwrap();
            assert!(plan.turns().iter().filter(|&&turns| turns > 1).count() >= 2, "{:?}", plan.turns());
            let pairs = run(&plain, &inputs, threads).into_iter().zip(run(&plan, &inputs, threads));
            assert!(pairs.into_iter().all(|(a, b)| a.bytes()[..] == b.bytes()[..]), "{} {threads}", cpu.tier);
        }
    }
}

#[test]
fn a_schedule_says_which_steps_take_turns() {
    for batch in [1, 2] {
        let graph = specialized(&network(CHAINS), batch);
        let inputs = inputs(&graph, 9);
        for (cpu, threads) in machines().into_iter().flat_map(|cpu| [(cpu.clone(), 1), (cpu, 2)]) {
            let plain = compile(&graph, &cpu, threads);
            let expected = run(&plain, &inputs, threads);
            let compiled = |schedule: &Schedule, cpu: &Cpu| {
                let plan = tilewise_engine::plan::compile(&graph, schedule, cpu, &Default::default()).unwrap();
                let pairs = expected.iter().zip(run(&plan, &inputs, threads));
                assert!(pairs.into_iter().all(|(a, b)| a.bytes()[..] == b.bytes()[..]), "{} {threads}", cpu.tier);
                plan
            };
            let cpu = cpu.with_cores(threads);
            let said = |group: Group| {
                let mut schedule = plain.schedule().clone();
                plain
                    .steps()
                    .filter(|step| step.op != "Reorder")
                    .for_each(|step| schedule.set_group(&step.layer, group));
                schedule.set_group("nobody", group);
                schedule
            };
            for group in [Group::Turns(None), Group::Turns(Some(1)), Group::Turns(Some(5)), Group::Turns(Some(100))] {
                let asked = said(group);
                let plan = compiled(&asked, &cpu);
                let (made, misfits) = (plan.schedule(), plan.misfits());
                assert!(made.groups().len() >= 4 && misfits.len() >= 3, "{made} {misfits:?}");
                assert_eq!(made.groups().len() + misfits.len(), asked.groups().len(), "{made} {misfits:?}");
                assert!(group != Group::Turns(Some(1)) || plan.turns().iter().any(|&turns| turns > 10));
                let told =
                    |layer: &str| misfits.iter().find(|misfit| misfit.layer == layer).map(|misfit| &*misfit.reason);
                assert!(told("nobody").unwrap().contains("no step of this name"));
                assert!(told("w").unwrap().contains("whole images"));
                assert!(["f", "j"].map(|layer| told(layer).unwrap().contains("alone")) == [true; 2]);
                // What was made can be said.
                let again = compiled(&made.to_string().parse().unwrap(), &cpu);
                assert_eq!((again.schedule(), again.turns()), (made, plan.turns()));
                assert!(again.misfits().is_empty());
            }
            let mut small = cpu.clone();
            small.l2.size = 24 << 10;
            let plan = compiled(&said(Group::Whole), &small);
            assert!(plan.turns().iter().all(|&turns| turns == batch.min(1)) && !plan.beside().contains(&true));
            assert_eq!(plan.misfits().len(), 1);
        }
    }
}

#[test]
fn rows_of_a_chain_that_differ_are_named() {
    let graph = specialized(&network(CHAINS), 1);
    let cpu = machines().remove(0).with_cores(1);
    let plan = |text: &str| {
        let schedule = format!("tilewise schedule 1\n{text}").parse().unwrap();
        tilewise_engine::plan::compile(&graph, &schedule, &cpu, &Default::default()).unwrap()
    };
    let plain = plan("turns rows=4 : o\nturns rows=4 : v\n");
    assert!(plain.misfits().is_empty(), "{:?}", plain.misfits());
    let other = plan("turns rows=4 : o\nturns rows=3 : v\nturns : l\nwhole : m\n");
    let misfits: Vec<String> = other.misfits().iter().map(ToString::to_string).collect();
    assert!(
        misfits.len() == 2 && misfits[0].contains("is to run whole") && misfits[1].contains("turns of 4 rows"),
        "{misfits:?}"
    );
    for (text, reason) in [("turns rows=0", "at least 1"), ("turns cols=2", "rows="), ("whole rows=2", "neither")] {
        let error = format!("tilewise schedule 1\n{text} : a\n").parse::<Schedule>().unwrap_err();
        assert!(error.line == 2 && error.reason.contains(reason), "{error}");
    }
}

#[test]
fn parts_of_a_batch_are_searched_as_they_are_compiled() {
    for (name, text) in NETWORKS {
        let (one, all) = (specialized(&network(text), 1), specialized(&network(text), 2));
        let cpu = machines().pop().unwrap().with_cores(2);
        let Some(images) = Images::of(&one, &all).unwrap() else { continue };
        let cuts = Network::cuts(&images);
        for at in (1..cuts.len()).filter(|&at| cuts[at].is_some()).step_by(3) {
            let [head, tail] = images.cut(at).unwrap();
            let network = Network::ByImage { head, count: 2, tail };
            let (mut made, mut reorders) = (Schedule::default(), 0);
            let schedule = network.schedule(&cpu, |part| -> Result<Schedule, PlanError> {
                let mut store = Store::in_memory(&part.cpu);
                let budget = Budget { time: Duration::from_millis(20), choices: 2, progress: &|_, _| () };
                let pool = Arc::new(Pool::new(part.cpu.cores));
                let tuned = search(part, &pool, &Weights::default(), &budget, &mut store)?;
                made.extend(&tuned.full);
                reorders += part.survey(&tuned.schedule)?.reorders.len();
                Ok(tuned.schedule)
            });
            let plan = network.compile(&schedule.unwrap(), &cpu, &Weights::default()).unwrap();
            assert_eq!(plan.steps().filter(|step| step.reorder.is_some()).count(), reorders, "{name}, cut after {at}");
            assert!(
                *plan.schedule() == made && plan.misfits().is_empty(),
                "{name}, cut after {at}: {:?}",
                plan.misfits()
            );
        }
    }
}

#[test]
fn branches_that_run_side_by_side_change_no_bit() {
    let (_, text) = support::NETWORKS.iter().find(|(name, _)| *name == "branches of a cell").unwrap();
    for batch in [1, 2] {
        let graph = specialized(&network(text), batch);
        let inputs = inputs(&graph, 9);
        for cpu in machines() {
            let alone = compile(&graph, &cpu, 1);
            assert!(!alone.beside().contains(&true));
            let expected = run(&alone, &inputs, 1);
            for cores in [2, 3, 8] {
                let plan = compile(&graph, &cpu, cores);
                let beside = plan.beside().iter().filter(|&&beside| beside).count();
                assert!(beside > 5 || cores > 2, "{} {cores}", cpu.tier);
                assert!(plan.turns().iter().all(|&turns| turns == 1));
                assert!(plan.live_bytes().iter().all(|&bytes| bytes <= plan.arena_bytes()));
                for threads in [1, 2, cores] {
                    let pairs = expected.iter().zip(run(&plan, &inputs, threads));
                    assert!(
                        pairs.into_iter().all(|(a, b)| a.bytes()[..] == b.bytes()[..]),
                        "{} {cores} {threads}",
                        cpu.tier
                    );
                }
            }
        }
    }
}

/// What a run tells of each step adds up to its time, and what is predicted of each to what is of all.
#[test]
fn steps_side_by_side_share_the_time_that_they_take_together() {
    use tilewise_engine::schedule::Machine;
    let (_, text) = support::NETWORKS.iter().find(|(name, _)| *name == "branches of a cell").unwrap();
    let graph = specialized(&network(text), 1);
    let (tensors, cpu) = (inputs(&graph, 9), tilewise_kernels::Cpu::zen5());
    let tier = machines().pop().unwrap().tier;
    let plan = compile(&graph, &cpu.with_tier(tier), 2);
    let views: Vec<_> = tensors.iter().map(tilewise_tensor::Tensor::view).collect();
    let pool = std::sync::Arc::new(tilewise_kernels::Pool::new(2));
    let mut arena = tilewise_engine::Arena::new(&plan, pool).unwrap();
    let mut told = vec![0; plan.steps().len()];
    let mut sum = std::time::Duration::ZERO;
    let start = std::time::Instant::now();
    let mut note = |step: usize, time| {
        told[step] += 1;
        sum += time;
    };
    plan.run_observed(&views, &mut arena, &mut note).unwrap();
    assert!(sum <= start.elapsed() + std::time::Duration::from_micros(1));
    assert!(told.iter().all(|&times| times == 1), "{told:?}");
    let read = [460e9, 235e9, 108e9, 40e9];
    let machine = Machine { fma: 467e9, tile: 467e9, latency: 1.1e-9, read, dispatch: 1e-6 };
    let cpu = tilewise_kernels::Cpu::zen5().with_tier(tier);
    let seconds = |plan: &tilewise_engine::Plan, cpu: &tilewise_kernels::Cpu, machine: &Machine| -> f64 {
        plan.predicted(cpu, machine).iter().map(tilewise_engine::schedule::Predicted::seconds).sum()
    };
    let half =
        Machine { fma: machine.fma / 2.0, tile: machine.tile / 2.0, read: read.map(|rate| rate / 2.0), ..machine };
    let alone = seconds(&compile(&graph, &cpu, 1), &cpu.clone().with_cores(1), &half);
    let both = seconds(&plan, &cpu, &machine);
    assert!((0.45..1.0).contains(&(both / alone)), "{both} {alone}");
}
