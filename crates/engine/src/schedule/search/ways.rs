//! The ways to run each step of a graph, and what each wants of the values around it.
//!
//! What lowering makes of a choice is taken from lowering itself: from its flows where every layer that can works on rows,
//! and from those where every layer that can works on blocks. A step that follows its inputs works on rows where all of
//! them stand so, and on blocks because one of them does.

use std::collections::BTreeMap;

use tilewise_graph::{NodeId, ValueId};
use tilewise_kernels::conv::{self, Layout as Images};

use super::super::{Choice, Problem, Question, Store, default};
use super::GAIN;
use super::layouts::Want;
use crate::lower::{Flow, Layout};
use crate::plan::NetworkPart;
use crate::{PlanError, Schedule};

/// A way to run a step.
#[derive(Clone, Default, Debug)]
pub(super) struct Way {
    /// Measured, and a little more where it is not what the choosers have.
    pub(super) seconds: f64,
    pub(super) wants: Vec<Want>,
    /// The layers to name for it, and their choices.
    pub(super) choices: Vec<(String, Choice)>,
}

impl Way {
    fn of(flow: &Flow) -> Self {
        let reads = flow.reads.iter().map(|&(value, layout)| Want::Read(value, layout));
        let makes = flow.makes.iter().map(|&(value, layout)| Want::Made(value, layout));
        Way { wants: reads.chain(makes).collect(), ..Way::default() }
    }

    /// Both steps.
    fn then(&self, other: &Way) -> Self {
        let wants = self.wants.iter().chain(&other.wants).copied().collect();
        let choices = self.choices.iter().chain(&other.choices).cloned().collect();
        Way { seconds: self.seconds + other.seconds, wants, choices }
    }

    /// What is not the choosers' has to be faster by more than noise.
    fn doubted(self, usual: bool) -> Self {
        if usual { self } else { Way { seconds: self.seconds / GAIN, ..self } }
    }
}

/// The ways to run each step, at least one; a depthwise convolution and the pointwise one behind it are a step.
pub(super) fn ways(part: &NetworkPart<'_>, questions: &[Question], store: &Store) -> Result<Vec<Vec<Way>>, PlanError> {
    let steps = Steps { part, store };
    let (rows, _) = steps.flows(questions, Images::Nchw)?;
    let (blocks, questions) = steps.flows(questions, Images::Nchwc)?;
    let groups = together(rows, blocks);
    let asked = |group: &Group| questions[group.blocks.asks.clone()].iter().find(|question| question.first.is_none());
    let place: BTreeMap<&str, usize> =
        groups.iter().enumerate().filter_map(|(i, group)| Some((&*asked(group)?.layer, i))).collect();
    let pair = |question: &'_ Question| {
        let first = place.get(question.first.as_deref()?)?;
        Some((*first, (question.problem, *place.get(&*question.layer)?)))
    };
    let pairs: BTreeMap<usize, (Problem, usize)> = questions.iter().filter_map(pair).collect();
    let given = part.graph.inputs().iter().zip(part.given()).map(|(&id, layout)| Want::Made(id, layout)).collect();
    let mut all = vec![vec![Way { wants: given, ..Way::default() }]];
    for (i, group) in groups.iter().enumerate().filter(|(i, _)| pairs.values().all(|(_, second)| second != i)) {
        all.push(match (pairs.get(&i), asked(group)) {
            (Some((problem, second)), Some(first)) => match asked(&groups[*second]) {
                Some(last) => steps.pair(problem, [(first, group), (last, &groups[*second])]),
                None => vec![Way::of(&group.blocks)],
            },
            (None, Some(question)) => steps.single(question, group, false),
            (_, None) if group.rows == group.blocks => vec![Way::of(&group.blocks)],
            (_, None) => steps.following(group),
        });
    }
    Ok(all)
}

/// What lowering does with nodes that it lowers together, where layers work on rows and where they work on blocks.
struct Group {
    rows: Flow,
    blocks: Flow,
}

/// Flows of the same nodes. Nodes that are one step on one side are several on the other at times.
fn together(rows: Vec<Flow>, blocks: Vec<Flow>) -> Vec<Group> {
    let mut widest: Vec<&Flow> = rows.iter().chain(&blocks).collect();
    widest.sort_by_key(|flow| std::cmp::Reverse(flow.nodes.len()));
    let mut leader: BTreeMap<NodeId, NodeId> = BTreeMap::new();
    for flow in widest {
        flow.nodes.iter().for_each(|&node| _ = leader.entry(node).or_insert(flow.nodes[0]));
    }
    let mut groups: BTreeMap<Option<NodeId>, Group> = BTreeMap::new();
    for (flows, on_rows) in [(rows, true), (blocks, false)] {
        for flow in flows {
            let first = flow.nodes.first().map(|node| leader[node]);
            let group = groups.entry(first).or_insert_with(|| Group { rows: Flow::default(), blocks: Flow::default() });
            let side = if on_rows { &mut group.rows } else { &mut group.blocks };
            side.join(flow);
        }
    }
    groups.into_values().collect()
}

/// How the steps of a graph can run.
struct Steps<'a> {
    part: &'a NetworkPart<'a>,
    store: &'a Store,
}

/// A measured choice.
struct Run {
    choice: Choice,
    seconds: f64,
    /// True for what the choosers have.
    usual: bool,
}

impl Steps<'_> {
    /// The flows, and the questions that they name, where convolutions read and write images of a layout if they can.
    fn flows(&self, questions: &[Question], images: Images) -> Result<(Vec<Flow>, Vec<Question>), PlanError> {
        let mut schedule = Schedule::default();
        for Question { layer, problem, .. } in questions.iter().filter(|question| question.first.is_none()) {
            let Problem::Conv(p) = problem else { continue };
            let kernel = conv::candidates(p, &self.part.cpu).find(|kernel| [kernel.x, kernel.y] == [images; 2]);
            let choice = kernel.map(|kernel| Choice::Conv(kernel, (kernel.blocks)(p, &self.part.cpu)));
            // Named in any case: a layer that is named is not fused.
            if let Some(choice) = choice.or_else(|| default(problem, &self.part.cpu)) {
                schedule.set(layer, choice);
            }
        }
        let survey = self.part.survey(&schedule)?;
        Ok((survey.flows, survey.questions))
    }

    /// What the store knows of a problem; else what the choosers have, which takes any time.
    fn runs(&self, problem: &Problem) -> Vec<Run> {
        let usual = default(problem, &self.part.cpu);
        let records = self.store.get(problem).iter();
        let runs: Vec<Run> = records
            .map(|record| Run { choice: record.choice, seconds: record.seconds, usual: Some(record.choice) == usual })
            .collect();
        match usual {
            Some(choice) if runs.is_empty() => vec![Run { choice, seconds: 0.0, usual: true }],
            _ => runs,
        }
    }

    /// The ways to run a layer by itself. `named` also where it runs as the choosers have it.
    fn single(&self, Question { layer, problem, .. }: &Question, group: &Group, named: bool) -> Vec<Way> {
        let way = |Run { choice, seconds, usual }: Run| {
            let choices = if usual && !named { Vec::new() } else { vec![(layer.clone(), choice)] };
            let wants = match (problem, choice.layouts()) {
                (Problem::Conv(_), Some([x, y])) => self.wants(group, [x, y]),
                _ => Way::of(&group.blocks).wants,
            };
            Way { seconds, wants, choices }.doubted(usual)
        };
        let ways: Vec<Way> = self.runs(problem).into_iter().map(way).collect();
        if ways.is_empty() { vec![Way::of(&group.blocks)] } else { ways }
    }

    /// What a convolution that reads and writes images of two layouts wants; what it adds stands as what it makes.
    fn wants(&self, group: &Group, [x, y]: [Images; 2]) -> Vec<Want> {
        let node = group.blocks.nodes.first().map(|&id| self.part.graph.node(id));
        let input = |index: usize| {
            let value = node?.inputs.get(index).copied().flatten()?;
            self.part.graph.constant(value).is_none().then_some(value)
        };
        let image = input(0).map(|value| Want::Read(value, x.into()));
        let added = input(3).map(|value| Want::Read(value, y.into()));
        let made = node.and_then(|node| node.outputs.first()).map(|&value| Want::Made(value, y.into()));
        [image, added, made].into_iter().flatten().collect()
    }

    /// The ways to run a depthwise and a pointwise convolution: apart, and as one step where that was measured.
    fn pair(&self, problem: &Problem, [first, second]: [(&Question, &Group); 2]) -> Vec<Way> {
        let usual = default(problem, &self.part.cpu);
        let [mut ways, lasts] = [first, second].map(|(question, group)| self.single(question, group, usual.is_some()));
        ways = ways.iter().flat_map(|way| lasts.iter().map(|last| way.then(last))).collect();
        let ways = ways.into_iter().map(|way| way.doubted(usual.is_none()));
        let fused = self.runs(problem).into_iter().next().map(|Run { choice, seconds, usual }| {
            let choices = if usual { Vec::new() } else { vec![(second.0.layer.clone(), choice)] };
            let ends = [self.wants(first.1, [Images::Nchwc; 2]), self.wants(second.1, [Images::Nchwc; 2])];
            let between: Vec<ValueId> = first.1.blocks.makes.iter().map(|(value, _)| *value).collect();
            let wants = ends.into_iter().flatten().filter(|want| !between.contains(&want.value())).collect();
            Way { seconds, wants, choices }.doubted(usual)
        });
        let known = [problem, &first.0.problem, &second.0.problem].iter().all(|p| !self.store.get(p).is_empty());
        match (known, fused) {
            (true, Some(fused)) => ways.chain([fused]).collect(),
            (false, Some(fused)) if usual.is_some() => vec![fused],
            (_, _) => ways.collect(),
        }
    }

    /// The ways to run a step without a choice whose layout is that of its inputs.
    fn following(&self, Group { rows, blocks }: &Group) -> Vec<Way> {
        let mut follows: Vec<ValueId> =
            rows.follows.iter().copied().filter(|&value| self.part.graph.constant(value).is_none()).collect();
        follows.sort_unstable();
        follows.dedup();
        let because = |flow: &Flow, values: &[ValueId], layout: Layout| {
            let mut way = Way::of(flow);
            way.wants.extend(values.iter().map(|&value| Want::Made(value, layout)));
            way
        };
        let one = follows.iter().map(|&value| because(blocks, &[value], Layout::Blocked));
        std::iter::once(because(rows, &follows, Layout::Plain)).chain(one).collect()
    }
}
