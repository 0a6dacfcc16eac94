//! `fedgan run`: an experiment from its file to its run directory.

pub(super) mod experiment;

use crate::config::{self, Overrides, Resolved};
use crate::report::{Progress, ProgressMode, RoundProgress, RunDir};
use crate::{Error, Result};
use experiment::{Experiment, Images};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Arguments of `fedgan run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Experiment file (TOML); `attacked` is built in too [default: the built-in honest experiment].
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
    let say = |text: String| {
        if !args.quiet {
            eprintln!("{text}");
        }
    };
    let images = Images::load(&plan)?;
    for skipped in &images.skipped {
        eprintln!("warning: {skipped}: cannot be read, left out");
    }
    say(images.describe(&plan));
    let (engine, reason) = crate::gpu::open(&plan.device, crate::gpu::GpuOptions::default())?;
    say(format!("device    {reason}"));
    let resolved = Resolved::new(engine.descriptor(), &reason);
    let mut experiment = Experiment::new(plan, images, engine)?;
    let dir = RunDir::create(args.out.as_deref(), Path::new("runs"), &experiment.plan().name)?;
    say(format!("directory {}", dir.path().display()));
    say(experiment.describe());
    dir.write_text("plan.toml", &experiment.plan().to_toml(&resolved)?)?;
    experiment.begin(&dir)?;
    let mode = if args.quiet { ProgressMode::Quiet } else { ProgressMode::Auto };
    let mut progress = Progress::new(experiment.plan().rounds as usize, mode);
    let started = Instant::now();
    for round in 0..experiment.plan().rounds {
        let done = experiment.round()?;
        for client in &done.diverged {
            progress
                .remark(&format!("round {}: client {client} diverged: a loss or its update is not finite", round + 1));
        }
        progress.round(&RoundProgress {
            done: round as usize + 1,
            loss_g: done.loss_g,
            loss_d: done.loss_d,
            images_per_second: done.images_per_second,
        });
    }
    progress.finish();
    let summary = experiment.end()?;
    if !args.quiet {
        let time = crate::report::progress::duration(started.elapsed().as_secs_f64());
        let (rounds, picture) = (experiment.plan().rounds, dir.file("samples.png"));
        super::print(format!("{summary}\ntime      {time} for {rounds} rounds\nlook at   {}\n", picture.display()))?;
    }
    Ok(0)
}
