//! What a plan is made from: a network as a whole, or cut into a part that goes image by image and the rest.
//!
//! Where the images of a batch do not meet, each can go through the network by itself, on a core of its own: what one step
//! hands to the next stays in the core's caches, and no core waits for another. The weights are read again for each
//! image, however, and so the later layers of most networks, which have many weights and small images, take the batch
//! as a whole.

use std::collections::HashSet;

use tilewise_graph::{Crossing, Graph, GraphError, Images, NodeId};
use tilewise_kernels::Cpu;

use super::{MOST_HANDED, Plan, Survey, compile_between};
use crate::lower::{self, Ends, Layout, Lowered, layer_names, may_share_a_step};
use crate::{PlanError, Schedule, Weights};

/// A network whose input shapes are all known, ready to be compiled.
pub enum Network {
    /// All of it takes the batch at once.
    Whole(Graph),
    /// The head computes one image of the batch, and the tail takes what it computed of all of them.
    ByImage {
        /// The part for one image.
        head: Graph,
        /// How many images there are.
        count: usize,
        /// The part for the batch; its inputs are the head's outputs.
        tail: Graph,
    },
}

/// A part of a network, as it is compiled.
pub struct NetworkPart<'a> {
    /// What it computes.
    pub graph: &'a Graph,
    /// The machine that it is compiled for: one core where the cores take images of their own.
    pub cpu: Cpu,
    /// How many times a core runs it for a batch.
    pub rounds: f64,
    /// Who is on both sides of it.
    ends: Ends,
}

impl<'a> NetworkPart<'a> {
    /// All of a network.
    pub fn whole(graph: &'a Graph, cpu: &Cpu) -> Self {
        NetworkPart { graph, cpu: cpu.clone(), rounds: 1.0, ends: Ends::Caller }
    }

    /// What compiling it with a schedule would do, without any weights.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn survey(&self, schedule: &Schedule) -> Result<Survey, PlanError> {
        let Lowered { steps, outputs, schedule, questions, flows, .. } =
            lower::lower(self.graph, &self.ends, schedule, &self.cpu, &Weights::unpacked())?;
        let reorders = steps.into_iter().filter_map(|step| step.info.reorder).collect();
        let made = outputs.iter().map(|output| output.layout).collect();
        Ok(Survey { questions, schedule, reorders, flows, made })
    }

    /// The plan for it alone, as [`super::compile`] makes it for a whole network.
    ///
    /// # Errors
    /// [`PlanError`].
    pub(crate) fn compile(&self, schedule: &Schedule, weights: &Weights) -> Result<Plan, PlanError> {
        compile_between(self.graph, &self.ends, schedule, &self.cpu, weights)
    }

    /// The layout in which each input is given.
    pub(crate) fn given(&self) -> impl Iterator<Item = Layout> {
        self.ends.given()
    }
}

/// The least share of the cores' time that is worked where every core takes whole images.
const BUSY: f64 = 0.85;

impl Network {
    /// The network for a batch, cut where that moves the fewest bytes. `one` is the same network for one image.
    ///
    /// # Errors
    /// [`PlanError::Graph`].
    pub fn by_image(one: &Graph, all: Graph, cpu: &Cpu) -> Result<Self, PlanError> {
        let Some(images) = Images::of(one, &all)? else { return Ok(Network::Whole(all)) };
        let (count, cores) = (images.count(), cpu.cores.max(1));
        let busy = count as f64 / (count.div_ceil(cores) * cores) as f64;
        match best_cut(&images, one, cpu) {
            Some(at) if at > 0 && busy >= BUSY => {
                let [head, tail] = images.cut(at)?;
                Ok(Network::ByImage { head, count, tail })
            }
            _ => Ok(Network::Whole(all)),
        }
    }

    /// For a cut after each number of nodes, what is handed over; `None` where a step would be parted, and so a bit could
    /// change, or too much handed over.
    pub fn cuts(images: &Images<'_>) -> Vec<Option<Crossing>> {
        let cuts = images.cuts(may_share_a_step).into_iter();
        cuts.map(|cut| cut.filter(|crossing| crossing.values <= MOST_HANDED)).collect()
    }

    /// How many parts there are.
    pub fn parts(&self) -> usize {
        match self {
            Network::Whole(_) => 1,
            Network::ByImage { .. } => 2,
        }
    }

    /// How the layers run, part by part: `each` says it of one, and the next takes what that one then makes in the layouts
    /// in which it is made.
    ///
    /// # Errors
    /// Those of `each`, and [`PlanError`].
    pub fn schedule<E: From<PlanError>>(
        &self,
        cpu: &Cpu,
        mut each: impl FnMut(&NetworkPart<'_>) -> Result<Schedule, E>,
    ) -> Result<Schedule, E> {
        match self {
            Network::Whole(graph) => each(&NetworkPart::whole(graph, cpu)),
            Network::ByImage { head, count, tail } => {
                let head = Self::head(head, *count, cpu);
                let mut schedule = each(&head)?;
                let made = head.survey(&schedule)?.made;
                schedule.extend(&each(&Self::tail(tail, made, cpu))?);
                Ok(schedule)
            }
        }
    }

    fn head<'a>(graph: &'a Graph, count: usize, cpu: &Cpu) -> NetworkPart<'a> {
        let rounds = count as f64 / cpu.cores.max(1) as f64;
        NetworkPart { graph, cpu: cpu.clone().with_cores(1), rounds, ends: Ends::Head }
    }

    fn tail<'a>(graph: &'a Graph, made: Vec<Layout>, cpu: &Cpu) -> NetworkPart<'a> {
        NetworkPart { ends: Ends::Tail(made), ..NetworkPart::whole(graph, cpu) }
    }

    /// Compiles the parts to one plan, as [`super::compile`] does a graph.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn compile(&self, schedule: &Schedule, cpu: &Cpu, weights: &Weights) -> Result<Plan, PlanError> {
        let (head, count, tail) = match self {
            Network::Whole(graph) => return NetworkPart::whole(graph, cpu).compile(schedule, weights),
            Network::ByImage { head, count, tail } => (head, *count, tail),
        };
        let names: HashSet<String> = layer_names(head).into_values().collect();
        let [of_head, of_tail] = schedule.split(|layer| names.contains(layer));
        let head = Self::head(head, count, cpu).compile(&of_head, weights)?;
        if head.outputs.len() > MOST_HANDED {
            return Err(GraphError::Broken(format!("a head hands over {MOST_HANDED} values at most")).into());
        }
        let made = head.outputs.iter().map(|output| output.layout).collect();
        Ok(Self::tail(tail, made, cpu).compile(&of_tail, weights)?.after_each(head, count))
    }
}

/// The number of nodes that go image by image, so that the bytes which an image moves beyond the caches of a core are fewest:
/// the weights of these nodes, and the values of the others, as far as other cores or too many images made them.
fn best_cut(images: &Images<'_>, one: &Graph, cpu: &Cpu) -> Option<usize> {
    let count = images.count();
    let near = if cpu.cores > 1 { 0 } else { cpu.l2.size / 2 };
    let (mut before, mut after) = (vec![0], vec![0]);
    for id in images.nodes() {
        let [weights, values] = bytes(one, id);
        let values = if count * values > near { values } else { 0 };
        before.push(before[before.len() - 1] + weights);
        after.push(after[after.len() - 1] + values + weights / count);
    }
    let all_after = after[after.len() - 1];
    let cuts = Network::cuts(images).into_iter().zip(before.iter().zip(&after)).enumerate();
    let costs = cuts.filter_map(|(at, (crossing, (weights, done)))| {
        Some((at, weights + all_after - done + 2 * size_of::<f32>() * crossing?.elements))
    });
    costs.min_by_key(|(_, bytes)| *bytes).map(|(at, _)| at)
}

/// Bytes of the constants that a node reads, and of the values that it reads and makes.
fn bytes(graph: &Graph, id: NodeId) -> [usize; 2] {
    let node = graph.node(id);
    let mut bytes = [0; 2];
    for &value in node.inputs.iter().flatten().chain(&node.outputs) {
        let elements = graph.value(value).ty.numel().unwrap_or(0);
        bytes[usize::from(graph.constant(value).is_none())] += elements * size_of::<f32>();
    }
    bytes
}
