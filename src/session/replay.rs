//! Rounds of an experiment on the caller's engine, without metrics or files.

use super::experiment::Experiment;
use super::images::Images;
use super::parts::parts;
use crate::Result;
use crate::config::Plan;
use crate::exec::Engine;

/// Trains the plan's rounds on `engine` and draws one batch of samples: all the launches of a run. `passed` is called after
/// each round, counted from 1.
///
/// # Errors
/// Errors of the engine: an engine that verifies launches ends the rounds with its finding.
pub fn replay(plan: &Plan, images: Images, engine: Box<dyn Engine>, mut passed: impl FnMut(u32)) -> Result<()> {
    let parts = parts(plan, &images, engine)?;
    let mut experiment = Experiment::new(plan.clone(), images, parts, None)?;
    for round in 1..=plan.rounds {
        experiment.bare_round()?;
        passed(round);
    }
    experiment.bare_sample()
}
