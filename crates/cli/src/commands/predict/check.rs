//! Predictions for this machine held against measurements, network by network.

use std::time::Duration;

use anyhow::{Context, Result};
use tilewise::predict::stats::{Told, quantile, spearman, told};
use tilewise::zoo::{self, NETWORKS};
use tilewise::{Explained, Model, View, explain};

use super::Predict;
use super::report;
use crate::commands::infer::{Fill, filled};
use crate::output;

/// Networks of the zoo with more multiply-adds are left out: the check is to take about a minute.
const LARGEST: u64 = 6_000_000_000;

/// How long each network is repeated.
const TIME: Duration = Duration::from_millis(500);

/// A step, or a network as the sum of its steps.
#[derive(Clone)]
pub(super) struct Point {
    pub(super) name: String,
    pub(super) flops: f64,
    pub(super) bytes: f64,
    /// Seconds.
    pub(super) predicted: f64,
    /// Seconds.
    pub(super) measured: f64,
}

impl Point {
    /// The error relative to what was measured, with its sign.
    pub(super) fn error(&self) -> f64 {
        self.predicted / self.measured - 1.0
    }
}

/// A figure of a point that may tell its time.
pub(super) struct Teller {
    /// What it is called.
    pub(super) name: &'static str,
    /// The figure.
    pub(super) get: fn(&Point) -> f64,
    /// True where it is a time already.
    pub(super) is_time: bool,
}

/// What times are told from.
pub(super) const TELLERS: [Teller; 3] = [
    Teller { name: "operations", get: |p| p.flops, is_time: false },
    Teller { name: "bytes", get: |p| p.bytes, is_time: false },
    Teller { name: "prediction", get: |p| p.predicted, is_time: true },
];

impl Teller {
    /// How well it tells the measured times of points.
    pub(super) fn over(&self, points: &[&Point]) -> Told {
        let values: Vec<f64> = points.iter().map(|p| (self.get)(p)).collect();
        told(&values, &points.iter().map(|p| p.measured).collect::<Vec<_>>(), self.is_time)
    }
}

/// A network, and its steps.
pub(super) struct Network {
    pub(super) total: Point,
    pub(super) steps: Vec<Point>,
}

impl Network {
    fn of(name: &str, steps: &[Explained]) -> Self {
        let point = |step: &Explained| Point {
            name: format!("{name} {} {}", step.info.layer, step.info.op),
            flops: 2.0 * step.info.macs as f64,
            bytes: step.info.bytes as f64,
            predicted: step.predicted.seconds(),
            measured: step.measured_ms * 1e-3,
        };
        let steps: Vec<Point> = steps.iter().map(point).collect();
        let sum = |of: fn(&Point) -> f64| steps.iter().map(of).sum();
        let total = Point {
            name: name.to_owned(),
            flops: sum(|p| p.flops),
            bytes: sum(|p| p.bytes),
            predicted: sum(|p| p.predicted),
            measured: sum(|p| p.measured),
        };
        Network { total, steps }
    }

    /// The error below which a share of the steps lies.
    pub(super) fn error(&self, share: f64) -> f64 {
        quantile(&self.steps.iter().map(|step| step.error().abs()).collect::<Vec<_>>(), share)
    }

    /// Spearman's correlation of what a teller says of the steps with their times.
    pub(super) fn ranks(&self, teller: &Teller) -> f64 {
        let values: Vec<f64> = self.steps.iter().map(teller.get).collect();
        spearman(&values, &self.steps.iter().map(|step| step.measured).collect::<Vec<_>>())
    }
}

/// Measures and reports.
pub(super) fn run(verb: &Predict) -> Result<bool> {
    let networks = networks(verb)?;
    let about = verb.run.options(&verb.output)?.cpu().to_string();
    let path = verb.output.output.as_deref();
    if let Some(page) = &verb.plot {
        let html = report::html(&about, &networks);
        std::fs::write(page, html).with_context(|| format!("cannot write {}", page.display()))?;
    }
    if verb.output.json {
        output::json(path, &report::as_json(&about, &networks))?;
    } else {
        output::text(path, &report::text(&about, &networks))?;
    }
    Ok(true)
}

/// The model, or the networks of the zoo.
fn networks(verb: &Predict) -> Result<Vec<Network>> {
    if verb.model.model.is_some() {
        return Ok(vec![network(verb, &verb.model.load(&verb.output)?, verb.model.name())?]);
    }
    let mut wanted = Vec::new();
    for network in NETWORKS {
        if zoo::count(network, &network.default_variant())?.macs <= LARGEST {
            wanted.push(network.name);
        }
    }
    let bar = verb.output.bar(wanted.len(), "{bar:30} {pos}/{len} {msg}");
    let mut done = Vec::new();
    for name in wanted {
        bar.set_message(name);
        done.push(network(verb, &Model::zoo(name, verb.model.seed)?, name)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(done)
}

fn network(verb: &Predict, model: &Model, name: &str) -> Result<Network> {
    let mut session = verb.run.session(model, &verb.output)?;
    let inputs = filled(model, &verb.run.shapes(model)?, Fill::Random, verb.model.seed)?;
    let views: Vec<View<'_>> = inputs.iter().map(|tensor| tensor.view()).collect();
    Ok(Network::of(name, &explain(&mut session, &views, TIME)?))
}
