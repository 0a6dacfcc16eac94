//! The directory of a run.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::layout::{LOCK, PLAN, SUMMARY};
use crate::{Error, Result};

/// Maximum number of numbered directories per name before the search for a free one gives up.
const LAST_NUMBER: u32 = 999_999;

/// A directory for one run and nothing else; every path is inside it. While it or a clone exists, no other process can
/// open it.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
    /// An earlier process worked here: its files are written again.
    reopened: bool,
    /// Unlocked when the last clone is dropped; `None` on file systems without locks.
    lock: Option<Arc<File>>,
}

impl RunDir {
    /// Creates the directory of a run.
    ///
    /// With `explicit`, exactly that directory (and its parents), which may exist if it is [`vacant`]; otherwise
    /// `base/<name>-NNN`, where NNN is the first free number from 001. Creation is atomic: two runs started together
    /// get different numbers.
    ///
    /// # Errors
    /// [`Error::Input`] if `explicit` is in use (it is not changed), if `name` is not a plain file name, or if the
    /// directory cannot be created.
    pub fn create(explicit: Option<&Path>, base: &Path, name: &str) -> Result<RunDir> {
        match explicit {
            Some(path) => Self::create_exactly(path),
            None => Self::create_numbered(base, name),
        }
    }

    /// Opens the directory of an unfinished run to continue it.
    ///
    /// # Errors
    /// As [`RunDir::reopen_any`]; [`Error::Input`] if its run is finished.
    pub fn reopen(path: &Path) -> Result<RunDir> {
        let dir = Self::reopen_any(path)?;
        match dir.file(SUMMARY).exists() {
            true => Err(Error::file(path, format!("the run is finished ({} is there)", SUMMARY))),
            false => Ok(dir),
        }
    }

    /// Opens the directory of a run, finished or not, to continue it.
    ///
    /// # Errors
    /// [`Error::Input`] if it is not a run's directory, or another process works in it.
    pub fn reopen_any(path: &Path) -> Result<RunDir> {
        if !path.join(PLAN).is_file() {
            let what = format!("has no {PLAN}: not the directory of a run, or the run had not started");
            return Err(Error::file(path, what));
        }
        let lock = lock(path)?;
        remove_parts(path, 1)?;
        Ok(RunDir { path: path.into(), reopened: true, lock })
    }

    fn created(path: &Path) -> Result<RunDir> {
        Ok(RunDir { path: path.into(), reopened: false, lock: lock(path)? })
    }

    /// The same directory, in which the run's files are written again.
    pub fn again(self) -> RunDir {
        RunDir { reopened: true, ..self }
    }

    /// Whether other processes are excluded: not every file system has locks.
    pub fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    /// Syncs the names of the run's files to disk.
    pub fn sync(&self) {
        sync_folder(&self.path);
    }

    fn create_exactly(path: &Path) -> Result<RunDir> {
        vacant(path)?;
        for folder in [path.parent().filter(|p| !p.as_os_str().is_empty()), Some(path)].into_iter().flatten() {
            fs::create_dir_all(folder).map_err(|e| cannot_create(folder, &e))?;
        }
        let dir = Self::created(path)?;
        // Of two runs with this directory, the second may have waited for its lock until the first was done.
        vacant(path)?;
        remove_parts(path, 0)?;
        Ok(dir)
    }

    fn create_numbered(base: &Path, name: &str) -> Result<RunDir> {
        check_name(name)?;
        fs::create_dir_all(base).map_err(|e| cannot_create(base, &e))?;
        for number in 1..=LAST_NUMBER {
            let path = base.join(format!("{name}-{number:03}"));
            match fs::create_dir(&path) {
                Ok(()) => return Self::created(&path),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(cannot_create(&path, &e)),
            }
        }
        Err(Error::file(base, format!("no free number left for '{name}' (001 to {LAST_NUMBER} exist)")))
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file inside the directory, whether it exists or not. `name` may contain sub-folders
    /// ("grids/0001.png").
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a new file; returns its path. A reader never sees a partial file. In a reopened directory the file may
    /// exist.
    ///
    /// # Errors
    /// [`Error::Output`] if it exists or cannot be written.
    pub fn write_bytes(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.file(name);
        if !self.reopened && fs::symlink_metadata(&path).is_ok() {
            return Err(Error::output(&path, "it already exists"));
        }
        self.replace_bytes(name, bytes)
    }

    /// [`RunDir::write_bytes`] of a text.
    pub fn write_text(&self, name: &str, text: &str) -> Result<PathBuf> {
        self.write_bytes(name, text.as_bytes())
    }

    /// Writes a file that the run updates regularly (latest curves, latest weights): an earlier version from this run
    /// is replaced atomically. Returns its path.
    ///
    /// # Errors
    /// [`Error::Output`] if it cannot be written; the earlier version then remains.
    pub fn replace_bytes(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.file(name);
        self.make_parent(&path)?;
        replace_file(&path, bytes)?;
        Ok(path)
    }

    /// Removes a file that the run has written; a missing file is not an error.
    ///
    /// # Errors
    /// [`Error::Output`] if it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.file(name);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::output(&path, format!("cannot remove: {e}"))),
            _ => Ok(()),
        }
    }

    /// Opens a new file to which lines are appended during the run (the logs). In a reopened directory it starts empty.
    ///
    /// # Errors
    /// [`Error::Output`] if it exists or cannot be created.
    pub fn create_log(&self, name: &str) -> Result<File> {
        let path = self.file(name);
        self.make_parent(&path)?;
        if self.reopened {
            self.remove(name)?;
        }
        OpenOptions::new().append(true).create_new(true).open(&path).map_err(|e| Error::output(&path, e))
    }

    fn make_parent(&self, path: &Path) -> Result<()> {
        match path.parent() {
            Some(parent) if parent != self.path => fs::create_dir_all(parent).map_err(|e| Error::output(parent, e)),
            _ => Ok(()),
        }
    }
}

/// Writes `bytes` to a temporary file next to `path`, then renames it: `path` has the old contents or the new, never a
/// part.
///
/// # Errors
/// [`Error::Output`] naming `path`.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_with(path, |file| file.write_all(bytes).map_err(|e| Error::output(path, e)))
}

/// [`replace_file`] with the contents that `write` puts into the file.
///
/// # Errors
/// As `write`; [`Error::Output`] naming `path`.
pub fn replace_with(path: &Path, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let temporary = temporary(path).ok_or_else(|| Error::output(path, "not a file name"))?;
    let bad = |e| Error::output(path, e);
    // Synced before it gets the name: even after a power cut there is the old file or the new one.
    let written = File::create(&temporary).map_err(bad).and_then(|mut file| {
        write(&mut file)?;
        file.sync_all().map_err(bad)?;
        fs::rename(&temporary, path).map_err(bad)
    });
    if written.is_err() {
        // Best effort: the first error matters.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// The temporary name of [`replace_with`]. Processes of several machines may work in one folder, so the process's
/// number alone is not sufficient.
fn temporary(path: &Path) -> Option<PathBuf> {
    let random = RandomState::new().build_hasher().finish() as u32;
    let name = path.file_name()?.to_string_lossy();
    Some(path.with_file_name(format!(".{name}.{}-{random:08x}.part", std::process::id())))
}

/// Tests whether [`replace_file`] could write `path`, and leaves nothing behind.
///
/// # Errors
/// The reason why it could not.
pub fn probe(path: &Path) -> std::io::Result<()> {
    let temporary = temporary(path).ok_or_else(|| std::io::Error::from(ErrorKind::InvalidFilename))?;
    File::create_new(&temporary).and_then(|_| fs::remove_file(&temporary))
}

/// Removes the temporary files of killed processes ([`replace_with`]), `below` folders deep.
fn remove_parts(folder: &Path, below: u32) -> Result<()> {
    let bad = |e: std::io::Error| Error::file(folder, format!("cannot read this directory: {e}"));
    for entry in fs::read_dir(folder).map_err(bad)? {
        let entry = entry.map_err(bad)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(bad)?);
        let name = entry.file_name().to_string_lossy().into_owned();
        if kind.is_dir() && below > 0 {
            remove_parts(&path, below - 1)?;
        } else if kind.is_file() && name.starts_with('.') && name.ends_with(".part") {
            fs::remove_file(&path).map_err(|e| Error::output(&path, format!("cannot remove: {e}")))?;
        }
    }
    Ok(())
}

/// Syncs the names in a folder to disk. Systems that cannot sync folders (Windows) skip this.
pub(super) fn sync_folder(folder: &Path) {
    let _ = File::open(folder).and_then(|f| f.sync_all());
}

/// Locks a run's directory for this process; `None` if the file system has no locks.
fn lock(directory: &Path) -> Result<Option<Arc<File>>> {
    let path = directory.join(LOCK);
    let open = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = open.map_err(|e| Error::output(&path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Arc::new(file))),
        Err(TryLockError::WouldBlock) => Err(Error::file(directory, "another process is running in this directory")),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Whether a run may use `path`: it does not exist, or is an empty directory. The files of a run that ended before its
/// plan was written (the lock, a part of the plan) count as nothing.
///
/// # Errors
/// [`Error::Input`] otherwise.
pub fn vacant(path: &Path) -> Result<()> {
    if path.as_os_str().is_empty() {
        return Err(Error::input("--out is empty; choose a directory that does not exist yet"));
    }
    // Links, including dangling ones, may lead elsewhere tomorrow.
    let taken = match fs::symlink_metadata(path) {
        Err(_) => false,
        Ok(there) if !there.is_dir() => true,
        Ok(_) => {
            let bad = |e: std::io::Error| Error::file(path, format!("cannot read this directory: {e}"));
            let names = fs::read_dir(path).map_err(bad)?.map(|e| e.map(|e| e.file_name()).map_err(bad));
            let names = names.collect::<Result<Vec<_>>>()?;
            let nothing = |name: &str| name == LOCK || name.starts_with(".plan.toml.") && name.ends_with(".part");
            !names.iter().all(|name| nothing(&name.to_string_lossy()))
        }
    };
    let what =
        "already exists and is not empty; --out takes a new directory or an empty one (--resume continues a run)";
    if taken { Err(Error::file(path, what)) } else { Ok(()) }
}

fn cannot_create(path: &Path, why: &std::io::Error) -> Error {
    Error::file(path, format!("cannot create this directory: {why}"))
}

/// A run's name becomes part of a directory name, on every file system.
fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
    if name.trim().is_empty() || name.starts_with('.') || !name.chars().all(plain) || name.len() > 200 {
        return Err(Error::input(format!(
            "name: {name:?} cannot name a directory; allowed are 1 to 200 letters, digits, '-', '_', '.' (not first) and spaces"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
