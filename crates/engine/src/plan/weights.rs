//! Packed weights, shared by all plans of a model.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tilewise_graph::Constant;
use tilewise_tensor::{AlignedBuffer, Slab, TensorError};

/// How a constant is packed: everything beside the constant itself that decides the packed bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Form {
    /// The kernel, or the name of the rearrangement.
    pub(crate) name: &'static str,
    /// Numbers that the packing depends on.
    pub(crate) sizes: Vec<usize>,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    /// Where the constant's bytes stand. The entry keeps the constant, so nothing else comes to stand there.
    address: usize,
    len: usize,
    scale: usize,
    form: Form,
}

/// The packed constants of a model, as long as a plan holds them. Plans for other input shapes, and sessions on other
/// threads, find here what was packed before; what the last plan let go is forgotten, so that ever new shapes do not
/// fill the memory.
#[derive(Default)]
pub struct Weights {
    state: Mutex<State>,
    /// True where nothing is packed, as nothing will run.
    unpacked: bool,
}

#[derive(Default)]
struct State {
    packed: HashMap<Key, Packed>,
    room: Room,
}

/// Memory for packing, the same for all weights: to ask the system for new memory for each would take longer than the
/// packing.
#[derive(Default)]
pub(crate) struct Room {
    /// Where weights go that cannot be packed from where they stand.
    pub(crate) staging: Vec<f32>,
    /// Where packed weights go.
    pub(crate) slab: Slab,
}

struct Packed {
    buffer: Weak<AlignedBuffer>,
    /// Keeps the address in the key taken.
    _constant: Constant,
}

impl Weights {
    /// Empty buffers in the place of all constants: for a plan that is looked at and never run.
    pub(crate) fn unpacked() -> Self {
        Weights { unpacked: true, ..Weights::default() }
    }

    /// The constant packed in a form; `pack` is called where it was not packed before, with room for values. The pages
    /// of a mapped file that held the constant are let go.
    pub(crate) fn get(
        &self,
        constant: &Constant,
        form: Form,
        pack: impl FnOnce(&Constant, &mut Room) -> Result<AlignedBuffer, TensorError>,
    ) -> Result<Arc<AlignedBuffer>, TensorError> {
        if self.unpacked {
            return Ok(Arc::new(AlignedBuffer::zeroed(0)));
        }
        let scale = match constant {
            Constant::Dense(_) => 0,
            Constant::Scaled { scale, .. } => scale.as_ptr().addr(),
        };
        let bytes = constant.stored().bytes();
        let key = Key { address: bytes.as_ptr().addr(), len: bytes.len(), scale, form };
        let mut state = self.lock();
        let State { packed, room } = &mut *state;
        if let Some(buffer) = packed.get(&key).and_then(|entry| entry.buffer.upgrade()) {
            return Ok(buffer);
        }
        let buffer = Arc::new(pack(constant, room)?);
        bytes.release();
        packed.retain(|_, entry| entry.buffer.strong_count() > 0);
        packed.insert(key, Packed { buffer: Arc::downgrade(&buffer), _constant: constant.clone() });
        Ok(buffer)
    }

    /// Gives back the memory that packing took beside its results.
    pub(crate) fn finish(&self) {
        self.lock().room = Room::default();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of all packed constants that plans hold.
    pub fn bytes(&self) -> usize {
        self.lock().packed.values().filter_map(|entry| entry.buffer.upgrade()).map(|buffer| buffer.len()).sum()
    }
}
