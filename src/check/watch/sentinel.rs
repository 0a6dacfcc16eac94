//! Finds the launch of a run that produces the first NaN or infinity.

use super::place;
use crate::exec::{ALIGN, Engine, Launch, Purpose, Recording, Tensor};
use crate::kernels::util::first_nonfinite::{FirstNonfinite, FirstNonfiniteParams, first};
use crate::kernels::{Access, Elem};
use crate::{Error, Result};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Arms and disarms a [`Sentinel`] that has been moved away.
#[derive(Clone, Debug, Default)]
pub struct Arm(Arc<AtomicBool>);

impl Arm {
    /// From the next execution on, scans every launch, or none.
    pub fn set(&self, armed: bool) {
        self.0.store(armed, Ordering::Relaxed);
    }

    /// Whether launches are scanned.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A wrapping engine that, once armed, runs recordings launch by launch and scans every float operand on the device
/// before and after it. The first launch with a non-finite output ends the run with [`Error::NotFinite`]. The error
/// names label, kernel, position in the recording, execution, output and element, and whether the launch's own operands
/// were finite: if so, the launch is the cause; if not, the fault came from outside (the host's data, received
/// weights). Results do not change. Armed, it waits for the device at every launch, which makes a step many times
/// slower; disarmed, it only forwards.
///
/// Operands declared as integers are not scanned, because integers may look like NaN; neither are the gaps between the
/// rows of a launch's clients. The sentinel allocates a small buffer from the engine at the first armed execution, and
/// therefore must wrap [`super::Differential`], which counts buffers.
pub struct Sentinel {
    inner: Box<dyn Engine>,
    armed: Arm,
    /// `[clients][64]`: results by slot before a launch, then after it.
    scratch: Option<Tensor>,
    /// Launches with their scans, by the id of the original recording.
    watched: HashMap<u64, Vec<Watched>>,
}

/// One launch, ready to run between scans.
struct Watched {
    recording: Recording,
    /// The scanned operands by slot.
    rows: Vec<Option<Rows>>,
}

/// The elements of an operand that belong to clients.
#[derive(Clone, Copy)]
struct Rows {
    clients: u32,
    stride: u32,
    len: u32,
}

/// Results of the scans after a launch follow those from before it; no kernel has more operands.
const AFTER: u32 = 32;

impl Sentinel {
    /// Watches `inner`, disarmed.
    pub fn new(inner: Box<dyn Engine>) -> Self {
        Sentinel { inner, armed: Arm::default(), scratch: None, watched: HashMap::new() }
    }

    /// The handle that arms it, also after the engine has been moved away.
    pub fn arm(&self) -> Arm {
        self.armed.clone()
    }

    /// Space for the results of `clients` clients.
    fn scratch(&mut self, clients: usize) -> Result<Tensor> {
        let words = clients * ALIGN;
        match self.scratch {
            Some(scratch) if scratch.words >= words => Ok(scratch),
            _ => {
                // Existing recordings write to the smaller buffer.
                self.forget_all();
                let scratch = self.inner.alloc("results of the sentinel", words.next_power_of_two())?;
                self.scratch = Some(scratch);
                Ok(scratch)
            }
        }
    }

    fn forget_all(&mut self) {
        let all: Vec<Watched> = self.watched.drain().flat_map(|(_, watched)| watched).collect();
        all.iter().for_each(|w| self.inner.forget(&w.recording));
    }

    fn prepare(&mut self, recording: &Recording) -> Result<()> {
        let rows: Vec<Vec<Option<Rows>>> = recording.launches().iter().map(rows).collect::<Result<_>>()?;
        let clients = rows.iter().flatten().flatten().map(|r| r.clients).max().unwrap_or(1);
        let scratch = self.scratch(clients as usize)?;
        if self.watched.contains_key(&recording.id()) {
            return Ok(());
        }
        let launches = recording.launches().iter().zip(rows);
        let watched = launches.map(|(launch, rows)| Watched::new(launch, rows, scratch)).collect::<Result<_>>()?;
        self.watched.insert(recording.id(), watched);
        Ok(())
    }

    /// Runs launch `at` of `recording`; `time` of `times` counts the executions.
    fn launch(&mut self, recording: &Recording, at: usize, (time, times): (u32, u32)) -> Result<()> {
        let Some(scratch) = self.scratch else { return Err(Error::internal("the sentinel has no buffer")) };
        let watched = &self.watched[&recording.id()][at];
        let launch = &recording.launches()[at];
        let used = watched.rows.iter().flatten().map(|r| r.clients).max().unwrap_or(1) as usize * ALIGN;
        let scratch = scratch.slice(0, used);
        self.inner.write(scratch, &vec![0; used])?;
        self.inner.run(&watched.recording, 1)?;
        let words = self.inner.read(scratch, Purpose::Check)?;
        let slots = || watched.rows.iter().enumerate().filter_map(|(slot, rows)| Some((slot, (*rows)?)));
        let Some((slot, index)) = slots().find_map(|(slot, r)| Some((slot, r.made(&words, slot)?))) else {
            return Ok(());
        };
        let source = slots().filter(|(s, _)| *s != slot).find_map(|(s, r)| Some((s, r.fault(&words, s)?)));
        let bindings = launch.kernel.bindings();
        let output = self.describe(launch, slot, index)?;
        let inputs = match source {
            None => "its operands were finite".to_string(),
            // A read-only operand still contains it.
            Some((s, i)) if bindings[s].access == Access::Read => {
                format!("its operand {} before, from outside or from integers", self.describe(launch, s, i)?)
            }
            Some((s, _)) => format!("its operand `{}` was not finite before", bindings[s].name),
        };
        let of = recording.launches().len();
        Err(Error::NotFinite(format!(
            "launch {} of {of}, execution {time} of {times}: `{}`, kernel `{}`: output {output}; {inputs}",
            at + 1,
            launch.label,
            launch.kernel.name()
        )))
    }

    /// `y[17] is NaN (client 1, element 3 of [..])`, from the operand's current contents.
    fn describe(&mut self, launch: &Launch, slot: usize, index: usize) -> Result<String> {
        let (binding, operand) = (&launch.kernel.bindings()[slot], launch.args[slot]);
        let from = index / ALIGN * ALIGN;
        let words = self.inner.read(operand.slice(from, (operand.words - from).min(ALIGN)), Purpose::Check)?;
        let value = f32::from_bits(words[index - from]);
        let place = place(launch.kernel, &launch.params, binding.name, index);
        Ok(format!("{}[{index}] is {value} ({place})", binding.name))
    }
}

impl Watched {
    fn new(launch: &Launch, rows: Vec<Option<Rows>>, scratch: Tensor) -> Result<Watched> {
        let mut recording = Recording::new();
        let scan = |recording: &mut Recording, outputs: bool| {
            let operands = rows.iter().enumerate().filter_map(|(slot, rows)| Some((slot, (*rows)?)));
            let access = |slot: usize| launch.kernel.bindings()[slot].access;
            for (slot, Rows { clients, stride, len }) in
                operands.filter(|(s, _)| !outputs || access(*s) == Access::ReadWrite)
            {
                let y_at = slot as u32 + if outputs { AFTER } else { 0 };
                let p = FirstNonfiniteParams { clients, n: len, x_stride: stride, y_stride: ALIGN as u32, y_at };
                let label = format!("{}: finite `{}`", launch.label, launch.kernel.bindings()[slot].name);
                recording.launch(&FirstNonfinite, &p, &[launch.args[slot], scratch], label)?;
            }
            Ok::<(), Error>(())
        };
        scan(&mut recording, false)?;
        recording.launch_words(launch.kernel, launch.params.clone(), &launch.args, launch.label.clone())?;
        scan(&mut recording, true)?;
        Ok(Watched { recording, rows })
    }
}

impl Rows {
    /// The first element of the operand encoded by `told` of a client's results.
    fn first(self, outcomes: &[u32], told: impl Fn(&[u32]) -> u32) -> Option<usize> {
        let rows = outcomes.chunks(ALIGN).take(self.clients as usize).enumerate();
        rows.into_iter().find_map(|(c, row)| Some(c * self.stride as usize + first(told(row))?))
    }

    /// The first fault before the launch in the operand of `slot`.
    fn fault(self, outcomes: &[u32], slot: usize) -> Option<usize> {
        self.first(outcomes, |row| row[slot])
    }

    /// The first fault after the launch that differs from the one before.
    fn made(self, outcomes: &[u32], slot: usize) -> Option<usize> {
        let after = slot + AFTER as usize;
        self.first(outcomes, |row| if row[after] == row[slot] { 0 } else { row[after] })
    }
}

/// The float operands of a launch: client by client if the layout names a client stride, otherwise as a whole.
fn rows(launch: &Launch) -> Result<Vec<Option<Rows>>> {
    let kernel = launch.kernel;
    let extents = kernel.extents(&launch.params).map_err(Error::internal)?;
    let bindings = kernel.bindings().iter().zip(extents);
    Ok(bindings
        .map(|(binding, extent)| {
            let whole = Rows { clients: 1, stride: extent as u32, len: extent as u32 };
            let apart = super::clients(kernel, &launch.params, binding.doc).and_then(|(clients, stride)| {
                let len = extent.checked_sub((clients - 1) * stride)?;
                (len > 0).then_some(Rows { clients: clients as u32, stride: stride as u32, len: len as u32 })
            });
            (binding.elem == Elem::F32).then(|| apart.unwrap_or(whole))
        })
        .collect())
}

impl Engine for Sentinel {
    crate::forward_engine!(descriptor, alloc, write, read, finish, traffic, max_binding_words, allocated_bytes);

    fn run(&mut self, recording: &Recording, times: u32) -> Result<()> {
        if !self.armed.is_set() {
            return self.inner.run(recording, times);
        }
        self.prepare(recording)?;
        for time in 1..=times {
            for at in 0..recording.launches().len() {
                self.launch(recording, at, (time, times))?;
            }
        }
        Ok(())
    }

    fn forget(&mut self, recording: &Recording) {
        for watched in self.watched.remove(&recording.id()).unwrap_or_default() {
            self.inner.forget(&watched.recording);
        }
        self.inner.forget(recording);
    }
}
