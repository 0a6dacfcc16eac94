//! `fedgan sweep`: a grid of experiments over config keys and seeds, one run directory each and one table of all.

mod store;

use super::interrupt;
use super::run::images::data_exists;
use super::run::{Finished, Prepared, Trained, tuned};
use crate::check::watch::DEFAULT_EVERY;
use crate::config::Sweep;
use crate::config::sweep::Cell;
use crate::report::progress::duration;
use crate::report::results::{self, Row, short};
use crate::report::{ProgressMode, Summary};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::Instant;
use store::{State, Store};

/// Arguments of `fedgan sweep`.
#[derive(Debug, clap::Args)]
pub struct SweepArgs {
    /// Sweep file (TOML), or a built-in one: `ten-cells`, `ten-cells-small`, `strong-attack`, `detection`.
    pub sweep: PathBuf,
    /// The sweep's directory; finished cells in it are kept [default: sweeps/NAME].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Sets a key in all cells, such as rounds=5, where no axis sets it; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// auto, gpu, cpu, reference, or part of an adapter's name; overrides the base's.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Run only cells whose directory name (CELL-sSEED) contains this.
    #[arg(long, value_name = "SUBSTRING")]
    pub only: Option<String>,
    /// List the cells and what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print errors only.
    #[arg(long, short)]
    pub quiet: bool,
}

/// Runs what is missing of the grid.
///
/// # Errors
/// Bad input (every mistake of the file, every invalid cell, every finished cell that is not what the sweep asks for)
/// before anything is written; device and file errors of a cell later, naming it. A cell whose data turns out not to do (too
/// few images for its batch, say), or whose training comes upon NaN or infinity where its plan says to stop, is left out, and
/// all such cells are named at the end.
pub fn run(args: SweepArgs) -> Result<u8> {
    let tuning = tuned::wanted(false)?;
    let mut sweep = Sweep::read(&args.sweep)?;
    sweep.override_with(&args.set, args.device.as_deref())?;
    let cells = sweep.cells()?;
    let selected = select(&cells, args.only.as_deref())?;
    let path = args.out.clone().unwrap_or_else(|| Path::new("sweeps").join(&sweep.name));
    let store = Store::look(&path, &sweep)?;
    let states = store.states(&cells)?;
    if args.dry_run {
        let missing = |&i: &usize| data_exists(&cells[i].plan).map_err(|error| within(&cells[i], error)).err();
        if let Some(error) = selected.iter().filter(|&&i| !matches!(states[i], State::Finished(_))).find_map(missing) {
            super::tell(&format!("warning: the sweep would not start: {error}"));
        }
        return super::print(listing(&sweep, &path, &cells, &selected, &states)).map(|()| 0);
    }
    for &i in selected.iter().filter(|&&i| !matches!(states[i], State::Finished(_))) {
        data_exists(&cells[i].plan).map_err(|error| within(&cells[i], error))?;
    }
    let store = store.open(&sweep)?;
    // Another sweep may have worked here until the lock was taken.
    let states = store.states(&cells)?;
    let grid = Grid { sweep: &sweep, cells: &cells, store: &store, quiet: args.quiet, tuning };
    interrupt::listen()?;
    let Some((rows, failed)) = grid.run(&selected, states, &interrupt::asked)? else {
        super::tell("interrupted; the same command goes on where it stopped");
        return Ok(interrupt::EXIT_CODE);
    };
    if !args.quiet {
        let results = path.join(store::RESULTS);
        super::print(format!("{}results   {}\n", results::table(&rows), results.display()))?;
    }
    let text = || failed.iter().map(Error::to_string).collect::<Vec<_>>().join("\n");
    match failed.iter().all(|error| matches!(error, Error::NotFinite(_))) {
        _ if failed.is_empty() => Ok(0),
        // A wrong device outweighs what is wrong with a cell.
        _ if failed.iter().any(|error| matches!(error, Error::Verdict(_))) => Err(Error::Verdict(text())),
        true => Err(Error::NotFinite(text())),
        false => Err(Error::input(text())),
    }
}

/// Indices of the cells whose directory contains `only`.
fn select(cells: &[Cell], only: Option<&str>) -> Result<Vec<usize>> {
    let matches = |i: &usize| only.is_none_or(|only| cells[*i].directory().contains(only));
    let selected: Vec<usize> = (0..cells.len()).filter(matches).collect();
    if selected.is_empty() {
        let names: Vec<String> = cells.iter().map(Cell::directory).collect();
        let only = only.unwrap_or_default();
        return Err(Error::input(format!(
            "--only {only:?}: is part of no cell's name; there are {}",
            names.join(", ")
        )));
    }
    Ok(selected)
}

/// What a dry run prints.
fn listing(sweep: &Sweep, path: &Path, cells: &[Cell], selected: &[usize], states: &[State]) -> String {
    let kept = selected.iter().filter(|&&i| matches!(states[i], State::Finished(_))).count();
    let (name, base, all) = (&sweep.name, &sweep.base, selected.len());
    let mut out = format!(
        "sweep {name}, base {base}: {all} of {} runs selected, {kept} finished, {} to run; directory {}\n",
        cells.len(),
        all - kept,
        path.display()
    );
    let width = selected.iter().map(|&i| cells[i].directory().len()).max().unwrap_or(0);
    for &i in selected {
        let what = match &states[i] {
            State::Finished(_) => "kept".to_string(),
            State::LeftOver => {
                format!("{} rounds, an unfinished run goes on from its latest checkpoint", cells[i].plan.rounds)
            }
            State::Missing => format!("{} rounds", cells[i].plan.rounds),
        };
        out.push_str(&format!("{:width$}  {what}\n", cells[i].directory()));
    }
    out
}

/// A sweep on its way.
struct Grid<'a> {
    sweep: &'a Sweep,
    cells: &'a [Cell],
    store: &'a Store,
    quiet: bool,
    /// Whether tuning files are used.
    tuning: bool,
}

impl Grid<'_> {
    fn say(&self, text: &str) {
        if !self.quiet {
            super::tell(text);
        }
    }

    /// Runs the selected cells that are not finished; all finished ones of the grid, in its order, and what was wrong with
    /// others: their input, training that came upon NaN or infinity, or a device that
    /// failed verification. `None` where `stop` asked for an end.
    fn run(
        &self,
        selected: &[usize],
        states: Vec<State>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<(Vec<Row>, Vec<Error>)>> {
        let todo = selected.iter().filter(|&&i| !matches!(states[i], State::Finished(_))).count();
        let strangers = self.store.strangers(self.cells)?;
        if !strangers.is_empty() {
            self.say(&format!("note: not of this grid, left as they are: {}", strangers.join(", ")));
        }
        let left_over: Vec<bool> = states.iter().map(|s| matches!(s, State::LeftOver)).collect();
        let mut done: Vec<Option<Summary>> = states.into_iter().map(State::summary).collect();
        self.store.write_results(self.sweep, &self.rows(&done))?;
        let (started, mut trained, mut failed) = (Instant::now(), 0, Vec::new());
        for (position, &i) in selected.iter().enumerate() {
            let cell = &self.cells[i];
            let head = format!("[{}/{}] {}", position + 1, selected.len(), cell.directory());
            if let Some(summary) = &done[i] {
                self.say(&format!("{head}  kept{}", values(summary)));
                continue;
            }
            let trained_cell = self.train(cell, &head, trained == 0, left_over[i], stop);
            let summary = match trained_cell.map_err(|error| within(cell, error)) {
                Ok(Some(summary)) => summary,
                Ok(None) => return Ok(None),
                Err(error @ (Error::Input(_) | Error::NotFinite(_) | Error::Verdict(_))) => {
                    self.say(&format!("{head}  left out: {error}"));
                    failed.push(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            trained += 1;
            let (time, line) = (duration(summary.timing.seconds), values(&summary));
            done[i] = Some(summary);
            self.store.write_results(self.sweep, &self.rows(&done))?;
            let left = started.elapsed().as_secs_f64() / trained as f64 * (todo - trained - failed.len()) as f64;
            let eta = if trained + failed.len() < todo { format!("  (eta {})", duration(left)) } else { String::new() };
            self.say(&format!("{head}  {time}{line}{eta}"));
        }
        Ok(Some((self.rows(&done), failed)))
    }

    /// Trains a cell, from where an earlier sweep was stopped in it where that is possible. `None` where `stop` asked for an
    /// end.
    fn train(
        &self,
        cell: &Cell,
        head: &str,
        first: bool,
        left_over: bool,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Summary>> {
        // Said once, not for every cell.
        let warn = |text: &str| {
            if first {
                super::tell(&format!("warning: {text}"));
            }
        };
        let tuning = self.tuning.then_some(&warn as &dyn Fn(&str));
        // Looked at before anything is loaded: it may be somebody else's.
        let kept = if left_over { self.store.reopen(cell)? } else { None };
        let mut prepared = Prepared::tuned(cell.plan.clone(), DEFAULT_EVERY, tuning, &|_| ())?;
        if first {
            self.say(&prepared.device());
        }
        let dir = match kept {
            Some(dir) => {
                let said = prepared.go_on(&dir, &warn)?;
                self.say(&format!("{head}  {said}"));
                dir
            }
            None => {
                if left_over {
                    self.say(&format!("{head}  an unfinished run is removed, the cell starts again"));
                }
                self.store.begin(cell)?
            }
        };
        let mode = if self.quiet { ProgressMode::Quiet } else { ProgressMode::Passing };
        match prepared.train_until(&dir, mode, stop)? {
            Trained::Interrupted { .. } => Ok(None),
            Trained::Finished(finished) => {
                let Finished { summary, .. } = *finished;
                // Unlocked first: some systems rename no directory in which a file is open.
                drop(dir);
                self.store.finish(cell)?;
                Ok(Some(summary))
            }
        }
    }

    fn rows(&self, done: &[Option<Summary>]) -> Vec<Row> {
        let finished = self.cells.iter().zip(done).filter_map(|(cell, done)| Some((cell, done.clone()?)));
        finished
            .map(|(cell, summary)| Row {
                cell: cell.name.clone(),
                labels: cell.labels.clone(),
                seed: cell.seed,
                summary,
            })
            .collect()
    }
}

/// The headline values as they follow on a line.
fn values(summary: &Summary) -> String {
    let mut text: String =
        summary.headline().iter().map(|(name, value)| format!("  {name} {}", short(*value))).collect();
    if summary.diverged > 0 {
        text.push_str(&format!("  {} client-rounds diverged", summary.diverged));
    }
    text
}

/// The error with the cell's name before it.
fn within(cell: &Cell, error: Error) -> Error {
    let name = |what: String| format!("cell {}: {what}", cell.directory());
    match error {
        Error::Input(what) => Error::Input(name(what)),
        Error::Verdict(what) => Error::Verdict(name(what)),
        Error::NotFinite(what) => Error::NotFinite(name(what)),
        Error::Device(what) => Error::Device(name(what)),
        Error::OutOfMemory { what, held } => Error::OutOfMemory { what: name(what), held },
        Error::Output(what) => Error::Output(name(what)),
        Error::Internal(what) => Error::Internal(name(what)),
    }
}

#[cfg(test)]
mod tests;
