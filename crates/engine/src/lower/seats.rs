//! Concatenation in place: where the parts of a concatenated value are contiguous, each part is made where the whole
//! has it, and nothing is left to copy.

use std::collections::HashMap;

use tilewise_graph::{Graph, Op, ValueId, ops};
use tilewise_tensor::{ALIGN, DType, strides};

use super::movement::{dense_to, push_copy};
use super::norm::resolve;
use super::{Layer, Layout, Lowering, Storage, channels};
use crate::PlanError;
use crate::plan::BufferId;

/// Where a value stands in a concatenated one.
#[derive(Clone, Copy)]
pub(super) struct Seat {
    whole: ValueId,
    /// The first index along the axis.
    start: usize,
    axis: usize,
    /// The layout in which values are made there.
    layout: Layout,
}

/// The seats of all values that a concatenation reads: of those that several read, in the first.
///
/// Parts are contiguous where all axes before the concatenated one have length 1. Images have seats among whole blocks
/// of channels; their concatenation in row-major order is left to copies.
pub(super) fn seats(graph: &Graph, lanes: usize) -> HashMap<ValueId, Seat> {
    let mut seats = HashMap::new();
    for id in graph.order().unwrap_or_default() {
        let node = graph.node(id);
        let (Op::Concat(op), [whole]) = (&node.op, &*node.outputs) else { continue };
        let Some(shape) = graph.value(*whole).ty.known_shape() else { continue };
        let Some(axis) = resolve(op.axis, shape.len()) else { continue };
        let lengths = node.inputs.iter().flatten().map(|&id| Some((id, graph.value(id).ty.known_shape()?[axis])));
        let Some(lengths) = lengths.collect::<Option<Vec<(ValueId, usize)>>>() else { continue };
        let image = shape.len() == 4 && axis == 1 && graph.value(*whole).ty.dtype == DType::F32;
        let fits = if image { in_blocks(&lengths, lanes) } else { shape.len() != 4 };
        if shape[..axis].iter().any(|&n| n != 1) || !fits {
            continue;
        }
        let layout = if image { Layout::Blocked } else { Layout::Plain };
        let mut start = 0;
        for (id, length) in lengths {
            seats.entry(id).or_insert(Seat { whole: *whole, start, axis, layout });
            start += length;
        }
    }
    seats
}

/// True where every part begins with a block of channels.
fn in_blocks(parts: &[(ValueId, usize)], lanes: usize) -> bool {
    parts.iter().rev().skip(1).all(|(_, channels)| channels.is_multiple_of(lanes))
}

impl Lowering<'_> {
    /// The whole, and the offset in bytes in it, where a value is to be made; `None` where it has no seat in the
    /// layout.
    pub(super) fn seat(&mut self, id: ValueId, layout: Layout) -> Result<Option<(BufferId, usize)>, PlanError> {
        let Some(seat) = self.seats.get(&id).copied().filter(|seat| seat.layout == layout) else { return Ok(None) };
        let start = if layout == Layout::Blocked { seat.start / self.lanes() } else { seat.start };
        let stride = strides(&self.stored_shape(seat.whole, layout))[seat.axis];
        let offset = start * stride * self.element_size(id);
        if !offset.is_multiple_of(ALIGN) {
            return Ok(None);
        }
        let whole = match self.held.get(&(seat.whole, layout)) {
            Some(&whole) => whole,
            None => self.make(seat.whole, layout)?,
        };
        Ok(Some((whole, offset)))
    }
}

/// Lowers concatenation: along the channels in whole blocks where the inputs stand blocked, else row-major. Parts that
/// do not stand in their seat are copied there.
pub(super) fn lower_concat(lowering: &mut Lowering<'_>, layer: Layer<'_>, op: &ops::Concat) -> Result<bool, PlanError> {
    let Some(&y) = layer.node.outputs.first() else { return Ok(false) };
    let shape = lowering.shape(y);
    let Some(axis) = resolve(op.axis, shape.len()) else { return Ok(false) };
    let inputs: Vec<ValueId> = layer.node.inputs.iter().flatten().copied().collect();
    let lengths: Vec<(ValueId, usize)> = inputs.iter().map(|&id| (id, lowering.shape(id)[axis])).collect();
    let blocked =
        inputs.iter().any(|&id| lowering.home(id) == Layout::Blocked) && lowering.element_size(y) == size_of::<f32>();
    if blocked && axis == 1 && !in_blocks(&lengths, lowering.lanes()) {
        return channels::lower_ragged_concat(lowering, layer, &lengths, y);
    }
    let layout = if blocked { Layout::Blocked } else { Layout::Plain };
    let to = strides(&lowering.stored_shape(y, layout));
    let sources: Vec<BufferId> = inputs.iter().map(|&id| lowering.buffer(id, layout)).collect::<Result<_, _>>()?;
    let whole = match lowering.held.get(&(y, layout)) {
        Some(&whole) => whole,
        None => lowering.make(y, layout)?,
    };
    let contiguous = shape[..axis].iter().all(|&n| n == 1);
    let (size, mut start) = (lowering.element_size(y), 0);
    for (id, source) in inputs.into_iter().zip(sources) {
        let part = lowering.stored_shape(id, layout);
        let at = start * to[axis];
        start += part[axis];
        if lowering.stands_at(source, whole, at * size) {
            continue;
        }
        // A part that stands elsewhere in the same whole is read while this one is written: only its own place is.
        let (place, at) = if contiguous {
            let bytes = lowering.bytes(id, layout)?;
            (lowering.add(Storage::Part { of: whole, offset: at * size, bytes }), 0)
        } else {
            (whole, at)
        };
        let Some(copy) = dense_to(size, &part, &to, at) else { return Ok(false) };
        push_copy(lowering, layer, copy, [source, place]);
    }
    Ok(true)
}
