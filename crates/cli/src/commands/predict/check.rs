//! Predictions for this machine held against measurements, network by network.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tilewise::Model;
use tilewise::predict::stats::{pearson_of_logs, quantile, spearman};
use tilewise::predict::{Here, times};
use tilewise::zoo::{self, NETWORKS};

use super::Predict;
use crate::output::{self, Align, Table};
use crate::page::{self, Dot};

/// Networks of the zoo with more multiply-adds are left out: the check is to take about a minute.
const LARGEST: u64 = 6_000_000_000;

/// How long each network is repeated.
const TIME: Duration = Duration::from_millis(500);

/// A step, or a network as the sum of its steps.
#[derive(Clone)]
struct Point {
    name: String,
    flops: f64,
    bytes: f64,
    /// Seconds.
    predicted: f64,
    measured: f64,
}

impl Point {
    /// The error relative to what was measured, with its sign.
    fn error(&self) -> f64 {
        self.predicted / self.measured - 1.0
    }
}

struct Network {
    total: Point,
    steps: Vec<Point>,
}

impl Network {
    /// The share of steps of the absolute errors.
    fn error(&self, share: f64) -> f64 {
        quantile(&self.steps.iter().map(|step| step.error().abs()).collect::<Vec<_>>(), share)
    }
}

/// Measures and reports.
pub(super) fn run(verb: &Predict) -> Result<bool> {
    let here = Here::measure(&verb.run.options(&verb.output)?)?;
    let networks = networks(verb, &here)?;
    let path = verb.output.output.as_deref();
    if let Some(page) = &verb.plot {
        std::fs::write(page, html(&here, &networks)).with_context(|| format!("cannot write {}", page.display()))?;
    }
    if verb.output.json {
        output::json(path, &as_json(&here, &networks))?;
    } else {
        output::text(path, &text(&here, &networks))?;
    }
    Ok(true)
}

fn networks(verb: &Predict, here: &Here) -> Result<Vec<Network>> {
    if verb.model.model.is_some() {
        return Ok(vec![network(verb, here, &verb.model.load(&verb.output)?, verb.model.name())?]);
    }
    let mut wanted = Vec::new();
    for network in NETWORKS {
        if zoo::count(network, &network.default_variant())?.macs <= LARGEST {
            wanted.push(network.name);
        }
    }
    let hidden = verb.output.quiet || !std::io::stderr().is_terminal();
    let bar = if hidden { ProgressBar::hidden() } else { ProgressBar::new(wanted.len() as u64) };
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}");
    let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut done = Vec::new();
    for name in wanted {
        bar.set_message(name);
        done.push(network(verb, here, &Model::zoo(name, verb.model.seed)?, name)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(done)
}

fn network(verb: &Predict, here: &Here, model: &Model, name: &str) -> Result<Network> {
    let mut session = verb.run.session(model, &verb.output)?;
    let (predictions, measured) = verb.with_inputs(model, &mut session, |session, views| {
        Ok((here.predict(model, session, views)?, times(session, views, TIME)?))
    })?;
    let step = |(p, measured): (&tilewise::predict::Prediction, f64)| Point {
        name: format!("{name} {} {}", p.layer, p.op),
        flops: 2.0 * p.macs,
        bytes: p.bytes,
        predicted: p.expected,
        measured,
    };
    let steps: Vec<Point> = predictions.iter().zip(measured).map(step).collect();
    let sum = |of: Get| steps.iter().map(of).sum();
    let total = Point {
        name: name.to_owned(),
        flops: sum(|p| p.flops),
        bytes: sum(|p| p.bytes),
        predicted: sum(|p| p.predicted),
        measured: sum(|p| p.measured),
    };
    Ok(Network { total, steps })
}

/// How well operations, bytes and the prediction tell the measured time: Pearson's correlation of logarithms, and
/// Spearman's.
struct Correlation {
    of: &'static str,
    pearson: f64,
    spearman: f64,
}

/// One figure of a point.
type Get = fn(&Point) -> f64;

/// Over the points that multiply at all.
fn correlations(points: &[Point]) -> [Correlation; 3] {
    let points: Vec<&Point> = points.iter().filter(|p| p.flops > 0.0).collect();
    let measured: Vec<f64> = points.iter().map(|p| p.measured).collect();
    let against: [(&str, Get); 3] =
        [("operations", |p| p.flops), ("bytes", |p| p.bytes), ("prediction", |p| p.predicted)];
    against.map(|(of, get)| {
        let values: Vec<f64> = points.iter().map(|p| get(p)).collect();
        Correlation { of, pearson: pearson_of_logs(&values, &measured), spearman: spearman(&values, &measured) }
    })
}

fn steps(networks: &[Network]) -> Vec<Point> {
    networks.iter().flat_map(|network| network.steps.iter().cloned()).collect()
}

/// The absolute errors of the networks' totals.
fn total_errors(networks: &[Network]) -> Vec<f64> {
    networks.iter().map(|network| network.total.error().abs()).collect()
}

fn as_json(here: &Here, networks: &[Network]) -> Value {
    let network = |network: &Network| {
        json!({"network": network.total.name, "measured_ms": network.total.measured * 1e3,
               "predicted_ms": network.total.predicted * 1e3, "error": network.total.error(),
               "layer_error_median": network.error(0.5), "layer_error_p90": network.error(0.9),
               "layers": network.steps.len()})
    };
    let correlation = |c: &Correlation| json!({"of": c.of, "pearson_log": c.pearson, "spearman": c.spearman});
    let totals = total_errors(networks);
    json!({"machine": here.machine.about, "networks": networks.iter().map(network).collect::<Vec<_>>(),
           "error_median": quantile(&totals, 0.5), "error_p90": quantile(&totals, 0.9),
           "layer_correlations": correlations(&steps(networks)).iter().map(correlation).collect::<Vec<_>>()})
}

const HEADS: [(&str, Align); 6] = [
    ("network", Align::Left),
    ("measured ms", Align::Right),
    ("predicted ms", Align::Right),
    ("error", Align::Right),
    ("layers' median", Align::Right),
    ("layers' p90", Align::Right),
];

fn rows(networks: &[Network]) -> Vec<Vec<String>> {
    let row = |network: &Network| {
        let total = &network.total;
        let percent = |error: f64| format!("{:.1} %", 100.0 * error);
        let head =
            [total.name.clone(), format!("{:.3}", total.measured * 1e3), format!("{:.3}", total.predicted * 1e3)];
        let errors =
            [format!("{:+.1} %", 100.0 * total.error()), percent(network.error(0.5)), percent(network.error(0.9))];
        head.into_iter().chain(errors).collect()
    };
    networks.iter().map(row).collect()
}

/// The correlations over layers in words.
fn told(networks: &[Network]) -> String {
    let each = correlations(&steps(networks));
    let each = each.map(|c| format!("{} {:.3} ({:.3})", c.of, c.pearson, c.spearman));
    format!("How well a layer's time is told, Pearson of logarithms (Spearman): {}.", each.join(", "))
}

fn summary(networks: &[Network]) -> String {
    let totals = total_errors(networks);
    let [median, p90] = [0.5, 0.9].map(|share| 100.0 * quantile(&totals, share));
    format!("Networks: median error {median:.1} %, p90 {p90:.1} %.")
}

fn text(here: &Here, networks: &[Network]) -> String {
    let mut table = Table::new(&HEADS);
    rows(networks).into_iter().for_each(|row| table.row(row));
    format!("{}\n\n{}\n{}\n{}\n", here.machine.about, table.render(), summary(networks), told(networks))
}

fn html(here: &Here, networks: &[Network]) -> String {
    let steps: Vec<Point> = steps(networks).into_iter().filter(|p| p.flops > 0.0).collect();
    let chart = |get: Get, title: &str, same_unit: bool| {
        let dot =
            |p: &Point| Dot { at: [get(p), p.measured * 1e3], name: format!("{}: {:.4} ms", p.name, p.measured * 1e3) };
        page::dots(&steps.iter().map(dot).collect::<Vec<_>>(), [title, "measured ms"], same_unit)
    };
    let body = [
        page::paragraph(&here.machine.about),
        page::paragraph(&format!("{} {}", summary(networks), told(networks))),
        page::section("Operations and time"),
        chart(|p| p.flops, "operations of a layer", false),
        page::section("Bytes and time"),
        chart(|p| p.bytes, "bytes of a layer", false),
        page::section("Prediction and time"),
        chart(|p| p.predicted * 1e3, "predicted ms", true),
        page::section("Networks"),
        page::table(&HEADS.map(|(head, _)| head), &rows(networks)),
    ];
    page::page("Operations, bytes and time", &body.concat())
}
