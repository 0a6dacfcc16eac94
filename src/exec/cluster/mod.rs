//! Engines of several processes: rank 0 records and decides, the others execute.
//!
//! A [`Cluster`] is rank 0's own engine and one [`RemoteEngine`] per worker, whose process runs [`serve`]. Launches are plain data, so
//! a worker needs neither plan nor images: it gets buffers, words and recordings, once each. Every tensor's buffer says on which rank
//! it is, and a recording runs where its tensors are. What connects the processes is a [`Link`].

mod link;
mod message;
mod remote;
mod serve;
#[cfg(test)]
mod tests;

pub use link::{Link, Thread};
pub use message::{Open, end};
pub use remote::RemoteEngine;
pub use serve::serve;

use super::{Descriptor, Engine, Purpose, Recording, Tensor, Traffic};
use crate::Result;

/// Rank 0's engine and those of the workers, as one.
pub struct Cluster {
    own: Box<dyn Engine>,
    workers: Vec<RemoteEngine>,
    placed: usize,
}

impl Cluster {
    /// Joins `own`, of rank 0, and the workers, of ranks 1, 2, ...
    pub fn new(own: Box<dyn Engine>, workers: Vec<RemoteEngine>) -> Self {
        Cluster { own, workers, placed: 0 }
    }

    fn on(&self, rank: usize) -> &dyn Engine {
        match rank.checked_sub(1) {
            Some(worker) => &self.workers[worker],
            None => self.own.as_ref(),
        }
    }

    fn on_mut(&mut self, rank: usize) -> &mut dyn Engine {
        match rank.checked_sub(1) {
            Some(worker) => &mut self.workers[worker],
            None => self.own.as_mut(),
        }
    }
}

impl Engine for Cluster {
    /// Rank 0's.
    fn descriptor(&self) -> &Descriptor {
        self.own.descriptor()
    }

    fn alloc(&mut self, label: &str, words: usize) -> Result<Tensor> {
        self.on_mut(self.placed).alloc(label, words)
    }

    fn write(&mut self, to: Tensor, words: &[u32]) -> Result<()> {
        self.on_mut(to.buffer.rank()).write(to, words)
    }

    fn read(&mut self, from: Tensor, purpose: Purpose) -> Result<Vec<u32>> {
        self.on_mut(from.buffer.rank()).read(from, purpose)
    }

    fn run(&mut self, recording: &Recording, times: u32) -> Result<()> {
        self.on_mut(recording.rank().unwrap_or(0)).run(recording, times)
    }

    fn finish(&mut self) -> Result<()> {
        self.workers.iter_mut().try_for_each(RemoteEngine::finish)?;
        self.own.finish()
    }

    /// Rank 0's: what it has read from its own device.
    fn traffic(&self) -> &Traffic {
        self.own.traffic()
    }

    /// The smallest of all ranks.
    fn max_binding_words(&self) -> usize {
        let workers = self.workers.iter().map(RemoteEngine::max_binding_words);
        workers.fold(self.own.max_binding_words(), usize::min)
    }

    fn winograd(&self) -> bool {
        self.on(self.placed).winograd()
    }

    /// Of the rank on which allocations are placed.
    fn allocated_bytes(&self) -> u64 {
        self.on(self.placed).allocated_bytes()
    }

    fn forget(&mut self, recording: &Recording) {
        self.on_mut(recording.rank().unwrap_or(0)).forget(recording);
    }

    fn ranks(&self) -> usize {
        1 + self.workers.len()
    }

    fn place(&mut self, rank: usize) {
        self.placed = rank;
    }

    fn prepare(&mut self, recording: &Recording) -> Result<()> {
        self.on_mut(recording.rank().unwrap_or(0)).prepare(recording)
    }

    fn prefetch(&mut self, from: Tensor) -> Result<()> {
        self.on_mut(from.buffer.rank()).prefetch(from)
    }

    fn exchanged(&self) -> u64 {
        self.workers.iter().map(RemoteEngine::exchanged).sum()
    }
}
