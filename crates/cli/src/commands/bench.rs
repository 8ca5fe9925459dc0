//! `bench`: times a model, and holds the time against the peak measured in the same process.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use tilewise::kernels::measure::{fma_peak, turns};
use tilewise::{Pool, View};

use crate::args::{ModelArgs, OutputArgs, RunArgs, parse_seconds};
use crate::commands::infer::{Fill, filled};
use crate::output;

#[derive(Args)]
pub(crate) struct Bench {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    run: RunArgs,
    /// Seconds to time for
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = parse_seconds)]
    duration: f64,
    /// Seconds to run before that
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = parse_seconds)]
    warmup: f64,
    #[command(flatten)]
    output: OutputArgs,
}

/// What `--json` prints. Times are milliseconds of one run of the whole batch; `flops` are 2 x `macs`.
#[derive(Serialize)]
struct Report {
    model: String,
    threads: usize,
    batch: usize,
    precision: &'static str,
    isa: &'static str,
    load_ms: f64,
    first_ms: f64,
    min_ms: f64,
    median_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    runs: usize,
    images_per_s: f64,
    peak_rss_mb: f64,
    macs: u64,
    flops: u64,
    gflops: f64,
    fma_peak_gflops: f64,
    peak_fraction: f64,
}

impl Bench {
    pub(crate) fn run(&self) -> Result<bool> {
        let report = self.measure()?;
        let path = self.output.output.as_deref();
        if self.output.json {
            output::json(path, &report)?;
        } else {
            output::text(path, &render(&report))?;
        }
        Ok(true)
    }

    fn measure(&self) -> Result<Report> {
        let start = Instant::now();
        let model = self.model.load(&self.output)?;
        let mut session = self.run.session(&model, &self.output)?;
        let shapes = self.run.shapes(&model)?;
        let lengths: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        let (plan, _) = session.prepare(&lengths)?;
        let macs: u64 = plan.steps().map(|step| step.macs).sum();
        let load_ms = ms(start.elapsed());

        let inputs = filled(&model, &shapes, Fill::Random, self.model.seed)?;
        let views: Vec<View<'_>> = inputs.iter().map(|tensor| tensor.view()).collect();
        let mut once = || -> Result<f64> {
            let start = Instant::now();
            session.run_views(&views)?;
            Ok(ms(start.elapsed()))
        };
        let first_ms = once()?;
        for _ in turns(0, Duration::from_secs_f64(self.warmup)) {
            once()?;
        }
        let times = turns(1, Duration::from_secs_f64(self.duration)).map(|_| once());
        let mut times = times.collect::<Result<Vec<f64>>>()?;
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];

        let cpu = session.options().cpu();
        let peak = fma_peak(cpu.tier, &Pool::new(cpu.cores), Duration::from_millis(200));
        let gflops = 2.0 * macs as f64 / at(0.0) / 1e6;
        let batch = shapes.first().and_then(|shape| shape.first()).copied().unwrap_or(1);
        Ok(Report {
            model: self.model.name().to_owned(),
            threads: cpu.cores,
            batch,
            precision: "f32",
            isa: cpu.tier.name(),
            load_ms,
            first_ms,
            min_ms: at(0.0),
            median_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            max_ms: at(1.0),
            runs: times.len(),
            images_per_s: 1e3 * batch as f64 / at(0.5),
            peak_rss_mb: peak_rss_mb(),
            macs,
            flops: 2 * macs,
            gflops,
            fma_peak_gflops: peak,
            peak_fraction: gflops / peak,
        })
    }
}

fn render(r: &Report) -> String {
    let size = format!("{} multiply-adds a run", output::short(r.macs as f64));
    let head = format!("{}: batch {}, {} threads, {}, {}", r.model, r.batch, r.threads, r.isa, size);
    let times = format!(
        "time      {:.3} ms median  ({:.3} fastest, {:.3} p90, {:.3} p99, {:.3} slowest of {} runs)",
        r.median_ms, r.min_ms, r.p90_ms, r.p99_ms, r.max_ms, r.runs
    );
    let rate = format!("rate      {:.1} images/s, {:.1} GFLOP/s", r.images_per_s, r.gflops);
    let peak =
        format!("peak      {:.1} % of the {:.1} GFLOP/s measured here", 100.0 * r.peak_fraction, r.fma_peak_gflops);
    let load = format!("load      {:.1} ms, first run {:.1} ms, memory {:.1} MB", r.load_ms, r.first_ms, r.peak_rss_mb);
    format!("{head}\n{times}\n{rate}\n{peak}\n{load}\n")
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The highest resident memory of this process so far, in megabytes; 0 where the system does not tell.
fn peak_rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0 / 1e6
}
