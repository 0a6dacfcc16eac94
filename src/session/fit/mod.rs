//! Builds a plan's experiment so that it fits the device.

use super::Observer;
use super::memory::{MemoryPlan, Setup};
use super::parts::Parts;
use crate::check::watch::{Checked, Verifying};
use crate::error::count;
use crate::exec::{Engine, TallyEngine};
use crate::{Error, Result};
use std::sync::{Arc, Mutex};

/// An experiment on its device, and the findings of its engine's verification, if enabled.
pub(super) struct Built {
    pub parts: Parts,
    pub checked: Option<Arc<Mutex<Checked>>>,
    /// Of devices on other ranks.
    pub warnings: Vec<String>,
}

/// Builds the experiment on `engine` with launches as planned by `memory`. If they do not fit the device's memory and the plan
/// leaves the number of clients per launch open, tries again with half as many clients on a fresh engine from `open`, down to
/// one: wgpu does not report the amount of memory. One launch in `every` executions is verified (0: none).
///
/// # Errors
/// Errors of building the experiment; too little device memory, with the largest buffers and settings that would fit.
pub(super) fn build(
    setting: &Setup,
    mut memory: MemoryPlan,
    mut engine: Box<dyn Engine>,
    every: u32,
    open: &dyn Fn() -> Result<Box<dyn Engine>>,
    observer: &mut dyn Observer,
) -> Result<Built> {
    let fixed = setting.plan.federation.clients_per_launch;
    let (stand_in, _) = TallyEngine::of(engine.as_ref());
    loop {
        let (what, held) = match attempt(setting, &memory, engine, every, observer) {
            Err(Error::OutOfMemory { what, held }) => (what, held),
            other => return other,
        };
        if fixed.is_some() || memory.launch == 1 {
            // The engine held this much: a lower bound of what fits.
            let hint = setting.what_fits(&stand_in, &memory, held, |m| m.bytes <= held);
            return Err(Error::OutOfMemory { what: format!("{what}; {memory}: {hint}"), held });
        }
        let half = memory.launch / 2;
        observer.note(&format!("memory    {what}: trying again with {} per launch", count(half, "client")));
        let why = format!("the device could not hold {}", memory.launch);
        memory = MemoryPlan { why: Some(why), ..setting.predict(&stand_in, Some(half))? };
        observer.note(&format!("memory    {memory}"));
        engine = open()?;
        if engine.descriptor() != stand_in.descriptor() {
            let name = &stand_in.descriptor().adapter;
            return Err(Error::device(format!("{name} could not be reopened after: {what}")));
        }
    }
}

fn attempt(
    setting: &Setup,
    memory: &MemoryPlan,
    engine: Box<dyn Engine>,
    every: u32,
    observer: &mut dyn Observer,
) -> Result<Built> {
    let (engine, checked) = match setting.verified {
        true => {
            let mut watched = Verifying::new(engine, every, setting.plan.seed);
            watched.reserve(&memory.room)?;
            let found = watched.found();
            (Box::new(watched) as Box<dyn Engine>, Some(found))
        }
        false => (engine, None),
    };
    let (engine, warnings) = match setting.ranks {
        Some(ranks) => ranks.join(engine, setting.plan.federation.clients, observer)?,
        None => (engine, Vec::new()),
    };
    Ok(Built { parts: setting.build(engine, Some(memory.launch))?, checked, warnings })
}

#[cfg(test)]
mod tests;
