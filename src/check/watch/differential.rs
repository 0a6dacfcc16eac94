//! Every launch of a run on the device and in the reference, both with the device's inputs.

use super::{Elements, compare, place};
use crate::check::Style;
use crate::check::run::{Failure, Worst};
use crate::check::suite::worse;
use crate::exec::{Engine, Launch, Purpose, Recording, Tensor};
use crate::kernels::Access;
use crate::{Error, Result};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

/// The results of one kernel's launches.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Launches compared.
    pub launches: usize,
    /// Elements compared.
    pub elements: usize,
    /// The element that uses the largest share of its bound.
    pub worst: Option<Worst>,
    /// The label of its launch.
    pub label: String,
    /// The [`Health`](crate::check::Health) of the least healthy launch.
    pub health: Option<f64>,
    /// Wall time of launch and reference.
    pub seconds: f64,
}

/// The progress of a differential run, reported before each launch.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Launches compared before this one.
    pub done: usize,
    /// The launch's label.
    pub label: String,
}

/// What a differential run has found so far.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// By kernel.
    pub kernels: BTreeMap<&'static str, Found>,
    /// Launches compared.
    pub launches: usize,
    /// Why the run stopped.
    pub failure: Option<String>,
}

type Tell = Box<dyn Fn(&Progress)>;

/// A wrapping engine that runs recordings launch by launch and compares every output with the reference, evaluated on
/// the device's data from before the launch. The first output outside its bound ends the run. The host keeps a copy of
/// every buffer and compares it with the device after every execution, which detects changes outside the outputs.
pub struct Differential {
    inner: Box<dyn Engine>,
    elements: Option<usize>,
    /// All of every buffer, and its contents; `None` if it must be read first.
    buffers: Vec<(Tensor, String, Option<Vec<u32>>)>,
    /// Recordings of one launch each, by the id of the original recording.
    single: HashMap<u64, Vec<Recording>>,
    log: Arc<Mutex<Log>>,
    tell: Tell,
}

impl Differential {
    /// Watches `inner`; compares `elements` of each launch (`None`: all). `tell` is called before each launch.
    pub fn new(inner: Box<dyn Engine>, elements: Option<usize>, tell: Tell) -> Self {
        Differential { inner, elements, buffers: Vec::new(), single: HashMap::new(), log: Arc::default(), tell }
    }

    /// The results, also after the engine has been moved away.
    pub fn log(&self) -> Arc<Mutex<Log>> {
        self.log.clone()
    }

    fn found(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Makes sure that the host has a copy of a buffer.
    fn load(&mut self, buffer: usize) -> Result<()> {
        let (tensor, _, copy) = &mut self.buffers[buffer];
        if copy.is_none() {
            *copy = Some(self.inner.read(*tensor, Purpose::Check)?);
        }
        Ok(())
    }

    fn view(&self, tensor: Tensor) -> &[u32] {
        let copy = self.buffers[tensor.buffer.0 as usize].2.as_deref().unwrap_or(&[]);
        &copy[tensor.offset..tensor.offset + tensor.words]
    }

    fn launch(&mut self, recording: &Recording, at: usize) -> Result<()> {
        let started = std::time::Instant::now();
        let launch = &recording.launches()[at];
        let done = self.found().launches;
        (self.tell)(&Progress { done, label: launch.label.clone() });
        for tensor in &launch.args {
            self.load(tensor.buffer.0 as usize)?;
        }
        self.inner.run(&self.single[&recording.id()][at], 1)?;
        let after: Vec<Vec<u32>> =
            launch.args.iter().map(|t| self.inner.read(*t, Purpose::Check)).collect::<Result<_>>()?;
        let which = match self.elements {
            None => Elements::All,
            Some(count) => Elements::Sample { count, seed: done as u64 },
        };
        let before: Vec<&[u32]> = launch.args.iter().map(|t| self.view(*t)).collect();
        let views: Vec<&[u32]> = after.iter().map(Vec::as_slice).collect();
        let mut compared = compare(launch, &before, &views, which)?;
        compared.failure = compared.failure.or_else(|| read_only(launch, &before, &views));
        for (tensor, words) in launch.args.iter().zip(&after) {
            if let Some(copy) = &mut self.buffers[tensor.buffer.0 as usize].2 {
                copy[tensor.offset..tensor.offset + tensor.words].copy_from_slice(words);
            }
        }
        let mut log = self.found();
        log.launches += 1;
        let row = log.kernels.entry(launch.kernel.name()).or_default();
        row.launches += 1;
        row.elements += compared.elements;
        row.health = worse(row.health, compared.health.value());
        row.seconds += started.elapsed().as_secs_f64();
        if let Some(worst) = compared.worst
            && row.worst.as_ref().is_none_or(|w| !(worst.percent <= w.percent))
        {
            row.worst = Some(worst);
            row.label.clone_from(&launch.label);
        }
        match compared.failure {
            None => Ok(()),
            Some(failure) => {
                let what = describe(recording, at, &failure);
                log.failure = Some(what.clone());
                Err(Error::Verdict(what))
            }
        }
    }

    /// Compares every buffer that the recording touches with the host's copy.
    fn untouched(&mut self, recording: &Recording) -> Result<()> {
        let mut touched: Vec<usize> =
            recording.launches().iter().flat_map(|l| &l.args).map(|t| t.buffer.0 as usize).collect();
        touched.sort_unstable();
        touched.dedup();
        for buffer in touched {
            let (tensor, label, copy) = &self.buffers[buffer];
            let Some(copy) = copy else { continue };
            let now = self.inner.read(*tensor, Purpose::Check)?;
            if let Some(word) = now.iter().zip(copy).position(|(a, b)| a != b) {
                let what = format!(
                    "word {word} of buffer `{label}` changed from {:#010x} to {:#010x} while {} launches ran, and no launch \
                     that may write it did (the first is `{}`)",
                    copy[word],
                    now[word],
                    recording.launches().len(),
                    recording.launches().first().map_or("", |l| &l.label)
                );
                self.found().failure = Some(what.clone());
                return Err(Error::Verdict(what));
            }
        }
        Ok(())
    }
}

/// The first read-only operand that changed.
fn read_only(launch: &Launch, before: &[&[u32]], after: &[&[u32]]) -> Option<Failure> {
    let read = launch.kernel.bindings().iter().enumerate().filter(|(_, b)| b.access == Access::Read);
    read.into_iter().find_map(|(slot, binding)| {
        let index = before[slot].iter().zip(after[slot]).position(|(a, b)| a != b)?;
        Some(Failure::ReadOnly { binding: binding.name.into(), index })
    })
}

/// Describes the launch, its position in the recording, the element and its position in the tensor, and how to test the
/// kernel alone.
pub(super) fn describe(recording: &Recording, at: usize, failure: &Failure) -> String {
    let launch = &recording.launches()[at];
    let of = recording.launches().len();
    format!("launch {} of {of}, {}", at + 1, describe_launch(launch, failure))
}

pub(super) fn describe_launch(launch: &Launch, failure: &Failure) -> String {
    let Launch { kernel, params, label, .. } = launch;
    let whole = match failure {
        Failure::Wrong(Worst { binding, index, .. })
        | Failure::Changed { binding, index }
        | Failure::ReadOnly { binding, index } => {
            format!("\n  which is {}", place(*kernel, params, binding, *index))
        }
        _ => String::new(),
    };
    let repro = crate::check::Repro { kernel: *kernel, params: params.clone(), seed: 0, style: Style::default() };
    format!(
        "`{label}`, kernel `{}`:\n  {failure}{whole}\n  the same shape with random inputs: fedgan validate '{repro}'",
        kernel.name()
    )
}

impl Engine for Differential {
    crate::forward_engine!(descriptor, read, finish, traffic, max_binding_words, allocated_bytes);

    fn alloc(&mut self, label: &str, words: usize) -> Result<Tensor> {
        let tensor = self.inner.alloc(label, words)?;
        let at = tensor.buffer.0 as usize;
        if at != self.buffers.len() {
            return Err(Error::internal(format!("buffer {at} of `{label}` is not the next one")));
        }
        self.buffers.push((tensor, label.to_string(), None));
        Ok(tensor)
    }

    fn write(&mut self, to: Tensor, words: &[u32]) -> Result<()> {
        self.inner.write(to, words)?;
        if let Some(copy) = &mut self.buffers[to.buffer.0 as usize].2 {
            copy[to.offset..to.offset + words.len()].copy_from_slice(words);
        }
        Ok(())
    }

    fn run(&mut self, recording: &Recording, times: u32) -> Result<()> {
        if let Entry::Vacant(entry) = self.single.entry(recording.id()) {
            let single = recording.launches().iter().map(|l| {
                let mut one = Recording::new();
                one.launch_words(l.kernel, l.params.clone(), &l.args, l.label.clone()).map(|()| one)
            });
            entry.insert(single.collect::<Result<_>>()?);
        }
        for _ in 0..times {
            for at in 0..recording.launches().len() {
                self.launch(recording, at)?;
            }
            self.untouched(recording)?;
        }
        Ok(())
    }

    fn forget(&mut self, recording: &Recording) {
        for single in self.single.remove(&recording.id()).unwrap_or_default() {
            self.inner.forget(&single);
        }
    }
}
