//! The text form of schedules: one layer a line, the choice first and the layer's name after a colon.
//!
//! ```text
//! tilewise schedule 1
//! conv-direct_f32_14x32_avx512 rows=7 oc=64 ic=64 : layer1.0.conv1
//! gemm_f32_14x32_avx512 mc=112 kc=512 nc=4096 : fc
//! ```

use std::fmt;
use std::str::FromStr;

use tilewise_kernels::conv::ConvBlocks;
use tilewise_kernels::gemm::GemmBlocks;
use tilewise_kernels::{conv, gemm};

use super::{Choice, Schedule};

const HEADER: &str = "tilewise schedule 1";

/// A text that is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct ScheduleError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kernel())?;
        match self {
            Choice::Conv(_, ConvBlocks { rows, oc, ic }) | Choice::Fused(_, ConvBlocks { rows, oc, ic }) => {
                write!(f, " rows={rows} oc={oc} ic={ic}")
            }
            Choice::Gemm(_, GemmBlocks { mc, kc, nc }) => write!(f, " mc={mc} kc={kc} nc={nc}"),
        }
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let name = words.next().ok_or("expected a kernel's name")?;
        let mut sizes = [("rows", 0), ("oc", 0), ("ic", 0), ("mc", 0), ("kc", 0), ("nc", 0)];
        for word in words {
            let (key, value) = word.split_once('=').ok_or_else(|| format!("expected name=number, got '{word}'"))?;
            let size = sizes.iter_mut().find(|(name, _)| *name == key);
            let (_, size) = size.ok_or_else(|| format!("no block is named '{key}'"))?;
            *size = value.parse().ok().filter(|&n| n > 0).ok_or_else(|| format!("'{value}' is no block size"))?;
        }
        let [rows, oc, ic, mc, kc, nc] = sizes.map(|(_, size)| size);
        let all = |wanted: [usize; 3], others: [usize; 3]| wanted.iter().all(|&n| n > 0) && others == [0; 3];
        let conv = conv::ROWS.iter().find(|row| row.id.name == name);
        let fused = conv::fused::ROWS.iter().find(|row| row.id.name == name);
        let blocks = ConvBlocks { rows, oc, ic };
        let choice = conv.map(|kernel| Choice::Conv(kernel, blocks));
        if let Some(choice) = choice.or(fused.map(|kernel| Choice::Fused(kernel, blocks))) {
            let complete = all([rows, oc, ic], [mc, kc, nc]);
            return complete.then_some(choice).ok_or_else(|| format!("{name} takes rows=, oc= and ic="));
        }
        if let Some(kernel) = gemm::ROWS.iter().find(|row| row.id.name == name) {
            let complete = all([mc, kc, nc], [rows, oc, ic]);
            let choice = Choice::Gemm(kernel, GemmBlocks { mc, kc, nc });
            return complete.then_some(choice).ok_or_else(|| format!("{name} takes mc=, kc= and nc="));
        }
        Err(format!("no kernel is named '{name}'; `tilewise kernels` lists them"))
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        for (layer, choice) in self.iter() {
            writeln!(f, "{choice} : {}", layer.replace('\\', "\\\\").replace('\n', "\\n"))?;
        }
        Ok(())
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let mut schedule = Schedule::default();
        for (number, line) in text.lines().enumerate() {
            let fail = |reason: String| ScheduleError { line: number + 1, reason };
            if number == 0 && line.trim() != HEADER {
                return Err(fail(format!("expected '{HEADER}'")));
            }
            if number == 0 || line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (choice, layer) = line.split_once(" : ").ok_or_else(|| fail("expected 'choice : layer'".into()))?;
            schedule.set(&unescape(layer), choice.parse().map_err(fail)?);
        }
        Ok(schedule)
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut escaped = false;
    for c in text.chars() {
        match (escaped, c) {
            (false, '\\') => escaped = true,
            (true, 'n') => {
                out.push('\n');
                escaped = false;
            }
            (_, c) => {
                out.push(c);
                escaped = false;
            }
        }
    }
    out
}
