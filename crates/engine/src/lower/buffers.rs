//! The buffers of a plan under way: what each is stored in, and from which step to which it lives.

use std::sync::Arc;

use tilewise_tensor::TensorError;

use super::Lowering;
use crate::plan::{BufferId, Packed};

/// What a buffer is stored in.
pub(crate) enum Storage {
    /// The arena.
    Arena { bytes: usize },
    /// The arena, for one step.
    Scratch { bytes: usize },
    /// Part of another buffer, which was added before.
    Part { of: BufferId, offset: usize, bytes: usize },
    /// A constant.
    Constant(Arc<Packed>),
    /// A tensor whose size the data decide, by number.
    Dynamic(usize),
    /// What the caller gives, read where it stands: an input, by number.
    Given { input: usize, bytes: usize },
}

/// A buffer with its life: the first and the last step that touch it.
pub(crate) struct Buffer {
    pub(crate) storage: Storage,
    pub(crate) first: usize,
    pub(crate) last: usize,
}

impl Buffer {
    /// Bytes of the value.
    pub(crate) fn bytes(&self) -> usize {
        match &self.storage {
            Storage::Arena { bytes } | Storage::Scratch { bytes } | Storage::Part { bytes, .. } => *bytes,
            Storage::Given { bytes, .. } => *bytes,
            Storage::Constant(constant) => constant.len(),
            Storage::Dynamic(_) => 0,
        }
    }

    /// What kept its constant from being packed.
    pub(crate) fn error(&self) -> Option<&TensorError> {
        if let Storage::Constant(constant) = &self.storage { constant.error() } else { None }
    }

    /// Bytes of its own in the arena.
    pub(crate) fn arena_bytes(&self) -> usize {
        match self.storage {
            Storage::Arena { bytes } | Storage::Scratch { bytes } => bytes,
            Storage::Part { .. } | Storage::Constant(_) | Storage::Dynamic(_) | Storage::Given { .. } => 0,
        }
    }
}

impl Lowering<'_> {
    /// A buffer that lives for the next step only.
    pub(crate) fn scratch(&mut self, floats: usize) -> BufferId {
        self.add(Storage::Scratch { bytes: floats.saturating_mul(size_of::<f32>()) })
    }

    pub(crate) fn add(&mut self, storage: Storage) -> BufferId {
        let id = BufferId(self.buffers.len() as u32);
        self.buffers.push(Buffer { storage, first: usize::MAX, last: 0 });
        id
    }

    /// True for a buffer that has a planned place in the arena.
    pub(crate) fn is_in_arena(&self, id: BufferId) -> bool {
        matches!(self.buffers[id.index()].storage, Storage::Arena { .. } | Storage::Part { .. })
    }

    /// Bytes of a buffer.
    pub(super) fn len(&self, id: BufferId) -> usize {
        self.buffers[id.index()].bytes()
    }

    /// Lets a buffer live at a step, and with a part the whole.
    pub(super) fn touch(&mut self, id: BufferId, step: usize) {
        let buffer = &mut self.buffers[id.index()];
        buffer.first = buffer.first.min(step);
        buffer.last = buffer.last.max(step);
        if let Storage::Part { of, .. } = buffer.storage {
            self.touch(of, step);
        }
    }
}
