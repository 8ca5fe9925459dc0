//! The profile as text: layers, kinds of layers, and what the whole takes.

use tilewise::{Energy, LayerProfile, MeasuredEnergy, Profile};

use super::Report;
use crate::output::{Align, Table, short};

/// Names of nodes that are shown beside a layer; `-v` shows all.
const NODES: usize = 2;

pub(super) fn render(report: &Report<'_>, all_nodes: bool) -> String {
    let p = &report.profile;
    format!("{}\n{}\n{}", layers(&p.layers, all_nodes), kinds(p), totals(report))
}

fn layers(layers: &[LayerProfile], all_nodes: bool) -> String {
    let heads = [
        ("layer", Align::Left),
        ("kind", Align::Left),
        ("output", Align::Left),
        ("choice", Align::Left),
        ("ms", Align::Right),
        ("share", Align::Right),
        ("GFLOP/s", Align::Right),
        ("GB/s", Align::Right),
        ("FLOP/B", Align::Right),
        ("bound", Align::Left),
        ("of roof", Align::Right),
        ("MB alive", Align::Right),
        ("mJ", Align::Right),
        ("merged nodes", Align::Left),
    ];
    let mut table = Table::new(&heads);
    for l in layers {
        let choice = if l.choice.is_empty() { l.kernel } else { &l.choice };
        let words = [l.layer.as_str(), &l.kind, &l.output, choice].map(str::to_owned);
        let figures = [
            format!("{:.4}", l.ms),
            percent(l.share),
            format!("{:.1}", l.gflops),
            format!("{:.1}", l.gb_per_s),
            format!("{:.1}", l.intensity),
            l.bound.name().to_owned(),
            format!("{:.0} %", 100.0 * l.roof),
            megabytes(l.live_bytes),
            format!("{:.4}", l.energy_mj.total()),
            nodes(&l.merged, all_nodes),
        ];
        table.row(words.into_iter().chain(figures).collect());
    }
    table.render()
}

fn nodes(merged: &[String], all: bool) -> String {
    let shown = if all { merged.len() } else { merged.len().min(NODES) };
    let rest = if shown < merged.len() { format!(" and {} more", merged.len() - shown) } else { String::new() };
    merged[..shown].join(", ") + &rest
}

fn kinds(p: &Profile) -> String {
    let heads = [
        ("kind", Align::Left),
        ("steps", Align::Right),
        ("ms", Align::Right),
        ("share", Align::Right),
        ("multiply-adds", Align::Right),
        ("GFLOP/s", Align::Right),
        ("GB/s", Align::Right),
        ("of roof", Align::Right),
        ("mJ", Align::Right),
    ];
    let mut table = Table::new(&heads);
    for k in &p.kinds {
        table.row(vec![
            k.kind.clone(),
            k.steps.to_string(),
            format!("{:.4}", k.ms),
            percent(k.share),
            short(k.macs as f64),
            format!("{:.1}", k.gflops),
            format!("{:.1}", k.gb_per_s),
            format!("{:.0} %", 100.0 * k.roof),
            format!("{:.4}", k.energy_mj.total()),
        ]);
    }
    table.render()
}

fn totals(report: &Report<'_>) -> String {
    let p = &report.profile;
    let of_peak = 2.0 * p.macs as f64 / p.ms / 1e6 / p.ceilings.fma_gflops;
    let levels = p.ceilings.reads.iter().map(|r| format!("{} {:.0}", r.level.name(), r.gb_per_s));
    let energy: Energy = p.layers.iter().map(|layer| layer.energy_mj).sum();
    [
        format!(
            "run       {}, batch {}, {}, {} threads: {:.3} ms median, {:.3} fastest of {} runs",
            report.model, report.batch, p.machine.isa, p.machine.threads, p.median_ms, p.fastest_ms, p.runs
        ),
        format!("layers    {:.3} ms, {:.1} % of the multiply-add peak", p.ms, 100.0 * of_peak),
        format!("ceilings  {:.1} GFLOP/s; GB/s: {}", p.ceilings.fma_gflops, levels.collect::<Vec<_>>().join(", ")),
        format!("memory    {} MB of weights, {} MB of arena", megabytes(p.weight_bytes), megabytes(p.arena_bytes)),
        format!(
            "energy    {:.3} mJ by the table '{}': arithmetic {:.3}, weights {:.3}, activations {:.3}, DRAM {:.3}",
            energy.total(),
            p.energy_table.name,
            energy.arithmetic,
            energy.weights,
            energy.activations,
            energy.dram
        ),
        format!("measured  {}\n", measured(&p.measured)),
    ]
    .join("\n")
}

fn measured(energy: &MeasuredEnergy) -> String {
    let Some(package) = energy.package_mj else {
        return format!("energy not available: {}", energy.unavailable.as_deref().unwrap_or_default());
    };
    let dram = energy.dram_mj.map_or(String::new(), |dram| format!(", {dram:.3} mJ of memory"));
    format!("{package:.3} mJ of the processor packages a run{dram}")
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_nodes_are_cut_short_unless_all_are_asked_for() {
        let merged = ["a", "b", "c", "d"].map(str::to_owned);
        assert_eq!(nodes(&merged, false), "a, b and 2 more");
        assert_eq!(nodes(&merged, true), "a, b, c, d");
        assert_eq!(nodes(&merged[..2], false), "a, b");
        assert_eq!(nodes(&[], false), "");
    }

    #[test]
    fn measured_energy_is_told_or_why_there_is_none() {
        let mut energy = MeasuredEnergy { package_mj: Some(1.5), dram_mj: Some(0.25), unavailable: None };
        assert_eq!(measured(&energy), "1.500 mJ of the processor packages a run, 0.250 mJ of memory");
        energy.dram_mj = None;
        assert_eq!(measured(&energy), "1.500 mJ of the processor packages a run");
        let none = MeasuredEnergy { unavailable: Some("no counters".to_owned()), ..MeasuredEnergy::default() };
        assert_eq!(measured(&none), "energy not available: no counters");
    }
}
