//! Runs whose clients train in several processes.

use super::tuned::Tuned;
use super::{Observer, Silent};
use crate::exec::{Cluster, Descriptor, Engine, Link, Open, RemoteEngine};
use crate::{Result, gpu};
use std::sync::Arc;

/// The other ranks of a run, whose processes execute [`serve`](crate::exec::serve).
pub trait Workers: std::fmt::Debug {
    /// Links to all of them, in the order of their ranks; a session may ask again.
    fn links(&self) -> Vec<Box<dyn Link>>;

    /// Ranks that share this process's host memory, rank 0 included.
    fn on_node(&self) -> usize {
        1
    }
}

/// The workers of a session, and the devices that they open.
#[derive(Clone, Debug)]
pub(super) struct Ranks {
    pub workers: Arc<dyn Workers>,
    pub open: Open,
}

/// Engines as one, and warnings about them.
type Joined = (Box<dyn Engine>, Vec<String>);

impl Ranks {
    /// Number of ranks, rank 0 included.
    pub fn count(&self) -> usize {
        1 + self.workers.links().len()
    }

    /// Opens the workers' devices and joins them with `own`, for so many `clients`. Also returns warnings of devices that differ from
    /// rank 0's.
    ///
    /// # Errors
    /// Those of a worker, naming its rank.
    pub fn join(&self, own: Box<dyn Engine>, clients: u32, observer: &mut dyn Observer) -> Result<Joined> {
        let (mut workers, mut warnings) = (RemoteEngine::open_all(self.workers.links(), &self.open)?, Vec::new());
        if workers.is_empty() {
            return Ok((own, warnings));
        }
        let (all, train) = (1 + workers.len(), (1 + workers.len()).min(clients as usize));
        let idle = if train < all { format!(", of which {train} train") } else { String::new() };
        observer.note(&format!("ranks     {all}{idle}; the memory is that of rank 0"));
        workers.truncate(train - 1);
        for (rank, worker) in (1..).zip(&workers) {
            if !alike(own.descriptor(), worker.descriptor()) || own.winograd() != worker.winograd() {
                warnings.push(format!(
                    "rank {rank} has {}, rank 0 {}: results depend on which clients train where",
                    named(worker.descriptor()),
                    named(own.descriptor())
                ));
            }
        }
        Ok((Box::new(Cluster::new(own, workers)), warnings))
    }
}

/// Opens a worker's device, with the adapter's tuning file if there is one and `tuned`.
///
/// # Errors
/// As [`gpu::open`].
pub fn open(device: &str, tuned: bool) -> Result<Box<dyn Engine>> {
    let tuned = if tuned { Tuned::find(device, &mut Silent)? } else { None };
    Ok(gpu::open(device, Tuned::options(tuned.as_ref()))?.0)
}

/// Whether two devices give the same bits: the same model with the same driver.
fn alike(a: &Descriptor, b: &Descriptor) -> bool {
    let general = |d: &Descriptor| Descriptor { address: String::new(), ..d.clone() };
    general(a) == general(b)
}

fn named(d: &Descriptor) -> String {
    match d.engine.as_str() {
        "gpu" => format!("{} ({}, {}, {})", d.adapter, d.backend, d.driver, d.variant),
        _ => format!("the {} engine ({})", d.engine, d.adapter),
    }
}
