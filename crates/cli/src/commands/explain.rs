//! `explain`: the plan layer by layer, with what each layer takes and what it could take.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::json;
use tilewise::{Bound, Candidate, Cpu, Explained, Group, Predicted, View, candidates};

use crate::args::{ModelArgs, OutputArgs, RunArgs, parse_seconds};
use crate::commands::infer::{Fill, filled};
use crate::output::{self, Align, Table};

#[derive(Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    run: RunArgs,
    /// Show only the layers whose name, or the name of a node merged into them, contains this, and all ways to run them
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
        let mut session = self.run.session(&model, &self.output)?;
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
        let mut ways: Vec<Vec<Candidate>> = Vec::new();
        if let Some(wanted) = &self.layer {
            rows.retain(|row| {
                row.info.layer.contains(wanted) || row.info.merged.iter().any(|name| name.contains(wanted))
            });
            ensure!(!rows.is_empty(), "no layer is named '{wanted}'; `tilewise explain` lists them");
            let options = session.options();
            ways = rows.iter().map(|row| candidates(&row.info, options, TRIED)).collect();
        }
        let cpu = session.options().cpu();
        if self.output.json {
            let rows = rows.iter().enumerate().map(|(i, row)| as_json(row, ways.get(i), &cpu));
            output::json(path, &rows.collect::<Vec<_>>())?;
            return Ok(true);
        }
        let mut text = render(&rows, total);
        for (row, ways) in rows.iter().zip(&ways).filter(|(_, ways)| !ways.is_empty()) {
            text += &format!(
                "\n{}: {} ways to run, and those that should be fastest\n{}",
                row.info.layer,
                ways.len(),
                render_ways(row, ways)
            );
        }
        for (row, decision) in rows.iter().filter_map(|row| Some((row, row.info.decision.as_ref()?))) {
            if self.loops {
                let images = match row.info.times {
                    0 | 1 => String::new(),
                    images => format!("for {images} images, each on one core, which has all layers of it in turn\n"),
                };
                let turns = match row.turns / row.info.times {
                    0 | 1 => String::new(),
                    turns => format!(
                        "for {turns} turns, each some of the output rows, after which its neighbours have theirs\n"
                    ),
                };
                text += &format!("\n{}: {images}{turns}{}", row.info.layer, decision.loops(&row.info.cpu(&cpu)));
            }
        }
        output::text(path, &text)?;
        Ok(true)
    }
}

/// Ways to run a layer that --layer measures.
const TRIED: usize = 12;

/// The choice of a step, or its kernel where there is none, and into how many turns it is cut and whether with the next,
/// or whether it has one core.
fn choice(row: &Explained) -> String {
    let decision = row.info.decision.as_ref();
    let choice = decision.map_or_else(|| row.info.kernel.to_owned(), |decision| decision.choice.to_string());
    let images = if row.info.times > 1 { format!(", {} images one by one", row.info.times) } else { String::new() };
    match row.turns / row.info.times {
        turns @ 2.. => match row.group {
            Some(group @ Group::Turns(_)) => format!("{choice}{images}, {turns} turns with the next ({group})"),
            Some(Group::Whole) | None => format!("{choice}{images}, {turns} turns"),
        },
        _ if row.group == Some(Group::Whole) => format!("{choice}{images}, whole"),
        _ if row.beside => format!("{choice}, one core"),
        _ => choice + &images,
    }
}

/// The share of the measured time that what limits the step takes at the machine's rate.
fn of_bound(row: &Explained) -> f64 {
    row.predicted.floor() * 1e3 / row.measured_ms
}

fn as_json(row: &Explained, ways: Option<&Vec<Candidate>>, cpu: &Cpu) -> serde_json::Value {
    let (info, predicted) = (&row.info, &row.predicted);
    let (choice, loops) = info
        .decision
        .as_ref()
        .map(|decision| (decision.choice.to_string(), decision.loops(&info.cpu(cpu))))
        .unwrap_or_default();
    let mut object = json!({"layer": info.layer, "merged": info.merged, "op": info.op, "kernel": info.kernel,
        "choice": choice, "turns": row.turns, "group": row.group.map(|group| group.to_string()), "loops": loops, "output": info.output, "macs": info.macs, "bytes": info.bytes,
        "predicted_ms": predicted.seconds() * 1e3, "measured_ms": row.measured_ms,
        "bound": predicted.bound().name(), "of_bound": of_bound(row), "terms_ms": terms(predicted)});
    if let Some(ways) = ways {
        let way = |way: &Candidate| {
            json!({"choice": way.choice.to_string(), "predicted_ms": way.predicted.seconds() * 1e3,
                   "measured_ms": way.measured_ms, "bound": way.predicted.bound().name()})
        };
        object["candidates"] = ways.iter().map(way).collect();
    }
    object
}

/// The milliseconds of each bound alone, and of the overhead.
fn terms(predicted: &Predicted) -> serde_json::Value {
    let mut terms: serde_json::Map<String, serde_json::Value> =
        Bound::ALL.iter().zip(predicted.terms).map(|(bound, s)| (bound.name().to_owned(), (s * 1e3).into())).collect();
    terms.insert("overhead".to_owned(), (predicted.overhead * 1e3).into());
    terms.into()
}

fn render(rows: &[Explained], total: f64) -> String {
    let heads = [
        ("layer", Align::Left),
        ("op", Align::Left),
        ("output", Align::Left),
        ("choice", Align::Left),
        ("ms", Align::Right),
        ("share", Align::Right),
        ("predicted", Align::Right),
        ("bound", Align::Left),
        ("of bound", Align::Right),
    ];
    let mut table = Table::new(&heads);
    for row in rows {
        let info = &row.info;
        let figures = [
            format!("{:.4}", row.measured_ms),
            format!("{:.1} %", 100.0 * row.measured_ms / total),
            format!("{:.4}", row.predicted.seconds() * 1e3),
            row.predicted.bound().name().to_owned(),
            format!("{:.0} %", 100.0 * of_bound(row)),
        ];
        let words = [info.layer.clone(), info.op.to_owned(), info.output.clone(), choice(row)];
        table.row(words.into_iter().chain(figures).collect());
    }
    let predicted: f64 = rows.iter().map(|row| row.predicted.seconds() * 1e3).sum();
    let shown: f64 = rows.iter().map(|row| row.measured_ms).sum();
    format!("{}\n{shown:.3} ms in {} steps, {predicted:.3} ms predicted\n", table.render(), rows.len())
}

/// The ways to run a layer that were measured, the chosen one marked.
fn render_ways(row: &Explained, ways: &[Candidate]) -> String {
    let heads = [
        ("", Align::Left),
        ("choice", Align::Left),
        ("ms", Align::Right),
        ("predicted", Align::Right),
        ("bound", Align::Left),
    ];
    let mut table = Table::new(&heads);
    let chosen = row.info.decision.as_ref().map(|decision| decision.choice);
    let measured = ways.iter().filter_map(|way| Some((way, way.measured_ms?)));
    for (way, ms) in measured {
        table.row(vec![
            if Some(way.choice) == chosen { "*" } else { "" }.to_owned(),
            way.choice.to_string(),
            format!("{ms:.4}"),
            format!("{:.4}", way.predicted.seconds() * 1e3),
            way.predicted.bound().name().to_owned(),
        ]);
    }
    table.render()
}
