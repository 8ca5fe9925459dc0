//! The search with a clock that is made up.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tilewise_graph::{Graph, passes};
use tilewise_kernels::Cpu;

use super::super::{Decision, Question, default, predict};
use super::explore::explore;
use super::layouts::assemble;
use super::*;

/// Times by a table: a problem's choices take what the prediction says, times a factor of their kernel.
struct Fake {
    cpu: Cpu,
    factors: BTreeMap<&'static str, f64>,
    reorder: f64,
    asked: Vec<String>,
}

const MACHINE: Machine =
    Machine { fma: 233.6e9, tile: 233.6e9, latency: 1.1e-9, read: [460e9, 235e9, 108e9, 40e9], dispatch: 1e-6 };

impl Measure for Fake {
    fn machine(&mut self) -> Machine {
        MACHINE
    }

    fn times(&mut self, problem: &Problem, choices: &[Choice]) -> Vec<f64> {
        self.asked.push(problem.to_string());
        let seconds = |choice: &Choice| {
            let op = choice.kernel().split('_').next().unwrap_or_default();
            let factor = self.factors.get(op).copied().unwrap_or(1.0);
            factor * predict(&Decision { problem: *problem, choice: *choice }, &self.cpu, &MACHINE).seconds()
        };
        choices.iter().map(seconds).collect()
    }

    fn reorder(&mut self, _: &Reorder) -> f64 {
        self.reorder
    }
}

fn fake(factors: &[(&'static str, f64)], reorder: f64) -> Fake {
    Fake { cpu: cpu(), factors: factors.iter().copied().collect(), reorder, asked: Vec::new() }
}

fn cpu() -> Cpu {
    Cpu::zen5().with_cores(1)
}

/// Two convolutions of one problem, one of another, and a separable pair.
const NETWORK: &str = "input x: f32[1,64,28,28]
    const v: f32[64,64,3,3] = fill
    const w: f32[64,64,3,3] = fill
    a = Conv(x, v) pads=[1,1,1,1]
    b = Conv(a, w) pads=[1,1,1,1]
    const u: f32[128,64,1,1] = fill
    c = Conv(b, u)
    const d: f32[128,1,3,3] = fill
    e = Conv(c, d) group=128 pads=[1,1,1,1]
    const p: f32[64,128,1,1] = fill
    f = Conv(e, p)
    output f";

fn graph() -> Graph {
    let mut graph: Graph = NETWORK.parse().unwrap();
    passes::run(&mut graph, passes::ALL).unwrap();
    graph
}

fn questions(graph: &Graph) -> Vec<Question> {
    NetworkPart::whole(graph, &cpu()).survey(&Schedule::default()).unwrap().questions
}

/// What the search makes of a network with a clock, before the proof: what it names, and the store.
fn searched(graph: &Graph, clock: &mut Fake, choices: usize) -> (Schedule, Store) {
    let cpu = cpu();
    let (questions, mut store) = (questions(graph), Store::in_memory(&cpu));
    let budget = Budget { time: Duration::from_secs(60), choices, progress: &|_, _| () };
    let until = Instant::now() + budget.time;
    explore(&questions, (&cpu, &MACHINE), clock, &budget, until, &mut store);
    (assemble(&NetworkPart::whole(graph, &cpu), &questions, clock, &store).unwrap(), store)
}

/// How all layers of the network then run.
fn schedule(clock: &mut Fake, choices: usize) -> Schedule {
    let (graph, cpu) = (graph(), cpu());
    let (named, _) = searched(&graph, clock, choices);
    let made = NetworkPart::whole(&graph, &cpu).survey(&named).unwrap().schedule;
    assert!(named.iter().all(|(layer, choice)| made.get(layer) == Some(choice)), "{named} became {made}");
    made
}

fn op<'a>(schedule: &'a Schedule, layer: &str) -> &'a str {
    schedule.get(layer).map_or("none", |choice| choice.kernel().split('_').next().unwrap_or_default())
}

#[test]
fn each_problem_is_measured_once_and_pairs_after_their_parts() {
    let mut clock = fake(&[], 1.0);
    schedule(&mut clock, 8);
    let pair = clock.asked.iter().position(|text| text.contains("->")).unwrap();
    assert_eq!((clock.asked.len(), pair), (5, 4), "{:?}", clock.asked);
}

#[test]
fn the_fastest_method_is_taken_layer_by_layer() {
    for (slow, wanted) in [
        (
            vec![
                ("conv-winograd4", 9.0),
                ("conv-winograd6", 9.0),
                ("conv-winograd2", 9.0),
                ("conv-winograd4-nonfused", 9.0),
                ("conv-winograd6-nonfused", 9.0),
                ("conv-im2col", 9.0),
            ],
            "conv-direct",
        ),
        (vec![("conv-direct", 9.0), ("conv-winograd4", 0.1)], "conv-winograd4"),
    ] {
        let schedule = schedule(&mut fake(&slow, 1e-9), usize::MAX);
        assert_eq!([op(&schedule, "a"), op(&schedule, "b")], [wanted; 2], "{schedule}");
    }
}

#[test]
fn pairs_are_fused_where_that_is_faster_and_only_there() {
    let fused = schedule(&mut fake(&[("conv-dwpw", 0.5)], 1.0), 8);
    assert_eq!([op(&fused, "e"), op(&fused, "f")], ["none", "conv-dwpw"], "{fused}");
    let apart = schedule(&mut fake(&[("conv-dwpw", 3.0)], 1.0), 8);
    assert_eq!([op(&apart, "e"), op(&apart, "f")], ["conv-depthwise", "conv-pointwise"], "{apart}");
}

#[test]
fn rows_win_over_blocks_only_where_they_pay_for_the_changes_of_layout() {
    // All of it by rows: no change of layout is left.
    let by_rows = schedule(&mut fake(&[("conv-im2col", 0.01)], 1.0), usize::MAX);
    assert_eq!(["a", "b", "c"].map(|layer| op(&by_rows, layer)), ["conv-im2col"; 3], "{by_rows}");
    // A little faster by rows in the middle, and dearer changes on both sides.
    let dear = [("conv-im2col", 0.9), ("conv-pointwise", 1.0), ("conv-winograd4", 0.1)];
    let blocked = schedule(&mut fake(&dear, 1e-4), usize::MAX);
    assert_eq!(op(&blocked, "c"), "conv-pointwise", "{blocked}");
}

/// Branches that join in a sum and in a concatenation, with a function, a pooling and a pair between them.
const BRANCHES: &str = "input x: f32[1,32,12,12]
    const v: f32[32,32,1,1] = fill
    const u: f32[32,32,3,3] = fill
    const w: f32[32,64,1,1] = fill
    const d: f32[32,1,3,3] = fill
    a = Conv(x, v)
    b = Conv(a, u) pads=[1,1,1,1]
    s = Sigmoid(b)
    t = Add(s, a)
    p = MaxPool(t) kernel_shape=[3,3] pads=[1,1,1,1] strides=[1,1]
    q = Conv(t, u) pads=[1,1,1,1]
    c = Concat(p, q) axis=1
    e = Conv(c, w)
    g = Conv(e, d) group=32 pads=[1,1,1,1]
    h = Conv(g, v)
    output h";

#[test]
fn no_combination_of_layouts_is_faster_than_the_one_that_is_found() {
    let mut graph: Graph = BRANCHES.parse().unwrap();
    passes::run(&mut graph, passes::ALL).unwrap();
    let (cpu, mut mixed) = (cpu(), 0);
    for rows in [0.3, 0.5, 0.7, 0.9, 1.1] {
        for reorder in [1e-7, 1e-6, 3e-6, 1e-5] {
            let mut clock = fake(&[("conv-im2col", rows), ("conv-dwpw", 1.05)], reorder);
            let (found, store) = searched(&graph, &mut clock, usize::MAX);
            // Every layer in each layout that was measured, and the pair as one.
            let questions = questions(&graph);
            let mut total = |schedule: &Schedule| {
                let survey = NetworkPart::whole(&graph, &cpu).survey(schedule).unwrap();
                let seconds = survey.schedule.iter().map(|(layer, choice)| {
                    let fused = matches!(choice, Choice::Fused(..));
                    let of = |question: &&Question| question.layer == layer && question.first.is_some() == fused;
                    let problem = questions.iter().find(of).unwrap().problem;
                    clock.times(&problem, &[*choice])[0]
                        / if default(&problem, &cpu) == Some(*choice) { 1.0 } else { GAIN }
                });
                seconds.sum::<f64>() + survey.reorders.len() as f64 * reorder
            };
            let singles: Vec<&Question> = questions.iter().filter(|question| question.first.is_none()).collect();
            let counts: Vec<usize> = singles.iter().map(|question| store.get(&question.problem).len()).collect();
            let least = (0..counts.iter().product()).map(|mut number: usize| {
                let mut schedule = Schedule::default();
                for (question, count) in singles.iter().zip(&counts) {
                    schedule.set(&question.layer, store.get(&question.problem)[number % count].choice);
                    number /= count;
                }
                total(&schedule)
            });
            let least = least.fold(f64::INFINITY, f64::min);
            let by_rows = found.iter().filter(|(layer, _)| op(&found, layer) == "conv-im2col").count();
            mixed += usize::from((1..singles.len()).contains(&by_rows));
            let found = total(&found);
            assert!(found <= least * (1.0 + 1e-9), "{found} s, {least} s is possible: {rows} {reorder}");
        }
    }
    assert!(mixed > 2, "both layouts in one network {mixed} times only");
}

#[test]
fn what_one_network_gave_back_another_may_keep() {
    let (graph, cpu) = (graph(), cpu());
    let nonfused = ["conv-winograd4-nonfused", "conv-winograd6-nonfused"];
    let others = ["conv-direct", "conv-winograd4", "conv-winograd6", "conv-im2col"];
    let others: Vec<_> = nonfused.into_iter().chain(others).map(|op| (op, 9.0)).collect();
    let (named, mut store) = searched(&graph, &mut fake(&others, 1e-9), usize::MAX);
    assert_eq!(op(&named, "a"), "conv-winograd2");
    let mut questions = questions(&graph);
    store.prove(&questions, &Schedule::default());
    assert!(recall(&questions, &cpu, &store).is_empty());
    questions.retain(|question| question.layer == "a");
    assert_eq!(op(&recall(&questions, &cpu, &store), "a"), "conv-winograd2");
}

#[test]
fn what_is_known_is_not_measured_again_and_a_spent_budget_leaves_the_rest() {
    let (graph, cpu) = (graph(), cpu());
    let (questions, mut store) = (questions(&graph), Store::in_memory(&cpu));
    let seen = RefCell::new(Vec::new());
    let budget =
        Budget { time: Duration::ZERO, choices: 4, progress: &|done, all| seen.borrow_mut().push((done, all)) };
    let mut clock = fake(&[], 1.0);
    explore(&questions, (&cpu, &MACHINE), &mut clock, &budget, Instant::now(), &mut store);
    assert!(clock.asked.is_empty() && recall(&questions, &cpu, &store).is_empty());
    assert_eq!(seen.borrow().last(), Some(&(5, 5)));
    let later = Instant::now() + Duration::from_secs(60);
    for asked in [5, 0] {
        clock.asked.clear();
        explore(&questions, (&cpu, &MACHINE), &mut clock, &budget, later, &mut store);
        assert_eq!(clock.asked.len(), asked);
    }
}

#[test]
fn a_choice_no_faster_than_noise_is_the_default() {
    let cpu = cpu();
    let schedule = schedule(&mut fake(&[("conv-pointwise", 1.0), ("conv-im2col", 5.0)], 1.0), 1);
    for Question { layer, problem, first } in questions(&graph()).iter().filter(|question| question.first.is_none()) {
        let usual = default(problem, &cpu);
        assert!(schedule.get(layer).is_none_or(|choice| Some(*choice) == usual), "{layer} {first:?}");
    }
}

#[test]
fn a_search_on_this_machine_ends_in_a_schedule_that_runs() {
    let cpu = Cpu::probe().with_cores(2);
    let (graph, pool, mut store) = (graph(), Arc::new(Pool::new(2)), Store::in_memory(&cpu));
    let budget = Budget { time: Duration::from_secs(3), choices: 3, progress: &|_, _| () };
    let tuned = search(&NetworkPart::whole(&graph, &cpu), &pool, &Weights::default(), &budget, &mut store).unwrap();
    assert!(tuned.seconds[1] <= tuned.seconds[0], "{tuned:?}");
    let plan = crate::plan::compile(&graph, &tuned.schedule, &cpu, &Weights::default()).unwrap();
    assert!(plan.misfits().is_empty());
    assert!(tuned.changed.iter().all(|changed| changed.after.1 > 0.0 && changed.before.0 != changed.after.0));
}
