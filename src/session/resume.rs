//! Writing checkpoints, and continuing from one.

use super::experiment::{Clock, Experiment, Output, grid_file};
use super::{Observer, Silent};
use crate::config::{Draft, Plan, Resolved};
use crate::error::count;
use crate::exec::Descriptor;
use crate::report::checkpoint::{self, Checkpoint, RunState, Shape};
use crate::report::layout;
use crate::report::summary::{Digests, Resumed, Summary};
use crate::report::tensorboard::EventLog;
use crate::report::{MetricsWriter, RunDir, metrics};
use crate::{Error, Result};
use std::fs::File;
use std::path::Path;
use std::time::Instant;

/// Keys that a resumed run may change: none affects completed rounds, and chunks do not change results. With `nonfinite =
/// "stop"` a run ends before the round with non-finite values leaves any record.
pub(super) const FREE: [&str; 7] = [
    "name",
    "rounds",
    "device",
    "data.path",
    "evaluation.extractor",
    "federation.clients_per_launch",
    "federation.nonfinite",
];

/// Rejects a finished run if `plan` has no further rounds, or if the run cannot be trained further.
///
/// # Errors
/// [`Error::Input`] naming the directory.
pub(super) fn has_more(dir: &RunDir, plan: &Plan) -> Result<()> {
    if !dir.file(layout::SUMMARY).exists() {
        return Ok(());
    }
    let done = Summary::read(dir.path())?.rounds;
    let what = match plan.rounds > done {
        false => format!("to train it further, ask for more than {done}: --set rounds=N (now {})", plan.rounds),
        true if checkpoint::list(dir)?.is_empty() => {
            "it cannot be trained further, as it kept no state (checkpoint.last = false, a sweep's cell, or an earlier version)".into()
        }
        true => return Ok(()),
    };
    Err(Error::file(
        dir.path(),
        format!("the run is finished after {} ({} is there); {what}", count(done, "round"), layout::SUMMARY),
    ))
}

impl Experiment {
    /// Writes a checkpoint of the run after the completed rounds.
    ///
    /// # Errors
    /// A device that fails, a file that cannot be written.
    pub fn save_checkpoint(&mut self, resolved: &Resolved) -> Result<()> {
        let Output { dir, metrics, events } = self.output()?;
        let mut logs = metrics.sync()?;
        events.iter().try_for_each(EventLog::sync)?;
        // For a new log the directory entry must reach the disk as well.
        dir.sync();
        let ended = self.done() == self.plan.rounds;
        if let Some((before, _)) = self.at_end.as_ref().filter(|_| ended) {
            (logs.jsonl, logs.evaluation) = (before.jsonl, before.evaluation);
        }
        let parts = self.federation.parts();
        let shapes: Vec<Shape> = parts.iter().map(|p| (p.name.clone(), [p.rows, p.words])).collect();
        let state = RunState {
            version: resolved.version.clone(),
            plan: self.plan.to_toml(resolved)?,
            device: resolved.device.clone(),
            tuning: digest_of_tuning(resolved),
            images: self.read(),
            logs,
            unevaluated: self.at_end.as_ref().filter(|_| ended).map(|(_, record)| record.clone()),
            federation: self.federation.memory(),
            first: self.values.0.clone(),
            last: self.values.1.clone(),
            diverged: self.diverged,
            seconds: self.clock.seconds(),
            verified: self.verified(),
            resumed: self.resumed.clone(),
        };
        let keep = if ended { 1 } else { self.plan.checkpoint.keep as usize };
        let dir = self.output()?.dir.clone();
        let federation = &mut self.federation;
        checkpoint::save(&dir, &state, &shapes, keep, |part, row| federation.read_row(&parts[part], row))?;
        Ok(())
    }

    /// Continues from the latest intact checkpoint in `dir`; returns the number of completed rounds. `None` if the run had not
    /// written a checkpoint: it must start again. `begun` is the plan of the previous process. The observer is warned about
    /// damaged checkpoints, and if results may differ in bits from now on.
    ///
    /// # Errors
    /// [`Error::Input`] if no existing checkpoint can be used, if they belong to another experiment or other images, or if the
    /// plan has no more rounds than are done.
    pub fn restore(
        &mut self,
        dir: &RunDir,
        begun: &Plan,
        resolved: &Resolved,
        observer: &mut dyn Observer,
    ) -> Result<Option<u32>> {
        let Some(state) = self.load(dir, resolved, observer)? else { return Ok(None) };
        let RunState { federation, logs, unevaluated, first, last, diverged, seconds, verified, mut resumed, .. } =
            state;
        let (round, log) = (federation.round, dir.file("metrics.jsonl"));
        if self.plan.rounds <= round {
            let what = format!(
                "rounds = {}: the run has already done {round}; set a larger number (--set rounds=N)",
                self.plan.rounds
            );
            return Err(Error::file(dir.path(), what));
        }
        self.records = metrics::read_jsonl_to(&log, logs.jsonl)?;
        self.records.extend(unevaluated.clone());
        if self.records.len() != round as usize {
            return Err(Error::file(
                &log,
                format!("{}, but the checkpoint has {round}", count(self.records.len(), "round")),
            ));
        }
        // The last round's step is written again if its evaluation no longer counts.
        let from = if unevaluated.is_some() { round } else { round + 1 };
        let mut events = self.event_log(dir, from)?;
        // All logs are checked before any is truncated.
        self.unfinish(dir, begun, resolved)?;
        let mut metrics = MetricsWriter::resume(dir, &logs)?;
        if let Some(record) = &unevaluated {
            metrics.line(record)?;
            events.as_mut().map_or(Ok(()), |events| events.round(record))?;
        }
        checkpoint::forget_after(dir, round)?;
        self.output = Some(Output { dir: dir.clone(), metrics, events });
        resumed.push(Resumed { round, device: resolved.device.clone(), version: resolved.version.clone() });
        (self.values, self.diverged, self.earlier, self.resumed) = ((first, last), diverged, verified, resumed);
        self.clock = Clock { before: seconds, started: Instant::now(), first: round };
        Ok(Some(round))
    }

    /// Turns a finished run into an unfinished one. If the process is killed in between, the run is in one of the two states.
    fn unfinish(&self, dir: &RunDir, begun: &Plan, resolved: &Resolved) -> Result<()> {
        if begun.rounds != self.plan.rounds && !self.plan.evaluation.is_due(begun.rounds) {
            // A longer run has no samples at this round.
            dir.remove(&grid_file(begun.rounds))?;
        }
        if dir.file(layout::SUMMARY).exists() {
            // The plan first: with its further rounds, a remaining summary does not mark the run as finished.
            dir.write_text(layout::PLAN, &self.plan.to_toml(resolved)?)?;
            dir.remove(layout::SUMMARY)?;
            dir.sync();
        }
        Ok(())
    }

    /// Restores the latest checkpoint in `dir`, or the initial state, to repeat rounds without writing files.
    ///
    /// # Errors
    /// As [`Experiment::restore`].
    pub fn recall(&mut self, dir: &RunDir, resolved: &Resolved) -> Result<()> {
        self.load(dir, resolved, &mut Silent).map(|_| ())
    }

    /// Uploads the state of the latest intact checkpoint to the device.
    fn load(&mut self, dir: &RunDir, resolved: &Resolved, observer: &mut dyn Observer) -> Result<Option<RunState>> {
        let mut damaged = Vec::new();
        for (_, path) in checkpoint::list(dir)? {
            let usable = Checkpoint::open(&path).and_then(|c| match c.state().logs.reached(dir) {
                true => Ok(c),
                false => Err(Error::file(&path, "the run's logs are shorter than it records")),
            });
            match usable {
                Ok(mut checkpoint) => {
                    for what in &damaged {
                        observer.warning(&format!("{what}; an earlier checkpoint is used"));
                    }
                    self.check(checkpoint.state(), &path, resolved, observer)?;
                    self.fill(&mut checkpoint, &path)?;
                    return Ok(Some(checkpoint.state().clone()));
                }
                Err(error) => damaged.push(error.to_string()),
            }
        }
        if damaged.is_empty() {
            return Ok(None);
        }
        Err(Error::input(format!(
            "none of the run's checkpoints can be used; to start again, remove the folder `checkpoints`\n  {}",
            damaged.join("\n  ")
        )))
    }

    /// Rejects a checkpoint of another experiment; warns about differences that may change bits.
    fn check(&self, state: &RunState, path: &Path, resolved: &Resolved, observer: &mut dyn Observer) -> Result<()> {
        let stored = Draft::parse("its plan".into(), &state.plan).and_then(Draft::plan);
        same_experiment(&stored.map_err(|e| Error::file(path, e))?, &self.plan, path)?;
        if state.images != self.read() {
            let what = "the images, their partition, the trigger's picture or the extractor differ from those at the run's start";
            return Err(Error::file(path, what));
        }
        for (what, was, now) in [
            ("device", title(&state.device), title(&resolved.device)),
            ("version", state.version.clone(), resolved.version.clone()),
            ("tuning", format!("{:?}", state.tuning), format!("{:?}", digest_of_tuning(resolved))),
        ] {
            if was != now {
                let what = format!("the run continues with another {what}, so results may differ in bits");
                observer.warning(&format!("{what}: it was {was}, now {now}"));
            }
        }
        Ok(())
    }

    /// Digest of the images, their partition, the trigger's picture and the extractor's file, if there are any.
    fn read(&self) -> String {
        let Digests { split, trigger, extractor, .. } = &self.digests;
        let trigger = trigger.as_ref().map_or(String::new(), |trigger| format!(" {trigger}"));
        // The file's name too: it is in the names of the metrics, which must not change.
        let name = Path::new(&self.plan.evaluation.extractor).file_name().unwrap_or_default().display();
        let extractor = extractor.as_ref().map_or(String::new(), |file| format!(" {name} {file}"));
        format!("{split}{trigger}{extractor}")
    }

    fn fill(&mut self, checkpoint: &mut Checkpoint<File>, path: &Path) -> Result<()> {
        let parts = self.federation.parts();
        let shapes: Vec<Shape> = parts.iter().map(|p| (p.name.clone(), [p.rows, p.words])).collect();
        checkpoint.expect(&shapes)?;
        for part in &parts {
            for row in 0..part.rows {
                let words = checkpoint.row(&part.name, row)?;
                self.federation.write_row(part, row, &words)?;
            }
        }
        self.federation.recall(checkpoint.state().federation.clone()).map_err(|e| Error::file(path, e))
    }
}

/// All properties of a device that may change bits, on one line.
fn title(d: &Descriptor) -> String {
    format!("{} {} ({}, {}, {} shaders)", d.engine, d.adapter, d.backend, d.driver, d.variant)
}

/// Rejects the file at `path` if it belongs to another experiment, naming the keys that differ.
pub(super) fn same_experiment(stored: &Plan, plan: &Plan, path: &Path) -> Result<()> {
    let differences = stored.differences(plan, &FREE)?;
    match differences.is_empty() {
        true => Ok(()),
        false => {
            let what = differences.join("; ");
            Err(Error::file(path, format!("is of another experiment: {what}")))
        }
    }
}

/// SHA-256 of the tuning file in use.
fn digest_of_tuning(resolved: &Resolved) -> Option<String> {
    use sha2::Digest;
    let bytes = std::fs::read(resolved.tuning.as_ref()?).ok()?;
    Some(checkpoint::hex(sha2::Sha256::new_with_prefix(bytes)))
}

/// Whether a run that began as `stored` may continue as `plan`.
///
/// # Errors
/// If a value has no TOML form.
pub(super) fn may_continue(stored: &Plan, plan: &Plan) -> Result<bool> {
    Ok(stored.rounds == plan.rounds && stored.differences(plan, &FREE)?.is_empty())
}
