//! Batches image by image: how far the images of a batch do not meet, and the network cut in two there.
//!
//! A network for one image and the same network for a batch are followed side by side. As long as every operator takes each
//! image by itself (`rules.rs`), and both do the same with the same constants, the network for one image computes what
//! the other does.

mod rules;

use std::collections::BTreeMap;
use std::ops::Range;

use crate::{Arg, Args, Constant, Graph, GraphError, Node, NodeId, Origin, ValueId, ValueType, passes};

/// The beginning of a network for a batch that goes image by image.
pub struct Images<'a> {
    one: &'a Graph,
    all: &'a Graph,
    count: usize,
    /// The nodes of both networks in order, as far as each image goes by itself.
    nodes: Vec<[NodeId; 2]>,
    /// For a value of the network for the batch, that of the other one.
    twins: BTreeMap<ValueId, Twin>,
}

/// What crosses a cut.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Crossing {
    /// Values.
    pub values: usize,
    /// The elements of all of them, of one image.
    pub elements: usize,
}

/// The value of the network for one image that stands for one of that for the batch.
#[derive(Clone, Copy)]
struct Twin {
    id: ValueId,
    /// Its first axis counts images.
    batched: bool,
}

impl<'a> Images<'a> {
    /// Follows the same network, fixed to one image and to a batch; `None` where the inputs are no batches of images.
    ///
    /// # Errors
    /// [`GraphError::Cycle`].
    pub fn of(one: &'a Graph, all: &'a Graph) -> Result<Option<Self>, GraphError> {
        let first = all.inputs().first().and_then(|&id| all.value(id).ty.known_shape());
        let Some(count) = first.and_then(|shape| shape.first().copied()).filter(|&count| count > 1) else {
            return Ok(None);
        };
        let mut images = Images { one, all, count, nodes: Vec::new(), twins: BTreeMap::new() };
        for (&id, &of_all) in one.inputs().iter().zip(all.inputs()) {
            if !images.is_part(&one.value(id).ty, &all.value(of_all).ty) {
                return Ok(None);
            }
            images.twins.insert(of_all, Twin { id, batched: true });
        }
        for nodes in one.order()?.into_iter().zip(all.order()?) {
            if !images.follow(nodes.into()) {
                break;
            }
            images.nodes.push(nodes.into());
        }
        Ok(Some(images))
    }

    /// How many images the batch has.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The nodes that compute each image by itself, in order, as those of the network for one image.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = NodeId> {
        self.nodes.iter().map(|[one, _]| *one)
    }

    /// True where one type is that of an image of the other.
    fn is_part(&self, one: &ValueType, all: &ValueType) -> bool {
        let (Some(one_shape), Some(all_shape)) = (one.known_shape(), all.known_shape()) else { return false };
        let lengths = [one_shape.first(), all_shape.first()].map(|length| length.copied());
        one.dtype == all.dtype && lengths == [Some(1), Some(self.count)] && one_shape[1..] == all_shape[1..]
    }

    /// Notes the twins of a node's constants and outputs; false where images meet, or the networks differ.
    fn follow(&mut self, [one, all]: [NodeId; 2]) -> bool {
        let (one, all) = (self.one.node(one), self.all.node(all));
        if one.op != all.op || one.inputs.len() != all.inputs.len() || one.outputs.len() != all.outputs.len() {
            return false;
        }
        let mut batched = vec![false; all.inputs.len()];
        for ((&one, &all), batched) in one.inputs.iter().zip(&all.inputs).zip(&mut batched) {
            let (one, all) = match (one, all) {
                (Some(one), Some(all)) => (one, all),
                (None, None) => continue,
                _ => return false,
            };
            match self.twins.get(&all) {
                Some(twin) if twin.id == one => *batched = twin.batched,
                Some(_) => return false,
                None => {
                    let (Some(a), Some(b)) = (self.one.constant(one), self.all.constant(all)) else { return false };
                    let Some(found) = self.constants(a, b) else { return false };
                    self.twins.insert(all, Twin { id: one, batched: found });
                    *batched = found;
                }
            }
        }
        let types = |graph: &Graph, id: ValueId| graph.value(id).ty.clone();
        let mut outputs = one.outputs.iter().zip(&all.outputs);
        if !outputs.all(|(&one, &all)| self.is_part(&types(self.one, one), &types(self.all, all))) {
            return false;
        }
        let arg = |id: &Option<ValueId>| {
            let value = self.all.value((*id)?);
            Some(Arg { ty: &value.ty, value: self.all.constant((*id)?).map(Constant::stored) })
        };
        let args: Vec<Option<Arg<'_>>> = all.inputs.iter().map(arg).collect();
        if !rules::is_by_image(&all.op, &Args::new(&args), &batched) {
            return false;
        }
        let outputs = one.outputs.iter().zip(&all.outputs);
        self.twins.extend(outputs.map(|(&id, &all)| (all, Twin { id, batched: true })));
        true
    }

    /// Whether the constants of the two networks are one for each image; `None` where they do not say the same.
    fn constants(&self, one: &Constant, all: &Constant) -> Option<bool> {
        if same(one, all) {
            return Some(false);
        }
        let (Constant::Dense(one), Constant::Dense(all)) = (one, all) else { return None };
        let (part, bytes) = (one.bytes(), all.bytes());
        let types = [one, all].map(|tensor| ValueType::known(tensor.dtype(), tensor.shape()));
        if self.is_part(&types[0], &types[1]) && !part.is_empty() {
            return bytes.chunks(part.len()).all(|image| image == &part[..]).then_some(true);
        }
        // Lengths of a result with the images first, whose type is compared.
        let lengths = [one, all].map(|tensor| tensor.values::<i64>().ok().filter(|_| tensor.shape().len() == 1));
        match lengths {
            [Some(one), Some(all)] if one.len() == all.len() => {
                let first = [one.first(), all.first()].map(|length| length.copied());
                (first == [Some(1), Some(self.count as i64)] && one[1..] == all[1..]).then_some(false)
            }
            _ => None,
        }
    }

    /// What crosses the cuts after each number of nodes: for each value that an input or one of the nodes makes, the numbers of
    /// nodes after which it is made and still wanted.
    fn crossings(&self) -> Vec<(ValueId, Range<usize>)> {
        let positions: BTreeMap<NodeId, usize> =
            self.nodes.iter().enumerate().map(|(position, [_, all])| (*all, position)).collect();
        let (end, uses) = (self.nodes.len(), self.all.uses());
        let wanted = |id: ValueId| {
            let readers = uses[id.index()].iter().map(|(node, _)| positions.get(node).copied().unwrap_or(end));
            readers.chain(self.all.is_output(id).then_some(end)).max()
        };
        let crossing = |id: ValueId| {
            let made = match &self.all.value(id).origin {
                Origin::Input => 0,
                Origin::Node { node, .. } => positions.get(node)? + 1,
                Origin::Constant(_) => return None,
            };
            Some((id, made..wanted(id)? + 1))
        };
        self.all.value_ids().filter_map(crossing).collect()
    }

    /// For a cut after each number of nodes, from none to all of them, what crosses it; `None` where the network cannot be cut:
    /// what follows wants an input, too, or would be parted from the node before that it `belongs` to.
    pub fn cuts(&self, belongs: impl Fn(&Node, &Node) -> bool) -> Vec<Option<Crossing>> {
        let mut cuts = vec![Some(Crossing::default()); self.nodes.len() + 1];
        let uses = self.all.uses();
        for (id, between) in self.crossings() {
            let producer = self.all.producer(id).map(|(_, node)| node);
            let parted = |reader: NodeId| producer.is_none_or(|node| belongs(node, self.all.node(reader)));
            let whole = uses[id.index()].iter().any(|(reader, _)| parted(*reader));
            let elements = self.all.value(id).ty.numel().filter(|_| !whole).map(|all| all / self.count);
            let add = |sum: Crossing, more| Crossing { values: sum.values + 1, elements: sum.elements + more };
            cuts[between].iter_mut().for_each(|cut| *cut = cut.zip(elements).map(|(sum, more)| add(sum, more)));
        }
        cuts
    }

    /// The network cut after the first `at` nodes: the first part computes for one image what the second takes for the batch as
    /// its inputs, in order.
    ///
    /// # Errors
    /// [`GraphError::Cycle`].
    pub fn cut(&self, at: usize) -> Result<[Graph; 2], GraphError> {
        let crossing = self.crossings().into_iter().filter(|(_, between)| between.contains(&at));
        let crossing: Vec<ValueId> = crossing.map(|(id, _)| id).collect();
        let (mut head, mut tail) = (self.one.clone(), self.all.clone());
        head.outputs = crossing.iter().map(|id| (self.all.value(*id).name.clone(), self.twins[id].id)).collect();
        crossing.iter().for_each(|id| tail.values[id.index()].origin = Origin::Input);
        tail.inputs = crossing;
        self.nodes[..at].iter().for_each(|[_, all]| tail.remove_node(*all));
        passes::remove_dead_code(&mut head)?;
        Ok([head, tail])
    }
}

/// True where two constants are the same, bit by bit.
fn same(a: &Constant, b: &Constant) -> bool {
    let (x, y) = (a.stored(), b.stored());
    let stored = x.dtype() == y.dtype()
        && x.shape() == y.shape()
        && (std::ptr::eq(x.bytes().as_ptr(), y.bytes().as_ptr()) || x.bytes()[..] == y.bytes()[..]);
    stored
        && match (a, b) {
            (Constant::Dense(_), Constant::Dense(_)) => true,
            (Constant::Scaled { scale: a, .. }, Constant::Scaled { scale: b, .. }) => a == b,
            _ => false,
        }
}

#[cfg(test)]
mod tests;
