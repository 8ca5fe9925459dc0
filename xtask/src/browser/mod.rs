//! The page of `profile` in a real browser: charts drawn, nothing on the console, nothing asked of the network; sorting,
//! filtering and the keyboard work; light and dark.

mod base64;
mod devtools;
mod steps;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use devtools::Browser;
use steps::{STEPS, Step};

/// A network with many kinds of layers, and one of the zoo's largest.
const MODELS: [&str; 2] = ["zoo:mobilenet-v2", "zoo:nasnet-a-large"];

/// Bytes that no page may have.
const LARGEST: u64 = 1_000_000;

const SIZE: [u32; 2] = [1360, 1000];

/// Checks the pages of some models; `shots` is a folder for pictures of them.
pub(crate) fn check(shots: Option<&Path>) -> Result<()> {
    super::run(Command::new("cargo").args(["build", "--release"]))?;
    let folder = std::env::temp_dir().join(format!("tilewise-browser-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let failures = check_in(&folder, shots);
    std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    let failures = failures?;
    ensure!(failures.is_empty(), "the page fails:\n{}", failures.join("\n"));
    Ok(())
}

fn check_in(folder: &Path, shots: Option<&Path>) -> Result<Vec<String>> {
    let mut browser = Browser::launch(&folder.join("profile"))?;
    let mut failures = Vec::new();
    for model in MODELS {
        let page = profile(folder, model)?;
        let bytes = page.metadata()?.len();
        if bytes >= LARGEST {
            failures.push(format!("{model}: {bytes} bytes"));
        }
        for scheme in ["light", "dark"] {
            browser.open(&page, scheme, SIZE)?;
            let ready = browser.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")?;
            eprintln!("{model}, {scheme}: {bytes} bytes, drawn after {:.0} ms", ready.as_f64().unwrap_or(0.0));
            if let Some(shots) = shots {
                let name = format!("{}-{scheme}.png", model.trim_start_matches("zoo:"));
                std::fs::write(shots.join(&name), base64::decode(&browser.screenshot()?)).context(name)?;
            }
            let failed = walk(&mut browser, scheme)?;
            failures.extend(failed.into_iter().map(|what| format!("{model}, {scheme}: {what}")));
        }
    }
    Ok(failures)
}

/// Profiles a model with the command line that a user has.
fn profile(folder: &Path, model: &str) -> Result<PathBuf> {
    let page = folder.join("page.html");
    let mut command = Command::new("target/release/tilewise");
    super::run(command.args(["profile", "-m", model, "--duration", "0.2", "-o", "/dev/null", "--html"]).arg(&page))?;
    Ok(page)
}

/// Takes all steps, and tells what did not hold.
fn walk(browser: &mut Browser, scheme: &str) -> Result<Vec<String>> {
    let mut failures = Vec::new();
    browser.evaluate(steps::WORDS)?;
    browser.evaluate(&format!("scheme = {scheme:?}"))?;
    for step in STEPS {
        match step {
            Step::Do(script) => drop(browser.evaluate(script)?),
            Step::Press(key, number) => browser.press(key, *number)?,
            Step::Holds(what, condition) => {
                if browser.evaluate(condition)? != true {
                    failures.push(format!("{what}: {condition}"));
                }
            }
        }
    }
    failures.append(&mut browser.complaints);
    Ok(failures)
}
