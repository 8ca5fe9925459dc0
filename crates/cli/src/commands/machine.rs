//! `machine`: the measured ceilings of this machine, which every other figure is held against.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tilewise::kernels::measure::{fma_peak, read_rate, working_sets};
use tilewise::{Options, Pool, Tier};

use crate::args::OutputArgs;
use crate::output::{self, Align, Table};

#[derive(Args)]
pub(crate) struct Machine {
    /// Threads [default: the smallest of affinity mask, cgroup quota and physical cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Seconds to measure for
    #[arg(long, default_value_t = 3.0, value_parser = crate::args::parse_seconds)]
    duration: f64,
    #[command(flatten)]
    output: OutputArgs,
}

impl Machine {
    pub(crate) fn run(&self) -> Result<bool> {
        let options = Options { threads: self.threads.map(usize::from), ..Options::default() };
        let cpu = options.cpu();
        let pool = Pool::new(cpu.cores);
        let tiers: Vec<Tier> = Tier::ALL.into_iter().filter(|tier| tier.available()).collect();
        let sets = working_sets(&cpu);
        let each = Duration::from_secs_f64(self.duration / (tiers.len() + sets.len()) as f64);
        let peaks: Vec<(Tier, f64)> = tiers.iter().map(|&tier| (tier, fma_peak(tier, &pool, each))).collect();
        let rates: Vec<(&str, usize, f64)> = ["L1", "L2", "L3", "DRAM"]
            .into_iter()
            .zip(sets)
            .map(|(name, bytes)| (name, bytes, read_rate(cpu.tier, &pool, bytes, each)))
            .collect();
        let path = self.output.output.as_deref();
        if self.output.json {
            let peaks: Vec<_> = peaks.iter().map(|(t, g)| json!({"isa": t.name(), "fma_gflops": g})).collect();
            let rates: Vec<_> =
                rates.iter().map(|(n, b, r)| json!({"level": n, "bytes": b, "read_gb_per_s": r})).collect();
            let caches = json!({"l1d": cpu.l1d.size, "l2": cpu.l2.size, "l3": cpu.l3.size});
            let machine = json!({"cpu": cpu.name, "isa": cpu.tier.name(), "threads": cpu.cores, "caches": caches,
                                 "peaks": peaks, "reads": rates});
            output::json(path, &machine)?;
            return Ok(true);
        }
        let mut text = format!("{cpu}\n\n");
        let mut table = Table::new(&[("multiply-adds", Align::Left), ("GFLOP/s", Align::Right)]);
        for (tier, gflops) in peaks {
            table.row(vec![format!("f32 {tier}"), format!("{gflops:.1}")]);
        }
        text.push_str(&table.render());
        let mut table = Table::new(&[("reads", Align::Left), ("working set", Align::Right), ("GB/s", Align::Right)]);
        for (name, bytes, rate) in rates {
            table.row(vec![name.into(), format!("{} KiB", bytes >> 10), format!("{rate:.1}")]);
        }
        text.push('\n');
        text.push_str(&table.render());
        output::text(path, &text)?;
        Ok(true)
    }
}
