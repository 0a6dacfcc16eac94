//! Which launch made the first NaN or infinity of a run that stopped for it: the rounds since the latest checkpoint are
//! repeated, the last one launch by launch.

use super::{Observer, Prepared};
use crate::check::watch::Arm;
use crate::report::{RunDir, metrics};
use crate::{Error, Result};

/// Repeats in `prepared`, whose engine is a disarmed sentinel with `arm`, the run that stopped in `dir`. Its files stay as they
/// are. The sentinel's message; `None` where the fault does not repeat, or the observer stops the search.
///
/// # Errors
/// A device that fails, checkpoints that cannot be used.
pub(super) fn first_launch(
    prepared: Prepared,
    arm: &Arm,
    dir: &RunDir,
    observer: &mut dyn Observer,
) -> Result<Option<String>> {
    let Prepared { mut experiment, resolved } = prepared;
    let finite = metrics::read_jsonl(&dir.file("metrics.jsonl"))?.len() as u32;
    experiment.recall(dir, &resolved)?;
    while experiment.done() < finite {
        if observer.stop() {
            return Ok(None);
        }
        experiment.bare_round()?;
    }
    arm.set(true);
    match experiment.bare_round() {
        Err(Error::NotFinite(what)) => Ok(Some(what)),
        answer => answer.map(|()| None),
    }
}
