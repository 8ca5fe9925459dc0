//! A run allocates nothing: counted by an allocator that counts.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::{NETWORKS, inputs, machines, network, specialized};
use tilewise_engine::{Arena, Network, Schedule, Weights};
use tilewise_graph::Images;
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
        let [graph, batch] = [1, 2].map(|count| specialized(&network(text), count));
        let images = Images::of(&graph, &batch).unwrap().unwrap();
        let [head, tail] = images.cut(images.nodes().len()).unwrap();
        let by_image = Network::ByImage { head, count: 2, tail };
        for (network, cpu) in [Network::Whole(graph.clone()), by_image]
            .iter()
            .flat_map(|n| machines().into_iter().map(move |cpu| (n, cpu)))
        {
            let tensors = inputs(if matches!(network, Network::Whole(_)) { &graph } else { &batch }, 1);
            let views: Vec<View<'_>> = tensors.iter().map(Tensor::view).collect();
            for threads in [1, 2] {
                let cpu = cpu.clone().with_cores(threads);
                let plan = network.compile(&Schedule::default(), &cpu, &Weights::default()).unwrap();
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
