//! A run with its images loaded and its device open.

use super::experiment::Experiment;
use super::images::Images;
use super::memory::Setup;
use super::ranks::Ranks;
use super::tuned::Tuned;
use super::{Observer, Start, Workers, fit, resume};
use crate::Result;
use crate::check::watch::{Arm, Sentinel};
use crate::config::{self, Overrides, Plan, Resolved};
use crate::exec::{Engine, Open};
use crate::report::{RunDir, Summary, layout};
use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;

/// A run with its images loaded and its device open; nothing is written yet.
pub struct Prepared {
    pub(super) experiment: Experiment,
    pub(super) resolved: Resolved,
}

/// How training ended.
#[derive(Debug)]
pub enum Trained {
    /// All rounds are done.
    Finished(Box<Finished>),
    /// The observer stopped it; the run directory holds a checkpoint.
    Interrupted {
        /// Rounds done.
        done: u32,
    },
}

/// A finished run.
#[derive(Debug)]
pub struct Finished {
    /// The run directory.
    pub directory: PathBuf,
    /// As written to `summary.json`.
    pub summary: Summary,
    /// The outcome as lines for a console.
    pub outcome: String,
}

/// The warning about a run directory on a file system without locks.
pub(super) fn unlocked(dir: &RunDir) -> String {
    format!("{}: this file system has no locks: make sure that no other process writes to it", dir.path().display())
}

impl Prepared {
    /// Loads the images and opens the device. One launch in `verify_every` steps is verified (0: none). With `tuned`, the
    /// adapter's tuning file is used if there is one.
    ///
    /// # Errors
    /// Images that are missing or do not fit the plan, a device that cannot be opened or is too small.
    pub(super) fn new(
        plan: Plan,
        verify_every: u32,
        tuned: bool,
        workers: Option<Arc<dyn Workers>>,
        observer: &mut dyn Observer,
    ) -> Result<Prepared> {
        Prepared::on(plan, verify_every, tuned, workers, observer, &|engine| engine)
    }

    /// [`Prepared::new`] on a sentinel, with the switch that activates it.
    pub(super) fn watched(plan: Plan, tuned: bool, observer: &mut dyn Observer) -> Result<(Prepared, Arm)> {
        let arm = RefCell::new(Arm::default());
        let wrap = |engine| {
            let sentinel = Sentinel::new(engine);
            *arm.borrow_mut() = sentinel.arm();
            Box::new(sentinel) as Box<dyn Engine>
        };
        let prepared = Prepared::on(plan, 0, tuned, None, observer, &wrap)?;
        Ok((prepared, arm.into_inner()))
    }

    /// [`Prepared::new`] on the device's engine wrapped by `wrap`.
    fn on(
        plan: Plan,
        verify_every: u32,
        tuned: bool,
        workers: Option<Arc<dyn Workers>>,
        observer: &mut dyn Observer,
        wrap: &dyn Fn(Box<dyn Engine>) -> Box<dyn Engine>,
    ) -> Result<Prepared> {
        plan.notes.lines().for_each(|line| observer.note(&line));
        let images = Images::load(&plan)?;
        for skipped in &images.skipped {
            observer.warning(&format!("unreadable, left out: {skipped}"));
        }
        observer.note(&images.describe(&plan));
        let warnings: Vec<String> = images.warnings.iter().cloned().chain(images.warning(&plan)).collect();
        warnings.iter().for_each(|warning| observer.warning(warning));
        images.notes.iter().for_each(|note| observer.note(note));
        let open = Open { device: plan.device.clone(), tuned };
        let ranks = workers.map(|workers| Ranks { workers, open });
        let tuned = if tuned { Tuned::find(&plan.device, observer)? } else { None };
        let (engine, reason) = crate::gpu::open(&plan.device, Tuned::options(tuned.as_ref()))?;
        let mut resolved = Resolved { warnings, ..Resolved::new(engine.descriptor(), &reason) };
        // `auto` falls back to the cpu engine if the adapter fails to open.
        let file = tuned.as_ref().filter(|_| resolved.device.engine == "gpu");
        resolved.tuning = file.map(|t| t.file.display().to_string());
        resolved.clients = images.names.clone();
        observer.note(&device(&resolved));
        // Launches are verified against the reference engine, which needs no verification itself.
        let verified = verify_every > 0 && resolved.device.engine != "reference";
        let setting = Setup { plan: &plan, images: &images, verified, ranks: ranks.as_ref() };
        let memory = setting.memory(engine.as_ref())?;
        observer.note(&format!("memory    {memory}"));
        let again = || Ok(wrap(crate::gpu::open(&plan.device, Tuned::options(tuned.as_ref()))?.0));
        let built = fit::build(&setting, memory, wrap(engine), verify_every, &again, observer)?;
        built.warnings.iter().for_each(|warning| observer.warning(warning));
        resolved.warnings.extend(built.warnings);
        let experiment = Experiment::new(plan, images, built.parts, built.checked)?;
        experiment.warnings().iter().for_each(|warning| observer.warning(warning));
        resolved.warnings.extend(experiment.warnings());
        Ok(Prepared { experiment, resolved })
    }

    /// Whether event files for TensorBoard are written.
    pub(super) fn tensorboard(mut self, on: bool) -> Prepared {
        self.experiment.tensorboard = on;
        self
    }

    /// The plan of the run.
    pub fn plan(&self) -> &Plan {
        self.experiment.plan()
    }

    /// One line about the training.
    pub fn describe(&self) -> String {
        self.experiment.describe()
    }

    /// One line about the device: why it was chosen, and its tuning file.
    pub fn device(&self) -> String {
        device(&self.resolved)
    }

    /// Continues where an earlier process stopped in `dir`, or from the start if it had not written a checkpoint; returns a
    /// line about it.
    ///
    /// # Errors
    /// A run of another experiment, or damaged checkpoints.
    pub fn resume(&mut self, dir: &RunDir, observer: &mut dyn Observer) -> Result<String> {
        let path = dir.file(layout::PLAN);
        let begun = config::load(Some(&path), &Overrides::default())?;
        resume::same_experiment(&begun, self.plan(), &path)?;
        Ok(match self.experiment.restore(dir, &begun, &self.resolved, observer)? {
            Some(round) => format!("resumed   after round {round} of {}", self.plan().rounds),
            None => "resumed   from the start: the run had reached no checkpoint".to_string(),
        })
    }

    /// Trains the remaining rounds and writes all results to `dir`, the summary last.
    ///
    /// # Errors
    /// A device that fails, a file that cannot be written.
    pub fn train(self, dir: &RunDir, observer: &mut dyn Observer) -> Result<Trained> {
        let Prepared { mut experiment, resolved } = self;
        // Also for a resumed run: its free keys and its device may have changed.
        dir.write_text(layout::PLAN, &experiment.plan().to_toml(&resolved)?)?;
        if experiment.output.is_none() {
            experiment.begin(dir)?;
            dir.sync();
            experiment.save_checkpoint(&resolved)?;
        }
        observer.begin(&Start { done: experiment.done(), rounds: experiment.plan().rounds });
        let finished = rounds(&mut experiment, &resolved, observer);
        observer.end();
        if !finished? {
            return Ok(Trained::Interrupted { done: experiment.done() });
        }
        let summary = experiment.end(&resolved)?;
        if experiment.plan().checkpoint.keeps_last() {
            // The run is finished even without this checkpoint.
            if let Err(error) = experiment.save_checkpoint(&resolved) {
                observer
                    .warning(&format!("the run cannot be trained further, as its last state was not saved: {error}"));
            }
        }
        let (directory, outcome) = (dir.path().to_path_buf(), experiment.outcome());
        Ok(Trained::Finished(Box::new(Finished { directory, summary, outcome })))
    }
}

/// Runs the remaining rounds; `false` if the observer stopped them, after writing a checkpoint.
fn rounds(experiment: &mut Experiment, resolved: &Resolved, observer: &mut dyn Observer) -> Result<bool> {
    let (rounds, every) = (experiment.plan().rounds, experiment.plan().checkpoint.every);
    let mut kept = experiment.done();
    while experiment.done() < rounds {
        if observer.stop() {
            if kept != experiment.done() {
                experiment.save_checkpoint(resolved)?;
            }
            return Ok(false);
        }
        let round = experiment.round()?;
        observer.round(&round);
        if every > 0 && round.done.is_multiple_of(every) && round.done < rounds {
            experiment.save_checkpoint(resolved)?;
            kept = round.done;
        }
    }
    Ok(true)
}

fn device(resolved: &Resolved) -> String {
    let tuned = resolved.tuning.as_ref().map_or(String::new(), |file| format!("; tuned by {file}"));
    format!("device    {}{tuned}", resolved.reason)
}
