//! Verifies a random launch of a run from time to time, on another thread while the run continues.

use super::differential::describe_launch;
use super::{Compared, Elements, compare};
use crate::check::fill::Random;
use crate::check::run::Worst;
use crate::error::count;
use crate::exec::{Engine, Launch, Purpose, Recording, Tensor};
use crate::kernels::util::copy::CopyParams;
use crate::kernels::{Access, Params, find};
use crate::{Error, Result};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

/// Default number of executions per verification.
pub const DEFAULT_EVERY: u32 = 100;
/// Executions within which the first verification takes place.
const SOON: u32 = 10;
/// Output elements compared per verified launch.
pub const SAMPLED: usize = 256;
/// A launch whose operands exceed this is not snapshotted: 256 MiB.
const LARGEST: usize = 64 << 20;
/// Label of the snapshots' buffers.
pub const SNAPSHOT: &str = "verification snapshot";

/// The results of verification so far.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Checked {
    /// Launches verified.
    pub launches: u64,
    /// Output elements compared.
    pub elements: u64,
    /// Percentage of its bound used by the worst element.
    pub percent: f64,
    /// The launch of that element.
    pub label: String,
    /// Selected launches whose operands are too large for a snapshot.
    pub too_large: u64,
}

impl Checked {
    /// The combined results of two processes of one run.
    pub fn and(self, later: Checked) -> Checked {
        let worst = if later.label.is_empty() || self.percent >= later.percent { &self } else { &later };
        let (percent, label) = (worst.percent, worst.label.clone());
        Checked {
            launches: self.launches + later.launches,
            elements: self.elements + later.elements,
            percent,
            label,
            too_large: self.too_large + later.too_large,
        }
    }
}

impl std::fmt::Display for Checked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.launches {
            0 => write!(f, "no launch was verified")?,
            n => write!(
                f,
                "{} at random, {} against the reference; the worst uses {:.1} % of its bound ({})",
                count(n, "launch"),
                count(self.elements, "element"),
                self.percent,
                self.label
            )?,
        }
        match self.too_large {
            0 => Ok(()),
            n => write!(f, "; {n} more were too large for a snapshot"),
        }
    }
}

/// A check in progress.
type Check = JoinHandle<Result<(Compared, Launch)>>;

/// A wrapping engine. Of every `every` executions of recordings (training steps, and the few others of a round) one is
/// drawn at random, and one of its launches: its operands are copied on the device before and after it and read back
/// after the execution, and [`SAMPLED`] output elements are compared with the reference on another thread. Results of
/// the run do not change. A failure ends the run at its next execution, or at [`Engine::finish`].
pub struct Verifying {
    inner: Box<dyn Engine>,
    every: u32,
    random: Random,
    /// Executions so far in this window, and the drawn one.
    at: u32,
    drawn: u32,
    /// Snapshot buffers, the largest first.
    room: Vec<Tensor>,
    check: Option<Check>,
    found: Arc<Mutex<Checked>>,
}

impl Verifying {
    /// Watches `inner`: verifies one execution in `every` (at least 1), drawn from `seed`.
    pub fn new(inner: Box<dyn Engine>, every: u32, seed: u64) -> Self {
        let every = every.max(1);
        let mut random = Random::new(seed, "verify", &[], 0);
        // The first comes early, so that short runs are also verified.
        let drawn = random.below(every.min(SOON));
        Verifying { inner, every, random, at: 0, drawn, room: Vec::new(), check: None, found: Arc::default() }
    }

    /// The results, also after the engine has been moved away.
    pub fn found(&self) -> Arc<Mutex<Checked>> {
        self.found.clone()
    }

    fn checked(&self) -> MutexGuard<'_, Checked> {
        self.found.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes the result of the check in progress: waits for it, or leaves it running.
    fn settle(&mut self, wait: bool) -> Result<()> {
        if !self.check.as_ref().is_some_and(|check| wait || check.is_finished()) {
            return Ok(());
        }
        let Some(check) = self.check.take() else { return Ok(()) };
        let (compared, launch) = check.join().map_err(|_| Error::internal("the verifying thread panicked"))??;
        let mut found = self.checked();
        found.launches += 1;
        found.elements += compared.elements as u64;
        if let Some(worst) = &compared.worst
            && (found.label.is_empty() || !(worst.percent <= found.percent))
        {
            let Worst { percent, .. } = worst;
            found.percent = *percent;
            found.label.clone_from(&launch.label);
        }
        match compared.failure {
            None => Ok(()),
            Some(failure) => Err(Error::Verdict(format!(
                "verification: the device and the reference disagree in launch {}",
                describe_launch(&launch, &failure)
            ))),
        }
    }

    /// Counts an execution; true if it is the one to verify.
    fn due(&mut self) -> bool {
        let due = self.at == self.drawn;
        self.at += 1;
        if self.at == self.every {
            self.at = 0;
            self.drawn = self.random.below(self.every);
        }
        due
    }

    /// How many of the next `times` executions come before the one to verify.
    fn plain(&mut self, times: u32) -> u32 {
        let mut plain = 0;
        while plain < times && !self.due() {
            plain += 1;
        }
        plain
    }

    /// Allocates the snapshots for the coming recordings ([`room_for`]), so that nothing is allocated during the run.
    ///
    /// # Errors
    /// As [`Engine::alloc`].
    pub fn reserve(&mut self, room: &[usize]) -> Result<()> {
        self.room = room.iter().map(|words| self.inner.alloc(SNAPSHOT, *words)).collect::<Result<_>>()?;
        Ok(())
    }

    /// The first `words` words of snapshot buffer `at`, which is reallocated if it is smaller.
    fn snapshot_buffer(&mut self, at: usize, words: usize) -> Result<Tensor> {
        if self.room.get(at).is_none_or(|t| t.words < words) {
            let tensor = self.inner.alloc(SNAPSHOT, words.next_power_of_two())?;
            match self.room.get_mut(at) {
                Some(smaller) => *smaller = tensor,
                None => self.room.push(tensor),
            }
        }
        Ok(self.room[at].slice(0, words))
    }

    /// Executes the recording with snapshots around one of its launches, and starts the check.
    fn verify(&mut self, recording: &Recording) -> Result<()> {
        let launches = recording.launches();
        if launches.is_empty() {
            return self.inner.run(recording, 1);
        }
        let chosen = self.random.below(launches.len() as u32) as usize;
        let launch = &launches[chosen];
        let Some(copied) = copied(launch) else {
            self.checked().too_large += 1;
            return self.inner.run(recording, 1);
        };
        let mut buffers = vec![None; copied.len()];
        for (at, which) in by_size(&copied).into_iter().enumerate() {
            buffers[which] = Some(self.snapshot_buffer(at, copied[which].words)?);
        }
        let pairs = copied.into_iter().zip(buffers.into_iter().flatten());
        let mut snapshots: Vec<(Tensor, Tensor, &str)> = pairs.map(|(from, to)| (from, to, "before")).collect();
        let mut outputs = snapshots.split_off(launch.args.len());
        outputs.iter_mut().for_each(|output| output.2 = "after");
        let bindings = launch.kernel.bindings();
        let mut watched = Recording::new();
        let add = |watched: &mut Recording, l: &Launch| {
            watched.launch_words(l.kernel, l.params.clone(), &l.args, l.label.clone())
        };
        for (at, l) in launches.iter().enumerate() {
            if at == chosen {
                snapshot(&mut watched, &snapshots, &l.label)?;
            }
            add(&mut watched, l)?;
            if at == chosen {
                snapshot(&mut watched, &outputs, &l.label)?;
            }
        }
        self.inner.run(&watched, 1)?;
        let before = snapshots.iter().map(|s| self.inner.read(s.1, Purpose::Check)).collect::<Result<Vec<_>>>()?;
        let mut written = outputs.iter().map(|s| self.inner.read(s.1, Purpose::Check)).collect::<Result<Vec<_>>>()?;
        self.inner.forget(&watched);
        // The previous check must finish first: one thread at a time.
        self.settle(true)?;
        let after: Vec<Vec<u32>> = bindings
            .iter()
            .map(|b| if b.access == Access::ReadWrite { written.remove(0) } else { Vec::new() })
            .collect();
        let (launch, seed) = (launch.clone(), self.random.bits());
        self.check = Some(std::thread::spawn(move || {
            let before: Vec<&[u32]> = before.iter().map(Vec::as_slice).collect();
            let after: Vec<&[u32]> = after.iter().map(Vec::as_slice).collect();
            let compared = compare(&launch, &before, &after, Elements::Sample { count: SAMPLED, seed })?;
            Ok((compared, launch))
        }));
        Ok(())
    }
}

/// The tensors to copy for a launch: its operands before it, then its outputs after it; `None` if they are too large.
fn copied(launch: &Launch) -> Option<Vec<Tensor>> {
    let outputs = launch.args.iter().zip(launch.kernel.bindings()).filter(|(_, b)| b.access == Access::ReadWrite);
    let fits = launch.args.iter().map(|t| t.words).sum::<usize>() <= LARGEST;
    fits.then(|| launch.args.iter().chain(outputs.map(|(arg, _)| arg)).copied().collect())
}

/// Indices of `tensors`, the largest first.
fn by_size(tensors: &[Tensor]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(tensors[*i].words));
    order
}

/// Words of the buffers for snapshots of any launch of `recordings`, the largest first: for [`Verifying::reserve`] and
/// for memory plans. Reading them back for a check takes at most as much on the host.
pub fn room_for<'a>(recordings: impl IntoIterator<Item = &'a Recording>) -> Vec<usize> {
    let mut room = Vec::new();
    for copied in recordings.into_iter().flat_map(Recording::launches).filter_map(copied) {
        for (at, which) in by_size(&copied).into_iter().enumerate() {
            match room.get_mut(at) {
                Some(words) => *words = copied[which].words.max(*words),
                None => room.push(copied[which].words),
            }
        }
    }
    room
}

/// Records copies of operands to their snapshots.
fn snapshot(recording: &mut Recording, pairs: &[(Tensor, Tensor, &str)], label: &str) -> Result<()> {
    let copy = find("copy").ok_or_else(|| Error::internal("no kernel `copy`"))?;
    for (from, to, when) in pairs {
        let n = u32::try_from(from.words).map_err(|_| Error::internal("a snapshot beyond u32"))?;
        let params = CopyParams { clients: 1, n, x_stride: n, y_stride: n };
        recording.launch_words(copy, params.words(), &[*from, *to], format!("{label}: snapshot {when}"))?;
    }
    Ok(())
}

impl Engine for Verifying {
    crate::forward_engine!(descriptor, alloc, write, read, traffic, max_binding_words, allocated_bytes, forget);

    fn run(&mut self, recording: &Recording, times: u32) -> Result<()> {
        let mut left = times;
        while left > 0 {
            self.settle(false)?;
            let plain = self.plain(left);
            if plain > 0 {
                self.inner.run(recording, plain)?;
            }
            left -= plain;
            if left > 0 {
                self.verify(recording)?;
                left -= 1;
            }
        }
        Ok(())
    }

    /// Also waits for the check in progress.
    fn finish(&mut self) -> Result<()> {
        self.settle(true)?;
        self.inner.finish()
    }
}
