//! A listening engine: records what a federation runs, without changes to the federation.

use crate::Result;
use crate::exec::{Engine, Launch, Recording};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// A recording that was run.
#[derive(Clone, Debug)]
pub struct Heard {
    /// [`Recording::id`].
    pub id: u64,
    /// Its launches.
    pub launches: Vec<Launch>,
    /// Executions so far.
    pub times: u64,
    /// Total seconds, if the tap waits for each recording.
    pub seconds: f64,
}

impl Heard {
    /// True for a training step, which adds its losses to the statistics.
    pub fn is_step(&self) -> bool {
        self.launches.last().is_some_and(|l| l.kernel.name() == "step_advance")
    }
}

/// What a tap has recorded.
#[derive(Debug, Default)]
struct Notes {
    heard: Vec<Heard>,
    once: bool,
    waits: bool,
}

/// A handle on a tap whose engine has been moved away.
#[derive(Clone, Debug, Default)]
pub struct Ear(Arc<Mutex<Notes>>);

impl Ear {
    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every recording so far, in the order of first execution.
    pub fn heard(&self) -> Vec<Heard> {
        self.notes().heard.clone()
    }

    /// Discards executions and seconds. From now on waits for each recording and times it if `waits`.
    pub fn time_each(&self, waits: bool) {
        let mut notes = self.notes();
        notes.waits = waits;
        notes.heard.iter_mut().for_each(|h| (h.times, h.seconds) = (0, 0.0));
    }

    /// From now on runs a recording only once, even if it is to be repeated, if `once`.
    pub fn run_once(&self, once: bool) {
        self.notes().once = once;
    }
}

/// A wrapping engine that keeps the recordings it runs.
pub struct Tap {
    inner: Box<dyn Engine>,
    ear: Ear,
}

impl Tap {
    /// Listens to `inner`.
    pub fn new(inner: Box<dyn Engine>) -> (Tap, Ear) {
        let ear = Ear::default();
        (Tap { inner, ear: ear.clone() }, ear)
    }
}

impl Engine for Tap {
    crate::forward_engine!(
        descriptor,
        alloc,
        write,
        read,
        timed,
        finish,
        traffic,
        max_binding_words,
        allocated_bytes,
        forget
    );

    fn run(&mut self, recording: &Recording, times: u32) -> Result<()> {
        let (once, waits) = {
            let notes = self.ear.notes();
            (notes.once, notes.waits)
        };
        let times = if once { times.min(1) } else { times };
        if waits {
            self.inner.finish()?;
        }
        let start = Instant::now();
        self.inner.run(recording, times)?;
        if waits {
            self.inner.finish()?;
        }
        let seconds = if waits { start.elapsed().as_secs_f64() } else { 0.0 };
        let mut notes = self.ear.notes();
        match notes.heard.iter_mut().find(|h| h.id == recording.id()) {
            Some(heard) => (heard.times, heard.seconds) = (heard.times + u64::from(times), heard.seconds + seconds),
            None => {
                let (id, launches) = (recording.id(), recording.launches().to_vec());
                notes.heard.push(Heard { id, launches, times: times.into(), seconds });
            }
        }
        Ok(())
    }
}
