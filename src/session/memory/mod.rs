//! The memory plan, made before anything is allocated.

use super::images::Images;
use super::parts::{Parts, parts};
use super::ranks::Ranks;
use crate::check::watch::{SNAPSHOT, room_for};
use crate::config::Plan;
use crate::error::count;
use crate::error::size;
use crate::exec::{Allocation, Descriptor, Engine, TallyEngine, cpu};
use crate::metric::host_bytes;
use crate::{Error, Result};
use std::collections::BTreeMap;

/// The memory that an experiment allocates on its device, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MemoryPlan {
    /// Total, including snapshots.
    pub bytes: u64,
    /// Persistent memory of all clients.
    pub of_clients: u64,
    /// Step-local memory of the largest launch.
    pub of_launch: u64,
    /// Clients.
    pub clients: u32,
    /// Largest number of clients per launch.
    pub launch: u32,
    /// Sizes in words of the buffers for the operands of a verified launch; empty without verification.
    pub room: Vec<usize>,
    /// Upper bound of further host memory: snapshots read back, the cpu engine's scratch, and the metrics' data.
    pub host: u64,
    /// The part for metrics: features, patches and some whole images.
    pub evaluating: u64,
    /// The labels that take the most memory, largest first.
    pub largest: Vec<Allocation>,
    /// Why a launch does not have more clients, if memory is the reason.
    pub why: Option<String>,
}

/// The inputs of a memory plan.
#[derive(Clone, Copy)]
pub(super) struct Setup<'a> {
    pub plan: &'a Plan,
    pub images: &'a Images,
    /// Whether launches are verified.
    pub verified: bool,
    /// Other processes that train clients.
    pub ranks: Option<&'a Ranks>,
}

impl Setup<'_> {
    /// The parts of the experiment on `engine`, with `launch` clients per launch if the plan leaves that open.
    pub fn build(&self, engine: Box<dyn Engine>, launch: Option<u32>) -> Result<Parts> {
        let mut plan = self.plan.clone();
        plan.federation.clients_per_launch = plan.federation.clients_per_launch.or(launch);
        parts(&plan, self.images, engine)
    }

    /// Builds the experiment on an engine that only counts memory.
    ///
    /// # Errors
    /// The errors of building it on `engine`: a client with less than a batch, a tensor too large for a binding.
    pub fn predict(&self, engine: &dyn Engine, launch: Option<u32>) -> Result<MemoryPlan> {
        let (stand_in, tally) = TallyEngine::of(engine);
        let stand_in = stand_in.spread(self.ranks.map_or(1, Ranks::count));
        let parts = self.build(Box::new(stand_in), launch)?;
        let own = || parts.recordings().filter(|rec| rec.rank().unwrap_or(0) == 0);
        let room = if self.verified { room_for(own()) } else { Vec::new() };
        let snapshots = 4 * room.iter().sum::<usize>() as u64;
        let scratch = match engine.descriptor().engine.as_str() {
            "cpu" => own().map(cpu::scratch_bytes).max().unwrap_or(0),
            _ => 0,
        };
        let (model, samples) = (&self.plan.model, self.plan.evaluation.samples as usize);
        let shape = (model.image_size as usize, model.channels as usize);
        let counts = [samples, self.images.references(), self.images.trained()];
        let evaluating = host_bytes(&self.plan.metrics(), counts, shape, self.images.features());
        let mut labels = BTreeMap::from([(SNAPSHOT.to_string(), snapshots)]);
        for Allocation { label, bytes } in tally.allocations() {
            *labels.entry(label).or_default() += bytes;
        }
        let mut largest: Vec<Allocation> =
            labels.into_iter().map(|(label, bytes)| Allocation { label, bytes }).collect();
        largest.sort_by_key(|a| std::cmp::Reverse(a.bytes));
        largest.truncate(3);
        let federation = &parts.federation;
        Ok(MemoryPlan {
            bytes: tally.bytes() + snapshots,
            of_clients: federation.client_bytes(),
            of_launch: federation.launch_bytes(),
            clients: federation.clients(),
            launch: federation.clients_per_launch(),
            room,
            host: snapshots + scratch + evaluating,
            evaluating,
            largest,
            why: None,
        })
    }

    /// Predicts the memory. If the device shares the host's memory, all clients in one launch do not fit, and the plan leaves
    /// the number per launch open, chooses the largest launches that fit.
    ///
    /// # Errors
    /// As [`Setup::predict`]; too little memory, with the largest buffers and settings that would fit.
    pub fn memory(&self, engine: &dyn Engine) -> Result<MemoryPlan> {
        // Ranks of one node take about as much each.
        let available =
            || host_available().map(|free| free / self.ranks.map_or(1, |ranks| ranks.workers.on_node() as u64));
        match available().filter(|_| on_host(engine.descriptor())) {
            Some(available) => self.within(engine, available),
            None => {
                let memory = self.predict(engine, None)?;
                match available() {
                    Some(free) if memory.host > free => Err(Error::input(format!(
                        "{} on the host, {} of it for evaluation.samples = {}, where {} are free: choose fewer samples",
                        size(memory.host),
                        size(memory.evaluating),
                        self.plan.evaluation.samples,
                        size(free)
                    ))),
                    _ => Ok(memory),
                }
            }
        }
    }

    /// The largest launches that fit in `available` bytes of host memory.
    fn within(&self, engine: &dyn Engine, available: u64) -> Result<MemoryPlan> {
        let fits = |m: &MemoryPlan| m.bytes + m.host <= available;
        let whole = self.predict(engine, None)?;
        if fits(&whole) {
            return Ok(whole);
        }
        let free = size(available);
        // A number set by the user is not changed.
        let least = match self.plan.federation.clients_per_launch {
            Some(_) => whole.clone(),
            None => self.predict(engine, Some(1))?,
        };
        if !fits(&least) {
            let hint = self.what_fits(engine, &least, available, fits);
            let (host, evaluating, samples) = (size(least.host), size(least.evaluating), self.plan.evaluation.samples);
            return Err(Error::input(format!(
                "{least}; {host} more on the host, {evaluating} of it for evaluation.samples = {samples}, where {free} are free: {hint}"
            )));
        }
        let (mut best, mut low, mut high) = (least, 2, whole.launch - 1);
        while low <= high {
            let middle = low.midpoint(high);
            match self.predict(engine, Some(middle))? {
                m if fits(&m) => (best, low) = (m, middle + 1),
                _ => high = middle - 1,
            }
        }
        let all = size(whole.bytes + whole.host);
        Ok(MemoryPlan { why: Some(format!("{} would take {all}, and {free} are free", whole.launch)), ..best })
    }

    /// Single settings that `fits` accepts, in words; `whole` is the plan that does not fit in `available` bytes.
    pub fn what_fits(
        &self,
        engine: &dyn Engine,
        whole: &MemoryPlan,
        available: u64,
        fits: impl Fn(&MemoryPlan) -> bool,
    ) -> String {
        let halves = |value: u32| std::iter::successors(Some(value / 2), |v| Some(v / 2)).take_while(|v| *v > 0);
        let first = |key: &str, value: u32, set: &dyn Fn(&mut Plan, u32)| {
            let found = halves(value).find(|value| {
                let mut plan = self.plan.clone();
                set(&mut plan, *value);
                // If the plan leaves it open, launches shrink as needed.
                Setup { plan: &plan, ..*self }.predict(engine, Some(1)).is_ok_and(|m| fits(&m))
            });
            found.map(|v| format!("{key}={v}"))
        };
        let launch = self.plan.federation.clients_per_launch.and_then(|_| {
            let key = "federation.clients_per_launch";
            first(key, whole.launch, &|p, v| p.federation.clients_per_launch = Some(v))
        });
        let clients = whole.clients_that_fit(available, self.plan.federation.clients_per_launch.is_some());
        let found = [
            launch,
            clients.map(|n| format!("federation.clients={n}")),
            first("train.batch", self.plan.train.batch, &|p, v| p.train.batch = v),
            first("model.width", self.plan.model.width, &|p, v| p.model.width = v),
        ];
        let found: Vec<String> = found.into_iter().flatten().collect();
        match found.len() {
            0 => "no single smaller setting fits".to_string(),
            _ => format!("{} would fit", found.join(" or ")),
        }
    }
}

impl MemoryPlan {
    fn each(&self) -> [u64; 2] {
        [self.of_clients / u64::from(self.clients.max(1)), self.of_launch / u64::from(self.launch.max(1))]
    }

    fn snapshots(&self) -> u64 {
        4 * self.room.iter().sum::<usize>() as u64
    }

    /// How many clients would fit, if any: with launches as now, or one client per launch.
    fn clients_that_fit(&self, available: u64, launches_are_fixed: bool) -> Option<u32> {
        let [kept, in_launch] = self.each();
        let rest = self.bytes + self.host - self.of_clients - self.of_launch;
        let launch = if launches_are_fixed { self.launch } else { 1 };
        let of = |n: u32| rest + u64::from(n) * kept + u64::from(n.min(launch)) * in_launch;
        (1..self.clients).rev().find(|n| of(*n) <= available)
    }
}

impl std::fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [kept, in_launch] = self.each();
        let snapshots = self.snapshots();
        let shared = self.bytes - self.of_clients - self.of_launch - snapshots;
        let largest: Vec<String> = self.largest.iter().map(|a| format!("{} {}", a.label, size(a.bytes))).collect();
        write!(
            f,
            "{} on the device: {} kept by each of {}, {} more by each of the {} in a launch, {} for verification, \
             {} shared; most of it: {}",
            size(self.bytes),
            size(kept),
            count(self.clients, "client"),
            size(in_launch),
            self.launch,
            size(snapshots),
            size(shared),
            largest.join(", ")
        )?;
        match &self.why {
            Some(why) => write!(f, "; {} per launch, as {why}", count(self.launch, "client")),
            None => Ok(()),
        }
    }
}

/// Whether the device shares the host's memory.
fn on_host(descriptor: &Descriptor) -> bool {
    descriptor.device_type == "Cpu"
}

/// Free memory in bytes of the host, or of the process's control group; `None` if the system does not report it.
fn host_available() -> Option<u64> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let free = system.available_memory();
    let confined = system.cgroup_limits().map_or(u64::MAX, |limits| limits.free_memory);
    Some(free.min(confined)).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
pub(super) mod tests;
