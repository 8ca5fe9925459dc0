//! Tuning: a schedule for a model on this machine, searched by prediction and measurement.

use std::path::PathBuf;

use tilewise_engine::Schedule;
use tilewise_engine::schedule::{Budget, Store, Tuned, search};

use crate::{Error, Model, Options, options, pipeline};

/// What tuning found, and what became of it.
#[derive(Default)]
pub struct Tuning {
    /// What was found.
    pub tuned: Tuned,
    /// The file that results are kept in, where the options name a store.
    pub kept: Option<PathBuf>,
    /// Why they could not be kept, where that is so.
    pub lost: Option<std::io::Error>,
}

/// Searches for a faster schedule of a model for input shapes, one a [`Model::inputs`], within a budget. What is measured
/// goes to the store of the options at once; what it knows already is not measured again. The schedule of the options
/// has no say.
///
/// # Errors
/// [`Error::Graph`] and [`Error::Plan`].
pub fn tune(model: &Model, shapes: &[&[usize]], options: &Options, budget: &Budget<'_>) -> Result<Tuning, Error> {
    let cpu = options.cpu();
    let named: Vec<(&str, &[usize])> = model.inputs().map(|(name, _)| name).zip(shapes.iter().copied()).collect();
    let network = pipeline::network(model.optimized(), &named, &cpu)?;
    let budget = Budget { time: budget.time / network.parts() as u32, ..*budget };
    let mut tuning = Tuning::default();
    network.schedule(&cpu, |part| -> Result<Schedule, Error> {
        let (cpu, store) = (&part.cpu, options.store.as_ref());
        let mut store = store.map_or_else(|| Store::in_memory(cpu), |folder| Store::open(folder, cpu));
        let tuned = search(part, &options::pool(cpu.cores), model.weights(), &budget, &mut store)?;
        let full = tuned.full.clone();
        tuning.tuned.add(tuned, part.rounds);
        tuning.kept = store.path().map(Into::into);
        tuning.lost = store.into_error().or(tuning.lost.take());
        Ok(full)
    })?;
    Ok(tuning)
}
