//! `fedgan run`: an experiment from its file to its run directory.

use crate::config::{self, Overrides};
use crate::{Error, Result};
use std::path::PathBuf;

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
    /// Leave out images that cannot be read instead of stopping at the first.
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
    // SEAM: open the device, load the data, train (crate::fed), write the run directory (crate::report).
    Err(Error::internal(format!("experiment `{}` is valid; training is not connected yet", plan.name)))
}
