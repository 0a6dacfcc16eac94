//! The directory of a sweep: its finished, unfinished and left-out cells. Several processes may work in it: `sweep.toml` is
//! written first, everything else is written atomically, and only the holder of a cell's claim changes the cell.

use super::claim::{Claim, Claims, Process};
use super::left_out::LeftOut;
use super::same::Known;
use crate::config::sweep::Cell;
use crate::config::{Draft, Problems, Sweep};
use crate::report::layout;
use crate::report::outputs::{self, OutputKind, output};
use crate::report::results::{self, CellRow};
use crate::report::run_dir::replace_file;
use crate::report::{RunDir, Summary};
use crate::session::resume;
use crate::{Error, Result, input};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The table of finished cells.
pub(super) const RESULTS: &str = "results.csv";
/// The sweep as read.
const SWEEP: &str = "sweep.toml";
/// Folders of claims and of reasons for leaving out cells.
const CLAIMS: &str = ".claims";
const LEFT_OUT: &str = ".left-out";
/// Kind of the table file, for messages.
const TABLE: OutputKind = OutputKind::Table(results::MARK);
/// Marks a run in training, as opposed to a directory that the sweep did not create.
const MARKER: &str = ".fedgan-unfinished";

/// A directory that seems foreign is looked at again this often before it is reported: other processes work in `cells`.
const LOOKS: u32 = 3;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// The state of a cell.
#[derive(Debug)]
pub(super) enum CellState {
    /// Its directory is complete and its plan matches the sweep.
    Finished(Box<Summary>),
    /// An earlier sweep was stopped while training it.
    LeftOver,
    /// It has no directory.
    Missing,
}

impl CellState {
    pub fn summary(self) -> Option<Summary> {
        match self {
            CellState::Finished(summary) => Some(*summary),
            CellState::LeftOver | CellState::Missing => None,
        }
    }
}

/// A sweep's directory.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    claims: RefCell<Claims>,
    known: Known,
    /// Reasons from before this process, by cell directory.
    earlier: BTreeMap<String, LeftOut>,
}

impl Store {
    /// Reads the directory without changing anything.
    ///
    /// # Errors
    /// If it contains something other than this sweep.
    pub fn look(path: &Path, sweep: &Sweep) -> Result<Store> {
        if path.as_os_str().is_empty() {
            return Err(Error::input("--out is empty; give the sweep's directory"));
        }
        check_kin(path, sweep)?;
        let claims = RefCell::new(Claims::new(path.join(CLAIMS)));
        let earlier = LeftOut::read_all(&path.join(LEFT_OUT));
        Ok(Store { path: path.to_path_buf(), claims, known: Known::default(), earlier })
    }

    /// Creates the missing parts of the directory.
    ///
    /// # Errors
    /// If another sweep's file was created in the meantime, or the directory cannot be written.
    pub fn open(self, sweep: &Sweep) -> Result<Store> {
        fs::create_dir_all(&self.path).map_err(|e| Error::file(&self.path, format!("cannot create: {e}")))?;
        self.begin_sweep(sweep)?;
        outputs::check(&[output("the sweep's table", Some(&self.path.join(RESULTS)), TABLE)], &[])?;
        let cells = self.path.join("cells");
        fs::create_dir_all(&cells).map_err(|e| Error::output(&cells, e))?;
        for name in entries(&cells)?.iter().filter(|name| !name.ends_with(".part")) {
            // Left by a sweep that was killed between a cell's renaming and the marker's removal.
            let marker = cells.join(name).join(MARKER);
            if cells.join(name).join(layout::SUMMARY).exists() {
                remove(&marker)?;
            }
        }
        Ok(self)
    }

    /// Writes the sweep as read, if it is not there yet. If two sweeps start at the same time, the first one gets the
    /// directory.
    fn begin_sweep(&self, sweep: &Sweep) -> Result<()> {
        let (path, text) = (self.path.join(SWEEP), sweep.to_toml());
        check_kin(&self.path, sweep)?;
        if !path.exists() {
            let create = || -> std::io::Result<()> {
                let mut file = tempfile::Builder::new().prefix(".sweep").tempfile_in(&self.path)?;
                file.write_all(text.as_bytes())?;
                file.persist_noclobber(&path).map(|_| ()).map_err(|e| e.error)
            };
            if create().is_ok() {
                return Ok(());
            }
            // It exists now, or this file system cannot create it atomically.
            check_kin(&self.path, sweep)?;
        }
        let same = input::read_text(&path, input::CONFIG).is_ok_and(|stored| stored == text);
        if same { Ok(()) } else { replace_file(&path, text.as_bytes()) }
    }

    /// Claims a cell, which is required for changing it; `None` while another process holds it. Completes a cell whose process
    /// was killed between writing the summary and renaming.
    ///
    /// # Errors
    /// If the directory cannot be written.
    pub fn claim(&self, cell: &Cell) -> Result<Option<Claim>> {
        let claim = self.claims.borrow_mut().claim(&cell.directory())?;
        let part = self.part(cell);
        if claim.is_some() && part.join(layout::SUMMARY).exists() && part.join(MARKER).exists() {
            self.finish(cell)?;
        }
        Ok(claim)
    }

    /// Why the cell was left out, if it was.
    pub fn left_out(&self, cell: &Cell) -> Option<LeftOut> {
        LeftOut::read(&self.path.join(LEFT_OUT), &cell.directory())
    }

    /// [`Store::left_out`] by a concurrent process: the cell need not be tried again.
    pub fn just_left_out(&self, cell: &Cell) -> Option<LeftOut> {
        self.left_out(cell).filter(|now| {
            self.earlier.get(&cell.directory()) != Some(now)
                || (now.by != Process::own() && now.by.runs() == Some(true))
        })
    }

    /// Records why a cell is left out, replacing an earlier reason; `None` removes it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn note(&self, cell: &Cell, why: Option<&LeftOut>) -> Result<()> {
        LeftOut::write(&self.path.join(LEFT_OUT), &cell.directory(), why)
    }

    fn cell(&self, cell: &Cell) -> PathBuf {
        self.path.join("cells").join(cell.directory())
    }

    fn part(&self, cell: &Cell) -> PathBuf {
        self.path.join("cells").join(format!("{}.part", cell.directory()))
    }

    /// The states of all cells.
    ///
    /// # Errors
    /// All cells whose directory does not match the sweep, in one message.
    pub fn states(&self, cells: &[Cell]) -> Result<Vec<CellState>> {
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

    /// The inner error is a foreign directory in the cell's place.
    pub fn state(&self, cell: &Cell) -> Result<Result<CellState, String>> {
        self.look_at(cell, LOOKS)
    }

    fn look_at(&self, cell: &Cell, looks: u32) -> Result<Result<CellState, String>> {
        let (path, part) = (self.cell(cell), self.part(cell));
        if fs::symlink_metadata(&path).is_ok() {
            return finished(&path, cell, &self.known);
        }
        if fs::symlink_metadata(&part).is_err() {
            return Ok(Ok(CellState::Missing));
        }
        let ours = || Ok(part.is_dir() && !part.is_symlink() && (part.join(MARKER).exists() || is_empty(&part)?));
        match ours() {
            Ok(true) => Ok(Ok(CellState::LeftOver)),
            // Each check is a look of its own: the holder of the cell may rename the directory between two of them.
            _ if looks > 0 => {
                std::thread::sleep(BETWEEN_LOOKS);
                self.look_at(cell, looks - 1)
            }
            Ok(false) => Ok(Err(format!("{} exists and was not made by a sweep; move it away", part.display()))),
            Err(error) => Err(error),
        }
    }

    /// The directory in which an earlier sweep was stopped, if it contains a run of the cell's experiment; `None` if the cell
    /// must start again.
    ///
    /// # Errors
    /// If another process works in it.
    pub fn reopen(&self, cell: &Cell) -> Result<Option<RunDir>> {
        let part = self.part(cell);
        let plan = part.join(layout::PLAN);
        if !plan.is_file() {
            return Ok(None);
        }
        let same = match Draft::read(Some(&plan)).and_then(Draft::plan) {
            Ok(stored) => resume::may_continue(&stored, &cell.plan)?,
            Err(_) => false,
        };
        // Even for removal, no process may be working in it.
        let dir = RunDir::reopen(&part)?;
        Ok(same.then_some(dir))
    }

    /// Creates a fresh directory to train the cell in; removes the remains of an earlier sweep in its place.
    ///
    /// # Errors
    /// If something else exists there, or the directory cannot be written.
    pub fn begin(&self, cell: &Cell) -> Result<RunDir> {
        let part = self.part(cell);
        match self.state(cell)? {
            Ok(CellState::Missing) => {}
            Ok(CellState::LeftOver) => {
                // Renamed first, so that an interrupted removal leaves nothing that looks like a run.
                let gone = self.path.join("cells").join(format!(".{}.removed", cell.directory()));
                if gone.exists() {
                    fs::remove_dir_all(&gone).map_err(|e| Error::output(&gone, e))?;
                }
                fs::rename(&part, &gone).map_err(|e| Error::output(&part, e))?;
                fs::remove_dir_all(&gone).map_err(|e| Error::output(&gone, e))?;
            }
            Ok(CellState::Finished(_)) => return Err(Error::file(&self.cell(cell), "was finished meanwhile")),
            Err(what) => return Err(Error::input(what)),
        }
        let dir = RunDir::create(Some(&part), &self.path, &cell.name)?;
        dir.write_text(MARKER, "An unfinished cell of a sweep: removed when the sweep continues.\n")?;
        Ok(dir)
    }

    /// Gives the cell's directory its final name.
    ///
    /// # Errors
    /// If it cannot be renamed.
    pub fn finish(&self, cell: &Cell) -> Result<()> {
        let (part, path) = (self.part(cell), self.cell(cell));
        fs::rename(&part, &path).map_err(|e| Error::output(&path, e))?;
        // Last, so that a directory of either name is always recognisable as the sweep's.
        remove(&path.join(MARKER))
    }

    /// Replaces `results.csv` atomically.
    ///
    /// # Errors
    /// If it cannot be written; the earlier file then remains.
    pub fn write_results(&self, sweep: &Sweep, rows: &[CellRow]) -> Result<()> {
        let axes: Vec<String> = sweep.axes.iter().map(|a| a.name.clone()).collect();
        outputs::write(&self.path.join(RESULTS), TABLE, results::csv(&axes, rows).as_bytes())
    }

    /// Remarks on finished cells that could not be compared with their images or their device.
    pub fn remarks(&self) -> Vec<String> {
        self.known.remarks()
    }

    /// Names of directories of cells that are not (or no longer) in the grid, sorted.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn strangers(&self, cells: &[Cell]) -> Result<Vec<String>> {
        let names: BTreeSet<String> =
            cells.iter().flat_map(|c| [c.directory(), format!("{}.part", c.directory())]).collect();
        let mut strangers = entries(&self.path.join("cells"))?;
        strangers.retain(|name| !names.contains(name));
        strangers.sort();
        Ok(strangers)
    }
}

/// The finished cell at `path`, or why it does not belong to this sweep.
fn finished(path: &Path, cell: &Cell, known: &Known) -> Result<Result<CellState, String>> {
    if !path.join(layout::SUMMARY).exists() {
        return Ok(Err(format!("{} exists and is not a finished run; move it away", path.display())));
    }
    let stored = match Draft::read(Some(&path.join("plan.toml"))).and_then(Draft::plan) {
        Ok(plan) => plan,
        Err(error) => return Ok(Err(format!("the plan of the finished run cannot be read: {error}"))),
    };
    let summary = match Summary::read(path) {
        Ok(summary) => summary,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let mut differences = stored.differences(&cell.plan, &["device"])?;
    differences.extend(known.other_device(&stored.device, &cell.plan.device, &summary.device));
    if !differences.is_empty() {
        let what = differences.join("; ");
        return Ok(Err(format!("was run with another plan: {what}; move the directory away or choose another --out")));
    }
    Ok(match known.other_images(&cell.plan, &summary)? {
        None => Ok(CellState::Finished(Box::new(summary))),
        Some(what) => Err(format!("{what}; move the directory away to run the cell again, or choose another --out")),
    })
}

/// Removes a file that another process may have removed.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::output(path, e)),
        _ => Ok(()),
    }
}

/// Rejects a non-empty directory without this sweep.
fn check_kin(path: &Path, sweep: &Sweep) -> Result<()> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    if !path.is_dir() {
        return Err(Error::file(path, "is not a directory; --out must name the sweep's directory or a new one"));
    }
    let stored = path.join(SWEEP);
    if stored.exists() {
        let text =
            input::read_text(&stored, input::CONFIG).map_err(|e| Error::file(&stored, format!("cannot read: {e}")))?;
        return sweep.continues(&text).map_err(|what| Error::file(&stored, format!("{what}; choose another --out")));
    }
    let entries = entries(path)?;
    // A sweep of version 0.1.0 created this folder first, and may have been killed after that.
    let begun = entries == ["cells"] && path.join("cells").read_dir().is_ok_and(|mut cells| cells.next().is_none());
    match entries.first() {
        None => Ok(()),
        Some(_) if begun => Ok(()),
        // Another process is one step ahead: it writes this file first.
        Some(_) if stored.exists() => check_kin(path, sweep),
        Some(entry) => {
            let what = format!("holds {entry:?} but no {SWEEP}: not a sweep's directory; choose another --out");
            Err(Error::file(path, what))
        }
    }
}

/// Names in a directory, except for those that start with a dot.
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
    // The marker itself may have been about to be written, after the lock.
    let ours = |name: &str| name == layout::LOCK || name.contains(MARKER);
    Ok(names.all(|entry| entry.is_ok_and(|e| ours(&e.file_name().to_string_lossy()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    /// While the holder of a cell renames its directory, others see the cell unfinished or missing, never foreign.
    #[test]
    fn a_cell_that_moves_is_not_foreign() {
        let dir = tempfile::tempdir().unwrap();
        let text = "base = \"default\"\nseeds = [1]\n[[axis]]\nkey = \"train.lr\"\nvalues = [1e-4]";
        let sweep = Sweep::parse("moving", &format!("name = \"moving\"\n{text}"), None).unwrap();
        let store = Store::look(&dir.path().join("out"), &sweep).unwrap().open(&sweep).unwrap();
        let cell = &sweep.cells().unwrap()[0];
        let (part, made, gone) = (store.part(cell), dir.path().join("made"), dir.path().join("gone"));
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for pause in (0..).map(|i| Duration::from_micros(i % 7 * 100)) {
                    fs::create_dir(&made).unwrap();
                    fs::write(made.join(MARKER), "").unwrap();
                    fs::rename(&made, &part).unwrap();
                    std::thread::sleep(pause);
                    fs::rename(&part, &gone).unwrap();
                    fs::remove_dir_all(&gone).unwrap();
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
            // On a busy machine the other thread may run late.
            let (mut seen, mut found, started) = ([0; 2], Ok(()), Instant::now());
            while found.is_ok()
                && (seen.iter().sum::<u32>() < 5_000
                    || seen.contains(&0) && started.elapsed() < Duration::from_secs(60))
            {
                match store.state(cell) {
                    Ok(Ok(CellState::LeftOver)) => seen[0] += 1,
                    Ok(Ok(CellState::Missing)) => seen[1] += 1,
                    Ok(Ok(CellState::Finished(_))) => found = Err("finished".to_string()),
                    Ok(Err(why)) => found = Err(why),
                    Err(why) => found = Err(why.to_string()),
                }
            }
            over.store(true, Ordering::Relaxed);
            assert!(found.is_ok() && !seen.contains(&0), "{found:?}, {seen:?}");
        });
        fs::create_dir(&part).unwrap();
        fs::write(part.join("mine"), "").unwrap();
        assert!(store.state(cell).unwrap().unwrap_err().contains("was not made by a sweep"));
    }
}
