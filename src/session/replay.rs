//! Rounds of an experiment on an engine of the caller's, of which nothing is measured or written.

use super::experiment::Experiment;
use super::images::Images;
use super::parts::parts;
use crate::Result;
use crate::config::Plan;
use crate::exec::Engine;

/// Trains the plan's rounds on `engine` and draws one batch of samples: all the launches of a run. `passed` hears each round
/// that is done, counted from 1.
///
/// # Errors
/// What the engine refuses: an engine that watches launches ends the rounds with its finding.
pub fn replay(plan: &Plan, images: Images, engine: Box<dyn Engine>, mut passed: impl FnMut(u32)) -> Result<()> {
    let parts = parts(plan, &images, engine)?;
    let mut experiment = Experiment::new(plan.clone(), images, parts, None)?;
    for round in 1..=plan.rounds {
        experiment.bare_round()?;
        passed(round);
    }
    experiment.bare_sample()
}
