//! `profile`: where time, traffic and energy go, as a table, as files for other programs, and as a page to look at.

mod files;
mod page;
mod table;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;
use tilewise::{EnergyTable, Profile, ProfileOptions, View};

use crate::args::{ModelArgs, OutputArgs, RunArgs, parse_seconds};
use crate::commands::infer::{Fill, filled};
use crate::output;

/// What stands for standard output where a file is asked for.
const STDOUT: &str = "-";

#[derive(Args)]
pub(crate) struct ProfileVerb {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    run: RunArgs,
    /// Seconds to measure for
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = parse_seconds)]
    duration: f64,
    /// Energies of operations and accesses, instead of those of 45 nm CMOS: JSON as docs/formats.md describes it
    #[arg(long, value_name = "FILE")]
    energy: Option<PathBuf>,
    /// Folder of the energy counters, such as the host's inside a container [default: /sys/class/powercap]
    #[arg(long, value_name = "FOLDER")]
    powercap: Option<PathBuf>,
    /// Write everything as JSON; without FILE, to standard output instead of the table
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = STDOUT)]
    json: Option<PathBuf>,
    /// Write the layers as CSV; without FILE, to standard output instead of the table
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = STDOUT)]
    csv: Option<PathBuf>,
    /// Write the layers of one run in Chrome's trace event format, which chrome://tracing and Perfetto show
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write a page with charts and a table, which needs nothing but a browser
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the table to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// No progress and no notes on standard error
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Name all nodes of the model that run with a layer, and more notes on standard error
    #[arg(short, long)]
    verbose: bool,
}

/// A profile with the name of what was profiled.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    batch: usize,
    #[serde(flatten)]
    profile: Profile,
}

impl ProfileVerb {
    pub(crate) fn run(&self) -> Result<bool> {
        let to_stdout = [&self.json, &self.csv].into_iter().flatten().filter(|path| path.as_os_str() == STDOUT).count();
        ensure!(to_stdout <= 1, "standard output takes one of --json and --csv; give the other a file");
        let report = self.measure()?;
        if let Some(path) = &self.json {
            output::json(file(path), &report)?;
        }
        if let Some(path) = &self.csv {
            files::csv(output::sink(file(path))?, &report.profile)?;
        }
        if let Some(path) = &self.trace {
            output::json(Some(path), &files::trace(&report))?;
        }
        if let Some(path) = &self.html {
            output::text(Some(path), &page::render(&report)?)?;
        }
        if to_stdout == 0 {
            output::text(self.output.as_deref(), &table::render(&report, self.verbose))?;
        }
        Ok(true)
    }

    fn measure(&self) -> Result<Report<'_>> {
        let mut options = ProfileOptions { duration: Duration::from_secs_f64(self.duration), ..Default::default() };
        if let Some(path) = &self.energy {
            options.energy = table_of(path).with_context(|| format!("cannot use {}", path.display()))?;
        }
        if let Some(folder) = &self.powercap {
            options.powercap.clone_from(folder);
        }
        let notes = OutputArgs { json: false, output: None, quiet: self.quiet, verbose: self.verbose };
        let model = self.model.load(&notes)?;
        let mut session = self.run.session(&model, &notes)?;
        let shapes = self.run.shapes(&model)?;
        let inputs = filled(&model, &shapes, Fill::Random, self.model.seed)?;
        let views: Vec<View<'_>> = inputs.iter().map(|tensor| tensor.view()).collect();
        let profile = tilewise::profile(&mut session, &views, &options)?;
        let batch = shapes.first().and_then(|shape| shape.first()).copied().unwrap_or(1);
        Ok(Report { model: self.model.name(), batch, profile })
    }
}

fn file(path: &Path) -> Option<&Path> {
    (path.as_os_str() != STDOUT).then_some(path)
}

fn table_of(path: &Path) -> Result<EnergyTable> {
    Ok(std::fs::read_to_string(path)?.parse()?)
}
