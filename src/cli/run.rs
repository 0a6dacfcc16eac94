//! `fedgan run`: an experiment from its file to its run directory.

use super::console::Console;
use super::{environment, interrupt, ranks};
use crate::check::watch::DEFAULT_EVERY;
use crate::config::{self, Overrides};
use crate::error::count;
use crate::fed::OnNonfinite;
use crate::report::progress::duration;
use crate::report::{ProgressMode, layout};
use crate::session::{Observer, Session, Trained, Workers};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Arguments of `fedgan run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Experiment file (TOML), or a built-in one: `default`, `attacked`, `paper`, `paper-64`, `paper-32` [default: `default`].
    pub config: Option<PathBuf>,
    /// Run directory, which must be new or empty [default: runs/NAME-NNN, the first free].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Overrides a key of the experiment, such as train.lr=0.0001; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// auto, gpu, gpu:N (a number of `fedgan devices`), cpu, reference, or part of an adapter's name; overrides FEDGAN_DEVICE,
    /// which overrides the experiment's device.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Seed of the run; overrides the experiment's seed.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Continue the stopped run in this directory from its latest checkpoint, bit for bit; with --set rounds=N, train a
    /// finished run further. The experiment is read from the directory; --set may change only name, rounds, device, data.path,
    /// federation.clients_per_launch, federation.nonfinite and the keys of checkpoint.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "out", "seed"])]
    pub resume: Option<PathBuf>,
    /// If the device fails or is lost, reopen it up to N times and continue from the latest checkpoint.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub retry_device: u32,
    /// Skip unreadable images instead of stopping.
    #[arg(long)]
    pub skip_bad: bool,
    /// Verify one launch in N steps, drawn at random, against the reference on another thread; 0 disables verification.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_EVERY)]
    pub verify_every: u32,
    /// Ignore the tuning file of the adapter (see `fedgan tune`); FEDGAN_TUNING=off does the same, also for sweeps.
    #[arg(long)]
    pub no_tuning: bool,
    /// Write event files for TensorBoard as well, into the folder `tensorboard` of the run directory. A resumed run must be
    /// given the option again.
    #[arg(long)]
    pub tensorboard: bool,
    /// Print errors only.
    #[arg(long, short)]
    pub quiet: bool,
}

/// Runs the experiment; returns the exit code. Of the ranks that an MPI launcher started, rank 0 does, and the others train for it.
///
/// # Errors
/// Bad input before anything is written; device and file errors later.
pub fn run(args: RunArgs) -> Result<u8> {
    let (device, set) = (args.device.clone(), args.set.clone());
    ranks::run(device, &set, |workers| alone(args, workers))
}

/// Runs the experiment on this process, with `workers` if there are any.
fn alone(mut args: RunArgs, workers: Option<Arc<dyn Workers>>) -> Result<u8> {
    args.device = environment::asked(args.device, &args.set)?;
    interrupt::listen_for_batch_systems()?;
    let tuned = environment::tuning()? && !args.no_tuning;
    let session = session(&args)?.verify_every(args.verify_every).tuned(tuned).retry_device(args.retry_device);
    let mut session = session.tensorboard(args.tensorboard);
    if let Some(workers) = workers {
        session = session.workers(workers);
    }
    let mut console = Console::new(args.quiet, ProgressMode::Auto);
    let answer = session.train(&mut console);
    let Some(directory) = console.directory.clone() else { return answer.map(|_| 0) };
    let resume = format!("fedgan run --resume {}", directory.display());
    match answer {
        Ok(Trained::Finished(finished)) => {
            if !args.quiet {
                let (time, rounds) =
                    (duration(finished.summary.timing.seconds), count(finished.summary.rounds, "round"));
                let picture = directory.join("samples.png");
                let (outcome, picture) = (&finished.outcome, picture.display());
                super::print(format!("{outcome}\ntime      {time} for {rounds}\nlook at   {picture}\n"))?;
            }
            Ok(0)
        }
        Ok(Trained::Interrupted { done }) => {
            super::tell(&format!(
                "interrupted after {done} of {}; to continue: {resume}",
                count(session.plan().rounds, "round")
            ));
            Ok(interrupt::EXIT_CODE)
        }
        Err(error @ Error::NotFinite(_)) => {
            let found = first_nonfinite(&session, &directory, &error, &mut console);
            Err(match session.plan().federation.nonfinite {
                OnNonfinite::Stop => {
                    let without = format!("{resume} --set federation.nonfinite=drop");
                    error.and(&format!("{found}\nto continue without such clients: {without}"))
                }
                OnNonfinite::Drop | OnNonfinite::Record => error.and(&found),
            })
        }
        Err(error) if directory.join(layout::PLAN).exists() => {
            Err(error.and(&format!("completed rounds are saved; to continue: {resume}")))
        }
        Err(error) => Err(error),
    }
}

/// The session that the arguments describe.
fn session(args: &RunArgs) -> Result<Session> {
    let (set, device) = (args.set.clone(), args.device.clone());
    let overrides = Overrides { set, device, seed: args.seed, skip_bad: args.skip_bad };
    match &args.resume {
        Some(directory) => Session::resume(directory, &overrides),
        None => {
            let session = Session::new(config::load(args.config.as_deref(), &overrides)?);
            Ok(match &args.out {
                Some(out) => session.directory(out),
                None => session,
            })
        }
    }
}

/// The launch that wrote the first non-finite value, or why it was not found. Failures while repeating the rounds never replace
/// the original error.
fn first_nonfinite(session: &Session, directory: &Path, error: &Error, console: &mut Console) -> String {
    console.note("non-finite value: repeating the rounds since the latest checkpoint to find the launch that wrote it");
    let mut quiet = Console::new(true, ProgressMode::Quiet);
    match session.first_nonfinite(directory, &mut quiet) {
        Ok(Some(launch)) if launch != error.to_string() => launch,
        Ok(_) => "the launch was not found".into(),
        Err(why) => format!("the launch was not found: {why}"),
    }
}
