//! `explain`: the plan layer by layer, with what each layer takes and what it could take.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::json;
use tilewise::{Bound, Explained, View};

use crate::args::{ModelArgs, OutputArgs, RunArgs, parse_seconds};
use crate::commands::infer::{Fill, filled};
use crate::output::{self, Align, Table};

#[derive(Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    run: RunArgs,
    /// Show only the layers whose name, or the name of a node merged into them, contains this
    #[arg(long, value_name = "NAME")]
    layer: Option<String>,
    /// Print the loop nest of each layer below the table: what is parallel, unrolled and vectorised, and what stays where
    #[arg(long)]
    loops: bool,
    /// Print the schedule instead: text that --schedule reads
    #[arg(long)]
    text: bool,
    /// Seconds to measure for
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = parse_seconds)]
    duration: f64,
    #[command(flatten)]
    output: OutputArgs,
}

impl Explain {
    pub(crate) fn run(&self) -> Result<bool> {
        let model = self.model.load(&self.output)?;
        let mut session = self.run.session(&model)?;
        let shapes = self.run.shapes(&model)?;
        let lengths: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        let path = self.output.output.as_deref();
        if self.text {
            let (plan, _) = session.prepare(&lengths)?;
            output::text(path, &plan.schedule().to_string())?;
            return Ok(true);
        }
        let inputs = filled(&model, &shapes, Fill::Random, 7)?;
        let views: Vec<View<'_>> = inputs.iter().map(|tensor| tensor.view()).collect();
        let mut rows = tilewise::explain(&mut session, &views, Duration::from_secs_f64(self.duration))?;
        let total: f64 = rows.iter().map(|row| row.measured_ms).sum();
        if let Some(wanted) = &self.layer {
            rows.retain(|row| {
                row.info.layer.contains(wanted) || row.info.merged.iter().any(|name| name.contains(wanted))
            });
            ensure!(!rows.is_empty(), "no layer is named '{wanted}'; `tilewise explain` lists them");
        }
        if self.output.json {
            output::json(path, &rows.iter().map(as_json).collect::<Vec<_>>())?;
        } else {
            let nests = rows.iter().filter(|row| self.loops && !row.info.loops.is_empty());
            let nests = nests.map(|row| format!("\n{}: {}", row.info.layer, row.info.loops));
            output::text(path, &(render(&rows, total) + &nests.collect::<String>()))?;
        }
        Ok(true)
    }
}

fn bound(row: &Explained) -> &'static str {
    match row.bound {
        Bound::Compute => "compute",
        Bound::Memory => "memory",
    }
}

fn as_json(row: &Explained) -> serde_json::Value {
    let info = &row.info;
    json!({"layer": info.layer, "merged": info.merged, "op": info.op, "kernel": info.kernel, "choice": info.choice, "loops": info.loops,
           "output": info.output, "macs": info.macs, "bytes": info.bytes, "predicted_ms": row.floor_ms,
           "measured_ms": row.measured_ms, "bound": bound(row)})
}

fn render(rows: &[Explained], total: f64) -> String {
    let heads = [
        ("layer", Align::Left),
        ("op", Align::Left),
        ("output", Align::Left),
        ("choice", Align::Left),
        ("ms", Align::Right),
        ("share", Align::Right),
        ("floor ms", Align::Right),
        ("of floor", Align::Right),
        ("bound", Align::Left),
    ];
    let mut table = Table::new(&heads);
    for row in rows {
        let info = &row.info;
        let choice = if info.choice.is_empty() { info.kernel } else { &info.choice };
        let figures = [
            format!("{:.4}", row.measured_ms),
            format!("{:.1} %", 100.0 * row.measured_ms / total),
            format!("{:.4}", row.floor_ms),
            format!("{:.0} %", 100.0 * row.floor_ms / row.measured_ms),
            bound(row).to_owned(),
        ];
        let words = [info.layer.as_str(), info.op, &info.output, choice].map(str::to_owned);
        table.row(words.into_iter().chain(figures).collect());
    }
    let floor: f64 = rows.iter().map(|row| row.floor_ms).sum();
    let shown: f64 = rows.iter().map(|row| row.measured_ms).sum();
    format!("{}\n{shown:.3} ms in {} steps; the machine allows {floor:.3} ms\n", table.render(), rows.len())
}
