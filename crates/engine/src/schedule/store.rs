//! The store: what was measured, kept in a file of JSON lines that only grows.
//!
//! A line is one record, appended by one write that begins with the line break: writers at the same time do not mix,
//! and a line that a kill tore ends where the next one begins. What cannot be read is passed over. The last record of
//! a key holds: of a layer, of each pair of layouts that its choices read and write. Records of another machine, number of threads or set of kernels are never taken; the choices of another
//! machine with the same kernels are hints of what to measure.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tilewise_kernels::Cpu;
use tilewise_kernels::catalog::catalog;

use super::{Choice, Machine, Problem, Question};
use crate::Schedule;

/// The file in the store's folder.
const FILE: &str = "schedules.jsonl";

/// What was measured of a problem.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Record {
    /// The best choice that reads and writes images in its layouts.
    pub choice: Choice,
    /// Seconds that it takes by itself.
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
    Layer {
        problem: String,
        choice: String,
        seconds: f64,
    },
    /// The schedule of a network, proven where it runs.
    Network {
        network: String,
        schedule: String,
    },
}

/// The FNV-1a hash of some lines.
fn hash<L: AsRef<str>>(lines: impl Iterator<Item = L>) -> u64 {
    let with = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    lines.fold(0xcbf2_9ce4_8422_2325, |hash, line| line.as_ref().bytes().chain([b'\n']).fold(hash, with))
}

/// A version of the kernels: this crate's version and the names of the catalog.
fn kernel_set() -> u64 {
    hash(catalog().map(|id| id.name).chain([env!("CARGO_PKG_VERSION")]))
}

/// What tells a network from others: its questions.
fn network(questions: &[Question]) -> String {
    let line = |Question { layer, first, problem }: &Question| format!("{layer} {first:?} {problem}");
    format!("{:016x}", hash(questions.iter().map(line)))
}

/// The records of one machine, and the file that they are kept in.
pub struct Store {
    path: Option<PathBuf>,
    key: Key,
    machine: Option<Machine>,
    layers: BTreeMap<String, Vec<Record>>,
    networks: BTreeMap<String, Schedule>,
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
            networks: BTreeMap::new(),
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
        let (here, same_kernels) = (key == self.key, key.kernels == self.key.kernels);
        match entry {
            Entry::Machine(machine) if here => self.machine = Some(machine),
            Entry::Layer { problem, choice, seconds } => match choice.parse() {
                Ok(choice) if here => self.note(problem, Record { choice, seconds }),
                Ok(choice) if same_kernels => self.hints.entry(problem).or_default().push(choice),
                _ => (),
            },
            Entry::Network { network, schedule } if here => {
                if let Ok(schedule) = schedule.parse() {
                    self.networks.insert(network, schedule);
                }
            }
            Entry::Machine(_) | Entry::Network { .. } => (),
        }
    }

    /// Takes a record, in place of one with the same layouts.
    fn note(&mut self, problem: String, record: Record) {
        let records = self.layers.entry(problem).or_default();
        records.retain(|other| other.choice.layouts() != record.choice.layouts());
        records.push(record);
    }

    /// The file, where there is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Why something could not be written, where that happened.
    pub fn into_error(self) -> Option<io::Error> {
        self.error
    }

    /// True where nothing of this machine was measured that a schedule could be made of.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty() && self.networks.is_empty()
    }

    /// What was measured of a problem on this machine: a record for each pair of layouts.
    pub fn get(&self, problem: &Problem) -> &[Record] {
        self.layers.get(&problem.to_string()).map_or(&[], Vec::as_slice)
    }

    /// The schedule that was proven for the network with these questions.
    pub fn proven(&self, questions: &[Question]) -> Option<&Schedule> {
        self.networks.get(&network(questions))
    }

    /// Keeps the schedule that was proven for a network.
    pub fn prove(&mut self, questions: &[Question], schedule: &Schedule) {
        let network = network(questions);
        self.append(Entry::Network { network: network.clone(), schedule: schedule.to_string() });
        self.networks.insert(network, schedule.clone());
    }

    /// What other machines run a problem with.
    pub fn hints(&self, problem: &Problem) -> &[Choice] {
        self.hints.get(&problem.to_string()).map_or(&[], Vec::as_slice)
    }

    /// Keeps what was measured of a problem.
    pub fn set(&mut self, problem: &Problem, record: Record) {
        let (problem, choice) = (problem.to_string(), record.choice.to_string());
        self.append(Entry::Layer { problem: problem.clone(), choice, seconds: record.seconds });
        self.note(problem, record);
    }

    /// The constants of this machine: those that were measured before, or what `measure` gives.
    pub fn machine(&mut self, measure: impl FnOnce() -> Machine) -> Machine {
        if let Some(machine) = self.machine {
            return machine;
        }
        let machine = measure();
        self.renew(machine);
        machine
    }

    /// Keeps constants of this machine in place of those that it had.
    pub fn renew(&mut self, machine: Machine) {
        self.append(Entry::Machine(machine));
        self.machine = Some(machine);
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
        Record { choice: choice.parse().unwrap(), seconds: 1.5e-6 }
    }

    #[test]
    fn records_come_back_and_the_last_one_holds() {
        let (folder, cpu) = (tempdir().unwrap(), Cpu::haswell());
        let folder = folder.path().join("not/there/yet");
        let mut store = Store::open(&folder, &cpu);
        assert!(store.is_empty());
        store.set(&problem(1), record(6));
        store.set(&problem(1), record(12));
        let read = [4.0, 3.0, 2.0, 1.0];
        let machine = store.machine(|| Machine { fma: 1e9, tile: 9e8, latency: 1e-9, read, dispatch: 1e-6 });
        assert!(store.into_error().is_none());
        let mut again = Store::open(&folder, &cpu);
        assert_eq!(again.get(&problem(1)), [record(12)]);
        assert_eq!(again.get(&problem(3)), []);
        assert_eq!(again.machine(|| panic!("it is kept")), machine);
        again.renew(Machine { fma: 2e9, ..machine });
        assert_eq!(Store::open(&folder, &cpu).machine(|| panic!("it is kept")).fma, 2e9);
    }

    #[test]
    fn each_pair_of_layouts_has_its_record() {
        let (folder, cpu) = (tempdir().unwrap(), Cpu::haswell());
        let of = |name: &str| Record { choice: format!("{name} rows=1 oc=16 ic=16").parse().unwrap(), seconds: 1.0 };
        let [rows, blocks, later] =
            ["conv-im2col_f32_6x16_avx2", "conv-pointwise_f32_6x16_avx2", "conv-direct_f32_6x16_avx2"].map(of);
        for record in [blocks, rows, later] {
            Store::open(folder.path(), &cpu).set(&problem(1), record);
        }
        assert_eq!(Store::open(folder.path(), &cpu).get(&problem(1)), [rows, later]);
    }

    #[test]
    fn a_proven_schedule_belongs_to_its_network() {
        let (folder, cpu) = (tempdir().unwrap(), Cpu::haswell());
        let question = |layer: &str, m| Question { layer: layer.into(), first: None, problem: problem(m) };
        let [one, other] = [[question("a", 1), question("b", 2)], [question("a", 2), question("b", 1)]];
        let mut schedule = Schedule::default();
        schedule.set("b", record(6).choice);
        Store::open(folder.path(), &cpu).prove(&one, &schedule);
        let store = Store::open(folder.path(), &cpu);
        assert_eq!([store.proven(&one), store.proven(&other)], [Some(&schedule), None]);
        assert_eq!(Store::open(folder.path(), &Cpu::zen5()).proven(&one), None);
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
            assert_eq!(store.get(&problem(1)), [record(6)], "{cut}");
            assert_eq!(store.get(&problem(3)), [record(18)], "{cut}");
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
        assert!((1..=400).all(|m| !store.get(&problem(m)).is_empty()));
    }

    #[test]
    fn records_of_another_machine_are_hints_only() {
        let folder = tempdir().unwrap();
        Store::open(folder.path(), &Cpu::haswell()).set(&problem(1), record(6));
        for (cpu, hints) in [(Cpu::zen5(), 1), (Cpu::haswell().with_cores(1), 1), (Cpu::haswell(), 0)] {
            let store = Store::open(folder.path(), &cpu);
            assert_eq!(store.hints(&problem(1)).len(), hints, "{cpu}");
            assert_eq!(!store.get(&problem(1)).is_empty(), hints == 0, "{cpu}");
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
        assert_eq!(store.get(&problem(1)), [record(6)]);
        assert!(store.into_error().is_some());
    }
}
