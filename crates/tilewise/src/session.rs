//! Sessions: a model, options, and the memory of one run at a time.

use std::sync::Arc;

use tilewise_engine::{Arena, Outputs, Plan};
use tilewise_graph::{GraphError, ValueType};
use tilewise_kernels::Pool;
use tilewise_tensor::{Tensor, View};

use crate::{Error, Model, Options, options};

/// Runs a model. Sessions of one model share its packed weights; each has an arena of its own, which it keeps from run
/// to run while the input shapes stay the same.
pub struct Session {
    model: Model,
    options: Options,
    pool: Arc<Pool>,
    ready: Option<(Arc<Plan>, Arena)>,
}

impl Session {
    pub(crate) fn new(model: Model, options: Options) -> Self {
        let pool = options::pool(options.cpu().cores);
        Session { model, options, pool, ready: None }
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The options.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Runs on named inputs and returns the named outputs, copied.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tilewise::{DType, Model, Options, Tensor};
    ///
    /// let mut session = Model::load("model.onnx")?.session(Options::default());
    /// let image = Tensor::zeros(DType::F32, &[1, 3, 224, 224])?;
    /// for (name, output) in session.run(&[("input", &image)])? {
    ///     println!("{name}: {:?}", output.shape());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Graph`] for inputs that are missing, unknown or misshapen, [`Error::Plan`], [`Error::Run`].
    pub fn run(&mut self, inputs: &[(&str, &Tensor)]) -> Result<Vec<(String, Tensor)>, Error> {
        let known: Vec<&str> = self.model.inputs().map(|(name, _)| name).collect();
        if let Some((name, tensor)) = inputs.iter().find(|(name, _)| !known.contains(name)) {
            return Err(Error::Graph(GraphError::Input {
                name: (*name).to_owned(),
                expected: format!("one of the inputs {}", known.join(", ")),
                actual: ValueType::known(tensor.dtype(), tensor.shape()).to_string(),
            }));
        }
        let mut views = Vec::with_capacity(known.len());
        for (name, ty) in self.model.inputs() {
            let given = inputs.iter().find(|(other, _)| *other == name).map(|(_, tensor)| tensor.view());
            let unfit = |actual| GraphError::Input { name: name.to_owned(), expected: ty.to_string(), actual };
            let view = given.ok_or_else(|| unfit("nothing".to_owned()))?;
            if view.dtype() != ty.dtype || !ty.admits(view.shape()) {
                return Err(unfit(ValueType::known(view.dtype(), view.shape()).to_string()).into());
            }
            views.push(view);
        }
        let outputs = self.run_views(&views)?;
        Ok((0..outputs.len()).map(|i| (outputs.name(i).to_owned(), outputs.tensor(i))).collect())
    }

    /// Runs on inputs in the model's order; the outputs stay in the session's memory until the next run.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn run_views(&mut self, inputs: &[View<'_>]) -> Result<Outputs<'_>, Error> {
        let shapes: Vec<&[usize]> = inputs.iter().map(View::shape).collect();
        let (plan, arena) = self.prepare(&shapes)?;
        Ok(plan.run(inputs, arena)?)
    }

    /// Compiles for input shapes, in the model's order, and makes the memory ready: what the first run does otherwise.
    ///
    /// # Errors
    /// [`Error::Graph`] and [`Error::Plan`].
    pub fn prepare(&mut self, shapes: &[&[usize]]) -> Result<(&Plan, &mut Arena), Error> {
        let same = |(plan, _): &(Arc<Plan>, Arena)| {
            plan.inputs().len() == shapes.len() && plan.inputs().iter().zip(shapes).all(|(i, s)| i.shape == *s)
        };
        if !self.ready.as_ref().is_some_and(same) {
            // The old arena goes before the new one comes.
            self.ready = None;
            let plan = self.model.plan(shapes, &self.options)?;
            let arena = Arena::new(&plan, Arc::clone(&self.pool))?;
            self.ready = Some((plan, arena));
        }
        match &mut self.ready {
            Some((plan, arena)) => Ok((plan, arena)),
            None => Err(Error::Usage("the session is not ready".to_owned())),
        }
    }
}
