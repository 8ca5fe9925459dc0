//! The search with a clock that is made up.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tilewise_graph::passes;

use super::super::{Decision, Question, default, predict};
use super::assemble::layouts;
use super::explore::explore;
use super::*;

/// Times by a table: a problem's choices take what the prediction says, times a factor of their kernel.
struct Fake {
    cpu: Cpu,
    factors: BTreeMap<&'static str, f64>,
    reorder: f64,
    asked: Vec<String>,
}

const MACHINE: Machine = Machine { fma: 233.6e9, latency: 1.1e-9, read: [460e9, 235e9, 108e9, 40e9], dispatch: 1e-6 };

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
    survey(graph, &Schedule::default(), &cpu()).unwrap().questions
}

/// What the search makes of the network with a clock, before the proof.
fn schedule(clock: &mut Fake, choices: usize) -> (Schedule, Store) {
    let (graph, cpu) = (graph(), cpu());
    let (questions, mut store) = (questions(&graph), Store::in_memory(&cpu));
    let budget = Budget { time: Duration::from_secs(60), choices, progress: &|_, _| () };
    let until = Instant::now() + budget.time;
    let found = explore(&questions, (&cpu, &MACHINE), clock, &budget, until, &mut store);
    layouts(&graph, &cpu, &questions, &found, clock, &mut store).unwrap();
    (recall(&questions, &cpu, &store), store)
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
            vec![("conv-winograd4", 9.0), ("conv-winograd6", 9.0), ("conv-winograd2", 9.0), ("conv-im2col", 9.0)],
            "conv-direct",
        ),
        (vec![("conv-direct", 9.0), ("conv-winograd4", 0.1)], "conv-winograd4"),
    ] {
        let (schedule, _) = schedule(&mut fake(&slow, 1e-9), usize::MAX);
        assert_eq!([op(&schedule, "a"), op(&schedule, "b")], [wanted; 2], "{schedule}");
    }
}

#[test]
fn pairs_are_fused_where_that_is_faster_and_only_there() {
    let (fused, _) = schedule(&mut fake(&[("conv-dwpw", 0.5)], 1.0), 8);
    assert_eq!([op(&fused, "e"), op(&fused, "f")], ["none", "conv-dwpw"], "{fused}");
    let (apart, _) = schedule(&mut fake(&[("conv-dwpw", 3.0)], 1.0), 8);
    assert_eq!([op(&apart, "e"), op(&apart, "f")], ["conv-depthwise", "conv-pointwise"], "{apart}");
    for schedule in [fused, apart] {
        let made = survey(&graph(), &schedule, &cpu()).unwrap().schedule;
        assert!(schedule.iter().all(|(layer, choice)| made.get(layer) == Some(choice)), "{schedule}");
    }
}

#[test]
fn rows_win_over_blocks_only_where_they_pay_for_the_changes_of_layout() {
    // All of it by rows: no change of layout is left.
    let by_rows = [("conv-im2col", 0.01)];
    let (schedule_of_rows, _) = schedule(&mut fake(&by_rows, 1.0), usize::MAX);
    assert_eq!(["a", "b", "c"].map(|layer| op(&schedule_of_rows, layer)), ["conv-im2col"; 3], "{schedule_of_rows}");
    // A little faster by rows in the middle, and dearer changes on both sides.
    let dear = [("conv-im2col", 0.9), ("conv-pointwise", 1.0), ("conv-winograd4", 0.1)];
    let (blocked, _) = schedule(&mut fake(&dear, 1e-4), usize::MAX);
    assert_eq!(op(&blocked, "c"), "conv-pointwise", "{blocked}");
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
    let (schedule, _) = schedule(&mut fake(&[("conv-pointwise", 1.0), ("conv-im2col", 5.0)], 1.0), 1);
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
    let tuned = search(&graph, (&cpu, &pool), &Weights::default(), &budget, &mut store).unwrap();
    assert!(tuned.seconds[1] <= tuned.seconds[0], "{tuned:?}");
    let plan = crate::plan::compile(&graph, &tuned.schedule, &cpu, &Weights::default()).unwrap();
    assert!(plan.misfits().is_empty());
    assert!(tuned.changed.iter().all(|changed| changed.after.1 > 0.0 && changed.before.0 != changed.after.0));
}
