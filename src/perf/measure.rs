//! How long a recording takes: warmed up, in batches long enough for the clock, as often as a budget allows.

use super::stats::Summary;
use crate::exec::{Engine, Launch, Purpose, Recording};
use crate::kernels::Access;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// What a measurement may cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Seconds of samples; `min` samples are taken even where they need more.
    pub seconds: f64,
    /// Seconds of warm-up before, at least one execution.
    pub warm_up: f64,
    /// Seconds that a sample should last: shorter executions are repeated within a sample.
    pub batch: f64,
    /// Samples at least, unless they need twenty times the seconds; then three do.
    pub min: usize,
    /// Samples at most.
    pub max: usize,
    /// Executions in a sample at most.
    pub most: u32,
}

impl Budget {
    /// `seconds` of samples.
    pub fn of(seconds: f64) -> Budget {
        Budget { seconds, warm_up: (seconds / 4.0).min(0.1), batch: 2e-3, min: 8, max: 100, most: 1000 }
    }
}

/// Whose clock the samples are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// The device's timestamps round a pass.
    Device,
    /// The host's, submission and waiting included.
    Wall,
}

/// Samples of one recording, in seconds an execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Executions in a sample.
    pub batch: u32,
    /// By the host's clock.
    pub wall: Vec<f64>,
    /// By the device's clock; empty where it did not answer every time.
    pub device: Vec<f64>,
}

impl Timing {
    /// The samples that count, the device's where there are any, and whose they are.
    pub fn samples(&self) -> (&[f64], Clock) {
        match self.device.is_empty() {
            true => (&self.wall, Clock::Wall),
            false => (&self.device, Clock::Device),
        }
    }

    /// Order statistics of [`Timing::samples`].
    ///
    /// # Errors
    /// When there are none (a bug).
    pub fn summary(&self) -> Result<Summary> {
        Summary::of(self.samples().0).ok_or_else(|| Error::internal("a measurement without samples"))
    }
}

/// Times `recording`; `before` puts back what executions change, before every sample and outside its time.
///
/// # Errors
/// When the device fails.
pub fn measure(
    engine: &mut dyn Engine,
    recording: &Recording,
    budget: &Budget,
    before: &mut dyn FnMut(&mut dyn Engine) -> Result<()>,
) -> Result<Timing> {
    let mut sample = |times: u32| {
        before(engine)?;
        engine.timed(recording, times)
    };
    let start = Instant::now();
    let mut once = sample(1)?.wall;
    while start.elapsed().as_secs_f64() < budget.warm_up {
        once = once.min(sample(1)?.wall);
    }
    // The time of one holds the cost of submitting it; a first batch tells more.
    let mut batch = batch_of(once, budget);
    if batch > 1 {
        batch = batch_of(sample(batch)?.wall / f64::from(batch), budget);
    }
    let (mut wall, mut device) = (Vec::new(), Vec::new());
    let start = Instant::now();
    while wall.len() < budget.max {
        let (spent, n) = (start.elapsed().as_secs_f64(), wall.len());
        if spent >= budget.seconds && n >= budget.min || spent >= 20.0 * budget.seconds && n >= 3 {
            break;
        }
        let timed = sample(batch)?;
        wall.push(timed.wall / f64::from(batch));
        device.extend(timed.device.map(|t| t / f64::from(batch)));
    }
    if device.len() != wall.len() {
        device.clear();
    }
    Ok(Timing { batch, wall, device })
}

/// Times two recordings on two engines in turn, A B B A A B ...: what drifts during the run meets both alike.
///
/// # Errors
/// When a device fails.
pub fn in_turn(engines: [&mut dyn Engine; 2], recordings: [&Recording; 2], budget: &Budget) -> Result<[Timing; 2]> {
    let [a, b] = engines;
    let brief = Budget { seconds: 0.0, min: 1, max: 1, ..*budget };
    let batch = measure(a, recordings[0], &brief, &mut |_| Ok(()))?.batch;
    measure(b, recordings[1], &Budget { most: 1, ..brief }, &mut |_| Ok(()))?;
    let mut timings = [(); 2].map(|()| Timing { batch, wall: Vec::new(), device: Vec::new() });
    let start = Instant::now();
    while timings[0].wall.len() < budget.max {
        let (spent, n) = (start.elapsed().as_secs_f64(), timings[0].wall.len());
        if spent >= 2.0 * budget.seconds && n >= budget.min || spent >= 40.0 * budget.seconds && n >= 3 {
            break;
        }
        for at in if n.is_multiple_of(2) { [0, 1] } else { [1, 0] } {
            let engine: &mut dyn Engine = if at == 0 { a } else { b };
            let timed = engine.timed(recordings[at], batch)?;
            timings[at].wall.push(timed.wall / f64::from(batch));
            timings[at].device.extend(timed.device.map(|t| t / f64::from(batch)));
        }
    }
    if timings.iter().any(|t| t.device.len() != t.wall.len()) {
        timings.iter_mut().for_each(|t| t.device.clear());
    }
    Ok(timings)
}

fn batch_of(seconds: f64, budget: &Budget) -> u32 {
    (budget.batch / seconds.max(1e-9)).ceil().clamp(1.0, f64::from(budget.most.max(1))) as u32
}

/// What a judge says of a launch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Elements compared.
    pub elements: usize,
    /// Per cent of its bound that the worst one uses.
    pub percent: f64,
    /// What is wrong, where something is.
    pub failure: Option<String>,
}

/// Judges a launch by its operands before and its read-write ones after it; read-only slots of the latter are empty.
pub type Judge<'a> = &'a dyn Fn(&Launch, &[&[u32]], &[&[u32]]) -> Result<Judgement>;

/// Runs `recording`, which is `launch` alone, once on what its operands hold and judges it. Also returns the seconds of this
/// first execution: compilation is in it.
///
/// # Errors
/// When the device fails, or the reference reads outside the operands.
pub fn verify(
    engine: &mut dyn Engine,
    launch: &Launch,
    recording: &Recording,
    judge: Judge,
) -> Result<(Judgement, f64)> {
    let read = |engine: &mut dyn Engine, all: bool| -> Result<Vec<Vec<u32>>> {
        let slots = launch.args.iter().zip(launch.kernel.bindings());
        slots
            .map(|(arg, binding)| match all || binding.access == Access::ReadWrite {
                true => engine.read(*arg, Purpose::Check),
                false => Ok(Vec::new()),
            })
            .collect()
    };
    let before = read(engine, true)?;
    // An engine that panics is one that fails.
    let run = std::panic::AssertUnwindSafe(|| engine.timed(recording, 1));
    let first = match std::panic::catch_unwind(run) {
        Ok(timed) => timed?.wall,
        Err(_) => {
            let failure = Some("the engine panicked".to_string());
            return Ok((Judgement { failure, ..Judgement::default() }, 0.0));
        }
    };
    let after = read(engine, false)?;
    let before: Vec<&[u32]> = before.iter().map(Vec::as_slice).collect();
    let after: Vec<&[u32]> = after.iter().map(Vec::as_slice).collect();
    Ok((judge(launch, &before, &after)?, first))
}
