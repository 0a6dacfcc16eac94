//! `fedgan sweep`: a grid of experiments over config keys and seeds, with one run directory per cell and one table of results.

use super::console::Console;
use super::{environment, interrupt};
use crate::Result;
use crate::config::Sweep;
use crate::report::ProgressMode;
use crate::report::results;
use crate::session::sweep::{Grid, Shard};
use std::path::PathBuf;

/// Arguments of `fedgan sweep`.
#[derive(Debug, clap::Args)]
pub struct SweepArgs {
    /// Sweep file (TOML), or a built-in one: `demo`, `ten-cells`, `ten-cells-small`, `strong-attack`, `detection`,
    /// `robust-matrix`, `robust-matrix-20`, `robust-matrix-images`.
    pub sweep: PathBuf,
    /// Sweep directory; finished cells in it are not repeated, and several processes may share it [default: sweeps/NAME].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Sets a key in all cells, such as rounds=5; no axis may set the same key; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// auto, gpu, gpu:N (a number of `fedgan devices`), cpu, reference, or part of an adapter's name; overrides FEDGAN_DEVICE,
    /// which overrides the base's device.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Run only cells whose directory name (CELL-sSEED) contains this.
    #[arg(long, value_name = "SUBSTRING")]
    pub only: Option<String>,
    /// Run share I of N of the cells only, counted from 1: each task of a job array takes one. Without it, processes that share the
    /// directory take cells as they become free.
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Write event files for TensorBoard as well, into the folder `tensorboard` of each cell's directory.
    #[arg(long)]
    pub tensorboard: bool,
    /// List the cells and the work to do, without doing it.
    #[arg(long)]
    pub dry_run: bool,
    /// Print errors only.
    #[arg(long, short)]
    pub quiet: bool,
}

/// Runs the unfinished cells of the grid.
///
/// # Errors
/// Bad input (every mistake in the file, every invalid cell, every finished cell that does not match the sweep) before anything
/// is written; later the device and file errors of a cell, with its name; at the end the cells that were left out.
pub fn run(args: SweepArgs) -> Result<u8> {
    interrupt::listen_for_batch_systems()?;
    let tuned = environment::tuning()?;
    let mut sweep = Sweep::read(&args.sweep)?;
    let device = match args.device {
        None if sweep.varies("device") => None,
        given => environment::asked(given, &args.set)?,
    };
    sweep.override_with(&args.set, device.as_deref())?;
    let grid = Grid::look(sweep, args.out.as_deref(), args.only.as_deref())?;
    let mut grid = grid.tuned(tuned).tensorboard(args.tensorboard);
    if let Some(shard) = args.shard {
        grid = grid.shard(shard);
    }
    let mut console = Console::new(args.quiet, ProgressMode::Passing);
    if args.dry_run {
        grid.rehearse(&mut console);
        return super::print(grid.listing()).map(|()| 0);
    }
    let table = grid.results();
    let Some(outcome) = grid.run(&mut console)? else {
        super::tell("interrupted; repeat the command to continue");
        return Ok(interrupt::EXIT_CODE);
    };
    if !args.quiet {
        super::print(format!("{}results   {}\n", results::table(&outcome.rows), table.display()))?;
    }
    outcome.verdict().map(|()| 0)
}
