//! Memory that numbers live in: 64-byte-aligned buffers, and shared bytes that are owned, mapped or static.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::slice;
use std::sync::Arc;

use memmap2::MmapRaw;

/// Alignment of every buffer, in bytes: one cache line, and one 512-bit vector. A line-crossing vector load halves
/// the L1 rate.
pub const ALIGN: usize = 64;

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u8; ALIGN]);

/// A zero-initialised block of memory whose first byte stands at a multiple of [`ALIGN`].
pub struct AlignedBuffer {
    memory: Memory,
    len: usize,
}

enum Memory {
    Heap(Vec<Line>),
    /// A part of pages of its own, in large ones where the system has them: what streams from memory then misses the
    /// translation cache once in 2 MiB instead of once in 4 KiB, and is filled in with as many fewer faults.
    Pages {
        pages: Arc<MmapRaw>,
        at: usize,
    },
}

/// Buffers from this length on get pages of their own: half a large page.
const PAGES_FROM: usize = LARGE_PAGE / 2;

/// The large page of x86-64, in bytes.
const LARGE_PAGE: usize = 2 << 20;

/// Zeroed pages for `len` bytes, large ones where the system has them.
fn pages(len: usize) -> Option<MmapRaw> {
    let pages = memmap2::MmapMut::map_anon(len.checked_next_multiple_of(LARGE_PAGE)?).ok()?;
    // Without large pages the small ones serve.
    let _no_large_pages = pages.advise(memmap2::Advice::HugePage);
    Some(pages.into())
}

impl AlignedBuffer {
    /// A zeroed buffer of `len` bytes, or `None` when the memory is not to be had.
    pub fn try_zeroed(len: usize) -> Option<Self> {
        let memory = if len >= PAGES_FROM {
            Memory::Pages { pages: Arc::new(pages(len)?), at: 0 }
        } else {
            Memory::Heap(bytemuck::allocation::try_zeroed_vec(len.div_ceil(ALIGN)).ok()?)
        };
        Some(AlignedBuffer { memory, len })
    }

    /// A zeroed buffer of `len` bytes.
    ///
    /// # Panics
    /// When the memory is not to be had; use [`AlignedBuffer::try_zeroed`] for sizes that come from a file.
    pub fn zeroed(len: usize) -> Self {
        Self::try_zeroed(len).unwrap_or_else(|| panic!("{len} bytes of memory are not to be had"))
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match &self.memory {
            Memory::Heap(lines) => &bytemuck::cast_slice(lines)[..self.len],
            // SAFETY: `len` bytes from `at` on lie in the pages, and this buffer alone owns them.
            Memory::Pages { pages, at } => unsafe { slice::from_raw_parts(pages.as_ptr().add(*at), self.len) },
        }
    }

    /// The bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Memory::Heap(lines) => &mut bytemuck::cast_slice_mut(lines)[..self.len],
            // SAFETY: as above; and this buffer is borrowed to be written.
            Memory::Pages { pages, at } => unsafe { slice::from_raw_parts_mut(pages.as_mut_ptr().add(*at), self.len) },
        }
    }

    /// The whole elements of type `T` that the buffer holds.
    pub fn as_slice<T: bytemuck::Pod>(&self) -> &[T] {
        let whole = self.len / size_of::<T>() * size_of::<T>();
        bytemuck::cast_slice(&self.bytes()[..whole])
    }

    /// The whole elements of type `T` that the buffer holds, to be written.
    pub fn as_mut_slice<T: bytemuck::Pod>(&mut self) -> &mut [T] {
        let whole = self.len / size_of::<T>() * size_of::<T>();
        bytemuck::cast_slice_mut(&mut self.bytes_mut()[..whole])
    }
}

/// Room that small buffers of one life are cut from, in large pages: the weights of a model, whose pages would else be
/// small ones. The pages are given back with the last buffer of them.
#[derive(Default)]
pub struct Slab {
    pages: Option<Arc<MmapRaw>>,
    used: usize,
}

/// What a slab asks the system for at a time. What is not touched of it takes no memory.
const SLAB: usize = 16 * LARGE_PAGE;

impl Slab {
    /// A zeroed buffer of `len` bytes.
    ///
    /// # Panics
    /// When the memory is not to be had.
    pub fn zeroed(&mut self, len: usize) -> AlignedBuffer {
        let taken = len.next_multiple_of(ALIGN);
        if taken > SLAB / 4 {
            return AlignedBuffer::zeroed(len);
        }
        let fresh = || (pages(SLAB).map(Arc::new), 0);
        let (room, at) = match self.pages.take() {
            Some(room) if self.used + taken <= SLAB => (Some(room), self.used),
            _ => fresh(),
        };
        let Some(room) = room else { return AlignedBuffer::zeroed(len) };
        self.used = at + taken;
        self.pages = Some(Arc::clone(&room));
        AlignedBuffer { memory: Memory::Pages { pages: room, at }, len }
    }
}

enum Store {
    Owned(AlignedBuffer),
    Mapped(memmap2::Mmap),
    Static(&'static [u8]),
}

impl Store {
    fn bytes(&self) -> &[u8] {
        match self {
            Store::Owned(buffer) => buffer.bytes(),
            Store::Mapped(map) => map,
            Store::Static(bytes) => bytes,
        }
    }
}

/// A shared, immutable range of bytes: cheap to clone and to cut, whatever the bytes live in.
#[derive(Clone)]
pub struct Bytes {
    store: Arc<Store>,
    range: Range<usize>,
}

impl Bytes {
    /// Maps a file into memory; nothing is read until it is touched.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn map(file: &File) -> io::Result<Self> {
        // SAFETY: the map is read-only and private. Another process that truncates the file while it is mapped can
        // end this one with SIGBUS, as with every program that maps its input; no Rust reference outlives the map.
        let map = unsafe { memmap2::MmapOptions::new().map_copy_read_only(file)? };
        Ok(Self::whole(Store::Mapped(map)))
    }

    /// The part `range` of these bytes, or `None` when it does not lie inside them.
    pub fn slice(&self, range: Range<usize>) -> Option<Self> {
        let inside = range.start <= range.end && range.end <= self.len();
        inside.then(|| Bytes {
            store: Arc::clone(&self.store),
            range: self.range.start + range.start..self.range.start + range.end,
        })
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// True when there is no byte.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Lets the operating system drop the pages of a mapped range; they are read again when touched. Called once
    /// weights are packed, so that a model does not stand in memory twice. Does nothing for other bytes.
    pub fn release(&self) {
        if let Store::Mapped(map) = &*self.store {
            // SAFETY: the map is a read-only view of a file and is never written, so a dropped page is read back
            // from the file with the same contents.
            let advised = unsafe {
                map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, self.range.start, self.range.len())
            };
            // Only an optimization: a system that refuses keeps the pages.
            let _refused = advised.is_err();
        }
    }

    fn whole(store: Store) -> Self {
        let range = 0..store.bytes().len();
        Bytes { store: Arc::new(store), range }
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.store.bytes()[self.range.clone()]
    }
}

impl From<AlignedBuffer> for Bytes {
    fn from(buffer: AlignedBuffer) -> Self {
        Self::whole(Store::Owned(buffer))
    }
}

impl From<&'static [u8]> for Bytes {
    fn from(bytes: &'static [u8]) -> Self {
        Self::whole(Store::Static(bytes))
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bytes({})", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_zeroed() {
        for len in [70, PAGES_FROM + 70] {
            let mut buffer = AlignedBuffer::zeroed(len);
            assert_eq!((buffer.bytes().as_ptr().addr() % ALIGN, buffer.len()), (0, len));
            assert!(buffer.bytes().iter().all(|&b| b == 0));
            let last = len / 4 - 1;
            assert_eq!(buffer.as_slice::<f32>().len(), last + 1);
            buffer.as_mut_slice::<f32>()[last] = 1.0;
            assert_eq!(buffer.as_slice::<f32>()[last], 1.0);
        }
        assert!(AlignedBuffer::try_zeroed(usize::MAX - 64).is_none());
    }

    #[test]
    fn buffers_of_a_slab_are_apart() {
        let mut slab = Slab::default();
        let lens = [100, 0, 5 << 20, 64, 7 << 20, 8 << 20, 6 << 20, 5 << 20, 9 << 20, 3];
        let mut buffers: Vec<AlignedBuffer> = lens.iter().map(|&len| slab.zeroed(len)).collect();
        drop(slab);
        for (i, buffer) in buffers.iter_mut().enumerate() {
            assert!(buffer.bytes().as_ptr().addr().is_multiple_of(ALIGN) && buffer.bytes().iter().all(|&b| b == 0));
            buffer.bytes_mut().fill(i as u8 + 1);
        }
        for (i, (buffer, len)) in buffers.iter().zip(lens).enumerate() {
            assert!(buffer.len() == len && buffer.bytes().iter().all(|&b| b == i as u8 + 1));
        }
    }

    #[test]
    fn mapped_bytes_survive_release() {
        let path = std::env::temp_dir().join(format!("tilewise-map-{}", std::process::id()));
        std::fs::write(&path, [7u8; 10_000]).unwrap();
        let bytes = Bytes::map(&File::open(&path).unwrap()).unwrap();
        let part = bytes.slice(5_000..9_000).unwrap();
        assert!(part.iter().all(|&b| b == 7));
        part.release();
        assert!(part.iter().all(|&b| b == 7));
        assert!(bytes.slice(1..10_001).is_none());
        std::fs::remove_file(path).unwrap();
    }
}
