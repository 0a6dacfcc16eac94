//! Whole federated rounds: their duration, and the share outside training steps.

use super::measure::Budget;
use super::stats::Summary;
use super::tap::Tap;
use super::workload::Workload;
use crate::Result;
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
}

impl RoundReport {
    /// Names the measurement.
    pub fn name(&self) -> String {
        format!("round of {} steps: {}", self.steps, self.workload)
    }

    /// Real images per second, seen by all clients together.
    pub fn images_per_second(&self) -> Option<f64> {
        let Workload { batch, clients, .. } = self.workload;
        Some(f64::from(batch) * f64::from(clients) * f64::from(self.steps) / Summary::of(&self.wall)?.median)
    }

    /// Measures rounds of `steps` steps.
    ///
    /// # Errors
    /// When the device fails or is too small.
    pub fn measure(workload: Workload, engine: Box<dyn Engine>, steps: u32, budget: &Budget) -> Result<RoundReport> {
        let (tap, ear) = Tap::new(engine);
        let mut federation = workload.federation(Box::new(tap), steps)?;
        federation.engine().finish()?;
        let mut round = || -> Result<f64> {
            let start = Instant::now();
            federation.run_round()?;
            federation.engine().finish()?;
            Ok(start.elapsed().as_secs_f64())
        };
        let first = round()?;
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
        let training = heard.iter().filter(|h| h.is_step()).map(|h| h.seconds).sum();
        let recordings = heard.iter().map(|h| h.seconds).sum();
        Ok(RoundReport { workload, steps, first, wall, training, recordings })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::CpuEngine;
    use crate::perf::step::tests::{BUDGET, SMALL};

    #[test]
    fn rounds_are_timed_whole() {
        let round = RoundReport::measure(SMALL, Box::new(CpuEngine::new()), 3, &BUDGET).unwrap();
        assert!((3..=5).contains(&round.wall.len()) && round.images_per_second().unwrap() > 0.0);
        assert!(0.0 < round.training && round.training < round.recordings);
        assert_eq!(round.name(), "round of 3 steps: 16x16x1, width 2, latent 3, batch 2, 2 clients, bce");
    }
}
