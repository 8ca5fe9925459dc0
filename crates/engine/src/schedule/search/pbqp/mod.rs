//! Partitioned boolean quadratic problems: nodes with a few states each, costs of each state, and costs of each pair of
//! states of two nodes that share an edge. Wanted is one state for each node, with the least costs in all.
//!
//! A node without a choice or with at most two edges is taken out, and its costs go to its neighbours, without loss: that
//! solves graphs of series and parallel parts. Where only nodes with three edges and more are left, the states of the one
//! with most edges are tried one after the other, bounded from below by the least cost of each node and edge; when a
//! number of trials is spent, the most promising one of each such node is taken. (Scholz and Eckstein, Register Allocation
//! for Irregular Architectures, 2002; Hames and Scholz, Nearly Optimal Register Allocation with PBQP, 2006. For layouts of
//! convolutions: Anderson and Gregg, Optimal DNN Primitive Selection with PBQP, 2018.)

use std::collections::BTreeMap;

/// Costs of pairs of states, by the state of the one node and of the other.
type Matrix = Vec<Vec<f64>>;

/// Combinations that are looked at to the end where reductions alone do not solve a problem.
const TRIALS: usize = 1000;

/// A problem. An endless cost forbids a state, or a pair of them.
#[derive(Clone, Default)]
pub(super) struct Pbqp {
    costs: Vec<Vec<f64>>,
    /// For each node its neighbours, with the costs of its states and of theirs: each edge at both of its ends.
    edges: Vec<BTreeMap<usize, Matrix>>,
}

/// What a problem comes to.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Solution {
    /// The state of each node.
    pub(super) states: Vec<usize>,
    pub(super) cost: f64,
    /// True where no other states cost less.
    pub(super) exact: bool,
}

impl Pbqp {
    /// Adds a node with the costs of its states, at least one; its number.
    pub(super) fn node(&mut self, costs: Vec<f64>) -> usize {
        self.costs.push(costs);
        self.edges.push(BTreeMap::new());
        self.costs.len() - 1
    }

    /// Adds the costs of pairs of states of two nodes to those that there are.
    pub(super) fn edge(&mut self, [a, b]: [usize; 2], cost: impl Fn(usize, usize) -> f64) {
        for (a, b, turned) in [(a, b, false), (b, a, true)] {
            let (rows, columns) = (self.costs[a].len(), self.costs[b].len());
            let matrix = self.edges[a].entry(b).or_insert_with(|| vec![vec![0.0; columns]; rows]);
            for (i, row) in matrix.iter_mut().enumerate() {
                row.iter_mut().enumerate().for_each(|(j, sum)| *sum += if turned { cost(j, i) } else { cost(i, j) });
            }
        }
    }

    /// The costs of some states.
    fn cost(&self, states: &[usize]) -> f64 {
        let nodes = self.costs.iter().zip(states).map(|(costs, &state)| costs[state]);
        let pairs = self.edges.iter().enumerate().flat_map(|(a, edges)| edges.range(a..).map(move |edge| (a, edge)));
        nodes.sum::<f64>() + pairs.map(|(a, (&b, matrix))| matrix[states[a]][states[b]]).sum::<f64>()
    }

    /// The states with the least costs; `None` where all are forbidden.
    pub(super) fn solve(&self) -> Option<Solution> {
        self.solve_within(TRIALS)
    }

    fn solve_within(&self, trials: usize) -> Option<Solution> {
        let mut best = Best { cost: f64::INFINITY, states: None, trials, exact: true };
        Reduction::new(self.clone()).search(&mut best);
        let Best { states, exact, .. } = best;
        states.map(|states| Solution { cost: self.cost(&states), states, exact })
    }
}

/// The best combination so far.
struct Best {
    cost: f64,
    states: Option<Vec<usize>>,
    /// Combinations that may still be looked at.
    trials: usize,
    exact: bool,
}

/// A problem of which some nodes are taken out.
#[derive(Clone)]
struct Reduction {
    rest: Pbqp,
    /// The nodes that are left.
    left: Vec<usize>,
    /// The nodes that were taken out, in order, with their costs and edges at that time.
    out: Vec<(usize, Vec<f64>, BTreeMap<usize, Matrix>)>,
    /// What the nodes without an edge cost at least.
    settled: f64,
}

fn least(costs: &[f64]) -> f64 {
    costs.iter().copied().fold(f64::INFINITY, f64::min)
}

/// The number of the least of some costs.
fn place(costs: &[f64]) -> usize {
    (0..costs.len()).min_by(|&a, &b| costs[a].total_cmp(&costs[b])).unwrap_or_default()
}

impl Reduction {
    fn new(rest: Pbqp) -> Self {
        Reduction { left: (0..rest.costs.len()).collect(), rest, out: Vec::new(), settled: 0.0 }
    }

    /// Looks for combinations that cost less than the best one.
    fn search(mut self, best: &mut Best) {
        while let Some(at) = self.left.iter().position(|&node| self.is_reducible(node)) {
            let node = self.left.swap_remove(at);
            self.reduce(node);
        }
        let Some(&node) = self.left.iter().max_by_key(|&&node| self.rest.edges[node].len()) else {
            best.trials = best.trials.saturating_sub(1);
            if self.settled < best.cost {
                (best.cost, best.states) = (self.settled, Some(self.states()));
            }
            return;
        };
        let promise = self.promise(node);
        let mut states: Vec<usize> = (0..promise.len()).filter(|&state| promise[state] < f64::INFINITY).collect();
        states.sort_by(|&a, &b| promise[a].total_cmp(&promise[b]));
        for state in states {
            if best.trials == 0 && best.states.is_some() {
                best.exact = false;
                return;
            }
            let mut branch = self.clone();
            let costs = &mut branch.rest.costs[node];
            costs
                .iter_mut()
                .enumerate()
                .filter(|(other, _)| *other != state)
                .for_each(|(_, cost)| *cost = f64::INFINITY);
            if branch.bound() < best.cost {
                branch.search(best);
            }
        }
    }

    fn is_reducible(&self, node: usize) -> bool {
        let open = self.rest.costs[node].iter().filter(|&&cost| cost < f64::INFINITY).count();
        open <= 1 || self.rest.edges[node].len() <= 2
    }

    /// Takes a node out. Its neighbours are left with what it costs beside each of their states.
    fn reduce(&mut self, node: usize) {
        let costs = std::mem::take(&mut self.rest.costs[node]);
        let edges = std::mem::take(&mut self.rest.edges[node]);
        edges.keys().for_each(|&other| _ = self.rest.edges[other].remove(&node));
        let beside = |matrix: &Matrix, j: usize| costs.iter().zip(matrix).map(|(cost, row)| cost + row[j]).collect();
        let mut neighbours = edges.iter();
        match (neighbours.next(), neighbours.next(), neighbours.next()) {
            (None, ..) => self.settled += least(&costs),
            (Some((&a, to_a)), None, _) => {
                for (j, sum) in self.rest.costs[a].iter_mut().enumerate() {
                    let all: Vec<f64> = beside(to_a, j);
                    *sum += least(&all);
                }
            }
            (Some((&a, to_a)), Some((&b, to_b)), None) => {
                let pair = |j: usize, k: usize| {
                    costs
                        .iter()
                        .zip(to_a)
                        .zip(to_b)
                        .map(|((cost, a), b)| cost + a[j] + b[k])
                        .fold(f64::INFINITY, f64::min)
                };
                self.rest.edge([a, b], pair);
            }
            // No choice is left: each neighbour pays its own part.
            (Some(_), Some(_), Some(_)) => {
                let state = place(&costs);
                self.settled += costs[state];
                for (&a, to_a) in &edges {
                    self.rest.costs[a].iter_mut().zip(&to_a[state]).for_each(|(sum, cost)| *sum += cost);
                }
            }
        }
        self.out.push((node, costs, edges));
    }

    /// For each state of a node, its costs with those of the best states of its neighbours.
    fn promise(&self, node: usize) -> Vec<f64> {
        let with = |(state, cost): (usize, &f64)| {
            let neighbours = self.rest.edges[node].iter().map(|(&other, matrix)| {
                self.rest.costs[other].iter().zip(&matrix[state]).map(|(a, b)| a + b).fold(f64::INFINITY, f64::min)
            });
            cost + neighbours.sum::<f64>()
        };
        self.rest.costs[node].iter().enumerate().map(with).collect()
    }

    /// What no combination is below.
    fn bound(&self) -> f64 {
        let nodes = self.left.iter().map(|&node| least(&self.rest.costs[node]));
        let edges = self.left.iter().flat_map(|&node| self.rest.edges[node].range(node..));
        let edges = edges.map(|(_, matrix)| matrix.iter().map(|row| least(row)).fold(f64::INFINITY, f64::min));
        self.settled + nodes.sum::<f64>() + edges.sum::<f64>()
    }

    /// The states of all nodes: those taken out last are decided first, and the others beside them.
    fn states(&self) -> Vec<usize> {
        let mut states = vec![0; self.rest.costs.len()];
        for (node, costs, edges) in self.out.iter().rev() {
            let beside = |(state, cost): (usize, &f64)| {
                cost + edges.iter().map(|(&other, matrix)| matrix[state][states[other]]).sum::<f64>()
            };
            let all: Vec<f64> = costs.iter().enumerate().map(beside).collect();
            states[*node] = place(&all);
        }
        states
    }
}

#[cfg(test)]
mod tests;
