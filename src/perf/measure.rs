//! Measures the duration of a recording: with warm-up, in batches long enough for the clock, as often as a budget
//! allows.

use super::stats::Summary;
use crate::exec::{Engine, Launch, Purpose, Recording, Timed};
use crate::kernels::Access;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// The cost limits of a measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Seconds of samples; `min` samples are taken even if they need more.
    pub seconds: f64,
    /// Seconds of warm-up, at least one execution.
    pub warm_up: f64,
    /// Minimum seconds of a sample: shorter executions are repeated within a sample.
    pub batch: f64,
    /// Minimum samples, unless they need twenty times the seconds; then three.
    pub min: usize,
    /// Maximum samples.
    pub max: usize,
    /// Maximum executions per sample.
    pub most: u32,
}

impl Budget {
    /// `seconds` of samples.
    pub fn of(seconds: f64) -> Budget {
        Budget { seconds, warm_up: (seconds / 4.0).min(0.1), batch: 2e-3, min: 8, max: 100, most: 1000 }
    }
}

/// The clock of the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// The device's timestamps around a pass.
    Device,
    /// The host's clock, including submission and waiting.
    Wall,
}

/// Samples of one recording, in seconds per execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Executions in a sample.
    pub batch: u32,
    /// By the host's clock.
    pub wall: Vec<f64>,
    /// By the device's clock; empty unless it answered every time.
    pub device: Vec<f64>,
}

impl Timing {
    /// The samples to use (the device's if there are any) and their clock.
    pub fn samples(&self) -> (&[f64], Clock) {
        match self.device.is_empty() {
            true => (&self.wall, Clock::Wall),
            false => (&self.device, Clock::Device),
        }
    }

    /// Order statistics of [`Timing::samples`].
    ///
    /// # Errors
    /// Without samples (a bug).
    pub fn summary(&self) -> Result<Summary> {
        Summary::of(self.samples().0).ok_or_else(|| Error::internal("a measurement without samples"))
    }
}

/// Times `recording`; before every sample, and outside its time, `before` restores what executions change.
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
    sampled(&mut sample, budget)
}

/// [`measure`] of anything that runs as many times as it is told to.
///
/// # Errors
/// When the device fails.
pub fn sampled(sample: &mut dyn FnMut(u32) -> Result<Timed>, budget: &Budget) -> Result<Timing> {
    let start = Instant::now();
    let mut once = sample(1)?.wall;
    while start.elapsed().as_secs_f64() < budget.warm_up {
        once = once.min(sample(1)?.wall);
    }
    // The time of one execution includes its submission; a first batch is more accurate.
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

/// Times recordings on one engine in rotation, A B C B C A C A B ...: drift during the run affects all equally. The
/// budget's seconds are per recording.
///
/// # Errors
/// When the device fails.
pub fn in_rotation(engine: &mut dyn Engine, recordings: &[&Recording], budget: &Budget) -> Result<Vec<Timing>> {
    rotated(recordings.len(), &mut |at, times| engine.timed(recordings[at], times), budget)
}

/// [`in_rotation`] of `count` things that `timed` runs, each as many times as it is told to.
///
/// # Errors
/// When the device fails.
pub fn rotated(
    count: usize,
    timed: &mut dyn FnMut(usize, u32) -> Result<Timed>,
    budget: &Budget,
) -> Result<Vec<Timing>> {
    let brief = Budget { seconds: 0.0, min: 1, max: 1, ..*budget };
    let mut timings = Vec::with_capacity(count);
    for at in 0..count {
        let batch = sampled(&mut |times| timed(at, times), &brief)?.batch;
        timings.push(Timing { batch, wall: Vec::new(), device: Vec::new() });
    }
    let (start, seconds) = (Instant::now(), budget.seconds * count as f64);
    for n in 0..budget.max {
        let spent = start.elapsed().as_secs_f64();
        if spent >= seconds && n >= budget.min || spent >= 20.0 * seconds && n >= 3 {
            break;
        }
        for at in (0..count).map(|i| (i + n) % count) {
            let Timing { batch, wall, device } = &mut timings[at];
            let timed = timed(at, *batch)?;
            wall.push(timed.wall / f64::from(*batch));
            device.extend(timed.device.map(|t| t / f64::from(*batch)));
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

/// The result of checking a launch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Elements compared.
    pub elements: usize,
    /// Percentage of its bound used by the worst element.
    pub percent: f64,
    /// The fault, if any.
    pub failure: Option<String>,
}

/// Checks a launch by its operands before and its read-write operands after it; read-only slots of the latter are
/// empty.
pub type Verifier<'a> = &'a dyn Fn(&Launch, &[&[u32]], &[&[u32]]) -> Result<Verification>;

/// Runs `recording`, which consists of `launch` alone, once on the current operands and checks the result. Also returns
/// the seconds of this first execution, including compilation.
///
/// # Errors
/// When the device fails, or the reference reads outside the operands.
pub fn verify(
    engine: &mut dyn Engine,
    launch: &Launch,
    recording: &Recording,
    verifier: Verifier,
) -> Result<(Verification, f64)> {
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
    // An engine that panics counts as failed.
    let run = std::panic::AssertUnwindSafe(|| engine.timed(recording, 1));
    let first = match std::panic::catch_unwind(run) {
        Ok(timed) => timed?.wall,
        Err(_) => {
            let failure = Some("the engine panicked".to_string());
            return Ok((Verification { failure, ..Verification::default() }, 0.0));
        }
    };
    let after = read(engine, false)?;
    let before: Vec<&[u32]> = before.iter().map(Vec::as_slice).collect();
    let after: Vec<&[u32]> = after.iter().map(Vec::as_slice).collect();
    Ok((verifier(launch, &before, &after)?, first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::CpuEngine;
    use crate::perf::Bench;

    /// Takes 1 ms per execution and 2 ms per submission, by a simulated clock.
    struct Clockwork {
        inner: CpuEngine,
        device: bool,
        executions: u32,
    }

    impl Engine for Clockwork {
        crate::forward_engine!(descriptor, alloc, write, read, run, traffic, max_binding_words);

        fn timed(&mut self, _recording: &Recording, times: u32) -> Result<Timed> {
            self.executions += times;
            let seconds = 1e-3 * f64::from(times);
            Ok(Timed { wall: seconds + 2e-3, device: self.device.then_some(seconds) })
        }

        fn finish(&mut self) -> Result<()> {
            Ok(())
        }
    }

    fn clockwork(device: bool) -> (Bench, Recording) {
        let mut bench = Bench::new(Box::new(Clockwork { inner: CpuEngine::new(), device, executions: 0 }));
        let fill = crate::kernels::find("fill").unwrap();
        let recording = bench.record(fill, &[1, 10, 64, 0], "fill").unwrap();
        (bench, recording)
    }

    const BUDGET: Budget = Budget { seconds: 0.0, warm_up: 0.0, batch: 1e-2, min: 8, max: 100, most: 1000 };

    #[test]
    fn executions_are_batched_and_the_devices_clock_counts() {
        let (mut bench, recording) = clockwork(true);
        let mut resets = 0;
        let timing = measure(bench.engine.as_mut(), &recording, &Budget { min: 3, ..BUDGET }, &mut |_| {
            resets += 1;
            Ok(())
        })
        .unwrap();
        // One execution takes 3 ms by the host's clock; four take 6 ms, 1.5 ms each: seven fill 10 ms.
        assert_eq!((timing.batch, timing.wall.len(), timing.device.len()), (7, 3, 3));
        assert_eq!(timing.samples(), (&timing.device[..], Clock::Device));
        assert!(timing.device.iter().all(|s| (s - 1e-3).abs() < 1e-12) && timing.wall.iter().all(|s| *s > 1.2e-3));
        assert_eq!(resets, 2 + 3, "before each sample, including the warm-up");
        let (mut bench, recording) = clockwork(false);
        let timing = measure(bench.engine.as_mut(), &recording, &BUDGET, &mut |_| Ok(())).unwrap();
        assert_eq!((timing.samples().1, timing.wall.len()), (Clock::Wall, 3), "a spent budget leaves three samples");
    }

    #[test]
    fn clocks_are_not_mixed() {
        let ((mut a, first), (mut b, second)) = (clockwork(true), clockwork(false));
        let mut timed = |at: usize, times: u32| match at {
            0 => a.engine.timed(&first, times),
            _ => b.engine.timed(&second, times),
        };
        let timings = rotated(2, &mut timed, &BUDGET).unwrap();
        assert!(timings.iter().all(|t| t.wall.len() == 3 && t.batch == 7 && t.device.is_empty()), "{timings:?}");
    }

    #[test]
    fn recordings_in_rotation_have_as_many_samples() {
        for (device, clock) in [(true, Clock::Device), (false, Clock::Wall)] {
            let (mut bench, first) = clockwork(device);
            let copy = crate::kernels::find("copy").unwrap();
            let second = bench.record(copy, &[1, 100, 128, 128], "copy").unwrap();
            let budget = Budget { min: 2, max: 9, ..BUDGET };
            let timings = in_rotation(bench.engine.as_mut(), &[&first, &second, &first], &budget).unwrap();
            assert_eq!(timings.len(), 3);
            for timing in timings {
                assert_eq!((timing.batch, timing.wall.len(), timing.samples().1), (7, 2, clock));
            }
            assert!(in_rotation(bench.engine.as_mut(), &[], &budget).unwrap().is_empty());
        }
    }

    #[test]
    fn a_launch_is_verified_by_its_operands_before_and_after() {
        let mut bench = Bench::new(Box::new(CpuEngine::new()));
        let copy = crate::kernels::find("copy").unwrap();
        let recording = bench.record(copy, &[1, 100, 128, 128], "copy").unwrap();
        let verifier = |_: &Launch, before: &[&[u32]], after: &[&[u32]]| {
            assert!(after[0].is_empty() && before[0].len() == 100);
            let failure = (before[0] != after[1] || before[1] == after[1]).then(|| "not copied".to_string());
            Ok(Verification { elements: 100, percent: 0.0, failure })
        };
        let (verify_sampled, first) =
            verify(bench.engine.as_mut(), &recording.launches()[0], &recording, &verifier).unwrap();
        assert!(verify_sampled.failure.is_none() && first > 0.0);
    }
}
