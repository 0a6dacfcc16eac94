//! Whole training steps: their duration, their composition, and the minimum according to the ceilings.

use super::ceilings::{Bound, Ceilings};
use super::measure::{Budget, Timing, Verifier, measure, verify};
use super::stats::Summary;
use super::tap::{Heard, Tap};
use super::workload::Workload;
use crate::exec::{Engine, Launch, Recording, Tensor};
use crate::fed::Federation;
use crate::kernels::Cost;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Steps in the tables of a timed federation.
const STEPS: u32 = 64;

/// A training step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepReport {
    /// The problem.
    pub workload: Workload,
    /// Chunks that the clients were split into.
    pub chunks: usize,
    /// Launches of a step.
    pub launches: usize,
    /// Seconds of the first step, including compilation.
    pub first: f64,
    /// Seconds per step as in training: consecutive steps, by the host's clock.
    pub wall: Vec<f64>,
    /// Seconds per step by the device's clock, one step per pass; empty without such a clock.
    pub device: Vec<f64>,
    /// Floating-point operations of a step.
    pub flops: f64,
    /// Compulsory bytes of a step.
    pub bytes: f64,
    /// Distinct launches, longest total time first; each timed alone, on the step's own operands.
    pub classes: Vec<Class>,
    /// Launches with wrong results; if there are any, nothing is timed.
    pub wrong: Vec<String>,
    /// Seconds of submission and dispatches that the ceilings predict; absent without ceilings.
    pub overhead: Option<f64>,
}

/// Launches of one shape.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Class {
    /// The kernel.
    pub kernel: String,
    /// The first launch of this shape.
    pub label: String,
    /// Launches in a step.
    pub count: usize,
    /// Seconds of one, median.
    pub seconds: f64,
    /// Floating-point operations of one.
    pub flops: f64,
    /// Compulsory bytes of one.
    pub bytes: f64,
    /// Minimum seconds for one according to the ceilings, and the limit; absent without ceilings.
    pub floor: Option<(f64, Bound)>,
}

/// Launches of one kernel in a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The kernel.
    pub kernel: String,
    /// Its launches.
    pub launches: usize,
    /// Seconds of all of them.
    pub seconds: f64,
    /// Floating-point operations of all of them.
    pub flops: f64,
    /// Bytes of all of them.
    pub bytes: f64,
    /// Minimum seconds according to the ceilings; 0 without ceilings.
    pub floor: f64,
}

impl StepReport {
    /// Seconds of all launches, each timed alone.
    pub fn parts_seconds(&self) -> f64 {
        self.classes.iter().map(|c| c.count as f64 * c.seconds).sum()
    }

    /// Minimum seconds per step according to the ceilings: every launch at its ceiling, and the dispatches.
    pub fn floor(&self) -> Option<f64> {
        let launches: Option<f64> = self.classes.iter().map(|c| c.floor.map(|f| c.count as f64 * f.0)).sum();
        Some(launches? + self.overhead?)
    }

    /// The breakdown by kernel, longest time first.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        for class in &self.classes {
            let at = parts.iter().position(|p| p.kernel == class.kernel).unwrap_or_else(|| {
                let kernel = class.kernel.clone();
                parts.push(Part { kernel, launches: 0, seconds: 0.0, flops: 0.0, bytes: 0.0, floor: 0.0 });
                parts.len() - 1
            });
            let (part, n) = (&mut parts[at], class.count as f64);
            part.launches += class.count;
            part.seconds += n * class.seconds;
            part.flops += n * class.flops;
            part.bytes += n * class.bytes;
            part.floor += class.floor.map_or(0.0, |f| n * f.0);
        }
        parts.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        parts
    }

    /// Real images per second, seen by all clients together.
    pub fn images_per_second(&self) -> Option<f64> {
        let median = Summary::of(&self.wall)?.median;
        Some(f64::from(self.workload.batch) * f64::from(self.workload.clients) / median)
    }

    /// Measures a step of `workload` on `engine`; `tick` is called with the name of each stage.
    ///
    /// # Errors
    /// When the device fails or is too small.
    pub fn measure(
        workload: Workload,
        engine: Box<dyn Engine>,
        verifier: Verifier,
        budget: &Budget,
        ceilings: Option<&Ceilings>,
        tick: &mut dyn FnMut(&str),
    ) -> Result<StepReport> {
        let mut lab = Lab::new(workload, engine, tick)?;
        let mut report = StepReport {
            workload,
            chunks: lab.steps.len(),
            launches: lab.steps.iter().map(|s| s.launches().len()).sum(),
            first: lab.first,
            wall: Vec::new(),
            device: Vec::new(),
            flops: lab.steps.iter().map(|s| s.cost().flops).sum(),
            bytes: lab.steps.iter().map(|s| s.cost().bytes).sum(),
            classes: Vec::new(),
            wrong: Vec::new(),
            overhead: None,
        };
        report.overhead =
            ceilings.map(|c| report.chunks as f64 * c.submit + (report.launches - report.chunks) as f64 * c.dispatch);
        let classes = lab.classes();
        for (launch, recording, _) in &classes {
            tick(&format!("verifying {}", launch.label));
            lab.reset()?;
            if let Some(why) = verify(lab.federation.engine(), launch, recording, verifier)?.0.failure {
                report.wrong.push(format!("{} ({}): {why}", launch.label, launch.kernel.name()));
            }
        }
        if !report.wrong.is_empty() {
            return Ok(report);
        }
        tick("timing whole steps");
        (report.wall, report.device) = lab.time(budget)?;
        for (launch, recording, count) in &classes {
            tick(&format!("timing {}", launch.label));
            report.classes.push(lab.class(launch, recording, *count, budget, ceilings)?);
        }
        let time = |c: &Class| c.count as f64 * c.seconds;
        report.classes.sort_by(|a, b| time(b).total_cmp(&time(a)));
        Ok(report)
    }
}

/// A federation whose steps are run one by one.
struct Lab {
    federation: Federation,
    /// A step of each chunk, as recorded by the federation.
    steps: Vec<Recording>,
    /// The chunks' step states: a step changes them, and a repetition must restore them.
    states: Vec<Tensor>,
    first: f64,
}

impl Lab {
    fn new(workload: Workload, engine: Box<dyn Engine>, tick: &mut dyn FnMut(&str)) -> Result<Lab> {
        tick("the first step");
        let (tap, ear) = Tap::new(engine);
        let mut federation = workload.federation(Box::new(tap), STEPS)?;
        // One round fills every table; one of its steps is enough.
        ear.run_once(true);
        ear.time_each(true);
        federation.run_round()?;
        ear.run_once(false);
        let heard: Vec<Heard> = ear.heard().into_iter().filter(Heard::is_step).collect();
        let first = heard.iter().map(|h| h.seconds).sum();
        ear.time_each(false);
        let again = |heard: &Heard| -> Result<Recording> {
            let mut recording = Recording::new();
            for l in &heard.launches {
                recording.launch_words(l.kernel, l.params.clone(), &l.args, l.label.clone())?;
            }
            Ok(recording)
        };
        let steps = heard.iter().map(again).collect::<Result<Vec<_>>>()?;
        let state = |step: &Recording| {
            let last = step.launches().last()?;
            let slot = last.kernel.bindings().iter().position(|b| b.name == "state")?;
            Some(last.args[slot])
        };
        let states: Vec<Tensor> = steps.iter().filter_map(state).collect();
        if steps.is_empty() || states.len() != steps.len() {
            return Err(Error::internal("no training step was found in a round"));
        }
        Ok(Lab { federation, steps, states, first })
    }

    fn reset(&mut self) -> Result<()> {
        reset(self.federation.engine(), &self.states)
    }

    /// Distinct launches of all chunks' steps, each alone, with its count.
    fn classes(&self) -> Vec<(Launch, Recording, usize)> {
        let mut classes: Vec<(Launch, Recording, usize)> = Vec::new();
        for launch in self.steps.iter().flat_map(Recording::launches) {
            let same = |c: &&mut (Launch, Recording, usize)| {
                c.0.kernel.name() == launch.kernel.name() && c.0.params == launch.params
            };
            if let Some(class) = classes.iter_mut().find(same) {
                class.2 += 1;
                continue;
            }
            let mut recording = Recording::new();
            let Launch { kernel, params, args, label } = launch.clone();
            // It was recorded before, so it cannot be rejected.
            if recording.launch_words(kernel, params, &args, label).is_ok() {
                classes.push((launch.clone(), recording, 1));
            }
        }
        classes
    }

    /// Samples of whole steps: consecutive by the host's clock, and alone by the device's.
    fn time(&mut self, budget: &Budget) -> Result<(Vec<f64>, Vec<f64>)> {
        let (steps, states) = (&self.steps, &self.states);
        let engine = self.federation.engine();
        let in_a_row = |engine: &mut dyn Engine, times: u32| -> Result<f64> {
            reset(engine, states)?;
            engine.finish()?;
            let start = Instant::now();
            for step in steps {
                engine.run(step, times)?;
            }
            engine.finish()?;
            Ok(start.elapsed().as_secs_f64() / f64::from(times))
        };
        let once = in_a_row(engine, 1)?;
        // A round consists of many consecutive steps: a sample is a dozen, or as many as fit a tenth of the budget.
        let times = (budget.seconds / 10.0 / once.max(1e-9)).clamp(1.0, 12.0) as u32;
        let (start, mut wall) = (Instant::now(), Vec::new());
        while wall.len() < budget.max {
            let (spent, n) = (start.elapsed().as_secs_f64(), wall.len());
            if spent >= 2.0 * budget.seconds && n >= budget.min || spent >= 20.0 * budget.seconds && n >= 3 {
                break;
            }
            wall.push(in_a_row(engine, times)?);
        }
        let mut device: Vec<f64> = Vec::new();
        for step in steps {
            let single = Budget { most: 1, ..*budget };
            let timing: Timing = measure(engine, step, &single, &mut |engine| reset(engine, states))?;
            device = match device.is_empty() {
                true => timing.device,
                false => device.iter().zip(&timing.device).map(|(a, b)| a + b).collect(),
            };
            if device.is_empty() {
                break;
            }
        }
        Ok((wall, device))
    }

    fn class(
        &mut self,
        launch: &Launch,
        recording: &Recording,
        count: usize,
        budget: &Budget,
        ceilings: Option<&Ceilings>,
    ) -> Result<Class> {
        let states = &self.states;
        let engine = self.federation.engine();
        let timing = measure(engine, recording, budget, &mut |engine| reset(engine, states))?;
        engine.forget(recording);
        let cost: Cost = launch.kernel.cost(&launch.params);
        Ok(Class {
            kernel: launch.kernel.name().into(),
            label: launch.label.clone(),
            count,
            seconds: timing.summary()?.median,
            flops: cost.flops,
            bytes: cost.bytes,
            floor: ceilings.map(|c| c.floor(cost)),
        })
    }
}

/// The first step of the first round again: later ones would exceed the tables.
fn reset(engine: &mut dyn Engine, states: &[Tensor]) -> Result<()> {
    states.iter().try_for_each(|state| engine.write(*state, &[0; 4]))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::exec::CpuEngine;
    use crate::model::Convolution;
    use crate::perf::ceilings::tests::ceilings;
    use crate::perf::measure::Verification;
    use crate::perf::workload::Loss;

    pub(in crate::perf) const SMALL: Workload = Workload {
        image_size: 16,
        channels: 1,
        width: 2,
        latent: 3,
        batch: 2,
        clients: 2,
        loss: Loss::Bce,
        convolution: Convolution::Auto,
    };
    pub(in crate::perf) const BUDGET: Budget =
        Budget { seconds: 0.0, warm_up: 0.0, batch: 0.0, min: 3, max: 5, most: 1 };

    fn measured(workload: Workload, verifier: Verifier) -> StepReport {
        let engine = Box::new(CpuEngine::new());
        StepReport::measure(workload, engine, verifier, &BUDGET, Some(&ceilings()), &mut |_| {}).unwrap()
    }

    #[test]
    fn the_breakdown_adds_up_to_the_step() {
        for loss in [Loss::Bce, Loss::WganGp] {
            let step = measured(Workload { loss, ..SMALL }, &|_, _, _| Ok(Verification::default()));
            let sum = |of: &dyn Fn(&Class) -> f64| step.classes.iter().map(|c| c.count as f64 * of(c)).sum::<f64>();
            assert_eq!(sum(&|_| 1.0), step.launches as f64);
            assert!(step.launches > 50 && step.classes.len() < step.launches && step.chunks == 1);
            assert!((sum(&|c| c.flops) / step.flops - 1.0).abs() < 1e-9);
            assert!((sum(&|c| c.bytes) / step.bytes - 1.0).abs() < 1e-9);
            let parts = step.parts();
            let seconds: f64 = parts.iter().map(|p| p.seconds).sum();
            assert!((seconds / step.parts_seconds() - 1.0).abs() < 1e-9 && step.parts_seconds() > 0.0);
            assert_eq!(parts.iter().map(|p| p.launches).sum::<usize>(), step.launches);
            assert!(parts.windows(2).all(|w| w[0].seconds >= w[1].seconds));
            // Every launch at its ceiling, one submission, the remaining dispatches.
            let overhead = 1e-4 + (step.launches - 1) as f64 * 1e-5;
            assert!((step.overhead.unwrap() - overhead).abs() < 1e-12);
            let floor: f64 = parts.iter().map(|p| p.floor).sum();
            assert!((step.floor().unwrap() - floor - overhead).abs() < 1e-12);
            assert!(step.wall.len() >= 3 && step.images_per_second().unwrap() > 0.0);
            let names: Vec<&str> = step.classes.iter().map(|c| c.kernel.as_str()).collect();
            let critic = if loss == Loss::Bce { "bce_with_logits" } else { "gradient_penalty" };
            for kernel in ["conv2d", "adam", "gather_batch", "step_advance", critic] {
                assert!(names.contains(&kernel), "{kernel} in {names:?}");
            }
        }
    }

    #[test]
    fn a_step_with_a_wrong_launch_is_reported_and_not_timed() {
        let verifier = |launch: &Launch, _: &[&[u32]], _: &[&[u32]]| {
            let failure = (launch.kernel.name() == "activation").then(|| "off".to_string());
            Ok(Verification { failure, ..Verification::default() })
        };
        let step = measured(SMALL, &verifier);
        assert!(
            !step.wrong.is_empty() && step.wrong.iter().all(|w| w.ends_with("(activation): off")),
            "{:?}",
            step.wrong
        );
        assert!(step.wall.is_empty() && step.classes.is_empty() && step.images_per_second().is_none());
    }
}
