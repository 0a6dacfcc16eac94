//! Measures the allocations of an execution, with a counting allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

/// Larger requests fail, as on a machine without memory; the process ends there, and `TARGET.current` contains the
/// input.
const REFUSED: usize = 4 << 30;

/// Bytes held when the execution started.
static BASE: AtomicI64 = AtomicI64::new(0);
static COUNT: AtomicU64 = AtomicU64::new(0);
static ALL: AtomicU64 = AtomicU64::new(0);
static HELD: AtomicI64 = AtomicI64::new(0);
static MOST: AtomicI64 = AtomicI64::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn taken(size: usize) {
    COUNT.fetch_add(1, Relaxed);
    ALL.fetch_add(size as u64, Relaxed);
    MOST.fetch_max(HELD.fetch_add(size as i64, Relaxed) + size as i64, Relaxed);
}

// SAFETY: every request is forwarded to the system's allocator, or fails.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        if layout.size() > REFUSED { std::ptr::null_mut() } else { unsafe { System.alloc(layout) } }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        if layout.size() > REFUSED { std::ptr::null_mut() } else { unsafe { System.alloc_zeroed(layout) } }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        HELD.fetch_sub(layout.size() as i64, Relaxed);
        taken(size);
        if size > REFUSED { std::ptr::null_mut() } else { unsafe { System.realloc(ptr, layout, size) } }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as i64, Relaxed);
        unsafe { System.dealloc(ptr, layout) }
    }
}

/// What was allocated between [`start`] and [`stop`].
pub struct Used {
    /// Requests.
    pub count: u64,
    /// Bytes of all requests.
    pub all: u64,
    /// Maximum bytes held at a time, in addition to those held at the start.
    pub held: u64,
}

/// Executions started; the watchdog checks that it increases.
static EXECUTIONS: AtomicU64 = AtomicU64::new(0);
static WATCHING: AtomicBool = AtomicBool::new(true);

/// Starts counting.
pub fn start() {
    EXECUTIONS.fetch_add(1, Relaxed);
    COUNT.store(0, Relaxed);
    ALL.store(0, Relaxed);
    MOST.store(HELD.load(Relaxed), Relaxed);
    BASE.store(HELD.load(Relaxed), Relaxed);
}

/// The counts since [`start`].
pub fn stop() -> Used {
    let held = MOST.load(Relaxed) - BASE.load(Relaxed);
    Used { count: COUNT.load(Relaxed), all: ALL.load(Relaxed), held: held.max(0) as u64 }
}

/// Writes an input to a file where it is found if the process dies.
pub fn remember(file: &File, input: &[u8]) {
    use std::io::{Seek, SeekFrom, Write};
    let mut file = file;
    let written = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(input));
    written.and_then(|()| file.set_len(input.len() as u64)).unwrap();
}

/// Checks that the meter counts, and starts the watchdog for executions that do not end.
pub fn begin(longest: std::time::Duration) {
    start();
    let block = std::hint::black_box(vec![1u8; 1 << 20]);
    drop(block);
    let used = stop();
    assert!(used.held >= 1 << 20 && used.all >= 1 << 20 && used.count >= 1, "the meter does not count");
    std::thread::spawn(move || {
        let mut last = u64::MAX;
        while WATCHING.load(Relaxed) {
            if std::mem::replace(&mut last, EXECUTIONS.load(Relaxed)) == last {
                eprintln!("an execution does not end; its input is in the newest .current of target/tmp/fuzz");
                std::process::abort();
            }
            std::thread::sleep(longest);
        }
    });
}

/// Stops the watchdog.
pub fn end() {
    WATCHING.store(false, Relaxed);
}
