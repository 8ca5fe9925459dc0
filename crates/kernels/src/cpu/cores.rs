//! How many cores this process may use: not more than its affinity mask, its cgroup's quota and the physical cores.

use std::collections::BTreeSet;
use std::fs::read_to_string;
use std::num::NonZero;

/// The number of cores that are worth a thread each: hardware threads that share one core's vector pipes count once.
pub(super) fn usable() -> usize {
    // Covers the affinity mask and the quotas of both cgroup versions.
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let siblings =
        |cpu: usize| read_to_string(format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")).ok();
    physical(&status, siblings).map_or(threads, |cores| cores.min(threads))
}

/// The cores behind the processors that `status` (the text of `/proc/self/status`) allows, by their lists of
/// siblings; `None` where a text is missing or not understood.
fn physical(status: &str, siblings: impl Fn(usize) -> Option<String>) -> Option<usize> {
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut cores = BTreeSet::new();
    for cpu in cpu_list(allowed)? {
        cores.insert(cpu_list(&siblings(cpu)?)?);
    }
    (!cores.is_empty()).then_some(cores.len())
}

/// Processor numbers as the kernel lists them: `0-3,8`.
fn cpu_list(text: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cpus.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_lists_are_numbers_and_ranges() {
        assert_eq!(cpu_list("0-3,8,10-11\n"), Some(vec![0, 1, 2, 3, 8, 10, 11]));
        assert_eq!(cpu_list("5"), Some(vec![5]));
        assert_eq!(cpu_list(""), None);
        assert_eq!(cpu_list("0-x"), None);
    }

    #[test]
    fn siblings_count_once() {
        let status = "Name:\tx\nCpus_allowed_list:\t0-3\nother";
        let pairs = |cpu: usize| Some(format!("{},{}\n", cpu % 2, cpu % 2 + 2));
        assert_eq!(physical(status, pairs), Some(2));
        assert_eq!(physical(status, |cpu| Some(cpu.to_string())), Some(4));
        assert_eq!(physical(status, |_| None), None);
        assert_eq!(physical("", pairs), None);
    }
}
