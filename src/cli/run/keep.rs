//! Checkpoints of a run, and the way back from one.

use super::experiment::{Experiment, Output};
use crate::config::{Draft, Plan, Resolved};
use crate::report::run_state::{self, Checkpoint, Measured, Resumed, RunState, Shape};
use crate::report::{MetricsWriter, RunDir, metrics};
use crate::{Error, Result};
use std::fs::File;
use std::path::Path;

/// Keys that a run may change when it goes on: none changes what has been computed, and chunks change no bit.
/// What is not finite ends a run that stops for it before anything of its round is kept.
const FREE: [&str; 5] = ["name", "device", "data.path", "federation.clients_per_launch", "federation.nonfinite"];

impl Experiment {
    /// Writes a checkpoint of the run after the rounds done.
    ///
    /// # Errors
    /// A device that fails, a file that cannot be written.
    pub fn save_checkpoint(&mut self, resolved: &Resolved) -> Result<()> {
        let logs = self.output()?.metrics.sync()?;
        let parts = self.federation.parts();
        let shapes: Vec<Shape> = parts.iter().map(|p| (p.name.clone(), [p.rows, p.words])).collect();
        let state = RunState {
            version: resolved.version.clone(),
            plan: self.plan.to_toml(resolved)?,
            device: resolved.device.clone(),
            tuning: digest_of_tuning(resolved),
            images: self.images.clone(),
            logs,
            federation: self.federation.memory(),
            first: self.values.0.clone(),
            last: self.values.1.clone(),
            diverged: self.diverged,
            seconds: self.clock.seconds(),
            verified: self.verified(),
            resumed: self.resumed.clone(),
        };
        let keep = self.plan.checkpoint.keep as usize;
        let dir = self.output()?.dir.clone();
        let federation = &mut self.federation;
        run_state::save(&dir, &state, &shapes, keep, |part, row| federation.read_row(&parts[part], row))?;
        Ok(())
    }

    /// Goes on in `dir` from its latest checkpoint that is whole; the rounds done. `None` where the run came to no checkpoint:
    /// it must begin again. `warn` hears of damaged checkpoints, and where the bits may differ from now on.
    ///
    /// # Errors
    /// [`Error::Input`] when checkpoints are there and none can be used, or they are of another experiment or other images.
    pub fn restore(&mut self, dir: &RunDir, resolved: &Resolved, warn: &dyn Fn(&str)) -> Result<Option<u32>> {
        let mut damaged = Vec::new();
        for (_, path) in run_state::list(dir)? {
            let usable = Checkpoint::open(&path).and_then(|c| match c.state().logs.reached(dir) {
                true => Ok(c),
                false => Err(Error::file(&path, "the run's logs are shorter than it says")),
            });
            match usable {
                Ok(checkpoint) => {
                    damaged.iter().for_each(|what| warn(&format!("{what}; an earlier checkpoint is used")));
                    return self.restore_from(checkpoint, &path, dir, resolved, warn).map(Some);
                }
                Err(error) => damaged.push(error.to_string()),
            }
        }
        if damaged.is_empty() {
            return Ok(None);
        }
        Err(Error::input(format!(
            "none of the run's checkpoints can be used; to begin again, remove the folder `checkpoints`\n  {}",
            damaged.join("\n  ")
        )))
    }

    fn restore_from(
        &mut self,
        mut checkpoint: Checkpoint<File>,
        path: &Path,
        dir: &RunDir,
        resolved: &Resolved,
        warn: &dyn Fn(&str),
    ) -> Result<u32> {
        let state = checkpoint.state().clone();
        same_experiment(&state, &self.plan, path)?;
        if state.images != self.images {
            return Err(Error::file(path, "the images, or who holds which, are not those that the run began with"));
        }
        for (what, was, now) in [
            ("device", format!("{:?}", state.device), format!("{:?}", resolved.device)),
            ("version", state.version.clone(), resolved.version.clone()),
            ("tuning", format!("{:?}", state.tuning), format!("{:?}", digest_of_tuning(resolved))),
        ] {
            if was != now {
                warn(&format!(
                    "the run goes on with another {what}, so that it may differ in bits: it was {was}, now {now}"
                ));
            }
        }
        let parts = self.federation.parts();
        let shapes: Vec<Shape> = parts.iter().map(|p| (p.name.clone(), [p.rows, p.words])).collect();
        checkpoint.expect(&shapes)?;
        for part in &parts {
            for row in 0..part.rows {
                let words = checkpoint.row(&part.name, row)?;
                self.federation.write_row(part, row, &words)?;
            }
        }
        let RunState { federation, logs, first, last, diverged, seconds, verified, mut resumed, .. } = state;
        let round = federation.round;
        self.federation.recall(federation).map_err(|e| Error::file(path, e))?;
        let metrics = MetricsWriter::resume(dir, &logs)?;
        let log = dir.file("metrics.jsonl");
        self.records = metrics::read_jsonl(&log)?;
        if self.records.len() != round as usize {
            return Err(Error::file(&log, format!("{} rounds, the checkpoint has {round}", self.records.len())));
        }
        self.output = Some(Output { dir: dir.clone(), metrics });
        resumed.push(Resumed { round, device: resolved.device.clone(), version: resolved.version.clone() });
        self.take_over(first, last);
        (self.diverged, self.earlier, self.resumed) = (diverged, verified, resumed);
        self.clock.before = seconds;
        self.clock.started = std::time::Instant::now();
        Ok(round)
    }

    fn take_over(&mut self, first: Measured, last: Measured) {
        self.values = (first, last);
    }
}

/// Refuses a checkpoint of another experiment, naming the keys.
fn same_experiment(state: &RunState, plan: &Plan, path: &Path) -> Result<()> {
    let stored = Draft::parse("its plan".into(), &state.plan).and_then(Draft::plan);
    let stored = stored.map_err(|e| Error::file(path, e))?;
    let differences = stored.differences(plan, &FREE)?;
    match differences.is_empty() {
        true => Ok(()),
        false => {
            let what = differences.join("; ");
            Err(Error::file(path, format!("is a checkpoint of another experiment: {what}")))
        }
    }
}

/// SHA-256 of the tuning file in use.
fn digest_of_tuning(resolved: &Resolved) -> Option<String> {
    use sha2::Digest;
    let bytes = std::fs::read(resolved.tuning.as_ref()?).ok()?;
    Some(run_state::hex(sha2::Sha256::new_with_prefix(bytes)))
}
