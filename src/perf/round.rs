//! Whole federated rounds: their duration, the share outside training steps, and the minimum according to the ceilings.

use super::ceilings::Ceilings;
use super::measure::Budget;
use super::proof::{Check, Proof};
use super::stats::Summary;
use super::tap::{Heard, Tap};
use super::workload::Workload;
use crate::Result;
use crate::error::count;
use crate::exec::Engine;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// A federated round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoundReport {
    /// The problem.
    pub workload: Workload,
    /// Steps per round.
    pub steps: u32,
    /// Seconds of the first round, including compilation.
    pub first: f64,
    /// Seconds of each later round.
    pub wall: Vec<f64>,
    /// Seconds of the training steps of one round, waiting for the device after each recording.
    pub training: f64,
    /// Seconds of all recordings of that round.
    pub recordings: f64,
    /// Distinct launches that were checked before; 0 in documents of earlier versions.
    #[serde(default)]
    pub verified: usize,
    /// Launches with wrong results; if there are any, nothing is timed.
    #[serde(default)]
    pub wrong: Vec<String>,
    /// Minimum seconds of a round according to the ceilings: every launch at its ceiling, and the dispatches; absent without ceilings.
    #[serde(default)]
    pub floor: Option<f64>,
}

/// Engines on the measured device.
pub type Engines<'a> = &'a mut dyn FnMut() -> Result<Box<dyn Engine>>;

impl RoundReport {
    /// Names the measurement.
    pub fn name(&self) -> String {
        format!("round of {}: {}", count(self.steps, "step"), self.workload)
    }

    /// Real images per second, seen by all clients together.
    pub fn images_per_second(&self) -> Option<f64> {
        let Workload { batch, clients, .. } = self.workload;
        Some(f64::from(batch) * f64::from(clients) * f64::from(self.steps) / Summary::of(&self.wall)?.median)
    }

    /// Measures rounds of `steps` steps, after a check of a round with one step on an engine of its own.
    ///
    /// # Errors
    /// When the device fails or is too small.
    pub fn measure(
        workload: Workload,
        engines: Engines,
        check: Check,
        steps: u32,
        budget: &Budget,
        ceilings: Option<&Ceilings>,
    ) -> Result<RoundReport> {
        let mut report = RoundReport::checked(workload, engines()?, check, steps)?;
        if !report.wrong.is_empty() {
            return Ok(report);
        }
        let (tap, ear) = Tap::new(engines()?);
        let mut federation = workload.federation(Box::new(tap), steps)?;
        federation.engine().finish()?;
        let mut round = || -> Result<f64> {
            let start = Instant::now();
            federation.run_round()?;
            federation.engine().finish()?;
            Ok(start.elapsed().as_secs_f64())
        };
        report.first = round()?;
        let (start, mut wall) = (Instant::now(), Vec::new());
        while wall.len() < budget.max {
            let (spent, n) = (start.elapsed().as_secs_f64(), wall.len());
            if spent >= 2.0 * budget.seconds && n >= budget.min || spent >= 20.0 * budget.seconds && n >= 3 {
                break;
            }
            wall.push(round()?);
        }
        ear.time_each(true);
        round()?;
        let heard = ear.heard();
        report.wall = wall;
        report.training = heard.iter().filter(|h| h.is_step()).map(|h| h.seconds).sum();
        report.recordings = heard.iter().map(|h| h.seconds).sum();
        report.floor = ceilings.map(|ceilings| heard.iter().map(|h| floor(ceilings, h)).sum());
        Ok(report)
    }

    /// A report without times: what a check of every distinct launch of a round has found.
    fn checked(workload: Workload, engine: Box<dyn Engine>, check: Check, steps: u32) -> Result<RoundReport> {
        let (proof, findings) = Proof::new(engine, check);
        let mut federation = workload.federation(Box::new(proof), steps)?;
        // Wrong results may end the round early.
        let ended = federation.run_round();
        let found = findings.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        if found.wrong.is_empty() {
            ended?;
        }
        let (verified, wrong) = (found.seen.len(), found.wrong);
        let (first, training, recordings) = (0.0, 0.0, 0.0);
        Ok(RoundReport { workload, steps, first, wall: Vec::new(), training, recordings, verified, wrong, floor: None })
    }
}

/// The minimum time of a recording's executions in a round.
fn floor(ceilings: &Ceilings, heard: &Heard) -> f64 {
    let (times, launches) = (heard.times as f64, heard.launches.len() as f64);
    let roofline: f64 = heard.launches.iter().map(|l| ceilings.floor(l.kernel.cost(&l.params)).0).sum();
    match times * launches {
        0.0 => 0.0,
        dispatches => times * roofline + ceilings.submit + (dispatches - 1.0) * ceilings.dispatch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::{CpuEngine, Launch};
    use crate::perf::ceilings::tests::ceilings;
    use crate::perf::measure::Verification;
    use crate::perf::step::tests::{BUDGET, SMALL};
    use crate::perf::verify_sampled;

    fn measured(check: Check) -> RoundReport {
        let mut engines = || -> Result<Box<dyn Engine>> { Ok(Box::new(CpuEngine::new())) };
        RoundReport::measure(SMALL, &mut engines, check, 3, &BUDGET, Some(&ceilings())).unwrap()
    }

    #[test]
    fn a_round_with_a_wrong_launch_is_reported_and_not_timed() {
        fn off(launch: &Launch, _: &[&[u32]], _: &[&[u32]]) -> Result<Verification> {
            // A kernel outside the training steps.
            let failure = (launch.kernel.name() == "weighted_mean").then(|| "off".to_string());
            Ok(Verification { failure, ..Verification::default() })
        }
        let round = measured(off);
        assert!(!round.wrong.is_empty() && round.wrong.iter().all(|w| w.ends_with("(weighted_mean): off")));
        assert!(round.wall.is_empty() && round.floor.is_none() && round.images_per_second().is_none());
    }

    #[test]
    fn rounds_are_timed_whole() {
        let round = measured(verify_sampled);
        assert!(round.verified > 50 && round.wrong.is_empty(), "{} launches: {:?}", round.verified, round.wrong);
        // Three steps of more than 50 launches take a dispatch of 1e-5 s each, and more at their ceilings.
        assert!(round.floor.unwrap() > 150.0 * 1e-5, "{:?}", round.floor);
        let text = serde_json::to_string(&round).unwrap();
        let old = text.split(",\"verified\"").next().unwrap().to_string() + "}";
        assert_eq!(serde_json::from_str::<RoundReport>(&old).unwrap().name(), round.name(), "an earlier version");
        assert!((3..=5).contains(&round.wall.len()) && round.images_per_second().unwrap() > 0.0);
        assert!(0.0 < round.training && round.training < round.recordings);
        assert_eq!(round.name(), "round of 3 steps: 16x16x1, width 2, latent 3, batch 2, 2 clients, bce");
    }
}
