//! What all fuzzers have in common: a panic ends them, and so does an input that takes too much memory.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

#[doc(hidden)]
pub use hostile::target as function;
#[doc(hidden)]
pub use libfuzzer_sys::fuzz_target;

/// What one input may take beyond what was in use before it.
pub const MOST_GROWTH: usize = 64 << 20;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, with a count of what is in use.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn grown(bytes: usize) {
    let now = IN_USE.fetch_add(bytes, Relaxed) + bytes;
    MOST.fetch_max(now, Relaxed);
}

// SAFETY: each method passes its arguments on to the system's allocator, whose promises are the same. Counting allocates
// nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller keeps what `alloc` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps what `dealloc` asks for, and the pointer is the system allocator's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs a target on an input, and panics if it takes too much memory at any moment.
pub fn run(target: hostile::Target, data: &[u8]) {
    let before = IN_USE.load(Relaxed);
    MOST.store(before, Relaxed);
    target(data);
    let growth = MOST.load(Relaxed).saturating_sub(before);
    assert!(growth <= MOST_GROWTH, "an input of {} bytes takes {growth} bytes", data.len());
}

/// The entry of a fuzzer of the function of this name.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        $crate::fuzz_target!(|data: &[u8]| {
            static TARGET: std::sync::LazyLock<fn(&[u8])> =
                std::sync::LazyLock::new(|| $crate::function($name).expect("it is a target"));
            $crate::run(*TARGET, data);
        });
    };
}
