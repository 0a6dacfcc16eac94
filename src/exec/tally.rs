//! An engine that only counts: it predicts what a program will allocate.

use super::{BufferId, Descriptor, Engine, Purpose, Recording, Tensor, Traffic};
use crate::{Error, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One requested buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// Its label.
    pub label: String,
    /// Its size.
    pub bytes: u64,
}

/// The buffers requested from a [`TallyEngine`]; readable after the engine has been moved away.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<Vec<Allocation>>>);

impl Tally {
    fn list(&self) -> MutexGuard<'_, Vec<Allocation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All buffers in order.
    pub fn allocations(&self) -> Vec<Allocation> {
        self.list().clone()
    }

    /// Bytes of all buffers.
    pub fn bytes(&self) -> u64 {
        self.list().iter().map(|a| a.bytes).sum()
    }
}

/// Replaces another engine: same descriptor and limits, no memory, no work. Reads return zeros.
#[derive(Debug)]
pub struct TallyEngine {
    descriptor: Descriptor,
    max_binding_words: usize,
    winograd: bool,
    tally: Tally,
    traffic: Traffic,
    buffers: u32,
    ranks: usize,
    placed: usize,
}

impl TallyEngine {
    /// A counting engine with the limits of `engine`, and its tally.
    pub fn of(engine: &dyn Engine) -> (Self, Tally) {
        let tally = Tally::default();
        let stand_in = TallyEngine {
            descriptor: engine.descriptor().clone(),
            max_binding_words: engine.max_binding_words(),
            winograd: engine.winograd(),
            tally: tally.clone(),
            traffic: Traffic::default(),
            buffers: 0,
            ranks: engine.ranks(),
            placed: 0,
        };
        (stand_in, tally)
    }

    /// Stands for a cluster of so many ranks; counts the memory of rank 0.
    pub fn spread(self, ranks: usize) -> Self {
        TallyEngine { ranks, ..self }
    }
}

impl Engine for TallyEngine {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn alloc(&mut self, label: &str, words: usize) -> Result<Tensor> {
        if self.placed == 0 {
            self.tally.list().push(Allocation { label: label.into(), bytes: 4 * words as u64 });
        }
        self.buffers += 1;
        let buffer = BufferId(self.buffers - 1).on(self.placed);
        let buffer = buffer.ok_or_else(|| Error::internal(format!("no room for buffer {} of a rank", self.buffers)))?;
        Ok(Tensor { buffer, offset: 0, words })
    }

    fn write(&mut self, _to: Tensor, _words: &[u32]) -> Result<()> {
        Ok(())
    }

    fn read(&mut self, from: Tensor, purpose: Purpose) -> Result<Vec<u32>> {
        self.traffic.add(purpose, 4 * from.words as u64);
        Ok(vec![0; from.words])
    }

    fn run(&mut self, _recording: &Recording, _times: u32) -> Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }

    fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    fn max_binding_words(&self) -> usize {
        self.max_binding_words
    }

    fn winograd(&self) -> bool {
        self.winograd
    }

    fn allocated_bytes(&self) -> u64 {
        self.tally.bytes()
    }

    fn ranks(&self) -> usize {
        self.ranks
    }

    fn place(&mut self, rank: usize) {
        self.placed = rank;
    }
}
