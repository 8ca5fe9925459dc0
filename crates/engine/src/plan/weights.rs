//! Packed weights, shared by all plans of a model.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tilewise_graph::Constant;
use tilewise_tensor::{AlignedBuffer, TensorError};

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

/// The packed constants of a model. Plans for other input shapes, and sessions on other threads, find here what was
/// packed before.
#[derive(Default)]
pub struct Weights {
    packed: Mutex<HashMap<Key, (Constant, Arc<AlignedBuffer>)>>,
}

impl Weights {
    /// The constant packed in a form; `pack` is called where it was not packed before. The pages of a mapped file
    /// that held the constant are let go.
    pub(crate) fn get(
        &self,
        constant: &Constant,
        form: Form,
        pack: impl FnOnce(&Constant) -> Result<AlignedBuffer, TensorError>,
    ) -> Result<Arc<AlignedBuffer>, TensorError> {
        let scale = match constant {
            Constant::Dense(_) => 0,
            Constant::Scaled { scale, .. } => scale.as_ptr().addr(),
        };
        let bytes = constant.stored().bytes();
        let key = Key { address: bytes.as_ptr().addr(), len: bytes.len(), scale, form };
        let mut packed = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, buffer)) = packed.get(&key) {
            return Ok(Arc::clone(buffer));
        }
        let buffer = Arc::new(pack(constant)?);
        bytes.release();
        packed.insert(key, (constant.clone(), Arc::clone(&buffer)));
        Ok(buffer)
    }

    /// Bytes of all packed constants.
    pub fn bytes(&self) -> usize {
        let packed = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        packed.values().map(|(_, buffer)| buffer.len()).sum()
    }
}
