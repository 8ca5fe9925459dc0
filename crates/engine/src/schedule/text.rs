//! The text form of schedules: one layer a line, the choice first and the layer's name after a colon.
//!
//! ```text
//! tilewise schedule 1
//! conv-direct_f32_14x32_avx512 rows=7 oc=64 ic=64 : layer1.0.conv1
//! conv-direct_f32_14x32_avx512 rows=7 oc=64 ic=64 order=row,oc,ic,pixel : layer1.0.conv2
//! gemm_f32_14x32_avx512 mc=112 kc=512 nc=4096 : fc
//! turns rows=28 : layer1.0.conv1
//! whole : layer1.0.conv2
//! ```

use std::fmt;
use std::str::FromStr;

use tilewise_kernels::conv::ConvBlocks;
use tilewise_kernels::gemm::GemmBlocks;
use tilewise_kernels::nest::{Order, OrderError, Stage};
use tilewise_kernels::{conv, gemm};

use super::{Choice, Misfit, Schedule};

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

/// A text that is no choice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChoiceError {
    /// It is not of the form of a choice, or names what is not there.
    #[error("{0}")]
    Text(String),
    /// The order of its loops breaks a rule.
    #[error("order={text} is no order of loops: {error}")]
    Order {
        /// The order.
        text: String,
        /// The rule.
        error: OrderError,
    },
}

impl From<String> for ChoiceError {
    fn from(text: String) -> Self {
        ChoiceError::Text(text)
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kernel())?;
        match self {
            Choice::Conv(_, blocks) | Choice::Fused(_, blocks) => {
                let ConvBlocks { rows, oc, ic, order } = blocks;
                write!(f, " rows={rows} oc={oc} ic={ic}")?;
                write_order(f, order)
            }
            Choice::Gemm(_, GemmBlocks { mc, kc, nc, order }) => {
                write!(f, " mc={mc} kc={kc} nc={nc}")?;
                write_order(f, order)
            }
        }
    }
}

/// The default order goes without saying.
fn write_order<S: Stage>(f: &mut fmt::Formatter<'_>, order: &Order<S>) -> fmt::Result {
    if *order == Order::default() { Ok(()) } else { write!(f, " order={order}") }
}

fn parse_order<S: Stage>(text: Option<&str>) -> Result<Order<S>, ChoiceError> {
    let Some(text) = text else { return Ok(Order::default()) };
    text.parse().map_err(|error| ChoiceError::Order { text: text.to_owned(), error })
}

impl FromStr for Choice {
    type Err = ChoiceError;

    fn from_str(text: &str) -> Result<Self, ChoiceError> {
        let mut words = text.split_whitespace();
        let name = words.next().ok_or_else(|| "expected a kernel's name".to_owned())?;
        let mut sizes = [("rows", 0), ("oc", 0), ("ic", 0), ("mc", 0), ("kc", 0), ("nc", 0)];
        let mut order = None;
        for word in words {
            let (key, value) = word.split_once('=').ok_or_else(|| format!("expected name=number, got '{word}'"))?;
            if key == "order" {
                order = Some(value);
                continue;
            }
            let size = sizes.iter_mut().find(|(name, _)| *name == key);
            let (_, size) = size.ok_or_else(|| format!("no block is named '{key}'"))?;
            *size = value.parse().ok().filter(|&n| n > 0).ok_or_else(|| format!("'{value}' is no block size"))?;
        }
        let [rows, oc, ic, mc, kc, nc] = sizes.map(|(_, size)| size);
        let all = |wanted: [usize; 3], others: [usize; 3]| wanted.iter().all(|&n| n > 0) && others == [0; 3];
        let conv = conv::ROWS.iter().find(|row| row.id.name == name);
        let fused = conv::fused::ROWS.iter().find(|row| row.id.name == name);
        if conv.is_some() || fused.is_some() {
            if !all([rows, oc, ic], [mc, kc, nc]) {
                return Err(format!("{name} takes rows=, oc= and ic=").into());
            }
            let blocks = ConvBlocks { rows, oc, ic, order: parse_order(order)? };
            let choice = conv.map(|kernel| Choice::Conv(kernel, blocks));
            if let Some(choice) = choice.or(fused.map(|kernel| Choice::Fused(kernel, blocks))) {
                return Ok(choice);
            }
        }
        if let Some(kernel) = gemm::ROWS.iter().find(|row| row.id.name == name) {
            if !all([mc, kc, nc], [rows, oc, ic]) {
                return Err(format!("{name} takes mc=, kc= and nc=").into());
            }
            return Ok(Choice::Gemm(kernel, GemmBlocks { mc, kc, nc, order: parse_order(order)? }));
        }
        Err(format!("no kernel is named '{name}'; `tilewise kernels` lists them").into())
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        for (layer, choice) in self.iter() {
            writeln!(f, "{choice} : {}", escape(layer))?;
        }
        self.groups().try_for_each(|(layer, group)| writeln!(f, "{group} : {}", escape(layer)))
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
            if matches!(choice.split_whitespace().next(), Some("turns" | "whole")) {
                schedule.set_group(&unescape(layer), choice.parse().map_err(fail)?);
                continue;
            }
            match choice.parse() {
                Ok(choice) => schedule.set(&unescape(layer), choice),
                Err(ChoiceError::Text(reason)) => return Err(fail(reason)),
                Err(error @ ChoiceError::Order { .. }) => {
                    let (layer, reason) = (unescape(layer), error.to_string());
                    schedule.refused.push(Misfit { layer, choice: choice.trim().to_owned(), reason });
                }
            }
        }
        Ok(schedule)
    }
}

fn escape(layer: &str) -> String {
    layer.replace('\\', "\\\\").replace('\n', "\\n")
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
