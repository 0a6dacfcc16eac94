//! `fedgan sweep`: a grid of experiments over config keys and seeds, one run directory each and one table of all.

mod board;
mod claim;
mod left_out;
mod same;
mod store;

use super::run::images::{Rehearsal, data_exists};
use super::run::{Finished, Prepared, Trained, tuned};
use super::{environment, interrupt};
use crate::check::watch::DEFAULT_EVERY;
use crate::config::Sweep;
use crate::config::sweep::Cell;
use crate::report::progress::duration;
use crate::report::results::{self, Row, short};
use crate::report::{ProgressMode, Summary};
use crate::{Error, Result};
use board::Board;
use claim::Claim;
use left_out::LeftOut;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use store::{State, Store};

/// Between two looks at cells that other processes work on.
const PAUSE: Duration = Duration::from_millis(300);

/// Arguments of `fedgan sweep`.
#[derive(Debug, clap::Args)]
pub struct SweepArgs {
    /// Sweep file (TOML), or a built-in one: `ten-cells`, `ten-cells-small`, `strong-attack`, `detection`.
    pub sweep: PathBuf,
    /// The sweep's directory; finished cells in it are kept, and several processes may share it [default: sweeps/NAME].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Sets a key in all cells, such as rounds=5, where no axis sets it; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// auto, gpu, gpu:N (a number of `fedgan devices`), cpu, reference, or part of an adapter's name; overrides FEDGAN_DEVICE, which
    /// overrides the base's.
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
    let device = match args.device {
        None if sweep.varies("device") => None,
        given => environment::asked(given, &args.set)?,
    };
    sweep.override_with(&args.set, device.as_deref())?;
    let cells = sweep.cells()?;
    let selected = select(&cells, args.only.as_deref())?;
    let path = args.out.clone().unwrap_or_else(|| Path::new("sweeps").join(&sweep.name));
    let store = Store::look(&path, &sweep)?;
    let states = store.states(&cells)?;
    if args.dry_run {
        rehearse(&cells, selected.iter().copied().filter(|&i| !matches!(states[i], State::Finished(_))));
        return super::print(listing(&sweep, &path, &cells, &selected, &states)).map(|()| 0);
    }
    for &i in selected.iter().filter(|&&i| !matches!(states[i], State::Finished(_))) {
        data_exists(&cells[i].plan).map_err(|error| within(&cells[i], error))?;
    }
    let store = store.open(&sweep)?;
    store.remarks().iter().for_each(|what| super::tell(&format!("warning: {what}")));
    let grid = Grid { sweep: &sweep, cells: &cells, store: &store, quiet: args.quiet, tuning };
    interrupt::listen()?;
    let Some((rows, failed)) = grid.run(&selected, &interrupt::asked)? else {
        super::tell("interrupted; the same command goes on where it stopped");
        return Ok(interrupt::EXIT_CODE);
    };
    if !args.quiet {
        let results = path.join(store::RESULTS);
        super::print(format!("{}results   {}\n", results::table(&rows), results.display()))?;
    }
    let failed = left_out::errors(&failed);
    let text = || failed.iter().map(Error::to_string).collect::<Vec<_>>().join("\n");
    match failed.iter().all(|error| matches!(error, Error::NotFinite(_))) {
        _ if failed.is_empty() => Ok(0),
        // A wrong device outweighs what is wrong with a cell.
        _ if failed.iter().any(|error| matches!(error, Error::Verdict(_))) => Err(Error::Verdict(text())),
        true => Err(Error::NotFinite(text())),
        false => Err(Error::input(text())),
    }
}

/// Warns of cells whose images are not there, where the sweep would not start, or cannot be dealt to its clients.
fn rehearse(cells: &[Cell], missing: impl Iterator<Item = usize> + Clone) {
    let absent = |i: usize| data_exists(&cells[i].plan).map_err(|error| within(&cells[i], error)).err();
    if let Some(error) = missing.clone().find_map(absent) {
        return super::tell(&format!("warning: the sweep would not start: {error}"));
    }
    let mut rehearsal = Rehearsal::default();
    for i in missing {
        if let Err(error) = rehearsal.deal(&cells[i].plan) {
            super::tell(&format!("warning: would be left out: {}", within(&cells[i], error)));
        }
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

/// All cells of a grid that are over, and the selected ones that were left out, with the reason.
type Ended = (Vec<Row>, Vec<(String, LeftOut)>);

impl Grid<'_> {
    fn say(&self, text: &str) {
        if !self.quiet {
            super::tell(text);
        }
    }

    /// Runs the selected cells that are not finished, each in one of the processes that share the directory, and waits for
    /// those of other processes; all cells of the grid that are over, in its order, and why selected ones were left out: their
    /// input, training that came upon NaN or infinity, or a device that failed verification. `None` where `stop` asked for an end.
    fn run(&self, selected: &[usize], stop: &dyn Fn() -> bool) -> Result<Option<Ended>> {
        let strangers = self.store.strangers(self.cells)?;
        if !strangers.is_empty() {
            self.say(&format!("note: not of this grid, left as they are: {}", strangers.join(", ")));
        }
        let mut board = Board::new(self.sweep, self.cells, self.store)?;
        board.publish()?;
        let mut tour = Tour::new(selected);
        loop {
            let (mut moved, mut busy) = (false, Vec::new());
            for (position, &i) in selected.iter().enumerate() {
                if tour.over.contains(&i) {
                    continue;
                }
                let head = format!("[{}/{}] {}", position + 1, selected.len(), self.cells[i].directory());
                match self.cell(&mut board, &mut tour, i, &head, stop)? {
                    Turn::Over => moved |= tour.over.insert(i),
                    Turn::Busy => busy.push(self.cells[i].directory()),
                    Turn::Stopped => return Ok(None),
                }
            }
            if busy.is_empty() {
                board.publish()?;
                return Ok(Some((board.rows(), tour.failed)));
            }
            if !moved {
                if !std::mem::replace(&mut tour.waiting, true) {
                    self.say(&format!("other processes work on the rest: {}", busy.join(", ")));
                }
                if stop() {
                    return Ok(None);
                }
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// One look at a cell: it is over, another process works on it, or it is trained now.
    fn cell(&self, board: &mut Board, tour: &mut Tour, i: usize, head: &str, stop: &dyn Fn() -> bool) -> Result<Turn> {
        let cell = &self.cells[i];
        if let Some(turn) = self.look(board, tour, i, head)? {
            return Ok(turn);
        }
        let Some(claim) = self.store.claim(cell)? else { return Ok(Turn::Busy) };
        // It may have been finished until it was claimed.
        if let Some(turn) = self.look(board, tour, i, head)? {
            claim.done();
            return Ok(turn);
        }
        let left_over = matches!(board.state(i)?, State::LeftOver);
        self.store.note(cell, None)?;
        let trained = self.train(cell, head, tour, left_over, &claim, stop);
        let summary = match trained {
            Ok(Some(summary)) => summary,
            Ok(None) if claim.is_lost() => {
                self.say(&format!("{head}  another process has taken it over, for this one had shown no sign of life"));
                return Ok(Turn::Busy);
            }
            Ok(None) => return Ok(Turn::Stopped),
            Err(error @ (Error::Input(_) | Error::NotFinite(_) | Error::Verdict(_))) => {
                let why = LeftOut::new(&error);
                self.store.note(cell, Some(&why))?;
                board.publish()?;
                return Ok(self.leave_out(tour, i, head, why));
            }
            Err(error) => return Err(within(cell, error)),
        };
        claim.done();
        let (time, line) = (duration(summary.timing.seconds), values(&summary));
        tour.trained += 1;
        board.finished(i, summary);
        board.publish()?;
        let left = tour.left() - 1;
        let seconds = tour.started.elapsed().as_secs_f64() / tour.trained as f64 * left as f64;
        let eta = if left > 0 { format!("  (eta {})", duration(seconds)) } else { String::new() };
        self.say(&format!("{head}  {time}{line}{eta}"));
        Ok(Turn::Over)
    }

    /// The turn of a cell that needs no work here: it is finished, or was just left out by another process.
    fn look(&self, board: &mut Board, tour: &mut Tour, i: usize, head: &str) -> Result<Option<Turn>> {
        if let Some(summary) = board.look(i)? {
            let how = if tour.waiting || tour.trained > 0 { "done" } else { "kept" };
            self.say(&format!("{head}  {how}{}", values(summary)));
            return Ok(Some(Turn::Over));
        }
        let why = self.store.just_left_out(&self.cells[i]);
        Ok(why.map(|why| self.leave_out(tour, i, head, why)))
    }

    fn leave_out(&self, tour: &mut Tour, i: usize, head: &str, why: LeftOut) -> Turn {
        // A reason that holds for many cells is told once.
        match tour.failed.iter().find(|(_, other)| other.shape() == why.shape()) {
            Some((name, _)) => self.say(&format!("{head}  left out as {name}")),
            None => self.say(&format!("{head}  left out: {}", why.reason)),
        }
        tour.failed.push((self.cells[i].directory(), why));
        Turn::Over
    }

    /// Trains a cell, from where an earlier sweep was stopped in it where that is possible. `None` where `stop` asked for an
    /// end.
    fn train(
        &self,
        cell: &Cell,
        head: &str,
        tour: &mut Tour,
        left_over: bool,
        claim: &Claim,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Summary>> {
        // Said once, not for every cell.
        let first = tour.trained == 0;
        let warn = |text: &str| {
            if first {
                super::tell(&format!("warning: {text}"));
            }
        };
        let tuning = self.tuning.then_some(&warn as &dyn Fn(&str));
        // Looked at before anything is loaded: it may be somebody else's.
        let kept = if left_over { self.store.reopen(cell)? } else { None };
        // States take room, and cells are not trained further.
        let mut plan = cell.plan.clone();
        plan.checkpoint.last.get_or_insert(false);
        let mut prepared = Prepared::tuned(plan, DEFAULT_EVERY, tuning, &|_| ())?;
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
        if !dir.is_locked() && !std::mem::replace(&mut tour.unlocked, true) {
            super::tell(&format!("warning: {}", super::run::unlocked(&dir)));
        }
        let mode = if self.quiet { ProgressMode::Quiet } else { ProgressMode::Passing };
        match prepared.train_until(&dir, mode, &|| stop() || claim.is_lost())? {
            Trained::Interrupted { .. } => Ok(None),
            Trained::Finished(_) if claim.is_lost() => Ok(None),
            Trained::Finished(finished) => {
                let Finished { summary, .. } = *finished;
                // Unlocked first: some systems rename no directory in which a file is open.
                drop(dir);
                self.store.finish(cell)?;
                Ok(Some(summary))
            }
        }
    }
}

/// Where a process is in its cells.
struct Tour {
    selected: usize,
    started: Instant,
    /// Cells that are over.
    over: BTreeSet<usize>,
    /// Trained here.
    trained: usize,
    /// Left out, by directory.
    failed: Vec<(String, LeftOut)>,
    /// All that is left is other processes' work.
    waiting: bool,
    /// It was said that there are no locks.
    unlocked: bool,
}

impl Tour {
    fn new(selected: &[usize]) -> Tour {
        let (over, failed) = (BTreeSet::new(), Vec::new());
        let (selected, started) = (selected.len(), Instant::now());
        Tour { selected, started, over, trained: 0, failed, waiting: false, unlocked: false }
    }

    fn left(&self) -> usize {
        self.selected - self.over.len()
    }
}

/// What a look at a cell came to.
enum Turn {
    /// It is finished or left out.
    Over,
    /// Another process works on it.
    Busy,
    /// An end was asked for.
    Stopped,
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
