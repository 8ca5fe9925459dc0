//! The project's chores: `cargo xtask ci` does what CI does.

mod browser;

use std::path::PathBuf;
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
    /// The page of `profile` in a real browser; needs Chromium, as `apt-get install -y chromium` has it.
    Browser {
        /// Folder for pictures of the pages.
        #[arg(long)]
        shots: Option<PathBuf>,
    },
    /// Real models against onnxruntime, once for each instruction set; needs Python with the packages that
    /// xtask/parity/models.py names.
    Parity {
        /// Folder of ONNX models.
        #[arg(long)]
        models: String,
        /// Folder of photos that classifiers are compared on.
        #[arg(long)]
        photos: Option<String>,
        /// The Python to use.
        #[arg(long, default_value = "python3")]
        python: String,
    },
    /// The steps that `predict` counts for a systolic array against SCALE-Sim, over the products of the zoo; needs Python
    /// with the packages that xtask/parity/systolic.py names.
    Systolic {
        /// The Python to use.
        #[arg(long, default_value = "python3")]
        python: String,
        /// Most multiply-adds of a product that is simulated.
        #[arg(long)]
        largest: Option<String>,
    },
    /// Every network of the zoo: the slow ones against the reference, and all exports in onnxruntime and ncnn; needs
    /// Python with the packages that xtask/parity/zoo.py names.
    Zoo {
        /// The Python to use.
        #[arg(long, default_value = "python3")]
        python: String,
    },
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
        Verb::Browser { shots } => browser::check(shots.as_deref()),
        Verb::Parity { models, photos, python } => parity(&models, photos.as_deref(), &python),
        Verb::Systolic { python, largest } => systolic(&python, largest.as_deref()),
        Verb::Zoo { python } => zoo(&python),
    }
}

fn ci() -> Result<()> {
    for (name, line) in CI {
        let start = Instant::now();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        run(Command::new(cargo).args(line.split(' ')).env("RUSTDOCFLAGS", "-D warnings")).context(*name)?;
        eprintln!("{name}: fine after {:.0} s", start.elapsed().as_secs_f64());
    }
    Ok(())
}

fn parity(models: &str, photos: Option<&str>, python: &str) -> Result<()> {
    run(Command::new("cargo").args(["build", "--release"]))?;
    for isa in ["avx512", "avx2", "scalar"] {
        eprintln!("{isa}");
        let mut compare = Command::new(python);
        compare.args(["xtask/parity/models.py", "--models", models, "--isa", isa]);
        compare.args(photos.iter().flat_map(|photos| ["--photos", photos]));
        run(&mut compare)?;
    }
    Ok(())
}

fn systolic(python: &str, largest: Option<&str>) -> Result<()> {
    run(Command::new("cargo").args(["build", "--release"]))?;
    let mut check = Command::new(python);
    check.arg("xtask/parity/systolic.py").args(largest.iter().flat_map(|largest| ["--largest", largest]));
    run(&mut check)
}

fn zoo(python: &str) -> Result<()> {
    run(Command::new("cargo").args(["build", "--release"]))?;
    run(Command::new("cargo").args([
        "test",
        "--release",
        "-p",
        "tilewise",
        "--test",
        "zoo",
        "--",
        "--include-ignored",
    ]))?;
    run(Command::new(python).args(["xtask/parity/zoo.py", "--ncnn"]))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}
