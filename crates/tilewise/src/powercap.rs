//! Energy as the machine measures it: the RAPL counters in Linux's powercap folder. Read only.
//!
//! The counters are of whole processor packages: they count everything that runs there, and what it draws when idle.

use std::path::{Path, PathBuf};

/// Where Linux has the counters.
pub(crate) const POWERCAP: &str = "/sys/class/powercap";

/// Why there is no measured energy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unavailable {
    /// No counters.
    #[error("the machine offers no RAPL counters in {0}")]
    Absent(PathBuf),
    /// Counters that this process may not read, or that are none.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Counters that never move.
    #[error("the RAPL counters stand still, as virtual machines have them")]
    Still,
}

/// Energy spent, in joules.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Joules {
    /// All processor packages.
    pub(crate) package: f64,
    /// Main memory, where it has counters of its own.
    pub(crate) dram: Option<f64>,
}

/// A meter that adds up what the counters tell between samples.
pub(crate) struct Meter {
    zones: Vec<Zone>,
}

/// One counter.
struct Zone {
    file: PathBuf,
    dram: bool,
    /// The counter begins again at zero after this many microjoules.
    range: u64,
    last: u64,
    /// Microjoules since the meter was opened.
    spent: u64,
}

impl Meter {
    /// Opens the counters of all packages, and of their memory where there are any, in a folder such as [`POWERCAP`].
    ///
    /// # Errors
    /// [`Unavailable::Absent`], and [`Unavailable::Unreadable`]: most systems let only root read energies.
    pub(crate) fn open(root: &Path) -> Result<Self, Unavailable> {
        let folders = std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut zones = Vec::new();
        for folder in folders {
            // `intel-rapl:0` and its parts `intel-rapl:0:0`, AMD's too; `intel-rapl-mmio` counts the same once more.
            if !folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("intel-rapl:")) {
                continue;
            }
            let name = std::fs::read_to_string(folder.join("name")).unwrap_or_default();
            let dram = name.trim() == "dram";
            if dram || name.starts_with("package") {
                let (file, range) = (folder.join("energy_uj"), number(&folder.join("max_energy_range_uj"))?);
                let last = number(&file)?;
                zones.push(Zone { file, dram, range, last, spent: 0 });
            }
        }
        if zones.iter().all(|zone| zone.dram) { Err(Unavailable::Absent(root.to_owned())) } else { Ok(Meter { zones }) }
    }

    /// Reads the counters. They must be read before they come round: within a few minutes, at hundreds of watts.
    ///
    /// # Errors
    /// [`Unavailable::Unreadable`].
    pub(crate) fn sample(&mut self) -> Result<(), Unavailable> {
        for zone in &mut self.zones {
            let now = number(&zone.file)?;
            let round = if now < zone.last { zone.range } else { 0 };
            zone.spent += (now + round).saturating_sub(zone.last);
            zone.last = now;
        }
        Ok(())
    }

    /// What was spent from the opening to the last sample.
    ///
    /// # Errors
    /// [`Unavailable::Still`].
    pub(crate) fn spent(&self) -> Result<Joules, Unavailable> {
        let joules = |dram: bool| {
            let zones = self.zones.iter().filter(|zone| zone.dram == dram);
            zones.map(|zone| zone.spent as f64 * 1e-6).reduce(|a, b| a + b)
        };
        let package = joules(false).filter(|&package| package > 0.0).ok_or(Unavailable::Still)?;
        Ok(Joules { package, dram: joules(true) })
    }
}

fn number(path: &Path) -> Result<u64, Unavailable> {
    let unreadable = |source| Unavailable::Unreadable { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    text.trim().parse().map_err(|error| unreadable(std::io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of zones as Linux has it.
    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new(zones: &[(&str, &str, u64)]) -> Tree {
            let tree = Tree(tempfile::tempdir().unwrap());
            for &(zone, name, energy) in zones {
                std::fs::create_dir(tree.0.path().join(zone)).unwrap();
                tree.write(zone, "name", &format!("{name}\n"));
                tree.write(zone, "max_energy_range_uj", "262143328850\n");
                tree.set(zone, energy);
            }
            tree
        }

        fn set(&self, zone: &str, microjoules: u64) {
            self.write(zone, "energy_uj", &format!("{microjoules}\n"));
        }

        fn write(&self, zone: &str, file: &str, text: &str) {
            std::fs::write(self.0.path().join(zone).join(file), text).unwrap();
        }

        fn meter(&self) -> Result<Meter, Unavailable> {
            Meter::open(self.0.path())
        }
    }

    /// Two packages, one with memory, and zones that count part of the same or all of it again.
    const SERVER: &[(&str, &str, u64)] = &[
        ("intel-rapl:0", "package-0", 1_000_000),
        ("intel-rapl:0:0", "core", 500_000),
        ("intel-rapl:0:1", "dram", 100),
        ("intel-rapl:1", "package-1", 262_143_000_000),
        ("intel-rapl:2", "psys", 0),
        ("intel-rapl-mmio:0", "package-0", 0),
        ("dtpm", "package-9", 0),
    ];

    #[test]
    fn packages_and_memory_are_added_up_once_and_through_the_end_of_their_range() {
        let tree = Tree::new(SERVER);
        let mut meter = tree.meter().unwrap();
        tree.set("intel-rapl:0", 3_000_000);
        tree.set("intel-rapl:0:0", 9_000_000);
        tree.set("intel-rapl:0:1", 500_100);
        tree.set("intel-rapl-mmio:0", 77_000_000);
        // From 262 143.0 J over the end at 262 143.328850 J to 0.671150 J: one joule.
        tree.set("intel-rapl:1", 671_150);
        meter.sample().unwrap();
        assert_eq!(meter.spent().unwrap(), Joules { package: 3.0, dram: Some(0.5) });
        tree.set("intel-rapl:0", 4_000_000);
        meter.sample().unwrap();
        assert_eq!(meter.spent().unwrap(), Joules { package: 4.0, dram: Some(0.5) });
    }

    #[test]
    fn memory_without_counters_is_told_apart_from_memory_at_rest() {
        let tree = Tree::new(&[("intel-rapl:0", "package-0", 0)]);
        let mut meter = tree.meter().unwrap();
        tree.set("intel-rapl:0", 1_500_000);
        meter.sample().unwrap();
        assert_eq!(meter.spent().unwrap(), Joules { package: 1.5, dram: None });
    }

    #[test]
    fn what_is_not_available_says_why() {
        let missing = Meter::open(Path::new("/nowhere")).err().unwrap();
        assert_eq!(missing.to_string(), "the machine offers no RAPL counters in /nowhere");
        assert!(matches!(Tree::new(&[("intel-rapl:0:1", "dram", 5)]).meter(), Err(Unavailable::Absent(_))));

        let tree = Tree::new(SERVER);
        let mut meter = tree.meter().unwrap();
        meter.sample().unwrap();
        assert!(matches!(meter.spent(), Err(Unavailable::Still)));
        tree.write("intel-rapl:1", "energy_uj", "");
        let error = meter.sample().unwrap_err().to_string();
        assert!(error.contains("intel-rapl:1/energy_uj"), "{error}");
        std::fs::remove_file(tree.0.path().join("intel-rapl:0/energy_uj")).unwrap();
        assert!(matches!(tree.meter(), Err(Unavailable::Unreadable { .. })));
    }
}
