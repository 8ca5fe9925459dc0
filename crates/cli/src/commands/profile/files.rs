//! The profile for other programs: CSV, and Chrome's trace events.

use std::io::Write;

use anyhow::Result;
use serde_json::{Value, json};
use tilewise::Profile;

use super::Report;

/// The columns of the CSV, in order.
const COLUMNS: &[&str] = &[
    "layer",
    "kind",
    "op",
    "kernel",
    "choice",
    "output",
    "merged",
    "ms",
    "share",
    "macs",
    "gflops",
    "gb_per_s",
    "intensity",
    "floor_ms",
    "roof",
    "bound",
    "weight_bytes",
    "input_bytes",
    "output_bytes",
    "scratch_bytes",
    "live_bytes",
    "arithmetic_mj",
    "weights_mj",
    "activations_mj",
    "dram_mj",
];

/// A line for each layer, below the names of the columns.
pub(super) fn csv(out: impl Write, profile: &Profile) -> Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(COLUMNS)?;
    for l in &profile.layers {
        let words = [&l.layer, &l.kind, l.op, l.kernel, &l.choice, &l.output].map(str::to_owned);
        let times = [l.ms, l.share].map(|x| x.to_string());
        let rates = [l.gflops, l.gb_per_s, l.intensity, l.floor_ms, l.roof].map(|x| x.to_string());
        let (b, e) = (&l.bytes, &l.energy_mj);
        let bytes = [b.weights, b.inputs, b.outputs, b.scratch, l.live_bytes].map(|x| x.to_string());
        let energy = [e.arithmetic, e.weights, e.activations, e.dram].map(|x| x.to_string());
        let row = words.into_iter().chain([l.merged.join(" ")]).chain(times).chain([l.macs.to_string()]);
        let row = row.chain(rates).chain([l.bound.name().to_owned()]).chain(bytes).chain(energy);
        csv.write_record(row.collect::<Vec<_>>())?;
    }
    Ok(csv.flush()?)
}

/// One run as trace events: a slice for each layer at its fastest, one after the other, and the bytes of the arena in
/// use as a counter. Times are microseconds.
pub(super) fn trace(report: &Report<'_>) -> Value {
    let profile = &report.profile;
    let mut events = vec![
        json!({"name": "process_name", "ph": "M", "pid": 1, "tid": 1, "args": {"name": format!("tilewise {}", report.model)}}),
        json!({"name": "thread_name", "ph": "M", "pid": 1, "tid": 1, "args": {"name": "layers"}}),
    ];
    let mut at = 0.0;
    for l in &profile.layers {
        let args = json!({"kind": l.kind, "choice": l.choice, "kernel": l.kernel, "output": l.output, "merged": l.merged,
                          "gflops": l.gflops, "gb_per_s": l.gb_per_s, "roof": l.roof, "bound": l.bound.name(),
                          "energy_mj": l.energy_mj.total()});
        let us = 1e3 * l.ms;
        events.push(
            json!({"name": l.layer, "cat": l.kind, "ph": "X", "ts": at, "dur": us, "pid": 1, "tid": 1, "args": args}),
        );
        events.push(json!({"name": "arena", "ph": "C", "ts": at, "pid": 1, "args": {"bytes": l.live_bytes}}));
        at += us;
    }
    events.push(json!({"name": "arena", "ph": "C", "ts": at, "pid": 1, "args": {"bytes": 0}}));
    json!({"traceEvents": events, "displayTimeUnit": "ms"})
}
