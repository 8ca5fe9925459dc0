//! What a step sees of memory: its operands as slices, readable ones shared and written ones exclusive.

use std::marker::PhantomData;
use std::ops::Range;

use tilewise_kernels::Pool;
use tilewise_tensor::{Element, Tensor, View};

use crate::plan::{BufferId, Place, Step};

/// The memory of one run.
pub(crate) struct Memory<'a> {
    pub(crate) places: &'a [Place],
    arena: Arena<'a>,
    given: Given<'a>,
    pub(crate) dynamic: &'a mut [Option<Tensor>],
    pub(crate) pool: &'a Pool,
    /// The step that alone uses it, where others run beside it.
    step: Option<&'a Step>,
}

/// What the caller gives: the parts of all inputs with one index.
#[derive(Clone, Copy)]
pub(crate) struct Given<'a> {
    pub(crate) inputs: &'a [View<'a>],
    pub(crate) index: usize,
}

impl<'a> Given<'a> {
    pub(super) fn part(&self, input: usize, bytes: usize) -> &'a [u8] {
        &self.inputs[input].bytes()[self.index * bytes..(self.index + 1) * bytes]
    }
}

/// The bytes of an arena, which steps that run side by side read and write.
#[derive(Clone, Copy)]
struct Arena<'a> {
    start: *mut u8,
    len: usize,
    owner: PhantomData<&'a mut [u8]>,
}

impl<'a> Memory<'a> {
    pub(crate) fn new(
        places: &'a [Place],
        arena: &'a mut [u8],
        given: Given<'a>,
        dynamic: &'a mut [Option<Tensor>],
        pool: &'a Pool,
    ) -> Self {
        let arena = Arena { start: arena.as_mut_ptr(), len: arena.len(), owner: PhantomData };
        Memory { places, arena, given, dynamic, pool, step: None }
    }

    /// The operands of a step as slices of `T`: `reads` may name a buffer more than once, `writes` are disjoint from
    /// them and from each other, as the plan's memory layout guarantees.
    pub(crate) fn split<T: Element, const R: usize, const W: usize>(
        &mut self,
        reads: [BufferId; R],
        writes: [BufferId; W],
    ) -> ([&[T]; R], [&mut [T]; W]) {
        if let Some(step) = self.step {
            let named =
                reads.iter().all(|id| step.reads.contains(id)) && writes.iter().all(|id| step.writes.contains(id));
            assert!(named, "a step touches what it names");
        }
        let ranges = |id: BufferId| self.places[id.index()].range();
        let (read, written) = (reads.map(ranges), writes.map(ranges));
        for (i, write) in written.iter().enumerate() {
            let apart = |other: &Range<usize>| write.start.max(other.start) >= write.end.min(other.end);
            assert!(read.iter().chain(&written[..i]).all(apart), "a step reads no buffer that it writes");
        }
        let bytes = |id: BufferId, range: Range<usize>| match &self.places[id.index()] {
            Place::Constant(buffer) => buffer.bytes(),
            // SAFETY: nothing that the step writes is in the range, nor does another step at the same time.
            Place::Arena(_) => unsafe { self.arena.read(range) },
            Place::Dynamic(_) => &[],
            Place::Given { input, bytes } => self.given.part(*input, *bytes),
        };
        let mut read = read.into_iter();
        let reads = reads.map(|id| typed(bytes(id, read.next().unwrap_or_default())));
        // SAFETY: the range meets no other of the step, nor one of another step at the same time.
        (reads, written.map(|range| typed_mut(unsafe { self.arena.write(range) })))
    }

    /// The bytes of a buffer whose size is planned.
    pub(crate) fn read(&self, id: BufferId) -> &[u8] {
        assert!(self.step.is_none_or(|step| step.reads.contains(&id)), "a step touches what it names");
        match &self.places[id.index()] {
            Place::Constant(buffer) => buffer.bytes(),
            // SAFETY: writing borrows all of the memory, and no other step writes there at the same time.
            Place::Arena(range) => unsafe { self.arena.read(range.clone()) },
            Place::Dynamic(_) => &[],
            Place::Given { input, bytes } => self.given.part(*input, *bytes),
        }
    }

    /// The same memory for steps that run side by side.
    pub(crate) fn shared(&mut self) -> SharedMemory<'_> {
        SharedMemory { places: self.places, arena: self.arena, given: self.given }
    }
}

/// The memory of steps that run side by side.
#[derive(Clone, Copy)]
pub(crate) struct SharedMemory<'a> {
    places: &'a [Place],
    arena: Arena<'a>,
    given: Given<'a>,
}

// SAFETY: bytes are reached only through `SharedMemory::of`, whose caller promises that nothing is written by one thread
// that another touches.
unsafe impl Sync for SharedMemory<'_> {}

impl<'a> SharedMemory<'a> {
    /// The memory of one of the steps, which runs on the calling thread.
    ///
    /// # Safety
    /// As long as it lives, no other thread writes what the step names, nor touches what it writes.
    pub(crate) unsafe fn of(&self, step: &'a Step, pool: &'a Pool) -> Memory<'a> {
        Memory { places: self.places, arena: self.arena, given: self.given, dynamic: &mut [], pool, step: Some(step) }
    }
}

impl Arena<'_> {
    /// # Safety
    /// Nobody writes in the range as long as the slice lives.
    unsafe fn read<'b>(self, range: Range<usize>) -> &'b [u8] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: inside the arena, as just checked, and written by nobody, as the caller promises.
        unsafe { std::slice::from_raw_parts(self.start.add(range.start), range.len()) }
    }

    /// # Safety
    /// Nobody else reads or writes in the range as long as the slice lives.
    unsafe fn write<'b>(self, range: Range<usize>) -> &'b mut [u8] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: inside the arena, as just checked, and touched by nobody else, as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

/// Bytes as elements. Buffers are aligned for all of them, but for the empty slice, which stands nowhere.
fn typed<T: Element>(bytes: &[u8]) -> &[T] {
    if bytes.is_empty() { &[] } else { bytemuck::cast_slice(bytes) }
}

fn typed_mut<T: Element>(bytes: &mut [u8]) -> &mut [T] {
    if bytes.is_empty() { &mut [] } else { bytemuck::cast_slice_mut(bytes) }
}

/// Nothing is given.
#[cfg(test)]
pub(super) const NOTHING: Given<'static> = Given { inputs: &[], index: 0 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_are_found_and_one_that_is_read_is_not_written() {
        let mut bytes: Vec<u8> = (0..100).collect();
        let places = [Place::Arena(60..70), Place::Arena(10..20), Place::Arena(0..0), Place::Arena(15..30)];
        let pool = Pool::new(1);
        let mut memory = Memory::new(&places, &mut bytes, NOTHING, &mut [], &pool);
        let [b, a, none, c] = [0, 1, 2, 3].map(BufferId);
        let ([of_a, again, empty], [of_b]) = memory.split::<u8, 3, 1>([a, a, none], [b]);
        assert_eq!((of_a[0], again.len(), empty.len(), of_b[9]), (10, 10, 0, 69));
        of_b[0] = 0;
        assert_eq!(memory.read(b)[..2], [0, 61]);
        let meets = |reads, writes| {
            std::panic::catch_unwind(|| {
                let mut bytes = [0; 100];
                let pool = Pool::new(1);
                let places = [Place::Arena(60..70), Place::Arena(10..20), Place::Arena(0..0), Place::Arena(15..30)];
                Memory::new(&places, &mut bytes, NOTHING, &mut [], &pool).split::<u8, 1, 2>(reads, writes);
            })
        };
        assert!(meets([a], [c, b]).is_err() && meets([b], [a, c]).is_err() && meets([a], [none, b]).is_ok());
    }
}
