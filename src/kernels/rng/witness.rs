//! Test builds only: every Threefry block drawn under a watched seed, on the host or the cpu engine.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Seed words, low word first, of the blocks to record; 0: none.
static SEED: AtomicU64 = AtomicU64::new(0);
static DRAWN: Mutex<Vec<Block>> = Mutex::new(Vec::new());

/// Key and counter of a block.
pub type Block = ([u32; 4], [u32; 4]);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Called for every block.
pub(super) fn saw(key: [u32; 4], counter: [u32; 4]) {
    let seed = SEED.load(Ordering::Relaxed);
    if seed != 0 && seed == u64::from(key[0]) | u64::from(key[1]) << 32 {
        lock(&DRAWN).push((key, counter));
    }
}

/// The result of `work`, and every block drawn under `seed` meanwhile. Other tests of the process must use other seeds.
pub fn watch<T>(seed: u64, work: impl FnOnce() -> T) -> (T, Vec<Block>) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = lock(&ONE);
    lock(&DRAWN).clear();
    SEED.store(seed, Ordering::SeqCst);
    let done = work();
    SEED.store(0, Ordering::SeqCst);
    (done, std::mem::take(&mut *lock(&DRAWN)))
}
