//! What a caller decides about a session, with defaults that fit the machine.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use tilewise_engine::Schedule;
use tilewise_engine::schedule::Misfit;
use tilewise_kernels::{Cpu, Pool, Tier};

/// How a session runs. The default uses every core that the process may use and the best instruction set there is.
#[derive(Clone, Default)]
pub struct Options {
    /// Threads; none: `TILEWISE_THREADS` or `OMP_NUM_THREADS` where set, else the smallest of affinity mask, cgroup
    /// quota and physical cores.
    pub threads: Option<usize>,
    /// The most capable instruction set to use; none: what the machine has.
    pub isa: Option<Tier>,
    /// How layers run, where it names them.
    pub schedule: Schedule,
    /// The folder of the store, such as [`store_folder`] gives: layers run as was measured there, on this machine and
    /// with as many threads. Used where the schedule names no layer at all; none: the kernels' own choosers have it.
    pub store: Option<PathBuf>,
    /// Told of each entry of the schedule that a network cannot follow, when the network is compiled.
    pub on_misfit: Option<fn(&Misfit)>,
}

impl Options {
    /// The machine as these options let it be seen.
    pub fn cpu(&self) -> Cpu {
        static PROBED: OnceLock<Cpu> = OnceLock::new();
        let cpu = PROBED.get_or_init(Cpu::probe).clone();
        let cpu = self.isa.map_or(cpu.clone(), |isa| cpu.with_tier(isa));
        let threads = self.threads.or_else(threads_from_environment).unwrap_or(cpu.cores);
        cpu.with_cores(threads.clamp(1, 1024))
    }
}

/// Where this user's store is: the folder that `TILEWISE_CACHE` names, else `tilewise` in the user's cache folder
/// (`XDG_CACHE_HOME`, or `.cache` in the home folder). None where `TILEWISE_CACHE` is empty, and for a user without a
/// home.
pub fn store_folder() -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from);
    if let Some(named) = folder("TILEWISE_CACHE") {
        return Some(named).filter(|path| !path.as_os_str().is_empty());
    }
    // The specification of XDG_CACHE_HOME has relative paths ignored.
    let cache = folder("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    Some(cache.or_else(|| Some(folder("HOME")?.join(".cache")))?.join("tilewise"))
}

fn threads_from_environment() -> Option<usize> {
    let number = |name| std::env::var(name).ok()?.trim().parse().ok().filter(|&n| n > 0);
    number("TILEWISE_THREADS").or_else(|| number("OMP_NUM_THREADS"))
}

/// The process's pool of a number of threads, shared by all sessions that ask for that number.
pub(crate) fn pool(threads: usize) -> Arc<Pool> {
    static POOLS: Mutex<Vec<Weak<Pool>>> = Mutex::new(Vec::new());
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pool) = pools.iter().filter_map(Weak::upgrade).find(|pool| pool.threads() == threads) {
        return pool;
    }
    let pool = Arc::new(Pool::new(threads));
    pools.retain(|pool| pool.strong_count() > 0);
    pools.push(Arc::downgrade(&pool));
    pool
}
