//! `predict`: what a network would cost on another machine, and how well this one is predicted.

mod check;
mod report;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::{Value, json};
use tilewise::Model;
use tilewise::predict::{Here, Layer, Machine, Prediction, layers, predict, why};

use crate::args::{ModelArgs, OutputArgs, RunArgs};
use crate::output::{self, Align, Table, short};

#[derive(Args)]
pub(crate) struct Predict {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    run: RunArgs,
    /// The machine: this, phone, k80, h100, tpu-v1, or a file
    #[arg(long, value_name = "NAME or FILE", default_value = "this")]
    machine: String,
    /// Compare all machines
    #[arg(long, conflicts_with = "machine")]
    all: bool,
    /// Element type, of those that the machine has a peak for
    #[arg(long, value_name = "NAME")]
    precision: Option<String>,
    /// Hold predictions for this machine against measurements: of the model, or of the zoo where none is given
    #[arg(long, conflicts_with_all = ["machine", "all", "precision"])]
    check: bool,
    /// Write a page that plots operations, bytes and predictions over measured times, as --check measures them
    #[arg(long, value_name = "FILE", conflicts_with_all = ["machine", "all", "precision"])]
    plot: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// A network on a machine.
struct Outcome {
    machine: Machine,
    layers: Vec<Prediction>,
    why: String,
}

impl Outcome {
    fn sum(&self, of: impl Fn(&Prediction) -> f64) -> f64 {
        self.layers.iter().map(of).sum()
    }
}

impl Predict {
    pub(crate) fn run(&self) -> Result<bool> {
        if self.check || self.plot.is_some() {
            return check::run(self);
        }
        let model = self.model.load(&self.output)?;
        let outcomes = if self.all {
            let others = Machine::all()?.into_iter().map(|machine| self.elsewhere(&model, machine));
            [self.here(&model)].into_iter().chain(others).collect::<Result<Vec<_>>>()?
        } else if self.machine == "this" {
            ensure!(self.precision.is_none(), "kernels of this machine compute in f32 only; leave --precision out");
            vec![self.here(&model)?]
        } else {
            vec![self.elsewhere(&model, Machine::find(&self.machine)?)?]
        };
        let path = self.output.output.as_deref();
        if self.output.json {
            let all: Vec<Value> = outcomes.iter().map(|outcome| self.as_json(outcome)).collect();
            match &all[..] {
                [one] => output::json(path, one)?,
                all => output::json(path, &all)?,
            }
        } else if self.all {
            output::text(path, &comparison(&outcomes))?;
        } else {
            outcomes.iter().try_for_each(|outcome| output::text(path, &self.text(outcome)))?;
        }
        Ok(true)
    }

    fn here(&self, model: &Model) -> Result<Outcome> {
        let here = Here::measure(&self.run.options(&self.output)?);
        let mut session = self.run.session(model, &self.output)?;
        let shapes = self.run.shapes(model)?;
        let layers = here.predict(&mut session, &shapes.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        let why = why(&here.machine, &layers, self.run.batch());
        Ok(Outcome { machine: here.machine, layers, why })
    }

    fn elsewhere(&self, model: &Model, mut machine: Machine) -> Result<Outcome> {
        if let Some(precision) = &self.precision {
            let known = machine.peaks_gops.contains_key(precision) && machine.pj_per_mac.contains_key(precision);
            let names: Vec<&str> = machine.peaks_gops.keys().map(String::as_str).collect();
            ensure!(known, "{} has no peak in {precision}; it has {}", machine.name, names.join(", "));
            machine.precision.clone_from(precision);
        }
        let shapes = self.run.shapes(model)?;
        let named: Vec<(&str, &[usize])> =
            model.inputs().map(|(name, _)| name).zip(shapes.iter().map(Vec::as_slice)).collect();
        let layers: Vec<Layer> = layers(&model.specialized(&named)?)?;
        let layers = predict(&layers, &machine);
        let why = why(&machine, &layers, self.run.batch());
        Ok(Outcome { machine, layers, why })
    }

    fn as_json(&self, outcome: &Outcome) -> Value {
        let layer = |p: &Prediction| {
            let products = p.products.map(|p| json!({"count": p.count, "m": p.m, "n": p.n, "k": p.k}));
            json!({"layer": p.layer, "op": p.op, "macs": p.macs, "bytes": p.bytes, "products": products,
                   "floor_ms": p.floor * 1e3, "expected_ms": p.expected * 1e3, "bound": p.bound.name(),
                   "mj": p.joules * 1e3, "steps": p.steps})
        };
        let Outcome { machine, layers, why } = outcome;
        json!({"model": self.model.name(), "machine": machine.name, "precision": machine.precision,
               "batch": self.run.batch(), "peak_gops": machine.peak() / 1e9,
               "floor_ms": outcome.sum(|p| p.floor) * 1e3, "expected_ms": outcome.sum(|p| p.expected) * 1e3,
               "mj": outcome.sum(|p| p.joules) * 1e3, "why": why, "layers": layers.iter().map(layer).collect::<Vec<_>>()})
    }

    fn text(&self, outcome: &Outcome) -> String {
        let Outcome { machine, layers, why } = outcome;
        let heads = [
            ("layer", Align::Left),
            ("op", Align::Left),
            ("macs", Align::Right),
            ("bytes", Align::Right),
            ("floor ms", Align::Right),
            ("expected ms", Align::Right),
            ("bound", Align::Left),
            ("mJ", Align::Right),
        ];
        let mut table = Table::new(&heads);
        for p in layers {
            let figures = [
                short(p.macs),
                short(p.bytes),
                format!("{:.4}", p.floor * 1e3),
                format!("{:.4}", p.expected * 1e3),
                p.bound.name().to_owned(),
                format!("{:.4}", p.joules * 1e3),
            ];
            table.row([p.layer.clone(), p.op.to_owned()].into_iter().chain(figures).collect());
        }
        let [floor, expected, mj] = [|p: &Prediction| p.floor, |p: &Prediction| p.expected, |p: &Prediction| p.joules]
            .map(|of| outcome.sum(of) * 1e3);
        format!(
            "{} on {} in {}: {}\n{}\n\n{}\n{expected:.3} ms expected, no less than {floor:.3} ms; {mj:.2} mJ\n{why}\n",
            self.model.name(),
            machine.name,
            machine.precision,
            machine.about,
            machine.source,
            table.render()
        )
    }
}

/// One machine a row.
fn comparison(outcomes: &[Outcome]) -> String {
    let heads = [
        ("machine", Align::Left),
        ("type", Align::Left),
        ("floor ms", Align::Right),
        ("expected ms", Align::Right),
        ("of peak", Align::Right),
        ("mJ", Align::Right),
    ];
    let mut table = Table::new(&heads);
    for outcome in outcomes {
        let (machine, expected) = (&outcome.machine, outcome.sum(|p| p.expected));
        table.row(vec![
            machine.name.clone(),
            machine.precision.clone(),
            format!("{:.3}", outcome.sum(|p| p.floor) * 1e3),
            format!("{:.3}", expected * 1e3),
            format!("{:.1} %", 200.0 * outcome.sum(|p| p.macs) / machine.peak() / expected),
            format!("{:.2}", outcome.sum(|p| p.joules) * 1e3),
        ]);
    }
    let whys: String = outcomes.iter().map(|outcome| format!("{}\n", outcome.why)).collect();
    format!("{}\n{whys}", table.render())
}
