//! Finds the launch that wrote the first non-finite value of a stopped run: repeats the rounds since the latest checkpoint, the
//! last one launch by launch.

use super::{Observer, Prepared};
use crate::check::watch::Arm;
use crate::report::{RunDir, metrics};
use crate::{Error, Result};

/// Repeats the run that stopped in `dir` with `prepared`, whose engine is a sentinel that `arm` activates. Files are not
/// changed. Returns the sentinel's message; `None` if the fault does not recur, or if the observer stops the search.
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
