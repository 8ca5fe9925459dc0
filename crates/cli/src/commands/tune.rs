//! `tune`: a faster schedule for a model on this machine.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tilewise::{Budget, Changed, Tuning, tune};

use crate::args::{ModelArgs, OutputArgs, RunArgs, parse_seconds};
use crate::output::{self, Align, Table};

#[derive(Args)]
pub(crate) struct Tune {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    run: RunArgs,
    /// Seconds to search for; layers that are not reached stay as they are
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = parse_seconds)]
    budget: f64,
    /// Choices that are measured of a layer, those that should be fastest
    #[arg(long, value_name = "N", default_value_t = 10, conflicts_with = "exhaustive")]
    choices: usize,
    /// Measure every choice there is: what --choices is held against
    #[arg(long)]
    exhaustive: bool,
    /// Write the whole schedule to a file that --schedule reads, here or on a machine like this one
    #[command(flatten)]
    output: OutputArgs,
}

impl Tune {
    pub(crate) fn run(&self) -> Result<bool> {
        let model = self.model.load(&self.output)?;
        let options = self.run.options(&self.output)?;
        let shapes = self.run.shapes(&model)?;
        let lengths: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        let bar = self.output.bar(0, "{bar:30} {pos}/{len} distinct layers, {elapsed}");
        let budget = Budget {
            time: Duration::from_secs_f64(self.budget),
            choices: if self.exhaustive { usize::MAX } else { self.choices },
            progress: &|done, all| {
                bar.set_length(all as u64);
                bar.set_position(done as u64);
            },
        };
        let tuning = tune(&model, &lengths, &options, &budget)?;
        bar.finish_and_clear();
        if let Some(path) = &self.output.output {
            output::text(Some(path), &tuning.tuned.full.to_string())?;
        }
        if let (Some(path), Some(error), false) = (&tuning.kept, &tuning.lost, self.output.quiet) {
            eprintln!("the results are not kept for other runs: cannot write {}: {error}", path.display());
        }
        if self.output.json {
            output::json(None, &as_json(self.model.name(), &tuning))?;
        } else {
            output::text(None, &render(self.model.name(), &tuning))?;
        }
        Ok(true)
    }
}

fn ms(seconds: f64) -> f64 {
    seconds * 1e3
}

fn as_json(model: &str, tuning: &Tuning) -> serde_json::Value {
    let tuned = &tuning.tuned;
    let layer = |changed: &Changed| {
        let Changed { layers, before, after } = changed;
        json!({"layers": layers, "before": before.0.join(", "), "before_ms": ms(before.1),
               "after": after.0.join(", "), "after_ms": ms(after.1)})
    };
    json!({"model": model, "before_ms": ms(tuned.seconds[0]), "after_ms": ms(tuned.seconds[1]),
           "problems": tuned.problems[0], "problems_measured": tuned.problems[1],
           "choices": tuned.choices[0], "choices_measured": tuned.choices[1],
           "changed": tuned.changed.iter().map(layer).collect::<Vec<_>>()})
}

fn render(model: &str, tuning: &Tuning) -> String {
    let heads = [
        ("layer", Align::Left),
        ("before", Align::Left),
        ("ms", Align::Right),
        ("after", Align::Left),
        ("ms", Align::Right),
        ("faster", Align::Right),
    ];
    let mut table = Table::new(&heads);
    let tuned = &tuning.tuned;
    for Changed { layers, before, after } in &tuned.changed {
        table.row(vec![
            layers.join(", "),
            before.0.join(", "),
            format!("{:.4}", ms(before.1)),
            after.0.join(", "),
            format!("{:.4}", ms(after.1)),
            format!("{:.2} x", before.1 / after.1),
        ]);
    }
    let [before, after] = tuned.seconds;
    let table = if tuned.changed.is_empty() { String::new() } else { table.render() + "\n" };
    let times = format!("{model}: {:.3} ms, {:.3} ms before ({:.3} x)\n", ms(after), ms(before), before / after);
    let [problems, measured] = tuned.problems;
    let [choices, tried] = tuned.choices;
    let work = format!("{measured} of {problems} distinct layers measured now; {tried} of {choices} choices tried\n");
    let kept = tuning.kept.as_ref().filter(|_| tuning.lost.is_none());
    let kept = kept.map_or_else(String::new, |path| format!("kept in {}\n", path.display()));
    table + &times + &work + &kept
}
