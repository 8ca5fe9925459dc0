//! What computing takes in energy: a model, from a table of picojoules for each operation and each access.
//!
//! The energy of a step is that of its multiply-adds, and of its traffic (see [`Traffic`]) at the price of the level
//! that each byte comes from or goes to. It is the floor of hardware that does nothing else: what a core spends on
//! fetching and decoding instructions, on its registers, and while it waits, is not in it.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tilewise_kernels::Cpu;

use crate::{Error, Level, Traffic};

/// The table that is used where none is given: 45 nm, as the literature quotes it.
const DEFAULT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/energy-45nm.json"));

/// Bytes of the words that accesses are priced for.
const WORD: f64 = 4.0;

/// Picojoules for each operation in f32 and each access of a word of 32 bits.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnergyTable {
    /// What it is of, such as `45 nm CMOS at 0.9 V`.
    pub name: String,
    /// Where the figures are from.
    #[serde(default)]
    pub source: String,
    /// An addition.
    pub add_pj: f64,
    /// A multiplication.
    pub multiply_pj: f64,
    /// Caches by size, the smallest first; at least one.
    pub caches: Vec<CacheEnergy>,
    /// A word from or to main memory.
    pub dram_word_pj: f64,
}

/// The energy of an access to a cache of some size.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheEnergy {
    /// Size in KiB.
    pub kib: f64,
    /// Picojoules for a word.
    pub word_pj: f64,
}

/// The energy of a step, a kind of layer or a run, in millijoules.
#[derive(Clone, Copy, Default, PartialEq, Debug, Serialize)]
pub struct Energy {
    /// Multiply-adds.
    pub arithmetic: f64,
    /// Weights from caches.
    pub weights: f64,
    /// Activations from and to caches, scratch included.
    pub activations: f64,
    /// Weights and activations from and to main memory.
    pub dram: f64,
}

impl Energy {
    /// All parts together, in millijoules.
    pub fn total(&self) -> f64 {
        self.arithmetic + self.weights + self.activations + self.dram
    }
}

impl std::iter::Sum for Energy {
    fn sum<I: Iterator<Item = Energy>>(parts: I) -> Energy {
        parts.fold(Energy::default(), |a, b| Energy {
            arithmetic: a.arithmetic + b.arithmetic,
            weights: a.weights + b.weights,
            activations: a.activations + b.activations,
            dram: a.dram + b.dram,
        })
    }
}

impl EnergyTable {
    /// Millijoules of `macs` multiply-adds.
    pub fn arithmetic(&self, macs: u64) -> f64 {
        macs as f64 * (self.add_pj + self.multiply_pj) * 1e-9
    }

    /// Millijoules of `bytes` from or to a level of a machine.
    pub fn access(&self, level: Level, bytes: u64, cpu: &Cpu) -> f64 {
        let word_pj = match level {
            Level::L1 => self.cache(cpu.l1d.size),
            Level::L2 => self.cache(cpu.l2.size),
            Level::L3 => self.cache(cpu.l3.size),
            Level::Dram => self.dram_word_pj,
        };
        bytes as f64 / WORD * word_pj * 1e-9
    }

    /// The energy of a step on a machine.
    pub fn step(&self, macs: u64, traffic: &Traffic, cpu: &Cpu) -> Energy {
        let at = |bytes: &[u64; 4], level: Level| self.access(level, bytes[level as usize], cpu);
        let caches = |bytes: &[u64; 4]| [Level::L1, Level::L2, Level::L3].map(|level| at(bytes, level)).iter().sum();
        Energy {
            arithmetic: self.arithmetic(macs),
            weights: caches(&traffic.weights),
            activations: caches(&traffic.activations),
            dram: at(&traffic.weights, Level::Dram) + at(&traffic.activations, Level::Dram),
        }
    }

    /// Picojoules of a word from a cache of `bytes`: on the straight line through its neighbours' logarithms. A cache
    /// beyond the largest of the table costs what that does, since large caches are made of slices.
    fn cache(&self, bytes: usize) -> f64 {
        let kib = bytes as f64 / 1024.0;
        let after = self.caches.iter().position(|row| kib < row.kib).unwrap_or(self.caches.len());
        match (self.caches[..after].last(), self.caches.get(after)) {
            (Some(below), Some(above)) => {
                let share = (kib / below.kib).ln() / (above.kib / below.kib).ln();
                below.word_pj * (above.word_pj / below.word_pj).powf(share)
            }
            (Some(row), None) | (None, Some(row)) => row.word_pj,
            (None, None) => self.dram_word_pj,
        }
    }
}

impl Default for EnergyTable {
    fn default() -> Self {
        DEFAULT.parse().expect("the table in the program is one")
    }
}

/// From JSON; see `docs/formats.md`.
impl FromStr for EnergyTable {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let table: EnergyTable =
            serde_json::from_str(text).map_err(|error| Error::EnergyTable { reason: error.to_string() })?;
        let caches = table.caches.iter().flat_map(|row| [row.kib, row.word_pj]);
        let numbers = caches.clone().chain([table.add_pj, table.multiply_pj, table.dram_word_pj]);
        let refuse = |reason: &str| Err(Error::EnergyTable { reason: reason.to_owned() });
        if numbers.clone().any(|x| !(0.0..=1e12).contains(&x)) || caches.clone().any(|x| x == 0.0) {
            return refuse("sizes and energies are positive; only operations and main memory may be free");
        }
        if table.caches.is_empty() || !table.caches.is_sorted_by(|a, b| a.kib < b.kib) {
            return refuse("\"caches\" has at least one row, the smallest first");
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo;

    /// Millijoules to the digits in which the literature has them.
    #[track_caller]
    fn assert_about(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 0.05, "{actual} mJ is not {expected} mJ");
    }

    #[test]
    fn published_networks_take_what_the_literature_says() {
        let (table, cpu) = (EnergyTable::default(), Cpu::haswell());
        // Network, millijoules of all weights from memory, and of the multiply-adds at 4.6 pJ.
        for (name, weights, macs) in [("alexnet", 39.0, 3.3), ("vgg-16", 88.5, 71.2), ("mobilenet-v1", 2.7, 2.6)] {
            let (network, variant) = zoo::find(name).unwrap();
            let counted = zoo::count(network, &variant).unwrap();
            let traffic = Traffic { weights: [0, 0, 0, 4 * counted.params], activations: [0; 4] };
            let energy = table.step(counted.macs, &traffic, &cpu);
            assert_about(energy.dram, weights);
            assert_about(energy.arithmetic, macs);
            assert_eq!((energy.weights, energy.activations), (0.0, 0.0));
        }
        // A network of 10^9 parameters at 20 Hz.
        assert_about(20.0 * table.access(Level::Dram, 4_000_000_000, &cpu), 12_800.0);
    }

    #[test]
    fn each_part_has_the_price_of_its_level() {
        let (table, cpu) = (EnergyTable::default(), Cpu::haswell());
        let traffic = Traffic { weights: [4_000_000, 0, 0, 4_000_000], activations: [0, 0, 4_000_000, 4_000_000] };
        let energy = table.step(1_000_000, &traffic, &cpu);
        let expected = Energy { arithmetic: 4.6e-3, weights: 10e-3, activations: 50e-3, dram: 1.28 };
        for (actual, expected) in [
            (energy.arithmetic, expected.arithmetic),
            (energy.weights, expected.weights),
            (energy.activations, expected.activations),
            (energy.dram, expected.dram),
            ([energy, energy].into_iter().sum::<Energy>().total(), 2.0 * expected.total()),
        ] {
            assert!((actual / expected - 1.0).abs() < 1e-9, "{actual} is not {expected}");
        }
    }

    #[test]
    fn caches_between_the_rows_of_a_table_lie_between_their_energies() {
        let table = EnergyTable::default();
        let pj = |kib: usize| table.cache(kib << 10);
        assert_eq!([4, 8, 32, 1024, 480 << 10].map(pj), [5.0, 5.0, 10.0, 50.0, 50.0]);
        assert!(pj(31) < 10.0 && pj(48) > 10.0 && pj(256) > pj(48) && pj(1023) < 50.0);
    }

    #[test]
    fn tables_that_are_none_are_refused() {
        let good = DEFAULT;
        for (from, to, reason) in [
            ("\"add_pj\": 0.9", "\"add_pj\": -1", "positive"),
            ("\"add_pj\"", "\"plus_pj\"", "plus_pj"),
            ("\"kib\": 8", "\"kib\": 64", "smallest first"),
            ("\"kib\": 8", "\"kib\": 0", "positive"),
            ("640", "\"much\"", "invalid type"),
        ] {
            let error = good.replacen(from, to, 1).parse::<EnergyTable>().unwrap_err().to_string();
            assert!(error.contains(reason), "{from} -> {to}: {error}");
        }
    }
}
