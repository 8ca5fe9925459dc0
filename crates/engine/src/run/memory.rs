//! What a step sees of memory: its operands as slices, readable ones shared and written ones exclusive.

use std::ops::Range;

use tilewise_kernels::Pool;
use tilewise_tensor::{Element, Tensor};

use crate::plan::{BufferId, Place};

/// The memory of one run.
pub(crate) struct Memory<'a> {
    pub(crate) places: &'a [Place],
    pub(crate) bytes: &'a mut [u8],
    pub(crate) dynamic: &'a mut [Option<Tensor>],
    pub(crate) pool: &'a Pool,
}

impl Memory<'_> {
    /// The operands of a step as slices of `T`: `reads` may name a buffer more than once, `writes` are disjoint from
    /// them and from each other, as the plan's memory layout guarantees.
    pub(crate) fn split<T: Element, const R: usize, const W: usize>(
        &mut self,
        reads: [BufferId; R],
        writes: [BufferId; W],
    ) -> ([&[T]; R], [&mut [T]; W]) {
        let ranges = writes.map(|id| self.places[id.index()].range());
        let (shared, exclusive) = carve(self.bytes, ranges);
        let places = self.places;
        let read = |id: BufferId| match &places[id.index()] {
            Place::Constant(buffer) => typed(buffer.bytes()),
            Place::Arena(range) => typed(shared.get(range.clone())),
            Place::Dynamic(_) => &[],
        };
        (reads.map(read), exclusive.map(typed_mut))
    }

    /// The bytes of a buffer whose size is planned.
    pub(crate) fn read(&self, id: BufferId) -> &[u8] {
        match &self.places[id.index()] {
            Place::Constant(buffer) => buffer.bytes(),
            Place::Arena(range) => &self.bytes[range.clone()],
            Place::Dynamic(_) => &[],
        }
    }
}

/// Bytes as elements. Buffers are aligned for all of them, but for the empty slice, which stands nowhere.
fn typed<T: Element>(bytes: &[u8]) -> &[T] {
    if bytes.is_empty() { &[] } else { bytemuck::cast_slice(bytes) }
}

fn typed_mut<T: Element>(bytes: &mut [u8]) -> &mut [T] {
    if bytes.is_empty() { &mut [] } else { bytemuck::cast_slice_mut(bytes) }
}

/// The parts of the arena that no write touches.
struct Shared<'a, const W: usize> {
    gaps: [&'a [u8]; W],
    starts: [usize; W],
    tail: &'a [u8],
    tail_start: usize,
}

impl<'a, const W: usize> Shared<'a, W> {
    fn get(&self, range: Range<usize>) -> &'a [u8] {
        if range.is_empty() {
            return &[];
        }
        let inside = |start: usize, gap: &'a [u8]| {
            let from = range.start.checked_sub(start)?;
            gap.get(from..from + range.len())
        };
        let found = self.starts.iter().zip(self.gaps).find_map(|(&start, gap)| inside(start, gap));
        found.or_else(|| inside(self.tail_start, self.tail)).expect("a step reads no buffer that it writes")
    }
}

/// Cuts `bytes` into the ranges to write and the gaps between them.
fn carve<const W: usize>(bytes: &mut [u8], ranges: [Range<usize>; W]) -> (Shared<'_, W>, [&mut [u8]; W]) {
    let mut order: [usize; W] = std::array::from_fn(|i| i);
    order.sort_unstable_by_key(|&i| (ranges[i].start, ranges[i].end));
    let mut writes: [&mut [u8]; W] = std::array::from_fn(|_| Default::default());
    let (mut gaps, mut starts) = ([&[][..]; W], [0; W]);
    let (mut rest, mut at) = (bytes, 0);
    for (position, index) in order.into_iter().enumerate() {
        // An empty buffer stands nowhere.
        let range = if ranges[index].is_empty() { at..at } else { ranges[index].clone() };
        let (gap, tail) = rest.split_at_mut(range.start - at);
        let (write, tail) = tail.split_at_mut(range.len());
        (gaps[position], starts[position]) = (gap, at);
        (writes[index], rest, at) = (write, tail, range.end);
    }
    (Shared { gaps, starts, tail: rest, tail_start: at }, writes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_the_gaps_between_them_are_found() {
        let mut bytes: Vec<u8> = (0..100).collect();
        let (shared, [b, a, none]) = carve(&mut bytes, [60..70, 10..20, 0..0]);
        assert_eq!((a[0], b[9], none.len()), (10, 69, 0));
        assert_eq!(shared.get(20..60)[0], 20);
        assert_eq!(shared.get(0..10).len(), 10);
        assert_eq!(shared.get(95..100)[4], 99);
        a[0] = 0;
    }
}
