//! `zoo`: the published networks.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tilewise::zoo::{self, NETWORKS, Network};
use tilewise::{Inspection, onnx};

use crate::args::{ModelArgs, OutputArgs};
use crate::output::{self, Align, Table, short};

#[derive(Args)]
pub(crate) struct Zoo {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Name every network, with its input and what can be varied
    List(Listing),
    /// Count what every network costs, beside what was published
    Table(Listing),
    /// Write a network as an ONNX file
    Export(Export),
}

#[derive(Args)]
struct Listing {
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args)]
struct Export {
    /// A network, such as resnet-50 or mobilenet-v1?width=0.5&size=160
    name: String,
    /// The ONNX file; weights of more than 2 GB go to FILE.data beside it
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Trained tensors: a .safetensors file with the names of torchvision or timm
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Seed of the weights
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
    /// No notes on standard error
    #[arg(short, long)]
    quiet: bool,
}

impl Zoo {
    pub(crate) fn run(&self) -> Result<bool> {
        match &self.action {
            Action::List(verb) => verb.list()?,
            Action::Table(verb) => verb.table()?,
            Action::Export(verb) => verb.run()?,
        }
        Ok(true)
    }
}

impl Listing {
    fn list(&self) -> Result<()> {
        let path = self.output.output.as_deref();
        let knobs = |network: &Network| network.knobs.iter().map(|knob| knob.name()).collect::<Vec<_>>();
        if self.output.json {
            let row = |network: &&Network| {
                json!({"name": network.name, "input": network.input, "classes": network.classes,
                       "knobs": knobs(network)})
            };
            return output::json(path, &NETWORKS.iter().map(row).collect::<Vec<_>>());
        }
        let heads = ["network", "input", "classes", "variants", "source"].map(|head| (head, Align::Left));
        let mut table = Table::new(&heads);
        for network in NETWORKS {
            let input = network.input.map(|n| n.to_string()).join("x");
            let cells = [network.name, &input, &network.classes.to_string(), &knobs(network).join(" ")];
            table.row(cells.into_iter().chain([network.published.source]).map(str::to_owned).collect());
        }
        output::text(path, &table.render())
    }

    fn table(&self) -> Result<()> {
        let path = self.output.output.as_deref();
        let mut rows = Vec::new();
        for network in NETWORKS {
            rows.push((*network, zoo::count(network, &network.default_variant())?));
        }
        if self.output.json {
            return output::json(path, &rows.iter().map(|(network, count)| object(network, count)).collect::<Vec<_>>());
        }
        output::text(path, &text(&rows))
    }
}

fn object(network: &Network, count: &Inspection) -> Value {
    let published = network.published;
    json!({
        "name": network.name, "macs": count.macs, "params": count.params, "flops": 2 * count.macs,
        "weight_bytes": count.weight_bytes, "activations": count.activation_elements,
        "peak_live_bytes": count.peak_live_bytes,
        "published": {"macs": published.macs, "params": published.params, "source": published.source,
                      "note": published.note},
    })
}

fn text(rows: &[(&Network, Inspection)]) -> String {
    let heads = [
        ("network", Align::Left),
        ("params", Align::Right),
        ("published", Align::Right),
        ("multiply-adds", Align::Right),
        ("published", Align::Right),
        ("FLOPs", Align::Right),
        ("weight bytes", Align::Right),
        ("activations", Align::Right),
        ("alive bytes", Align::Right),
        ("note", Align::Left),
    ];
    let (mut table, mut notes) = (Table::new(&heads), String::new());
    let mut numbers = 1..;
    for (network, count) in rows {
        let published = network.published;
        let mark = published.note.and_then(|note| {
            let mark = format!("[{}]", numbers.next()?);
            notes.push_str(&format!("{mark} {}: {note}\n", network.name));
            Some(mark)
        });
        let figure = |value: Option<f64>| value.map_or("-".to_owned(), short);
        table.row(vec![
            network.name.to_owned(),
            short(count.params as f64),
            figure(published.params),
            short(count.macs as f64),
            figure(published.macs),
            short(2.0 * count.macs as f64),
            short(count.weight_bytes as f64),
            short(count.activation_elements as f64),
            short(count.peak_live_bytes as f64),
            mark.unwrap_or_default(),
        ]);
    }
    let sources = rows.iter().map(|(network, _)| format!("{}: {}\n", network.name, network.published.source));
    let legend = "One image. Parameters without running statistics; activations are the elements of all values, alive \
                  bytes the most that are needed at one time.";
    format!("{}\n{legend}\n\n{notes}\nPublished figures:\n{}", table.render(), sources.collect::<String>())
}

impl Export {
    fn run(&self) -> Result<()> {
        let name = self.name.strip_prefix("zoo:").unwrap_or(&self.name);
        let model = ModelArgs { model: None, weights: self.weights.clone(), seed: self.seed };
        let (graph, left_over) = model.build(name)?;
        let context = || format!("cannot write {}", self.output.display());
        onnx::save(&graph, &self.output, onnx::Weights::Auto).with_context(context)?;
        if !self.quiet {
            left_over.iter().for_each(|tensor| eprintln!("not used: tensor {tensor}"));
        }
        Ok(())
    }
}
