//! Models: a network with its weights, ready to be compiled for any machine and input shapes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tilewise_engine::{Plan, Schedule, Weights};
use tilewise_graph::{Dim, Graph, ValueType};
use tilewise_kernels::Cpu;
use tilewise_tensor::Bytes;

use crate::{Error, Options, Session, pipeline};

/// Plans that a model keeps. A service sees a few shapes again and again; what is used least is compiled anew.
const KEPT_PLANS: usize = 8;

/// A loaded network. Cheap to clone: all clones share the network, its packed weights and its plans.
#[derive(Clone)]
pub struct Model {
    shared: Arc<Shared>,
}

struct Shared {
    source: Graph,
    optimized: Graph,
    weights: Weights,
    /// The most recently used last.
    plans: Mutex<Vec<(Key, Arc<Plan>)>>,
}

/// What a plan depends on, beside the network.
#[derive(Clone, PartialEq)]
struct Key {
    shapes: Vec<Vec<usize>>,
    cpu: Cpu,
    schedule: Schedule,
    store: Option<PathBuf>,
}

impl Model {
    /// Loads an ONNX file. Weights are mapped, not read; external data must lie in the model's folder.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Import`] and [`Error::Graph`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        // Asked before the file is opened: to open a pipe would wait for who writes to it.
        let bytes = std::fs::metadata(path).and_then(|kind| match kind.is_file() {
            true => Bytes::map(&File::open(path)?),
            false => Err(std::io::Error::other("it is not a regular file")),
        });
        let bytes = bytes.map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let folder = path.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
        Self::from_graph(pipeline::import(bytes, folder)?)
    }

    /// Loads a model from memory; it cannot have external data.
    ///
    /// # Errors
    /// [`Error::Import`] and [`Error::Graph`].
    pub fn from_bytes(bytes: Bytes) -> Result<Self, Error> {
        Self::from_graph(pipeline::import(bytes, None)?)
    }

    /// The image classifier that comes with tilewise: EfficientNet-Lite0, trained on ImageNet.
    ///
    /// # Errors
    /// None in practice: the model is part of the program.
    pub fn embedded() -> Result<Self, Error> {
        Self::from_bytes(Bytes::from(crate::embedded::CLASSIFIER))
    }

    /// A model of a network built in code or parsed from its text form.
    ///
    /// # Errors
    /// [`Error::Graph`].
    pub fn from_graph(source: Graph) -> Result<Self, Error> {
        let optimized = pipeline::optimize(&source)?;
        let shared = Shared { source, optimized, weights: Weights::default(), plans: Mutex::default() };
        Ok(Model { shared: Arc::new(shared) })
    }

    /// The network as it was written.
    pub fn source(&self) -> &Graph {
        &self.shared.source
    }

    /// The network after the passes, for any input shapes.
    pub fn optimized(&self) -> &Graph {
        &self.shared.optimized
    }

    /// Name and type of each input.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = (&str, &ValueType)> {
        let graph = &self.shared.source;
        graph.inputs().iter().map(|&id| (&*graph.value(id).name, &graph.value(id).ty))
    }

    /// Name and type of each output, as far as the model fixes it.
    pub fn outputs(&self) -> impl ExactSizeIterator<Item = (&str, &ValueType)> {
        let graph = &self.shared.source;
        graph.outputs().iter().map(|(name, id)| (&**name, &graph.value(*id).ty))
    }

    /// A session: what one thread at a time runs the model with.
    pub fn session(&self, options: Options) -> Session {
        Session::new(self.clone(), options)
    }

    /// The network after the passes, with its inputs fixed to shapes.
    ///
    /// # Errors
    /// [`Error::Graph`] for shapes that the network does not take.
    pub fn specialized(&self, shapes: &[(&str, &[usize])]) -> Result<Graph, Error> {
        pipeline::specialize(&self.shared.optimized, shapes)
    }

    /// The plan for input shapes, one a [`Model::inputs`], on a machine: one that was made before, or a new one.
    ///
    /// # Errors
    /// [`Error::Graph`] and [`Error::Plan`].
    pub fn plan(&self, shapes: &[&[usize]], options: &Options) -> Result<Arc<Plan>, Error> {
        let cpu = options.cpu();
        let shapes_of_key = shapes.iter().map(|shape| shape.to_vec()).collect();
        let (schedule, store) = (options.schedule.clone(), options.store.clone());
        let key = Key { shapes: shapes_of_key, cpu, schedule, store };
        let shared = &*self.shared;
        let lock = || shared.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let mut plans = lock();
        if let Some(at) = plans.iter().position(|(other, _)| *other == key) {
            let found = plans.remove(at);
            let plan = Arc::clone(&found.1);
            plans.push(found);
            return Ok(plan);
        }
        drop(plans);
        let named: Vec<(&str, &[usize])> = self.inputs().map(|(name, _)| name).zip(shapes.iter().copied()).collect();
        let network = pipeline::network(&shared.optimized, &named, &key.cpu)?;
        let plan = Arc::new(pipeline::compile(&network, options, &key.cpu, &shared.weights)?);
        let mut plans = lock();
        plans.push((key, Arc::clone(&plan)));
        if plans.len() > KEPT_PLANS {
            plans.remove(0);
        }
        Ok(plan)
    }

    pub(crate) fn weights(&self) -> &Weights {
        &self.shared.weights
    }

    /// Bytes of all weights that were packed for the plans of this model.
    pub fn packed_bytes(&self) -> usize {
        self.shared.weights.bytes()
    }

    /// Shapes for the model's inputs: those given by name, else those of the model with `batch` as a free first
    /// length and 1 for every other free length.
    ///
    /// # Errors
    /// [`Error::Usage`] for an input of unknown rank that no shape is given for, or for a name that is no input.
    pub fn shapes(&self, given: &[(String, Vec<usize>)], batch: usize) -> Result<Vec<Vec<usize>>, Error> {
        let names: Vec<&str> = self.inputs().map(|(name, _)| name).collect();
        if let Some((name, _)) = given.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            return Err(Error::Usage(format!("no input is named '{name}'; the model has {}", names.join(", "))));
        }
        let fill = |(axis, dim): (usize, &Dim)| dim.known().unwrap_or(if axis == 0 { batch } else { 1 });
        let shape = |(name, ty): (&str, &ValueType)| {
            if let Some((_, shape)) = given.iter().find(|(other, _)| other == name) {
                return Ok(shape.clone());
            }
            let dims = ty.shape.as_ref();
            let dims = dims
                .ok_or_else(|| Error::Usage(format!("give the shape of input '{name}': --shape {name}:1x3x224x224")))?;
            Ok(dims.iter().enumerate().map(fill).collect())
        };
        self.inputs().map(shape).collect()
    }
}
