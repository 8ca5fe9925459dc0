//! Machines as data: what a prediction knows of one.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::Error;

/// A machine file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// What it is called.
    pub name: String,
    /// What it is, in a sentence.
    pub about: String,
    /// Where the figures are from.
    pub source: String,
    /// Element type of weights and activations: a key of `peaks_gops`.
    pub precision: String,
    /// How it multiplies.
    pub compute: Compute,
    /// Multiply-adds count two operations, in 10^9 a second, by element type.
    pub peaks_gops: BTreeMap<String, f64>,
    /// Energy of one multiply-add, in picojoules, by element type.
    pub pj_per_mac: BTreeMap<String, f64>,
    /// Memories, nearest first; the last holds everything.
    pub levels: Vec<Level>,
    /// False where weights come from the last level at each run, whatever their size.
    pub weights_stay: bool,
    /// What a layer takes beside its work, in microseconds.
    pub dispatch_us: f64,
}

/// A memory.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// What it is called.
    pub name: String,
    /// What it holds.
    pub bytes: f64,
    /// Rate, in 10^9 bytes a second.
    pub gb_per_s: f64,
    /// Energy of one byte that it gives or takes, in picojoules.
    pub pj_per_byte: f64,
}

/// How a machine multiplies.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compute {
    /// Vectors: a share of the peak by kind of layer.
    Cpu {
        /// Shares for `dense` and `depthwise` convolutions.
        efficiency: Efficiency,
    },
    /// An array that operands march through in step.
    Systolic(Systolic),
    /// Multiprocessors, each with one tile of the output at a time.
    Gpu {
        /// Multiprocessors.
        units: usize,
        /// Rows and columns of a tile.
        tile: [usize; 2],
        /// Share of the peak inside a full tile.
        efficiency: f64,
    },
}

/// Shares of the peak that kernels reach.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Efficiency {
    /// Convolutions and matrix products.
    pub dense: f64,
    /// Each channel by itself.
    pub depthwise: f64,
}

/// A systolic array.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Systolic {
    /// Rows of the array.
    pub rows: usize,
    /// Columns of the array.
    pub columns: usize,
    /// What stays in it.
    pub dataflow: Dataflow,
    /// Steps, in 10^9 a second.
    pub clock_ghz: f64,
}

/// What stays in a systolic array while the other operands march through.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dataflow {
    /// A tile of the sums.
    OutputStationary,
    /// A tile of the weights.
    WeightStationary,
}

/// The machines that are part of the program, as files.
pub const MACHINES: [&str; 4] = [
    include_str!("../../../../data/machines/phone.json"),
    include_str!("../../../../data/machines/k80.json"),
    include_str!("../../../../data/machines/h100.json"),
    include_str!("../../../../data/machines/tpu-v1.json"),
];

impl Machine {
    /// The machine that a text describes, `what` for messages.
    fn parse(text: &str, what: &str) -> Result<Self, Error> {
        let fail = |reason: String| Error::Usage(format!("{what} is no machine file: {reason}"));
        let machine: Machine = serde_json::from_str(text).map_err(|error| fail(error.to_string()))?;
        machine.check().map_err(fail)?;
        Ok(machine)
    }

    /// What the types do not say.
    fn check(&self) -> Result<(), String> {
        let known = |table: &BTreeMap<String, f64>| table.contains_key(&self.precision);
        if !known(&self.peaks_gops) || !known(&self.pj_per_mac) {
            return Err(format!("peaks_gops or pj_per_mac has no '{}'", self.precision));
        }
        if self.levels.is_empty() || self.levels.windows(2).any(|pair| pair[0].bytes >= pair[1].bytes) {
            return Err("levels must grow, and there must be one".to_owned());
        }
        let rates = self.levels.iter().flat_map(|level| [level.bytes, level.gb_per_s]);
        let all_positive = rates.chain(self.peaks_gops.values().copied()).all(|x| x > 0.0 && x.is_finite());
        let shape = match &self.compute {
            Compute::Cpu { efficiency } => {
                [efficiency.dense, efficiency.depthwise].iter().all(|e| *e > 0.0 && *e <= 1.0)
            }
            Compute::Systolic(array) => array.rows > 0 && array.columns > 0 && array.clock_ghz > 0.0,
            Compute::Gpu { units, tile, efficiency } => {
                *units > 0 && tile[0] > 0 && tile[1] > 0 && *efficiency > 0.0 && *efficiency <= 1.0
            }
        };
        if all_positive && shape { Ok(()) } else { Err("a rate or size is not positive".to_owned()) }
    }

    /// The machine of the program with this name, or that of a file.
    ///
    /// # Errors
    /// [`Error::Usage`] for a name that is neither, and for a file that describes no machine; [`Error::Read`].
    pub fn find(name: &str) -> Result<Self, Error> {
        let own = Self::all()?;
        if let Some(machine) = own.iter().find(|machine| machine.name == name) {
            return Ok(machine.clone());
        }
        let path = Path::new(name);
        if !path.is_file() {
            let names: Vec<&str> = own.iter().map(|machine| machine.name.as_str()).collect();
            let names = names.join(", ");
            return Err(Error::Usage(format!("'{name}' is neither a file nor one of the machines this, {names}")));
        }
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Self::parse(&text, name)
    }

    /// The machines of the program.
    ///
    /// # Errors
    /// [`Error::Usage`], were one of them no machine file.
    pub fn all() -> Result<Vec<Self>, Error> {
        MACHINES.iter().map(|text| Self::parse(text, "a file of the program")).collect()
    }

    /// Operations a second.
    pub fn peak(&self) -> f64 {
        self.peaks_gops.get(&self.precision).copied().unwrap_or(f64::NAN) * 1e9
    }

    /// Bytes of an element.
    pub fn element(&self) -> f64 {
        match self.precision.as_str() {
            "int8" => 1.0,
            "f16" | "bf16" => 2.0,
            _ => 4.0,
        }
    }

    /// The first level that holds so many bytes.
    pub fn home(&self, bytes: f64) -> usize {
        self.levels.iter().position(|level| bytes <= level.bytes).unwrap_or(self.levels.len() - 1)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn machines_of_the_program_are_complete() {
        let names: Vec<String> = Machine::all().unwrap().into_iter().map(|machine| machine.name).collect();
        assert_eq!(names, ["phone", "k80", "h100", "tpu-v1"]);
        for machine in Machine::all().unwrap() {
            assert!(!machine.about.is_empty() && !machine.source.is_empty(), "{machine:?}");
            for (precision, peak) in &machine.peaks_gops {
                assert!(*peak > 0.0 && machine.pj_per_mac.contains_key(precision), "{} {precision}", machine.name);
            }
        }
    }

    #[test]
    fn files_that_describe_no_machine_are_refused_with_a_reason() {
        let good = MACHINES[3];
        let cases = [
            (good.replace("\"precision\": \"int8\"", "\"precision\": \"f64\""), "has no 'f64'"),
            (good.replace("25165824", "1e12"), "levels must grow"),
            (good.replace("\"rows\": 256", "\"rows\": 0"), "not positive"),
            (good.replace("dispatch_us", "dispatch_ms"), "dispatch_ms"),
            ("{".to_owned(), "EOF"),
        ];
        for (text, part) in cases {
            let error = Machine::parse(&text, "m.json").unwrap_err().to_string();
            assert!(error.contains("m.json") && error.contains(part), "{error}");
        }
        let error = Machine::find("no-such").unwrap_err().to_string();
        assert!(error.contains("tpu-v1"), "{error}");
    }
}
