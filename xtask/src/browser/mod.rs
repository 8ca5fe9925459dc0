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

/// A plain network, one with many kinds of layers, and one of the zoo's largest.
const MODELS: [&str; 3] = ["zoo:resnet-50", "zoo:mobilenet-v3-large", "zoo:nasnet-a-large"];

/// Bytes that no page may have.
const LARGEST: u64 = 1_000_000;

/// Milliseconds after which a page is drawn.
const SLOWEST: f64 = 1000.0;

/// Windows: of a desk, and of a phone.
const SIZES: [[u32; 2]; 2] = [[1280, 1000], [390, 844]];

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
        for (scheme, size) in ["light", "dark"].into_iter().flat_map(|scheme| SIZES.map(|size| (scheme, size))) {
            browser.open(&page, scheme, size)?;
            let name = format!("{}-{scheme}-{}", model.trim_start_matches("zoo:"), size[0]);
            let ready = browser.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")?;
            let ready = ready.as_f64().context("the page is never ready")?;
            eprintln!("{name}: {bytes} bytes, drawn after {ready:.0} ms");
            if ready >= SLOWEST {
                failures.push(format!("{name}: drawn after {ready:.0} ms"));
            }
            if let Some(shots) = shots {
                std::fs::write(shots.join(format!("{name}.png")), base64::decode(&browser.screenshot(size[0])?))?;
            }
            let failed = walk(&mut browser, scheme)?;
            failures.extend(failed.into_iter().map(|what| format!("{name}: {what}")));
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
