//! The directory of a sweep: what is finished in it, what is left over, and one sweep at a time.

use crate::cli::run;
use crate::config::sweep::Cell;
use crate::config::{Draft, Problems, Sweep};
use crate::report::results::{self, Row};
use crate::report::run_dir::{self, replace_file};
use crate::report::{RunDir, Summary, summary};
use crate::{Error, Result, input};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// The table of finished cells.
pub(super) const RESULTS: &str = "results.csv";
/// The sweep as it was read.
const SWEEP: &str = "sweep.toml";
/// Held while a sweep works in the directory.
const LOCK: &str = ".lock";
/// Tells a run in training from a directory that somebody else made.
const MARKER: &str = ".fedgan-unfinished";

/// How far a cell is.
#[derive(Debug)]
pub(super) enum State {
    /// Its directory is complete and its plan is the one that the sweep asks for.
    Finished(Box<Summary>),
    /// An earlier sweep was stopped in it.
    LeftOver,
    /// Nothing is there.
    Missing,
}

impl State {
    pub fn summary(self) -> Option<Summary> {
        match self {
            State::Finished(summary) => Some(*summary),
            State::LeftOver | State::Missing => None,
        }
    }
}

/// A sweep's directory.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    /// Locked while this lives.
    _lock: Option<File>,
}

impl Store {
    /// Looks at the directory without changing anything.
    ///
    /// # Errors
    /// When it holds something other than this sweep.
    pub fn look(path: &Path, sweep: &Sweep) -> Result<Store> {
        if path.as_os_str().is_empty() {
            return Err(Error::input("--out is empty; give the sweep's directory"));
        }
        check_kin(path, sweep)?;
        Ok(Store { path: path.to_path_buf(), _lock: None })
    }

    /// Creates what is missing of the directory and locks it until the answer is dropped.
    ///
    /// # Errors
    /// When another sweep holds the lock, or the directory cannot be written.
    pub fn open(self, sweep: &Sweep) -> Result<Store> {
        fs::create_dir_all(&self.path).map_err(|e| Error::file(&self.path, format!("cannot create: {e}")))?;
        let path = self.path.join(LOCK);
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let lock = lock.map_err(|e| Error::output(&path, e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::file(&self.path, "another sweep is running in this directory"));
            }
            Err(TryLockError::Error(e)) => return Err(Error::output(&path, format!("cannot lock: {e}"))),
        }
        check_kin(&self.path, sweep)?;
        let cells = self.path.join("cells");
        fs::create_dir_all(&cells).map_err(|e| Error::output(&cells, e))?;
        for name in entries(&cells)? {
            // Left where a sweep was killed between a cell's renaming and the marker's removal.
            let (dir, marker) = (cells.join(&name), cells.join(&name).join(MARKER));
            if !dir.join(summary::FILE).exists() || !marker.exists() {
                continue;
            }
            // Or between its summary and the renaming.
            let mut marker = marker;
            if let Some(whole) = name.strip_suffix(".part") {
                let path = cells.join(whole);
                fs::rename(&dir, &path).map_err(|e| Error::output(&path, e))?;
                marker = path.join(MARKER);
            }
            fs::remove_file(&marker).map_err(|e| Error::output(&marker, e))?;
        }
        replace_file(&self.path.join(SWEEP), sweep.to_toml().as_bytes())?;
        Ok(Store { _lock: Some(lock), ..self })
    }

    fn cell(&self, cell: &Cell) -> PathBuf {
        self.path.join("cells").join(cell.directory())
    }

    fn part(&self, cell: &Cell) -> PathBuf {
        self.path.join("cells").join(format!("{}.part", cell.directory()))
    }

    /// How far every cell is.
    ///
    /// # Errors
    /// All cells whose directory is not what the sweep asks for, in one message.
    pub fn states(&self, cells: &[Cell]) -> Result<Vec<State>> {
        let mut problems = Problems::default();
        let mut states = Vec::new();
        for cell in cells {
            match self.state(cell)? {
                Ok(state) => states.push(state),
                Err(what) => {
                    problems.push(format!("{}: {what}", cell.directory()));
                }
            }
        }
        if problems.is_empty() { Ok(states) } else { Err(problems.into_error(&self.path.display().to_string())) }
    }

    /// The inner error is a directory that is in the way.
    fn state(&self, cell: &Cell) -> Result<Result<State, String>> {
        let (path, part) = (self.cell(cell), self.part(cell));
        if fs::symlink_metadata(&path).is_ok() {
            return finished(&path, cell);
        }
        if fs::symlink_metadata(&part).is_err() {
            return Ok(Ok(State::Missing));
        }
        let ours = part.is_dir() && !part.is_symlink() && (part.join(MARKER).exists() || is_empty(&part)?);
        Ok(match ours {
            true => Ok(State::LeftOver),
            false => Err(format!("{} exists and was not made by a sweep; move it away", part.display())),
        })
    }

    /// The directory in which an earlier sweep was stopped, where a run of the cell's experiment had begun there; `None` where
    /// the cell must start again.
    ///
    /// # Errors
    /// When another process works in it.
    pub fn reopen(&self, cell: &Cell) -> Result<Option<RunDir>> {
        let part = self.part(cell);
        let plan = part.join(run_dir::PLAN);
        if !plan.is_file() {
            return Ok(None);
        }
        let same = match Draft::read(Some(&plan)).and_then(Draft::plan) {
            Ok(stored) => run::may_go_on(&stored, &cell.plan)?,
            Err(_) => false,
        };
        // Also where it is to be removed, nobody may be at work in it.
        let dir = RunDir::reopen(&part)?;
        Ok(same.then_some(dir))
    }

    /// A fresh directory for the cell to train in; what an earlier sweep left in its place is removed.
    ///
    /// # Errors
    /// When something else is in the way, or the directory cannot be written.
    pub fn begin(&self, cell: &Cell) -> Result<RunDir> {
        let part = self.part(cell);
        match self.state(cell)? {
            Ok(State::Missing) => {}
            Ok(State::LeftOver) => {
                // Out of the way first: a removal that is itself interrupted leaves nothing that looks like a run.
                let gone = self.path.join("cells").join(format!(".{}.removed", cell.directory()));
                if gone.exists() {
                    fs::remove_dir_all(&gone).map_err(|e| Error::output(&gone, e))?;
                }
                fs::rename(&part, &gone).map_err(|e| Error::output(&part, e))?;
                fs::remove_dir_all(&gone).map_err(|e| Error::output(&gone, e))?;
            }
            Ok(State::Finished(_)) => return Err(Error::file(&self.cell(cell), "was finished meanwhile")),
            Err(what) => return Err(Error::input(what)),
        }
        let dir = RunDir::create(Some(&part), &self.path, &cell.name)?;
        dir.write_text(MARKER, "An unfinished cell of a sweep: removed when the sweep goes on.\n")?;
        Ok(dir)
    }

    /// Gives the cell's directory its final name.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn finish(&self, cell: &Cell) -> Result<()> {
        let (part, path) = (self.part(cell), self.cell(cell));
        fs::rename(&part, &path).map_err(|e| Error::output(&path, e))?;
        // Last, so that a directory of either name tells whose it is at any moment.
        let marker = path.join(MARKER);
        fs::remove_file(&marker).map_err(|e| Error::output(&marker, e))
    }

    /// Replaces `results.csv` in one step.
    ///
    /// # Errors
    /// When it cannot be written; the earlier one then stands.
    pub fn write_results(&self, sweep: &Sweep, rows: &[Row]) -> Result<()> {
        let axes: Vec<String> = sweep.axes.iter().map(|a| a.name.clone()).collect();
        replace_file(&self.path.join(RESULTS), results::csv(&axes, rows).as_bytes())
    }

    /// Names of directories of cells that the grid does not have (any more), sorted.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn strangers(&self, cells: &[Cell]) -> Result<Vec<String>> {
        let names: BTreeSet<String> =
            cells.iter().flat_map(|c| [c.directory(), format!("{}.part", c.directory())]).collect();
        let mut strangers = entries(&self.path.join("cells"))?;
        strangers.retain(|name| !names.contains(name));
        strangers.sort();
        Ok(strangers)
    }
}

/// The finished cell at `path`, or why it is none of this sweep.
fn finished(path: &Path, cell: &Cell) -> Result<Result<State, String>> {
    if !path.join(summary::FILE).exists() {
        return Ok(Err(format!("{} exists and is no finished run; move it away", path.display())));
    }
    let stored = match Draft::read(Some(&path.join("plan.toml"))).and_then(Draft::plan) {
        Ok(plan) => plan,
        Err(error) => return Ok(Err(format!("the plan of the finished run cannot be read: {error}"))),
    };
    let differences = stored.differences(&cell.plan, &[])?;
    if !differences.is_empty() {
        let what = differences.join("; ");
        return Ok(Err(format!("was run with another plan: {what}; move the directory away or take another --out")));
    }
    Ok(match Summary::read(path) {
        Ok(summary) => Ok(State::Finished(Box::new(summary))),
        Err(error) => Err(error.to_string()),
    })
}

/// Refuses a directory that is not empty and holds no sweep, or another one.
fn check_kin(path: &Path, sweep: &Sweep) -> Result<()> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    if !path.is_dir() {
        return Err(Error::file(path, "is no directory; --out must name the sweep's directory or a new one"));
    }
    let stored = path.join(SWEEP);
    if stored.exists() {
        let text =
            input::read_text(&stored, input::CONFIG).map_err(|e| Error::file(&stored, format!("cannot read: {e}")))?;
        return sweep.continues(&text).map_err(|what| Error::file(&stored, format!("{what}; take another --out")));
    }
    match entries(path)?.first() {
        None => Ok(()),
        Some(entry) => {
            let what = format!("holds {entry:?} but no {SWEEP}: not a sweep's directory; take another --out");
            Err(Error::file(path, what))
        }
    }
}

/// Names in a directory, those that start with a dot left out.
fn entries(path: &Path) -> Result<Vec<String>> {
    let bad = |e: std::io::Error| Error::file(path, format!("cannot read this directory: {e}"));
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(bad)? {
        let name = entry.map_err(bad)?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    Ok(names)
}

fn is_empty(path: &Path) -> Result<bool> {
    let bad = |e: std::io::Error| Error::file(path, format!("cannot read this directory: {e}"));
    let mut names = fs::read_dir(path).map_err(bad)?;
    // The marker itself may have been on its way, behind the lock.
    let ours = |name: &str| name == run_dir::LOCK || name.contains(MARKER);
    Ok(names.all(|entry| entry.is_ok_and(|e| ours(&e.file_name().to_string_lossy()))))
}
