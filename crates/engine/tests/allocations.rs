//! A run allocates nothing: counted by an allocator that counts.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::{NETWORKS, compile, inputs, machines, network, specialized};
use tilewise_engine::Arena;
use tilewise_kernels::Pool;
use tilewise_tensor::{Tensor, View};

struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller holds.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller holds.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_run_allocates_nothing() {
    for (name, text) in NETWORKS {
        let graph = specialized(&network(text), 1);
        let tensors = inputs(&graph, 1);
        let views: Vec<View<'_>> = tensors.iter().map(Tensor::view).collect();
        for cpu in machines() {
            for threads in [1, 2] {
                let plan = compile(&graph, &cpu, threads);
                let mut arena = Arena::new(&plan, Arc::new(Pool::new(threads))).unwrap();
                // The first run wakes the pool's threads; starting up, they allocate what the standard library keeps.
                plan.run(&views, &mut arena).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(10));
                let before = COUNT.load(Ordering::Relaxed);
                for _ in 0..3 {
                    plan.run(&views, &mut arena).unwrap();
                }
                let allocated = COUNT.load(Ordering::Relaxed) - before;
                assert_eq!(allocated, 0, "{name}, {}, {threads} threads", cpu.tier);
            }
        }
    }
}
