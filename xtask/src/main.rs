//! The project's chores: `cargo xtask ci` does what CI does.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "The project's own chores.")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Everything that a change must pass: format, lints, tests, documentation, and the main job end to end.
    Ci,
}

/// The steps of `ci`: a name and a cargo command line.
const CI: &[(&str, &str)] = &[
    ("format", "fmt --all --check"),
    ("lints", "clippy --workspace --all-targets --quiet -- -D warnings"),
    ("tests", "test --workspace"),
    ("documentation", "doc --workspace --no-deps --quiet"),
    ("main job", "run --release --quiet -- run"),
];

fn main() -> Result<()> {
    match Cli::parse().verb {
        Verb::Ci => ci(),
    }
}

fn ci() -> Result<()> {
    for (name, line) in CI {
        let start = Instant::now();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(line.split(' '))
            .env("RUSTDOCFLAGS", "-D warnings")
            .status()
            .with_context(|| format!("cannot start cargo {line}"))?;
        ensure!(status.success(), "{name} failed: cargo {line}");
        eprintln!("{name}: fine after {:.0} s", start.elapsed().as_secs_f64());
    }
    Ok(())
}
