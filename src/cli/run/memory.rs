//! Memory, planned before anything is allocated.

use super::experiment::{Images, parts};
use crate::config::Plan;
use crate::exec::{Allocation, Descriptor, Engine, TallyEngine};
use crate::{Error, Result};
use std::collections::BTreeMap;

/// What an experiment allocates on its device, to the byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Memory {
    /// All of it.
    pub bytes: u64,
    /// The part that grows with the clients.
    pub of_clients: u64,
    /// Clients.
    pub clients: u32,
    /// The largest kinds of buffers, by label, largest first.
    pub largest: Vec<Allocation>,
}

impl Memory {
    /// Builds the experiment on an engine that only counts.
    ///
    /// # Errors
    /// What building it on `engine` would refuse: a client without a batch, a tensor beyond a binding.
    pub fn predict(plan: &Plan, images: &Images, engine: &dyn Engine) -> Result<Memory> {
        let (stand_in, tally) = TallyEngine::of(engine);
        let parts = parts(plan, images, Box::new(stand_in))?;
        let mut labels: BTreeMap<String, u64> = BTreeMap::new();
        for Allocation { label, bytes } in tally.allocations() {
            *labels.entry(label).or_default() += bytes;
        }
        let mut largest: Vec<Allocation> =
            labels.into_iter().map(|(label, bytes)| Allocation { label, bytes }).collect();
        largest.sort_by_key(|a| std::cmp::Reverse(a.bytes));
        largest.truncate(3);
        let federation = &parts.federation;
        let of_clients = federation.client_bytes() + federation.launch_bytes();
        let clients = federation.clients();
        Ok(Memory { bytes: tally.bytes(), of_clients, clients, largest })
    }

    /// Predicts, and refuses what the host's memory cannot hold where that is what the device uses.
    ///
    /// # Errors
    /// As [`Memory::predict`]; too little memory, with what dominates and what would fit.
    pub fn plan(plan: &Plan, images: &Images, engine: &dyn Engine) -> Result<Memory> {
        let memory = Memory::predict(plan, images, engine)?;
        if on_host(engine.descriptor())
            && let Some(available) = host_available()
        {
            memory.fit(available, plan, |smaller| Memory::predict(smaller, images, engine))?;
        }
        Ok(memory)
    }

    /// Refuses more than `available` bytes.
    fn fit(&self, available: u64, plan: &Plan, predict: impl Fn(&Plan) -> Result<Memory>) -> Result<()> {
        if self.bytes <= available {
            return Ok(());
        }
        let each = self.of_clients / u64::from(self.clients.max(1));
        let shared = self.bytes - self.of_clients;
        let mut fits = Vec::new();
        let clients = available.saturating_sub(shared) / each.max(1);
        if clients >= 1 {
            fits.push(format!("federation.clients={clients}"));
        }
        let halves = |value: u32| std::iter::successors(Some(value / 2), |v| Some(v / 2)).take_while(|v| *v > 0);
        let mut first = |key: &str, value: u32, set: &dyn Fn(&mut Plan, u32)| {
            let found = halves(value).find(|smaller| {
                let mut plan = plan.clone();
                set(&mut plan, *smaller);
                predict(&plan).is_ok_and(|m| m.bytes <= available)
            });
            fits.extend(found.map(|v| format!("{key}={v}")));
        };
        first("train.batch", plan.train.batch, &|p, v| p.train.batch = v);
        first("model.width", plan.model.width, &|p, v| p.model.width = v);
        let hint = match fits.len() {
            0 => "no single smaller setting fits".to_string(),
            _ => format!("{} would fit", fits.join(" or ")),
        };
        Err(Error::input(format!("{self}, and {} are free: {hint}", mib(available))))
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let each = self.of_clients / u64::from(self.clients.max(1));
        let largest: Vec<String> = self.largest.iter().map(|a| format!("{} {}", a.label, mib(a.bytes))).collect();
        write!(
            f,
            "{} on the device, {} a client and {} shared; most of it: {}",
            mib(self.bytes),
            mib(each),
            mib(self.bytes - self.of_clients),
            largest.join(", ")
        )
    }
}

fn mib(bytes: u64) -> String {
    match bytes >> 20 {
        0..10 => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        mib => format!("{mib} MiB"),
    }
}

/// Whether the device's memory is the host's.
fn on_host(descriptor: &Descriptor) -> bool {
    descriptor.device_type == "Cpu"
}

/// Free memory of the host, or of the control group that the process is confined to; `None` where the system does not say.
fn host_available() -> Option<u64> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let free = system.available_memory();
    let confined = system.cgroup_limits().map_or(u64::MAX, |limits| limits.free_memory);
    Some(free.min(confined)).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Overrides};
    use crate::exec::CpuEngine;

    fn setup(set: &[&str]) -> (Plan, Images) {
        let tiny = ["model.image_size=16", "model.width=4", "train.batch=8", "federation.clients=3"];
        let set = tiny.iter().chain(set).map(|s| s.to_string()).collect();
        let plan = config::load(None, &Overrides { set, ..Overrides::default() }).unwrap();
        let images = Images::load(&plan).unwrap();
        (plan, images)
    }

    /// The gpu engine counts what it allocates, rounded up to its bindings' grain.
    #[test]
    fn the_prediction_is_what_is_allocated() {
        for set in [vec![], vec!["train.loss=wgan-gp", "train.optimizer=rmsprop", "detection.kind=isolation-forest"]] {
            let (plan, images) = setup(&set);
            let (engine, _) = crate::gpu::open("gpu", crate::gpu::GpuOptions::default()).unwrap();
            let memory = Memory::predict(&plan, &images, engine.as_ref()).unwrap();
            let mut real = parts(&plan, &images, engine).unwrap();
            let allocated = real.federation.engine().allocated_bytes();
            assert!(memory.bytes <= allocated && allocated < memory.bytes + 64 * 1024, "{memory:?} {allocated}");
        }
    }

    #[test]
    fn too_little_memory_says_what_would_fit() {
        let (plan, images) = setup(&["model.width=16", "train.batch=32"]);
        let engine = CpuEngine::new();
        let memory = Memory::predict(&plan, &images, &engine).unwrap();
        assert!(memory.of_clients > memory.bytes / 2 && memory.largest.len() == 3, "{memory:?}");
        let predict = |p: &Plan| Memory::predict(p, &images, &engine);
        memory.fit(memory.bytes, &plan, predict).unwrap();
        let error = memory.fit(memory.bytes * 4 / 5, &plan, predict).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        for part in
            ["MiB a client", "most of it: ", "federation.clients=2 or train.batch=16 or model.width=8 would fit"]
        {
            assert!(text.contains(part), "{part} not in {text}");
        }
        let text = memory.fit(1000, &plan, predict).unwrap_err().to_string();
        assert!(text.contains("no single smaller setting fits"), "{text}");
    }
}
