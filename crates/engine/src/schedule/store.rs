//! The store: what was measured, kept in a file of JSON lines that only grows.
//!
//! A line is one record, appended by one write that begins with the line break: writers at the same time do not mix,
//! and a line that a kill tore ends where the next one begins. What cannot be read is passed over. The last record of
//! a key holds. Records of another machine, number of threads or set of kernels are never taken; the choices of another
//! machine with the same kernels are hints of what to measure.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tilewise_kernels::Cpu;
use tilewise_kernels::catalog::catalog;

use super::{Choice, Machine, Problem};

/// The file in the store's folder.
const FILE: &str = "schedules.jsonl";

/// What was measured of a problem.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Record {
    /// The choice to take. `None` for a pair that is faster as two steps.
    pub choice: Option<Choice>,
    /// Seconds that it takes.
    pub seconds: f64,
}

/// Where records are valid.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Key {
    cpu: String,
    threads: usize,
    kernels: String,
}

impl Key {
    fn new(cpu: &Cpu) -> Self {
        let alone = cpu.clone().with_cores(1);
        Key { cpu: alone.to_string(), threads: cpu.cores, kernels: format!("{:016x}", kernel_set()) }
    }
}

/// One line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    key: Key,
    #[serde(flatten)]
    entry: Entry,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Entry {
    Machine(Machine),
    Layer { problem: String, choice: String, seconds: f64 },
}

/// How the absence of a choice is written.
const APART: &str = "apart";

/// A version of the kernels: the FNV-1a hash of this crate's version and the names of the catalog.
fn kernel_set() -> u64 {
    let names = catalog().map(|id| id.name).chain([env!("CARGO_PKG_VERSION")]);
    let bytes = names.flat_map(|name| name.bytes().chain([b'\n']));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The records of one machine, and the file that they are kept in.
pub struct Store {
    path: Option<PathBuf>,
    key: Key,
    machine: Option<Machine>,
    layers: BTreeMap<String, Record>,
    hints: BTreeMap<String, Vec<Choice>>,
    error: Option<io::Error>,
}

impl Store {
    /// A store without a file.
    pub fn in_memory(cpu: &Cpu) -> Self {
        Store {
            path: None,
            key: Key::new(cpu),
            machine: None,
            layers: BTreeMap::new(),
            hints: BTreeMap::new(),
            error: None,
        }
    }

    /// The store in a folder, which need not be there yet. A file that cannot be read is an empty store.
    pub fn open(folder: &Path, cpu: &Cpu) -> Self {
        let path = folder.join(FILE);
        let mut store = Store::in_memory(cpu);
        let bytes = std::fs::read(&path).unwrap_or_default();
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            if let Ok(line) = serde_json::from_slice(line) {
                store.take(line);
            }
        }
        store.path = Some(path);
        store
    }

    fn take(&mut self, Line { key, entry }: Line) {
        match entry {
            Entry::Machine(machine) if key == self.key => self.machine = Some(machine),
            Entry::Machine(_) => (),
            Entry::Layer { problem, choice, seconds } => {
                let choice = match choice.as_str() {
                    APART => None,
                    text => match text.parse() {
                        Ok(choice) => Some(choice),
                        Err(_) => return,
                    },
                };
                if key == self.key {
                    self.layers.insert(problem, Record { choice, seconds });
                } else if let (true, Some(choice)) = (key.kernels == self.key.kernels, choice) {
                    self.hints.entry(problem).or_default().push(choice);
                }
            }
        }
    }

    /// The file, where there is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Why something could not be written, where that happened.
    pub fn into_error(self) -> Option<io::Error> {
        self.error
    }

    /// True where no layer of this machine was measured.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// What was measured of a problem on this machine.
    pub fn get(&self, problem: &Problem) -> Option<Record> {
        self.layers.get(&problem.to_string()).copied()
    }

    /// What other machines run a problem with.
    pub fn hints(&self, problem: &Problem) -> &[Choice] {
        self.hints.get(&problem.to_string()).map_or(&[], Vec::as_slice)
    }

    /// Keeps what was measured of a problem.
    pub fn set(&mut self, problem: &Problem, record: Record) {
        let choice = record.choice.map_or_else(|| APART.to_owned(), |choice| choice.to_string());
        self.append(Entry::Layer { problem: problem.to_string(), choice, seconds: record.seconds });
        self.suppose(problem, record);
    }

    /// Takes a record for this process only.
    pub(super) fn suppose(&mut self, problem: &Problem, record: Record) {
        self.layers.insert(problem.to_string(), record);
    }

    /// The constants of this machine: those that were measured before, or what `measure` gives.
    pub fn machine(&mut self, measure: impl FnOnce() -> Machine) -> Machine {
        if let Some(machine) = self.machine {
            return machine;
        }
        let machine = measure();
        self.append(Entry::Machine(machine));
        self.machine = Some(machine);
        machine
    }

    /// Writes a line; what goes wrong is kept for who asks.
    fn append(&mut self, entry: Entry) {
        let Some(path) = &self.path else { return };
        let write = || {
            let line = serde_json::to_string(&Line { key: self.key.clone(), entry })?;
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            let mut file = OpenOptions::new().append(true).create(true).open(path)?;
            let bytes = format!("\n{line}").into_bytes();
            // One write: what it leaves out is lost, and the line with it.
            let written = file.write(&bytes)?;
            if written == bytes.len() { Ok(()) } else { Err(io::Error::from(io::ErrorKind::WriteZero)) }
        };
        let written: io::Result<()> = write();
        if let Err(error) = written {
            self.error.get_or_insert(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;
    use tilewise_kernels::gemm::{Gemm, Strides};

    use super::*;

    fn problem(m: usize) -> Problem {
        let (a, b) = (Strides { row: 64, col: 1 }, Strides { row: 32, col: 1 });
        let problem = Gemm { m, n: 32, k: 64, a, b, alpha: 1.0, epilogue: Default::default() };
        Problem::Gemm { problem, count: 1, packed: true }
    }

    fn record(mc: usize) -> Record {
        let choice = format!("gemm_f32_6x16_avx2 mc={mc} kc=64 nc=32");
        Record { choice: Some(choice.parse().unwrap()), seconds: 1.5e-6 }
    }

    #[test]
    fn records_come_back_and_the_last_one_holds() {
        let (folder, cpu) = (tempdir().unwrap(), Cpu::haswell());
        let folder = folder.path().join("not/there/yet");
        let mut store = Store::open(&folder, &cpu);
        assert!(store.is_empty());
        store.set(&problem(1), record(6));
        store.set(&problem(1), record(12));
        store.set(&problem(2), Record { choice: None, seconds: 2.0 });
        let machine = store.machine(|| Machine { fma: 1e9, latency: 1e-9, read: [4.0, 3.0, 2.0, 1.0], dispatch: 1e-6 });
        assert!(store.into_error().is_none());
        let mut again = Store::open(&folder, &cpu);
        assert_eq!(again.get(&problem(1)), Some(record(12)));
        assert_eq!(again.get(&problem(2)).map(|record| record.choice), Some(None));
        assert_eq!(again.get(&problem(3)), None);
        assert_eq!(again.machine(|| panic!("it is kept")), machine);
    }

    #[test]
    fn torn_lines_and_other_text_are_passed_over() {
        let (folder, cpu) = (tempdir().unwrap(), Cpu::haswell());
        let mut store = Store::open(folder.path(), &cpu);
        store.set(&problem(1), record(6));
        let file = folder.path().join(FILE);
        let whole = std::fs::read(&file).unwrap();
        // Wherever a kill cuts the second record, the first and the third are read.
        for cut in 1..whole.len() {
            std::fs::write(&file, [&whole[..], &whole[..cut]].concat()).unwrap();
            Store::open(folder.path(), &cpu).set(&problem(3), record(18));
            let store = Store::open(folder.path(), &cpu);
            assert_eq!(store.get(&problem(1)), Some(record(6)), "{cut}");
            assert_eq!(store.get(&problem(3)), Some(record(18)), "{cut}");
        }
        std::fs::write(&file, b"\xff\xfe\n{}\n\n[1,2]\nnull").unwrap();
        assert!(Store::open(folder.path(), &cpu).is_empty());
    }

    #[test]
    fn writers_at_the_same_time_lose_nothing() {
        let (folder, cpu) = (tempdir().unwrap(), Cpu::haswell());
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let (folder, cpu) = (folder.path(), &cpu);
                scope.spawn(move || {
                    let mut store = Store::open(folder, cpu);
                    (0..50).for_each(|i| store.set(&problem(1 + writer * 50 + i), record(6)));
                });
            }
        });
        let store = Store::open(folder.path(), &cpu);
        assert!((1..=400).all(|m| store.get(&problem(m)).is_some()));
    }

    #[test]
    fn records_of_another_machine_are_hints_only() {
        let folder = tempdir().unwrap();
        Store::open(folder.path(), &Cpu::haswell()).set(&problem(1), record(6));
        for (cpu, hints) in [(Cpu::zen5(), 1), (Cpu::haswell().with_cores(1), 1), (Cpu::haswell(), 0)] {
            let store = Store::open(folder.path(), &cpu);
            assert_eq!(store.hints(&problem(1)).len(), hints, "{cpu}");
            assert_eq!(store.get(&problem(1)).is_some(), hints == 0, "{cpu}");
        }
        // Another set of kernels says nothing.
        let file = folder.path().join(FILE);
        let text = std::fs::read_to_string(&file).unwrap();
        let other = text.replace(&format!("{:016x}", kernel_set()), "0000000000000000");
        assert_ne!(text, other);
        std::fs::write(&file, other).unwrap();
        let store = Store::open(folder.path(), &Cpu::haswell());
        assert!(store.is_empty() && store.hints(&problem(1)).is_empty());
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_told_and_no_more() {
        let folder = tempdir().unwrap();
        std::fs::write(folder.path().join("file"), b"").unwrap();
        let mut store = Store::open(&folder.path().join("file"), &Cpu::haswell());
        store.set(&problem(1), record(6));
        assert_eq!(store.get(&problem(1)), Some(record(6)));
        assert!(store.into_error().is_some());
    }
}
