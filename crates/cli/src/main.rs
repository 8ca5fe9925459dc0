//! The command line: one binary, one file a verb.

mod args;
mod commands;
mod output;
mod page;

use std::process::ExitCode;

use clap::Parser;

use commands::Verb;

/// Evaluates deep vision networks on CPUs, and says why each layer costs what it costs.
#[derive(Parser)]
#[command(name = "tilewise", version, about, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

fn main() -> ExitCode {
    match Cli::parse().verb.run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever reads our output has seen enough: `tilewise kernels | head`.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// What went wrong and why, on one line; causes that the text above them already tells are left out.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}
