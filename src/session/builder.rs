//! The settings of a session: the experiment, its directory and its options.

use super::prepared::{Prepared, Trained, unlocked};
use super::retry::{RETRY_PAUSE, Retries};
use super::{Observer, Workers, diagnose, resume};
use crate::Result;
use crate::check::watch::DEFAULT_EVERY;
use crate::config::{self, Overrides, Plan};
use crate::report::{RunDir, layout, run_dir, tensorboard};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Default parent folder of run directories.
const RUNS: &str = "runs";

/// An experiment to run. Nothing is loaded, opened or written before [`Session::train`].
#[derive(Clone, Debug)]
pub struct Session {
    plan: Plan,
    place: Place,
    verify_every: u32,
    tuned: bool,
    retries: u32,
    tensorboard: bool,
    workers: Option<Arc<dyn Workers>>,
}

#[derive(Clone, Debug)]
enum Place {
    /// The first free `runs/NAME-NNN`.
    Free,
    /// A new or empty directory.
    New(PathBuf),
    /// The directory of a run to continue.
    Begun(RunDir),
}

impl Session {
    /// A session that writes to `runs/NAME-NNN`, verifies one launch in [`DEFAULT_EVERY`] steps against the reference, uses the
    /// adapter's tuning file if there is one, and ends if the device fails.
    pub fn new(plan: Plan) -> Session {
        Session {
            plan,
            place: Place::Free,
            verify_every: DEFAULT_EVERY,
            tuned: true,
            retries: 0,
            tensorboard: false,
            workers: None,
        }
    }

    /// A session that continues the run in `directory` from its latest checkpoint, bit for bit. `overrides` may set `rounds`
    /// and the keys that do not change results.
    ///
    /// # Errors
    /// A directory without a run, or one in use by another process; a finished run without further rounds.
    pub fn resume(directory: &Path, overrides: &Overrides) -> Result<Session> {
        let dir = RunDir::reopen_any(directory)?;
        let plan = config::load(Some(&dir.file(layout::PLAN)), overrides)?;
        resume::has_more(&dir, &plan)?;
        Ok(Session { place: Place::Begun(dir), ..Session::new(plan) })
    }

    /// A session that continues the unfinished run in `directory` with `plan`, which may differ from the run's in keys that do
    /// not change results.
    pub(super) fn again(plan: Plan, directory: &Path) -> Result<Session> {
        Ok(Session { place: Place::Begun(RunDir::reopen(directory)?), ..Session::new(plan) })
    }

    /// Writes to `directory`, which must be new or empty.
    pub fn directory(self, directory: impl Into<PathBuf>) -> Session {
        Session { place: Place::New(directory.into()), ..self }
    }

    /// Verifies one launch in `steps` training steps, drawn at random, against the reference on another thread; 0 disables
    /// verification.
    pub fn verify_every(self, steps: u32) -> Session {
        Session { verify_every: steps, ..self }
    }

    /// Whether to use the adapter's tuning file if there is one.
    pub fn tuned(self, tuned: bool) -> Session {
        Session { tuned, ..self }
    }

    /// Reopens a failed device up to `times` times and continues from the latest checkpoint.
    pub fn retry_device(self, times: u32) -> Session {
        Session { retries: times, ..self }
    }

    /// Whether to write event files for TensorBoard, into the folder [`tensorboard::FOLDER`] of the run's directory; off by
    /// default. A session that continues a run writes a further file, from its first round on.
    pub fn tensorboard(self, on: bool) -> Session {
        Session { tensorboard: on, ..self }
    }

    /// Trains clients in other processes too. Bits do not depend on their number, on devices of one kind. Only launches of this
    /// process are verified.
    pub fn workers(self, workers: Arc<dyn Workers>) -> Session {
        Session { workers: Some(workers), ..self }
    }

    /// The plan to run.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Loads the images and opens the device; nothing is written.
    ///
    /// # Errors
    /// Images that are missing or do not fit the plan, a device that cannot be opened or is too small.
    pub fn prepare(&self, observer: &mut dyn Observer) -> Result<Prepared> {
        let prepared = Prepared::new(self.plan.clone(), self.verify_every, self.tuned, self.workers.clone(), observer)?;
        Ok(prepared.tensorboard(self.tensorboard))
    }

    /// Trains all remaining rounds.
    ///
    /// # Errors
    /// Bad input before anything is written; later, a device that fails or a file that cannot be written. Checkpoints remain,
    /// and [`Session::resume`] continues from them.
    pub fn train(&self, observer: &mut dyn Observer) -> Result<Trained> {
        // Before the preparation, which may take long.
        match &self.place {
            Place::New(path) => run_dir::vacant(path)?,
            Place::Begun(dir) if self.tensorboard => tensorboard::vet(dir)?,
            Place::Begun(_) | Place::Free => {}
        }
        let mut prepared = self.prepare(observer)?;
        let dir = match &self.place {
            Place::Begun(dir) => {
                let line = prepared.resume(dir, observer)?;
                observer.note(&line);
                dir.clone()
            }
            Place::New(path) => RunDir::create(Some(path), Path::new(RUNS), &self.plan.name)?,
            Place::Free => RunDir::create(None, Path::new(RUNS), &self.plan.name)?,
        };
        observer.directory(dir.path())?;
        if !dir.is_locked() {
            observer.warning(&unlocked(&dir));
        }
        observer.note(&prepared.describe());
        let again = |dir: &RunDir, observer: &mut dyn Observer| {
            let mut prepared = self.prepare(observer)?;
            let line = prepared.resume(dir, observer)?;
            Ok((prepared, line))
        };
        Retries { left: self.retries, pause: RETRY_PAUSE, again: &again }.train(prepared, &dir, observer)
    }

    /// Finds the launch that wrote the first non-finite value of the run in `directory`, which stopped because of it: repeats
    /// the rounds since the latest checkpoint, the last one launch by launch. Files are not changed. `None` if the fault does
    /// not recur, or if the observer stops the search.
    ///
    /// # Errors
    /// A device that fails, checkpoints that cannot be used.
    pub fn first_nonfinite(&self, directory: &Path, observer: &mut dyn Observer) -> Result<Option<String>> {
        let dir = match &self.place {
            // It is locked by this session, and cannot be opened a second time.
            Place::Begun(dir) => dir.clone(),
            Place::New(_) | Place::Free => RunDir::reopen_any(directory)?,
        };
        let (prepared, arm) = Prepared::watched(self.plan.clone(), self.tuned, observer)?;
        diagnose::first_launch(prepared, &arm, &dir, observer)
    }
}
