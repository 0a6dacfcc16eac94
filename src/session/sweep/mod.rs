//! A grid of experiments over keys and seeds: one run directory per cell and one table of results. Several processes may share
//! the directory of a sweep; finished cells in it are not repeated.

mod board;
mod claim;
mod left_out;
mod same;
mod shard;
mod store;

use super::images::{Rehearsal, data_exists};
use super::prepared::{Finished, Prepared, Trained, unlocked};
use super::{Observer, Round, Start};
use crate::check::watch::DEFAULT_EVERY;
use crate::config::Sweep;
use crate::config::sweep::Cell;
use crate::error::count;
use crate::report::Summary;
use crate::report::progress::duration;
use crate::report::results::{CellRow, short};
use crate::{Error, Result};
use board::Board;
use claim::Claim;
use left_out::LeftOut;
pub use shard::Shard;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use store::{CellState, Store};

/// Interval between checks of cells that other processes work on.
const PAUSE: Duration = Duration::from_millis(300);

/// A sweep with its cells and the state of its directory.
#[derive(Debug)]
pub struct Grid {
    sweep: Sweep,
    cells: Vec<Cell>,
    /// Indices of the cells to run.
    selected: Vec<usize>,
    path: PathBuf,
    store: Store,
    states: Vec<CellState>,
    tuned: bool,
    tensorboard: bool,
}

/// The outcome of a sweep.
#[derive(Debug)]
pub struct Outcome {
    /// All completed cells, in grid order.
    pub rows: Vec<CellRow>,
    /// Selected cells that were left out, by directory, with the reason.
    left_out: Vec<(String, LeftOut)>,
}

impl Outcome {
    /// An error if cells were left out because of their input, a device that failed verification, or non-finite values in
    /// training.
    ///
    /// # Errors
    /// Every reason once, with its cells.
    pub fn verdict(&self) -> Result<()> {
        let failed = left_out::errors(&self.left_out);
        let text = || failed.iter().map(Error::to_string).collect::<Vec<_>>().join("\n");
        match failed.iter().all(|error| matches!(error, Error::NotFinite(_))) {
            _ if failed.is_empty() => Ok(()),
            // A failed verification takes precedence over mistakes of single cells.
            _ if failed.iter().any(|error| matches!(error, Error::Verdict(_))) => Err(Error::Verdict(text())),
            true => Err(Error::NotFinite(text())),
            false => Err(Error::input(text())),
        }
    }
}

impl Grid {
    /// Reads the sweep's directory, `sweeps/NAME` unless `out` names another, without changing anything. Selects the cells
    /// whose directory name contains `only`.
    ///
    /// # Errors
    /// Invalid cells, an empty selection, a directory of another sweep, finished cells of other plans or images.
    pub fn look(sweep: Sweep, out: Option<&Path>, only: Option<&str>) -> Result<Grid> {
        let cells = sweep.cells()?;
        let selected = select(&cells, only)?;
        let path = out.map_or_else(|| Path::new("sweeps").join(&sweep.name), Path::to_path_buf);
        let store = Store::look(&path, &sweep)?;
        let states = store.states(&cells)?;
        Ok(Grid { sweep, cells, selected, path, store, states, tuned: true, tensorboard: false })
    }

    /// Keeps the cells of `shard` of those selected: every N-th, so that neighbours, whose runs last alike, are spread.
    pub fn shard(mut self, shard: Shard) -> Grid {
        let own = (shard.number - 1) as usize;
        self.selected = self.selected.into_iter().skip(own).step_by(shard.of as usize).collect();
        self
    }

    /// Whether runs use the adapter's tuning file if there is one.
    pub fn tuned(self, tuned: bool) -> Grid {
        Grid { tuned, ..self }
    }

    /// Whether runs write event files for TensorBoard, each into a folder of its cell's directory; off by default.
    pub fn tensorboard(self, on: bool) -> Grid {
        Grid { tensorboard: on, ..self }
    }

    /// The table of finished cells.
    pub fn results(&self) -> PathBuf {
        self.path.join(store::RESULTS)
    }

    fn missing(&self) -> impl Iterator<Item = &Cell> + Clone {
        let unfinished = |i: &&usize| !matches!(self.states[**i], CellState::Finished(_));
        self.selected.iter().filter(unfinished).map(|i| &self.cells[*i])
    }

    /// Warns of missing images, which prevent the sweep from starting, and of cells whose images cannot be dealt to the
    /// clients.
    pub fn rehearse(&self, observer: &mut dyn Observer) {
        let absent = |cell: &Cell| data_exists(&cell.plan).map_err(|error| within(cell, error)).err();
        if let Some(error) = self.missing().find_map(absent) {
            return observer.warning(&format!("the sweep would not start: {error}"));
        }
        let mut rehearsal = Rehearsal::default();
        for cell in self.missing() {
            if let Err(error) = rehearsal.deal(&cell.plan) {
                observer.warning(&format!("would be left out: {}", within(cell, error)));
            }
        }
    }

    /// The selected cells with the work to do, one line each.
    pub fn listing(&self) -> String {
        let (cells, selected) = (&self.cells, &self.selected);
        let kept = selected.iter().filter(|&&i| matches!(self.states[i], CellState::Finished(_))).count();
        let (name, base, all) = (&self.sweep.name, &self.sweep.base, selected.len());
        let mut out = format!(
            "sweep {name}, base {base}: {all} of {} selected, {kept} finished, {} to run; directory {}\n",
            count(cells.len(), "run"),
            all - kept,
            self.path.display()
        );
        let width = selected.iter().map(|&i| cells[i].directory().len()).max().unwrap_or(0);
        for &i in selected {
            let rounds = cells[i].plan.rounds;
            let what = match &self.states[i] {
                CellState::Finished(_) => "kept".to_string(),
                CellState::LeftOver => {
                    format!("{}, an unfinished run continues from its latest checkpoint", count(rounds, "round"))
                }
                CellState::Missing => count(rounds, "round"),
            };
            out.push_str(&format!("{:width$}  {what}\n", cells[i].directory()));
        }
        out
    }

    /// Runs the unfinished selected cells, each in one of the processes that share the directory, and waits for those of other
    /// processes. A cell is left out if its data do not fit (too few images for its batch, say), if its training reaches
    /// non-finite values and its plan says to stop, or if its device fails verification. `None` if the observer stopped the
    /// sweep.
    ///
    /// # Errors
    /// Missing images before anything is written; later the device and file errors of a cell, with its name.
    pub fn run(self, observer: &mut dyn Observer) -> Result<Option<Outcome>> {
        for cell in self.missing() {
            data_exists(&cell.plan).map_err(|error| within(cell, error))?;
        }
        let Grid { sweep, cells, selected, store, tuned, tensorboard, path, .. } = self;
        let store = store.open(&sweep)?;
        store.remarks().iter().for_each(|what| observer.warning(what));
        let notes: BTreeSet<String> = cells.iter().flat_map(|cell| cell.plan.notes.lines()).collect();
        notes.iter().for_each(|line| observer.note(line));
        observer.directory(&path)?;
        let tour = Tour::new(&selected);
        let mut worker = Worker { cells: &cells, store: &store, tuned, tensorboard, tour, observer };
        worker.run(&sweep, &selected)
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

/// One of the processes of a sweep.
struct Worker<'a> {
    cells: &'a [Cell],
    store: &'a Store,
    tuned: bool,
    tensorboard: bool,
    tour: Tour,
    observer: &'a mut dyn Observer,
}

impl Worker<'_> {
    fn run(&mut self, sweep: &Sweep, selected: &[usize]) -> Result<Option<Outcome>> {
        let strangers = self.store.strangers(self.cells)?;
        if !strangers.is_empty() {
            self.observer.note(&format!("note: not cells of this grid, not changed: {}", strangers.join(", ")));
        }
        let mut board = Board::new(sweep, self.cells, self.store)?;
        board.publish()?;
        loop {
            let (mut moved, mut busy) = (false, Vec::new());
            for (position, &i) in selected.iter().enumerate() {
                if self.tour.over.contains(&i) {
                    continue;
                }
                let head = format!("[{}/{}] {}", position + 1, selected.len(), self.cells[i].directory());
                match self.cell(&mut board, i, &head)? {
                    Turn::Over => moved |= self.tour.over.insert(i),
                    Turn::Busy => busy.push(self.cells[i].directory()),
                    Turn::Stopped => return Ok(None),
                }
            }
            if busy.is_empty() {
                board.publish()?;
                return Ok(Some(Outcome { rows: board.rows(), left_out: std::mem::take(&mut self.tour.left_out) }));
            }
            if !moved {
                if !std::mem::replace(&mut self.tour.waiting, true) {
                    self.observer.note(&format!("other processes work on the rest: {}", busy.join(", ")));
                }
                if self.observer.stop() {
                    return Ok(None);
                }
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// Visits a cell: it is completed, another process works on it, or it is trained now.
    fn cell(&mut self, board: &mut Board, i: usize, head: &str) -> Result<Turn> {
        let cell = &self.cells[i];
        if let Some(turn) = self.look(board, i, head)? {
            return Ok(turn);
        }
        let Some(claim) = self.store.claim(cell)? else { return Ok(Turn::Busy) };
        // It may have been finished before it was claimed.
        if let Some(turn) = self.look(board, i, head)? {
            claim.done();
            return Ok(turn);
        }
        let left_over = matches!(board.state(i)?, CellState::LeftOver);
        self.store.note(cell, None)?;
        let summary = match self.train(cell, head, left_over, &claim) {
            Ok(Some(summary)) => summary,
            Ok(None) if claim.is_lost() => {
                let what = "another process has taken it over, because this one seemed dead";
                self.observer.note(&format!("{head}  {what}"));
                return Ok(Turn::Busy);
            }
            Ok(None) => return Ok(Turn::Stopped),
            Err(error @ (Error::Input(_) | Error::NotFinite(_) | Error::Verdict(_))) => {
                let why = LeftOut::new(&error);
                self.store.note(cell, Some(&why))?;
                board.publish()?;
                return Ok(self.leave_out(i, head, why));
            }
            Err(error) => return Err(within(cell, error)),
        };
        claim.done();
        let (time, line) = (duration(summary.timing.seconds), values(&summary));
        self.tour.trained += 1;
        board.finished(i, summary);
        board.publish()?;
        self.observer.note(&format!("{head}  {time}{line}{}", self.tour.eta()));
        Ok(Turn::Over)
    }

    /// Visits a cell that needs no work here: it is finished, or was just left out by another process.
    fn look(&mut self, board: &mut Board, i: usize, head: &str) -> Result<Option<Turn>> {
        if let Some(summary) = board.look(i)? {
            let how = if self.tour.waiting || self.tour.trained > 0 { "done" } else { "kept" };
            self.observer.note(&format!("{head}  {how}{}", values(summary)));
            return Ok(Some(Turn::Over));
        }
        let why = self.store.just_left_out(&self.cells[i]);
        Ok(why.map(|why| self.leave_out(i, head, why)))
    }

    fn leave_out(&mut self, i: usize, head: &str, why: LeftOut) -> Turn {
        // A reason shared by many cells is reported once.
        let line = match self.tour.left_out.iter().find(|(_, other)| other.shape() == why.shape()) {
            Some((name, _)) => format!("{head}  left out as {name}"),
            None => format!("{head}  left out: {}", why.reason),
        };
        self.observer.note(&line);
        self.tour.left_out.push((self.cells[i].directory(), why));
        Turn::Over
    }

    /// Trains a cell, if possible from the checkpoint of an earlier sweep that was stopped in it. `None` if the observer
    /// stopped it, or if another process has taken it over.
    fn train(&mut self, cell: &Cell, head: &str, left_over: bool, claim: &Claim) -> Result<Option<Summary>> {
        let first = self.tour.trained == 0;
        // Before anything is loaded: the directory may not belong to the sweep.
        let kept = if left_over { self.store.reopen(cell)? } else { None };
        // Final states take disk space, and cells are not trained further.
        let mut plan = cell.plan.clone();
        plan.checkpoint.last.get_or_insert(false);
        let mut inner = InCell { outer: &mut *self.observer, said: &mut self.tour.said, claim };
        let prepared = Prepared::new(plan, DEFAULT_EVERY, self.tuned, None, &mut inner)?;
        let mut prepared = prepared.tensorboard(self.tensorboard);
        if first {
            inner.outer.note(&prepared.device());
        }
        let dir = match kept {
            Some(dir) => {
                let line = prepared.resume(&dir, &mut inner)?;
                inner.outer.note(&format!("{head}  {line}"));
                dir
            }
            None => {
                if left_over {
                    inner.outer.note(&format!("{head}  an unfinished run is removed, the cell starts again"));
                }
                self.store.begin(cell)?
            }
        };
        if !dir.is_locked() && !std::mem::replace(&mut self.tour.unlocked, true) {
            inner.outer.warning(&unlocked(&dir));
        }
        match prepared.train(&dir, &mut inner)? {
            Trained::Interrupted { .. } => Ok(None),
            Trained::Finished(_) if claim.is_lost() => Ok(None),
            Trained::Finished(finished) => {
                let Finished { summary, .. } = *finished;
                // Unlocked first: some systems cannot rename a directory that contains an open file.
                drop(dir);
                self.store.finish(cell)?;
                Ok(Some(summary))
            }
        }
    }
}

/// Forwards the events of a cell's session to the sweep's observer: drops notes of the preparation, and forwards a warning
/// shared by many cells once.
struct InCell<'a> {
    outer: &'a mut dyn Observer,
    said: &'a mut BTreeSet<String>,
    claim: &'a Claim,
}

impl Observer for InCell<'_> {
    fn warning(&mut self, text: &str) {
        if self.said.insert(text.to_string()) {
            self.outer.warning(text);
        }
    }

    fn begin(&mut self, start: &Start) {
        self.outer.begin(start);
    }

    fn round(&mut self, round: &Round) {
        self.outer.round(round);
    }

    fn end(&mut self) {
        self.outer.end();
    }

    fn stop(&mut self) -> bool {
        self.outer.stop() || self.claim.is_lost()
    }
}

/// A process's progress through the cells.
struct Tour {
    selected: usize,
    started: Instant,
    /// Completed cells.
    over: BTreeSet<usize>,
    /// Cells trained by this process.
    trained: usize,
    /// Cells left out, by directory.
    left_out: Vec<(String, LeftOut)>,
    /// Only cells of other processes remain.
    waiting: bool,
    /// The warning about missing locks was given.
    unlocked: bool,
    /// Warnings of cells already forwarded.
    said: BTreeSet<String>,
}

impl Tour {
    fn new(selected: &[usize]) -> Tour {
        Tour {
            selected: selected.len(),
            started: Instant::now(),
            over: BTreeSet::new(),
            trained: 0,
            left_out: Vec::new(),
            waiting: false,
            unlocked: false,
            said: BTreeSet::new(),
        }
    }

    /// The estimated remaining time, after the cell that has just been trained.
    fn eta(&self) -> String {
        let left = self.selected - self.over.len() - 1;
        let seconds = self.started.elapsed().as_secs_f64() / self.trained as f64 * left as f64;
        if left > 0 { format!("  (eta {})", duration(seconds)) } else { String::new() }
    }
}

/// The outcome of a visit to a cell.
enum Turn {
    /// The cell is finished or left out.
    Over,
    /// Another process works on the cell.
    Busy,
    /// The observer stopped the sweep.
    Stopped,
}

/// The headline values at the end of a line.
fn values(summary: &Summary) -> String {
    let mut text: String =
        summary.headline().iter().map(|(name, value)| format!("  {name} {}", short(*value))).collect();
    if summary.diverged > 0 {
        text.push_str(&format!("  {} diverged", count(summary.diverged, "client-round")));
    }
    text
}

/// The error with the cell's name before it.
fn within(cell: &Cell, error: Error) -> Error {
    error.within(&format!("cell {}", cell.directory()))
}

#[cfg(test)]
mod tests;
