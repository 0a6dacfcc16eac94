//! `fedgan run`: an experiment from its file to its run directory.

mod built;
mod diagnose;
pub(super) mod experiment;
pub(super) mod images;
mod keep;
mod memory;
pub(super) mod parts;
mod retry;
pub(super) mod tuned;

use super::interrupt;
use crate::check::watch::{Arm, DEFAULT_EVERY, Sentinel};
use crate::config::{self, Overrides, Plan, Resolved};
use crate::exec::Engine;
use crate::fed::OnNonfinite;
use crate::report::layout;
use crate::report::progress::duration;
use crate::report::{Progress, ProgressMode, RoundProgress, RunDir, Summary, run_dir};
use crate::{Error, Result};
use experiment::Experiment;
use images::Images;
use memory::Setting;
use retry::{RETRY_PAUSE, Retries};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use tuned::Tuned;

/// Arguments of `fedgan run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Experiment file (TOML), or a built-in one: `default`, `attacked`, `paper`, `paper-64`, `paper-32` [default: `default`].
    pub config: Option<PathBuf>,
    /// Run directory; new or empty [default: runs/NAME-NNN, the first free].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Overrides a key of the experiment, such as train.lr=0.0001; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// auto, gpu, gpu:N (a number of `fedgan devices`), cpu, reference, or part of an adapter's name; overrides FEDGAN_DEVICE, which
    /// overrides the experiment's.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Seed; overrides the experiment's.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Goes on in the directory of a run that was stopped, from its latest checkpoint, bit for bit; with --set rounds=N also of one
    /// that is finished. The experiment is the run's own; of its keys only name, rounds, device, data.path,
    /// federation.clients_per_launch, federation.nonfinite and those of checkpoint may be set anew.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "out", "seed"])]
    pub resume: Option<PathBuf>,
    /// When the device fails or is lost, opens it anew up to N times and goes on from the latest checkpoint.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub retry_device: u32,
    /// Leave out images that cannot be read instead of stopping.
    #[arg(long)]
    pub skip_bad: bool,
    /// One launch in N steps, drawn at random, is verified against the reference on another thread; 0: none.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_EVERY)]
    pub verify_every: u32,
    /// Use no measured choices of shader variants (`fedgan tune`); FEDGAN_TUNING=off does so too, for sweeps as well.
    #[arg(long)]
    pub no_tuning: bool,
    /// Print errors only.
    #[arg(long, short)]
    pub quiet: bool,
}

/// Runs the experiment; returns the exit code.
///
/// # Errors
/// Bad input before anything is written; device and file errors later.
pub fn run(args: RunArgs) -> Result<u8> {
    interrupt::listen_for_batch_systems()?;
    let overrides =
        Overrides { set: args.set.clone(), device: args.device.clone(), seed: args.seed, skip_bad: args.skip_bad };
    let say = |text: &str| {
        if !args.quiet {
            super::tell(text);
        }
    };
    let warn = |text: &str| super::tell(&format!("warning: {text}"));
    let tuned = tuned::wanted(args.no_tuning)?;
    let prepare =
        |plan: &Plan| Prepared::tuned(plan.clone(), args.verify_every, tuned.then_some(&warn as &dyn Fn(&str)), &say);
    let (dir, plan, prepared) = match &args.resume {
        Some(path) => {
            let dir = RunDir::reopen_any(path)?;
            let plan = config::load(Some(&dir.file(layout::PLAN)), &overrides)?;
            keep::has_more(&dir, &plan)?;
            let mut prepared = prepare(&plan)?;
            say(&prepared.go_on(&dir, &warn)?);
            (dir, plan, prepared)
        }
        None => {
            let plan = config::load(args.config.as_deref(), &overrides)?;
            // Before anything is prepared, which may take a while.
            args.out.as_deref().map_or(Ok(()), run_dir::vacant)?;
            let prepared = prepare(&plan)?;
            (RunDir::create(args.out.as_deref(), Path::new("runs"), &plan.name)?, plan, prepared)
        }
    };
    say(&format!("directory {}", dir.path().display()));
    if !dir.is_locked() {
        warn(&unlocked(&dir));
    }
    say(&prepared.describe());
    interrupt::listen()?;
    let mode = if args.quiet { ProgressMode::Quiet } else { ProgressMode::Auto };
    let again = |dir: &RunDir| {
        let mut prepared = prepare(&plan)?;
        let said = prepared.go_on(dir, &warn)?;
        Ok((prepared, said))
    };
    let retries = Retries { left: args.retry_device, pause: RETRY_PAUSE, again: &again, warn: &warn };
    let resume = || format!("fedgan run --resume {}", dir.path().display());
    match retries.train(prepared, &dir, mode, &interrupt::asked) {
        Ok(Trained::Finished(finished)) => {
            let Finished { summary, outcome } = *finished;
            if !args.quiet {
                let time = duration(summary.timing.seconds);
                let (rounds, picture) = (summary.rounds, dir.file("samples.png"));
                let picture = picture.display();
                super::print(format!("{outcome}\ntime      {time} for {rounds} rounds\nlook at   {picture}\n"))?;
            }
            Ok(0)
        }
        Ok(Trained::Interrupted { done }) => {
            super::tell(&format!("interrupted after {done} of {} rounds; to go on: {}", plan.rounds, resume()));
            Ok(interrupt::EXIT_CODE)
        }
        Err(error @ Error::NotFinite(_)) => {
            say("something is not finite: the rounds since the latest checkpoint are repeated, to find the launch");
            let found = Prepared::watched(plan.clone(), tuned.then_some(&warn as &dyn Fn(&str)))
                .and_then(|(prepared, arm)| diagnose::first_launch(prepared, &arm, &dir, &interrupt::asked));
            // What was found out first counts, whatever becomes of the repetition.
            let found = match found {
                Ok(Some(launch)) if launch != error.to_string() => launch,
                Ok(_) => "the launch was not found".into(),
                Err(why) => format!("the launch was not found: {why}"),
            };
            Err(match plan.federation.nonfinite {
                OnNonfinite::Stop => {
                    let go_on = format!("{} --set federation.nonfinite=drop", resume());
                    error.and(&format!("{found}\nto go on without such clients: {go_on}"))
                }
                OnNonfinite::Drop | OnNonfinite::Record => error.and(&found),
            })
        }
        Err(error) if dir.file(layout::PLAN).exists() => {
            Err(error.and(&format!("what was done is kept; to go on: {}", resume())))
        }
        Err(error) => Err(error),
    }
}

/// What is to be said of a directory whose file system has no locks.
pub(super) fn unlocked(dir: &RunDir) -> String {
    format!("{}: this file system has no locks: see to it that no other process runs in it", dir.path().display())
}

/// Whether a run that began as `stored` may go on as `plan`.
///
/// # Errors
/// When a value has no TOML form.
pub(super) fn may_go_on(stored: &Plan, plan: &Plan) -> Result<bool> {
    Ok(stored.rounds == plan.rounds && stored.differences(plan, &keep::FREE)?.is_empty())
}

/// A run with its images loaded and its device open; nothing is written yet.
pub(super) struct Prepared {
    experiment: Experiment,
    resolved: Resolved,
}

/// How training ended.
pub(super) enum Trained {
    /// All rounds are done.
    Finished(Box<Finished>),
    /// It was asked to stop, and has left a checkpoint.
    Interrupted {
        /// Rounds done.
        done: u32,
    },
}

/// A run that is over.
pub(super) struct Finished {
    /// As written to the run's directory.
    pub summary: Summary,
    /// Lines for the console.
    pub outcome: String,
}

impl Prepared {
    /// [`Prepared::tuned`] without tuning.
    #[cfg(test)]
    pub fn new(plan: Plan, verify_every: u32, say: &dyn Fn(&str)) -> Result<Prepared> {
        Prepared::tuned(plan, verify_every, None, say)
    }

    /// Loads images and opens the device, of whose launches one in `verify_every` steps is verified (0: none); `say` hears
    /// a line on each. With `tuning` the adapter's tuning file is used where it has one, and `tuning` hears why it is not.
    ///
    /// # Errors
    /// Images that are missing or do not fit the plan, a device that cannot be opened or is too small.
    pub fn tuned(plan: Plan, verify_every: u32, tuning: Option<&dyn Fn(&str)>, say: &dyn Fn(&str)) -> Result<Prepared> {
        Prepared::on(plan, verify_every, tuning, say, &|engine| engine)
    }

    /// [`Prepared::tuned`] on a sentinel, and what arms it.
    fn watched(plan: Plan, tuning: Option<&dyn Fn(&str)>) -> Result<(Prepared, Arm)> {
        let arm = RefCell::new(Arm::default());
        let wrap = |engine| {
            let sentinel = Sentinel::new(engine);
            *arm.borrow_mut() = sentinel.arm();
            Box::new(sentinel) as Box<dyn Engine>
        };
        let prepared = Prepared::on(plan, 0, tuning, &|_| (), &wrap)?;
        Ok((prepared, arm.into_inner()))
    }

    /// [`Prepared::tuned`] on the engine that `wrap` makes of the device's.
    fn on(
        plan: Plan,
        verify_every: u32,
        tuning: Option<&dyn Fn(&str)>,
        say: &dyn Fn(&str),
        wrap: &dyn Fn(Box<dyn Engine>) -> Box<dyn Engine>,
    ) -> Result<Prepared> {
        let images = Images::load(&plan)?;
        for skipped in &images.skipped {
            super::tell(&format!("warning: cannot be read, left out: {skipped}"));
        }
        say(&images.describe(&plan));
        let warnings: Vec<String> = images.warnings.iter().cloned().chain(images.warning(&plan)).collect();
        warnings.iter().for_each(|warning| super::tell(&format!("warning: {warning}")));
        images.notes.iter().for_each(|note| say(note));
        let tuned = tuning.map_or(Ok(None), |warn| Tuned::find(&plan.device, warn))?;
        let (engine, reason) = crate::gpu::open(&plan.device, Tuned::options(tuned.as_ref()))?;
        let mut resolved = Resolved { warnings, ..Resolved::new(engine.descriptor(), &reason) };
        // `auto` falls back to the cpu engine when the adapter refuses to open.
        let file = tuned.as_ref().filter(|_| resolved.device.engine == "gpu");
        resolved.tuning = file.map(|t| t.file.display().to_string());
        resolved.clients = images.names.clone();
        say(&device(&resolved));
        // The reference is what a run would be held against: it stays alone.
        let verified = verify_every > 0 && resolved.device.engine != "reference";
        let setting = Setting { plan: &plan, images: &images, verified };
        let memory = setting.memory(engine.as_ref())?;
        say(&format!("memory    {memory}"));
        let again = || Ok(wrap(crate::gpu::open(&plan.device, Tuned::options(tuned.as_ref()))?.0));
        let built = built::build(&setting, memory, wrap(engine), verify_every, &again, say)?;
        Ok(Prepared { experiment: Experiment::new(plan, images, built.parts, built.checked)?, resolved })
    }

    /// What runs.
    pub fn plan(&self) -> &Plan {
        self.experiment.plan()
    }

    /// One line for the console.
    pub fn describe(&self) -> String {
        self.experiment.describe()
    }

    /// A line on the device: why it was taken, and what tuned it.
    pub fn device(&self) -> String {
        device(&self.resolved)
    }

    /// Goes on where an earlier process stopped in `dir`, or from the start where it came to no checkpoint; a line on it.
    ///
    /// # Errors
    /// When what it left is of another experiment, or damaged.
    pub fn go_on(&mut self, dir: &RunDir, warn: &dyn Fn(&str)) -> Result<String> {
        let path = dir.file(layout::PLAN);
        let begun = config::load(Some(&path), &Overrides::default())?;
        keep::same_experiment(&begun, self.plan(), &path)?;
        Ok(match self.experiment.restore(dir, &begun, &self.resolved, warn)? {
            Some(round) => format!("resumed   after round {round} of {}", self.plan().rounds),
            None => "resumed   from the start, for the run had come to no checkpoint".to_string(),
        })
    }

    /// [`Prepared::train_until`] all rounds are done.
    #[cfg(test)]
    pub fn train(self, dir: &RunDir, mode: ProgressMode) -> Result<Finished> {
        match self.train_until(dir, mode, &|| false)? {
            Trained::Finished(finished) => Ok(*finished),
            Trained::Interrupted { done } => Err(Error::internal(format!("stopped after round {done}"))),
        }
    }

    /// Trains all rounds that are not done and leaves everything in `dir`, the summary last. Between rounds `stop` is asked
    /// whether to leave a checkpoint and end.
    ///
    /// # Errors
    /// A device that fails, a file that cannot be written.
    pub fn train_until(self, dir: &RunDir, mode: ProgressMode, stop: &dyn Fn() -> bool) -> Result<Trained> {
        let Prepared { mut experiment, resolved } = self;
        // Also where it goes on: keys that may change, and what it goes on on, are the next process's as well.
        dir.write_text(layout::PLAN, &experiment.plan().to_toml(&resolved)?)?;
        if experiment.output.is_none() {
            experiment.begin(dir)?;
            dir.sync();
            experiment.save_checkpoint(&resolved)?;
        }
        let (rounds, every) = (experiment.plan().rounds, experiment.plan().checkpoint.every);
        let drops = experiment.plan().federation.nonfinite == OnNonfinite::Drop;
        let left_out = if drops { "; left out of this round" } else { "" };
        let mut progress = Progress::resumed(experiment.done() as usize, rounds as usize, mode);
        let mut kept = experiment.done();
        while experiment.done() < rounds {
            if stop() {
                progress.finish();
                if kept != experiment.done() {
                    experiment.save_checkpoint(&resolved)?;
                }
                return Ok(Trained::Interrupted { done: experiment.done() });
            }
            let round = experiment.round()?;
            let done = experiment.done();
            for (client, fault) in &round.diverged {
                let client = experiment.named(*client);
                progress.remark(&format!("round {done}: client {client}: {fault} is not finite{left_out}"));
            }
            progress.round(&RoundProgress {
                done: done as usize,
                loss_g: round.loss_g,
                loss_d: round.loss_d,
                images_per_second: round.images_per_second,
            });
            if every > 0 && done.is_multiple_of(every) && done < rounds {
                experiment.save_checkpoint(&resolved)?;
                kept = done;
            }
        }
        progress.finish();
        let summary = experiment.end(&resolved)?;
        if experiment.plan().checkpoint.keeps_last() {
            // The run is finished without it.
            if let Err(error) = experiment.save_checkpoint(&resolved) {
                super::tell(&format!("warning: the run cannot be trained further, as its state was not kept: {error}"));
            }
        }
        Ok(Trained::Finished(Box::new(Finished { summary, outcome: experiment.outcome() })))
    }
}

fn device(resolved: &Resolved) -> String {
    let tuned = resolved.tuning.as_ref().map_or(String::new(), |file| format!("; tuned by {file}"));
    format!("device    {}{tuned}", resolved.reason)
}

#[cfg(test)]
mod faults_tests;
#[cfg(test)]
mod limits_tests;
#[cfg(test)]
mod resume_tests;
#[cfg(test)]
mod streams_tests;
#[cfg(test)]
mod tests;
