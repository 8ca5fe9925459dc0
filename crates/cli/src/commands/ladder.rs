//! `ladder`: the classic steps from naive loops to tuned kernels, each run, checked and timed here.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::json;
use tilewise::kernels::ladder::{Climbed, LADDERS, LEVELS, Ladder, Ready, Setting};
use tilewise::kernels::measure::fma_peak;
use tilewise::{Cpu, Options, Pool, Tier};

use crate::args::{OutputArgs, parse_seconds};
use crate::output::{self, Align, Table};
use crate::page::{self, Bar};

#[derive(Args)]
pub(crate) struct Climb {
    /// Which ladder; without it, all
    #[arg(value_parser = PossibleValuesParser::new(LADDERS.iter().map(|ladder| ladder.name)))]
    ladder: Option<String>,
    /// The size: N or MxNxK for gemm, CHANNELSxPIXELSxKERNEL or CHANNELSxPIXELSxKERNELxSTRIDE for the others
    #[arg(long, value_name = "SIZE", value_parser = parse_size, requires = "ladder")]
    size: Option<Size>,
    /// Threads of the engine's kernels; plain rungs have one
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// The most capable instruction set to use: scalar, avx2 or avx512
    #[arg(long, value_name = "NAME")]
    isa: Option<Tier>,
    /// Seconds to repeat each rung for; one that takes over half a second runs once
    #[arg(long, value_name = "SECONDS", default_value_t = 0.3, value_parser = parse_seconds)]
    duration: f64,
    /// Write a page with the table and a chart
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// The numbers of a size.
#[derive(Clone)]
struct Size(Vec<usize>);

fn parse_size(text: &str) -> Result<Size, String> {
    let numbers: Result<Vec<usize>, _> = text.split('x').map(str::parse).collect();
    numbers.map(Size).map_err(|_| "expected lengths such as 512 or 64x56x3".to_owned())
}

/// A rung and what became of it.
struct Step {
    rung: Ready,
    climbed: Climbed,
}

impl Step {
    fn flops(&self) -> f64 {
        2.0 * self.rung.macs as f64
    }

    fn gflops(&self) -> f64 {
        self.flops() / self.climbed.seconds / 1e9
    }

    /// Operations for each byte that a level serves; `None` where the loops are not known.
    fn intensity(&self, level: usize) -> Option<f64> {
        Some(self.flops() / self.climbed.traffic?.served[level])
    }
}

/// A ladder that was climbed.
struct Done {
    ladder: &'static Ladder,
    steps: Vec<Step>,
    /// Rungs that no kernel of the machine takes this size on.
    left_out: Vec<&'static str>,
}

impl Done {
    /// What became of the rungs that are missing.
    fn note(&self) -> Option<String> {
        let names = self.left_out.join(", ");
        (!self.left_out.is_empty()).then(|| format!("Left out, as no kernel takes this size: {names}."))
    }
}

/// Where all of it ran.
struct Machine {
    cpu: Cpu,
    peak: f64,
}

impl Climb {
    pub(crate) fn run(&self) -> Result<bool> {
        let options = Options { threads: Some(usize::from(self.threads)), isa: self.isa, ..Options::default() };
        let cpu = options.cpu();
        let pool = Pool::new(cpu.cores);
        let wanted = LADDERS.iter().filter(|ladder| self.ladder.as_deref().is_none_or(|name| name == ladder.name));
        let mut ready = Vec::new();
        for ladder in wanted {
            let sizes = self.size.as_ref().map_or(ladder.default, |size| &size.0);
            ready.push((ladder, ladder.rungs(sizes)?));
        }
        let bar = self.output.bar(ready.iter().map(|(_, rungs)| rungs.len()).sum(), "{bar:30} {pos}/{len} {msg}");
        let machine = Machine { peak: fma_peak(cpu.tier, &pool, Duration::from_millis(200)), cpu };
        let setting = Setting { cpu: &machine.cpu, pool: &pool, time: Duration::from_secs_f64(self.duration) };
        let mut done = Vec::new();
        for (ladder, rungs) in ready {
            let (mut steps, mut left_out) = (Vec::new(), Vec::new());
            for rung in rungs {
                bar.set_message(format!("{} {}", ladder.name, rung.name));
                match rung.climb(&setting) {
                    Some(climbed) => steps.push(Step { rung, climbed }),
                    None => left_out.push(rung.name),
                }
                bar.inc(1);
            }
            ensure!(!steps.is_empty(), "no rung of {} computes this size", ladder.name);
            done.push(Done { ladder, steps, left_out });
        }
        bar.finish_and_clear();
        if let Some(path) = &self.html {
            std::fs::write(path, html(&machine, &done)).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let path = self.output.output.as_deref();
        if self.output.json {
            output::json(path, &as_json(&machine, &done))?;
        } else {
            output::text(path, &text(&machine, &done))?;
        }
        Ok(done.iter().flat_map(|done| &done.steps).all(|step| step.climbed.is_right()))
    }
}

fn as_json(machine: &Machine, done: &[Done]) -> serde_json::Value {
    let step = |step: &Step| {
        let Climbed { seconds, runs, error, traffic } = step.climbed;
        let levels: serde_json::Map<_, _> =
            LEVELS.iter().enumerate().map(|(level, name)| ((*name).to_owned(), json!(step.intensity(level)))).collect();
        json!({"rung": step.rung.name, "change": step.rung.change, "macs": step.rung.macs, "ms": seconds * 1e3,
               "runs": runs, "gflops": step.gflops(), "peak_fraction": step.gflops() / machine.peak,
               "intensity": levels, "working_set_bytes": traffic.map(|traffic| traffic.working_set),
               "error": error, "right": step.climbed.is_right()})
    };
    let ladder = |done: &Done| {
        json!({"ladder": done.ladder.name, "problem": done.steps[0].rung.problem,
               "rungs": done.steps.iter().map(step).collect::<Vec<_>>(), "left_out": done.left_out})
    };
    json!({"cpu": machine.cpu.name, "isa": machine.cpu.tier.name(), "threads": machine.cpu.cores,
           "fma_peak_gflops": machine.peak, "ladders": done.iter().map(ladder).collect::<Vec<_>>()})
}

/// The figures of a step as the tables show them, behind its name.
fn figures(machine: &Machine, steps: &[Step], step: &Step) -> Vec<String> {
    let Climbed { seconds, error, traffic, .. } = step.climbed;
    let speedup = format!("{:.2}", steps[0].climbed.seconds / seconds);
    let percent = format!("{:.1}", 100.0 * step.gflops() / machine.peak);
    let head = [format!("{:.3}", seconds * 1e3), speedup, format!("{:.2}", step.gflops()), percent];
    let known = |figure: Option<f64>, digits| figure.map_or("-".to_owned(), |figure| format!("{figure:.digits$}"));
    let levels = (0..LEVELS.len()).map(|level| known(step.intensity(level), 2));
    let set = known(traffic.map(|traffic| traffic.working_set / 1024.0), 1);
    head.into_iter().chain(levels).chain([set, format!("{error:.1e}")]).collect()
}

const HEADS: [(&str, Align); 11] = [
    ("rung", Align::Left),
    ("ms", Align::Right),
    ("speedup", Align::Right),
    ("GFLOP/s", Align::Right),
    ("% of peak", Align::Right),
    ("FLOP/B L1", Align::Right),
    ("L2", Align::Right),
    ("L3", Align::Right),
    ("DRAM", Align::Right),
    ("set KiB", Align::Right),
    ("error", Align::Right),
];

const LEGEND: &str = "Speedup: against the first rung. FLOP/B: operations of the definition for each byte that a level \
                      serves, counted from the loops, with every array coming from DRAM and going there. Set: what the loops inside the \
                      blocks touch. Error: the largest, relative to the range of the reference.";

/// The machine and its peak in a line.
fn heading(machine: &Machine) -> String {
    format!("{}, peak {:.1} GFLOP/s", machine.cpu, machine.peak)
}

fn text(machine: &Machine, done: &[Done]) -> String {
    let mut text = format!("{}\n", heading(machine));
    for one @ Done { ladder, steps, .. } in done {
        let mut table = Table::new(&HEADS);
        for step in steps {
            table.row([step.rung.name.to_owned()].into_iter().chain(figures(machine, steps, step)).collect());
        }
        let changes = steps.iter().map(|step| format!("{}: {}\n", step.rung.name, step.rung.change));
        text.push_str(&format!("\n{}: {}\n{}\n\n{}", ladder.name, ladder.about, problems(steps), table.render()));
        text.push_str(&format!("\n{}", changes.collect::<String>()));
        if let Some(note) = one.note() {
            text.push_str(&format!("{note}\n"));
        }
    }
    format!("{text}\n{LEGEND}\n")
}

/// The problem of a ladder as text.
fn problems(steps: &[Step]) -> &str {
    &steps[0].rung.problem
}

fn html(machine: &Machine, done: &[Done]) -> String {
    let mut body = page::paragraph(&heading(machine));
    for one @ Done { ladder, steps, .. } in done {
        body.push_str(&page::section(&format!("{}: {}", ladder.name, ladder.about)));
        body.push_str(&page::paragraph(problems(steps)));
        let bars = steps.iter().map(|step| Bar {
            name: step.rung.name.to_owned(),
            value: step.gflops(),
            label: format!("{:.1} GFLOP/s, {:.1} %", step.gflops(), 100.0 * step.gflops() / machine.peak),
        });
        body.push_str(&page::bars(&bars.collect::<Vec<_>>(), (machine.peak, "peak")));
        let heads = HEADS.map(|(head, _)| head);
        let row = |step: &Step| {
            let cells = [step.rung.name.to_owned()].into_iter().chain(figures(machine, steps, step));
            cells.chain([step.rung.change.to_owned()]).collect()
        };
        let rows: Vec<Vec<String>> = steps.iter().map(row).collect();
        body.push_str(&page::table(&[&heads[..], &["what changed"]].concat(), &rows));
        body.push_str(&one.note().map(|note| page::paragraph(&note)).unwrap_or_default());
    }
    body.push_str(&page::paragraph(LEGEND));
    page::page("Ladder", &body)
}
