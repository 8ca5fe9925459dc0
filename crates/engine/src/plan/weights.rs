//! Packed weights, shared by all plans of a model.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;

use tilewise_graph::Constant;
use tilewise_tensor::{AlignedBuffer, Slab, TensorError};

/// A constant as a kernel reads it. Its bytes are there once [`Weights::finish`] has packed it.
pub(crate) struct Packed {
    len: usize,
    buffer: OnceLock<Result<AlignedBuffer, TensorError>>,
}

impl Packed {
    /// One of `len` bytes, which is yet to be packed.
    pub(crate) fn of(len: usize) -> Self {
        Packed { len, buffer: OnceLock::new() }
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The bytes; none where it is not packed.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self.buffer.get() {
            Some(Ok(buffer)) => buffer.bytes(),
            Some(Err(_)) | None => &[],
        }
    }

    /// The error that kept it from being packed.
    pub(crate) fn error(&self) -> Option<&TensorError> {
        self.buffer.get().and_then(|buffer| buffer.as_ref().err())
    }
}

/// Packs a constant.
pub(crate) type Pack = Box<dyn FnOnce(&Constant, &mut Room) -> Result<AlignedBuffer, TensorError> + Send>;

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
    /// Held while constants are packed.
    packing: Mutex<()>,
    /// True where nothing is packed, as nothing will run.
    unpacked: bool,
}

#[derive(Default)]
struct State {
    packed: HashMap<Key, Known>,
    waiting: Vec<Job>,
}

struct Known {
    packed: Weak<Packed>,
    /// Keeps the address in the key taken.
    _constant: Constant,
}

/// A constant to be packed.
struct Job {
    packed: Weak<Packed>,
    constant: Constant,
    pack: Pack,
}

impl Job {
    /// Packs, where a plan still holds the result. The pages of a mapped file that held the constant are let go.
    fn run(self, room: &mut Room) {
        if let Some(packed) = self.packed.upgrade() {
            packed.buffer.get_or_init(|| (self.pack)(&self.constant, room));
            self.constant.stored().bytes().release();
        }
    }
}

/// Memory for packing, the same for all weights of a thread: to ask the system for new memory for each would take longer
/// than the packing.
#[derive(Default)]
pub(crate) struct Room {
    /// Where weights go that cannot be packed from where they stand.
    pub(crate) staging: Vec<f32>,
    /// Where packed weights go.
    pub(crate) slab: Slab,
}

/// Bytes that are worth a thread of their own.
const WORTH_A_THREAD: usize = 4 << 20;

impl Weights {
    /// Empty buffers in the place of all constants: for a plan that is looked at and never run.
    pub(crate) fn unpacked() -> Self {
        Weights { unpacked: true, ..Weights::default() }
    }

    /// The constant packed in a form, `len` bytes; where it was not packed before, `pack` does it when the plan is
    /// finished.
    pub(crate) fn get(&self, constant: &Constant, form: Form, len: usize, pack: Pack) -> Arc<Packed> {
        let packed = Arc::new(Packed::of(len));
        if self.unpacked {
            return packed;
        }
        let scale = match constant {
            Constant::Dense(_) => 0,
            Constant::Scaled { scale, .. } => scale.as_ptr().addr(),
        };
        let bytes = constant.stored().bytes();
        let key = Key { address: bytes.as_ptr().addr(), len: bytes.len(), scale, form };
        let mut state = self.lock();
        if let Some(packed) = state.packed.get(&key).and_then(|known| known.packed.upgrade()) {
            return packed;
        }
        let weak = Arc::downgrade(&packed);
        state.packed.retain(|_, known| known.packed.strong_count() > 0);
        state.packed.insert(key, Known { packed: Weak::clone(&weak), _constant: constant.clone() });
        state.waiting.push(Job { packed: weak, constant: constant.clone(), pack });
        packed
    }

    /// Packs all that is waiting, on as many threads. What another plan waits for is packed too when this returns.
    pub(crate) fn finish(&self, threads: usize) {
        let _alone = self.packing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut jobs = std::mem::take(&mut self.lock().waiting);
        // The largest first: the threads then end together.
        let bytes = |job: &Job| job.packed.upgrade().map_or(0, |packed| packed.len());
        jobs.sort_by_cached_key(|job| Reverse(bytes(job)));
        let threads = threads.min(jobs.iter().map(bytes).sum::<usize>().div_ceil(WORTH_A_THREAD));
        let jobs = Mutex::new(jobs.into_iter());
        let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || {
            let mut room = Room::default();
            while let Some(job) = next() {
                job.run(&mut room);
            }
        };
        thread::scope(|scope| {
            for _ in 1..threads {
                // Where the system has no thread left, this one does all.
                let _no_thread = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of all packed constants that plans hold.
    pub fn bytes(&self) -> usize {
        self.lock().packed.values().filter_map(|known| known.packed.upgrade()).map(|packed| packed.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tilewise_tensor::{DType, Tensor};

    use super::*;

    fn constant(value: f32, len: usize) -> Constant {
        Constant::Dense(Tensor::from_slice(&[len], &vec![value; len]).unwrap())
    }

    fn form(name: &'static str) -> Form {
        Form { name, sizes: Vec::new() }
    }

    /// Doubles a constant, and counts how often.
    fn doubled(count: &Arc<AtomicUsize>) -> Pack {
        let count = Arc::clone(count);
        Box::new(move |constant, room| {
            count.fetch_add(1, Ordering::Relaxed);
            let values = constant.values()?;
            let mut buffer = room.slab.zeroed(values.len() * size_of::<f32>());
            buffer.as_mut_slice::<f32>().iter_mut().zip(values.iter()).for_each(|(to, value)| *to = 2.0 * value);
            Ok(buffer)
        })
    }

    #[test]
    fn all_that_is_held_is_packed_once_on_any_number_of_threads() {
        // The last one alone is worth a thread.
        let constants: Vec<Constant> =
            (1..=9).map(|i| constant(i as f32, if i == 9 { 3 << 20 } else { 1000 * i })).collect();
        for threads in [1, 2, 5] {
            let (weights, count) = (Weights::default(), Arc::default());
            let get = |of: &Constant, name| weights.get(of, form(name), of.stored().bytes().len(), doubled(&count));
            let packed: Vec<_> = constants.iter().map(|of| get(of, "doubled")).collect();
            let again = get(&constants[0], "doubled");
            drop(get(&constants[0], "dropped"));
            weights.finish(threads);
            assert!(Arc::ptr_eq(&again, &packed[0]));
            assert_eq!(count.load(Ordering::Relaxed), packed.len(), "{threads} threads");
            for (packed, of) in packed.iter().zip(&constants) {
                let expected: Vec<f32> = of.values().unwrap().iter().map(|value| 2.0 * value).collect();
                assert!(packed.bytes() == bytemuck::cast_slice::<f32, u8>(&expected) && packed.error().is_none());
            }
        }
    }

    #[test]
    fn an_error_stays_with_its_constant() {
        let (weights, of) = (Weights::default(), constant(1.0, 8));
        let error = TensorError::TooLarge { dtype: DType::F32, shape: vec![usize::MAX] };
        let failing = weights.get(
            &of,
            form("failing"),
            32,
            Box::new({
                let error = error.clone();
                move |_, _| Err(error)
            }),
        );
        let good = weights.get(&of, form("good"), 32, doubled(&Arc::default()));
        weights.finish(2);
        assert_eq!((failing.error(), failing.bytes().len()), (Some(&error), 0));
        assert_eq!((good.error(), good.bytes().len()), (None, 32));
    }
}
