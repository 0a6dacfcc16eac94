//! `fedgan run`: an experiment from its file to its run directory.

mod built;
pub(super) mod experiment;
mod memory;
pub(super) mod tuned;

use crate::check::watch::DEFAULT_EVERY;
use crate::config::{self, Overrides, Plan, Resolved};
use crate::report::progress::duration;
use crate::report::{Progress, ProgressMode, RoundProgress, RunDir, Summary};
use crate::{Error, Result};
use experiment::{Experiment, Images};
use memory::Setting;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tuned::Tuned;

/// Arguments of `fedgan run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Experiment file (TOML), or a built-in one: `default`, `attacked`, `paper`, `paper-64`, `paper-32` [default: `default`].
    pub config: Option<PathBuf>,
    /// Run directory; must not exist [default: runs/NAME-NNN, the first free].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Overrides a key of the experiment, such as train.lr=0.0001; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// auto, gpu, cpu, reference, or part of an adapter's name; overrides the experiment's.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Seed; overrides the experiment's.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
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
    let overrides = Overrides { set: args.set, device: args.device, seed: args.seed, skip_bad: args.skip_bad };
    let plan = config::load(args.config.as_deref(), &overrides)?;
    if let Some(out) = args.out.as_deref().filter(|o| o.exists()) {
        return Err(Error::file(out, "exists already; --out must name a new directory"));
    }
    let say = |text: &str| {
        if !args.quiet {
            eprintln!("{text}");
        }
    };
    let warn = |text: &str| eprintln!("warning: {text}");
    let tuning = tuned::wanted(args.no_tuning)?.then_some(&warn as &dyn Fn(&str));
    let prepared = Prepared::tuned(plan, args.verify_every, tuning, &say)?;
    let dir = RunDir::create(args.out.as_deref(), Path::new("runs"), &prepared.plan().name)?;
    say(&format!("directory {}", dir.path().display()));
    say(&prepared.describe());
    let mode = if args.quiet { ProgressMode::Quiet } else { ProgressMode::Auto };
    let Finished { summary, outcome } = prepared.train(&dir, mode)?;
    if !args.quiet {
        let time = duration(summary.timing.seconds);
        let (rounds, picture) = (summary.rounds, dir.file("samples.png"));
        super::print(format!("{outcome}\ntime      {time} for {rounds} rounds\nlook at   {}\n", picture.display()))?;
    }
    Ok(0)
}

/// A run with its images loaded and its device open; nothing is written yet.
pub(super) struct Prepared {
    experiment: Experiment,
    resolved: Resolved,
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
        let images = Images::load(&plan)?;
        for skipped in &images.skipped {
            eprintln!("warning: {skipped}: cannot be read, left out");
        }
        say(&images.describe(&plan));
        let tuned = tuning.map_or(Ok(None), |warn| Tuned::find(&plan.device, warn))?;
        let (engine, reason) = crate::gpu::open(&plan.device, Tuned::options(tuned.as_ref()))?;
        let mut resolved = Resolved::new(engine.descriptor(), &reason);
        // `auto` falls back to the cpu engine when the adapter refuses to open.
        let file = tuned.as_ref().filter(|_| resolved.device.engine == "gpu");
        resolved.tuning = file.map(|t| t.file.display().to_string());
        say(&device(&resolved));
        // The reference is what a run would be held against: it stays alone.
        let verified = verify_every > 0 && resolved.device.engine != "reference";
        let setting = Setting { plan: &plan, images: &images, verified };
        let memory = setting.memory(engine.as_ref())?;
        say(&format!("memory    {memory}"));
        let again = || Ok(crate::gpu::open(&plan.device, Tuned::options(tuned.as_ref()))?.0);
        let built = built::build(&setting, memory, engine, verify_every, &again, say)?;
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

    /// Trains all rounds and leaves everything in `dir`, the summary last.
    ///
    /// # Errors
    /// A device that fails, a file that cannot be written.
    pub fn train(self, dir: &RunDir, mode: ProgressMode) -> Result<Finished> {
        let Prepared { mut experiment, resolved } = self;
        dir.write_text("plan.toml", &experiment.plan().to_toml(&resolved)?)?;
        experiment.begin(dir)?;
        let rounds = experiment.plan().rounds;
        let mut progress = Progress::new(rounds as usize, mode);
        let started = Instant::now();
        for round in 0..rounds {
            let done = experiment.round()?;
            for client in &done.diverged {
                let what = "diverged: a loss or its update is not finite";
                progress.remark(&format!("round {}: client {client} {what}", round + 1));
            }
            progress.round(&RoundProgress {
                done: round as usize + 1,
                loss_g: done.loss_g,
                loss_d: done.loss_d,
                images_per_second: done.images_per_second,
            });
        }
        progress.finish();
        let summary = experiment.end(&resolved, started.elapsed().as_secs_f64())?;
        Ok(Finished { summary, outcome: experiment.outcome() })
    }
}

fn device(resolved: &Resolved) -> String {
    let tuned = resolved.tuning.as_ref().map_or(String::new(), |file| format!("; tuned by {file}"));
    format!("device    {}{tuned}", resolved.reason)
}

#[cfg(test)]
mod streams_tests;
#[cfg(test)]
mod tests;
