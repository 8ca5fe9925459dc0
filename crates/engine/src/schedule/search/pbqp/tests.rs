//! Solutions held against all combinations.

use super::*;

/// Numbers that look random: a linear congruential generator (Knuth, MMIX).
struct Rng(u64);

impl Rng {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// Endless costs among small whole numbers, so that sums are exact.
fn cost(r: &mut Rng) -> f64 {
    if r.below(8) == 0 { f64::INFINITY } else { r.below(20) as f64 }
}

fn random(r: &mut Rng, edges: &[[usize; 2]], nodes: usize) -> Pbqp {
    let mut problem = Pbqp::default();
    for _ in 0..nodes {
        let states = 1 + r.below(3);
        problem.node((0..states).map(|_| cost(r)).collect());
    }
    for &[a, b] in edges {
        let table: Vec<f64> = (0..9).map(|_| cost(r)).collect();
        problem.edge([a, b], |i, j| table[3 * i + j]);
    }
    problem
}

/// The least costs of all combinations.
fn brute(problem: &Pbqp) -> f64 {
    let count: usize = problem.costs.iter().map(Vec::len).product();
    let states = |mut number: usize| -> Vec<usize> {
        let digit = |costs: &Vec<f64>| {
            let state = number % costs.len();
            number /= costs.len();
            state
        };
        problem.costs.iter().map(digit).collect()
    };
    (0..count).map(|number| problem.cost(&states(number))).fold(f64::INFINITY, f64::min)
}

fn check(problem: &Pbqp, trials: usize) -> Option<Solution> {
    let least = brute(problem);
    let solution = problem.solve_within(trials);
    assert_eq!(solution.is_some(), least < f64::INFINITY);
    if let Some(Solution { states, cost, exact }) = &solution {
        assert_eq!(*cost, problem.cost(states));
        assert!(if *exact { *cost == least } else { *cost >= least }, "{cost}, {least} is possible");
    }
    solution
}

#[test]
fn solutions_of_any_graph_cost_what_the_best_combination_costs() {
    let mut r = Rng(1);
    for _ in 0..500 {
        let nodes = 1 + r.below(8);
        let mut edges: Vec<[usize; 2]> = (0..nodes).flat_map(|a| (0..a).map(move |b| [a, b])).collect();
        edges.retain(|_| r.below(2) == 0);
        let problem = random(&mut r, &edges, nodes);
        let solution = check(&problem, usize::MAX);
        assert!(solution.is_none_or(|solution| solution.exact));
    }
}

#[test]
fn graphs_of_series_and_parallel_parts_need_no_trials() {
    let mut r = Rng(2);
    for _ in 0..300 {
        // An edge becomes two in a row, two side by side, or gets a tail: blocks with shortcuts, and branches that join.
        let mut edges = vec![[0, 1]];
        let mut nodes = 2;
        while nodes < 9 {
            let [a, b] = edges[r.below(edges.len())];
            match r.below(3) {
                0 => edges.extend([[a, nodes], [nodes, b]]),
                1 => edges.push([a, b]),
                _ => edges.push([b, nodes]),
            }
            nodes = 1 + edges.iter().flatten().copied().max().unwrap_or_default();
        }
        let problem = random(&mut r, &edges, nodes);
        let solution = check(&problem, 1);
        assert!(solution.is_none_or(|solution| solution.exact), "{edges:?}");
    }
}

#[test]
fn spent_trials_leave_a_combination_that_is_allowed() {
    let mut r = Rng(3);
    let mut best = 0;
    for _ in 0..200 {
        let edges: Vec<[usize; 2]> = (0..7).flat_map(|a| (0..a).map(move |b| [a, b])).collect();
        let problem = random(&mut r, &edges, 7);
        let solution = check(&problem, 1);
        best += usize::from(solution.is_some_and(|solution| solution.cost == brute(&problem)));
    }
    assert!(best > 20, "the most promising states were best {best} times only");
}
