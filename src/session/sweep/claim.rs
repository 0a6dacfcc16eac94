//! Claims on cells, for several processes, on one machine or several, that share a sweep's directory.
//!
//! A claim is a file `CELL.N`, created only if it does not exist; the process that created the highest N holds the cell. The
//! claims of a cell are never removed before it is finished, so each N is created once. A holder rewrites its claim every few
//! seconds (a heartbeat). It counts as dead if its process no longer runs (on the same machine) or its claim has not changed
//! for a minute (seen from any machine, by the observer's own clock); then the next N may be created. No file-system locks are
//! needed.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time between two heartbeats.
const BEAT: Duration = Duration::from_secs(5);
/// Without a heartbeat for this long, a holder on another machine counts as dead: network file systems show changes late.
const SILENCE: Duration = Duration::from_secs(60);

/// The identity of a process, by which others can check whether it still runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    /// The machine on which its number is valid; empty if unknown.
    machine: String,
    number: u32,
    /// Its start time in the machine's ticks: process numbers are reused.
    started: String,
}

impl Process {
    /// The current process.
    pub fn own() -> Process {
        let number = std::process::id();
        let (machine, started) = (machine(), started(number));
        match (machine, started) {
            (Some(machine), Some(started)) => Process { machine, number, started },
            _ => Process { machine: String::new(), number, started: String::new() },
        }
    }

    /// Whether it runs; `None` if that cannot be determined from here.
    pub fn runs(&self) -> Option<bool> {
        let here = !self.machine.is_empty() && machine().as_deref() == Some(&self.machine);
        here.then(|| started(self.number).as_deref() == Some(&self.started))
    }
}

/// The boot and the process table; only Linux reports both.
fn machine() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let table = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), table.display()))
}

/// The process's start time; `None` if it does not run, or is a zombie.
fn started(number: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    // The name before it may contain anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ended = matches!(*fields.first()?, "Z" | "X");
    (!ended).then(|| fields.get(19).map(|ticks| ticks.to_string()))?
}

/// The content of a claim.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    holder: Process,
    /// Released: the next process may claim the cell.
    released: bool,
    beat: u64,
}

impl Note {
    /// Always of the same length, so that a concurrent reader never sees malformed text.
    fn text(&self) -> String {
        let Note { holder, released, beat } = self;
        let text = serde_json::json!({ "holder": holder, "released": released, "beat": beat }).to_string();
        format!("{text:<400}\n")
    }
}

/// One process's view of the claims in a sweep's directory.
#[derive(Debug)]
pub(super) struct Claims {
    folder: PathBuf,
    own: Process,
    /// The last content read of claims held on other machines, and when it last changed.
    seen: BTreeMap<PathBuf, (String, Instant)>,
    silence: Duration,
}

impl Claims {
    pub fn new(folder: PathBuf) -> Claims {
        Claims { folder, own: Process::own(), seen: BTreeMap::new(), silence: SILENCE }
    }

    /// Claims a cell; `None` while another process holds it.
    ///
    /// # Errors
    /// If the folder cannot be read or written.
    pub fn claim(&mut self, cell: &str) -> Result<Option<Claim>> {
        fs::create_dir_all(&self.folder).map_err(|e| Error::output(&self.folder, e))?;
        let next = match generations(&self.folder, cell)?.into_iter().max() {
            None => 1,
            Some(last) if self.is_free(&self.folder.join(format!("{cell}.{last}"))) => last + 1,
            Some(_) => return Ok(None),
        };
        let path = self.folder.join(format!("{cell}.{next}"));
        let note = Note { holder: self.own.clone(), released: false, beat: 0 };
        if !create(&path, &note.text()).map_err(|e| Error::output(&path, e))? {
            return Ok(None);
        }
        Ok(Some(Claim::hold(self.folder.clone(), cell.to_string(), next, note)))
    }

    /// Whether a claim's holder has released it, or is dead.
    fn is_free(&mut self, path: &Path) -> bool {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            // Its cell was finished meanwhile: the next check of the cell finds that.
            Err(e) if e.kind() == ErrorKind::NotFound => return false,
            Err(_) => String::new(),
        };
        let note: Option<Note> = serde_json::from_str(&text).ok();
        if let Some(free) =
            note.and_then(|note| if note.released { Some(true) } else { note.holder.runs().map(|r| !r) })
        {
            return free;
        }
        match self.seen.get(path) {
            Some((seen, since)) if *seen == text => since.elapsed() >= self.silence,
            _ => {
                self.seen.insert(path.to_path_buf(), (text, Instant::now()));
                false
            }
        }
    }
}

/// The numbers of a cell's claims.
fn generations(folder: &Path, cell: &str) -> Result<Vec<u64>> {
    let bad = |e: std::io::Error| Error::file(folder, format!("cannot read this directory: {e}"));
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(bad)? {
        let name = entry.map_err(bad)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(cell)?.strip_prefix('.')?.parse::<u64>().ok());
        found.extend(number);
    }
    Ok(found)
}

/// Creates a file with its text atomically; `false` if it exists.
fn create(path: &Path, text: &str) -> std::io::Result<bool> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut whole = tempfile::Builder::new().prefix(".claim").tempfile_in(folder)?;
    whole.write_all(text.as_bytes())?;
    match fs::hard_link(whole.path(), path) {
        Ok(()) => return Ok(true),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(false),
        // Not every file system has hard links. Without them an observer may see the file empty, which does not count as dead.
        Err(_) => {}
    }
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map(|()| true),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e),
    }
}

/// A cell held by this process; released when dropped.
#[derive(Debug)]
pub(super) struct Claim {
    folder: PathBuf,
    cell: String,
    lost: Arc<AtomicBool>,
    /// Ends the heartbeat; the thread then releases the claim.
    end: Option<Sender<()>>,
    beats: Option<JoinHandle<()>>,
}

impl Claim {
    fn hold(folder: PathBuf, cell: String, number: u64, mut note: Note) -> Claim {
        let lost = Arc::new(AtomicBool::new(false));
        let (end, ended) = mpsc::channel::<()>();
        let (told, place, name) = (lost.clone(), folder.clone(), cell.clone());
        let beats = std::thread::spawn(move || {
            let path = place.join(format!("{name}.{number}"));
            // Not created again: a removed claim is over.
            let write = |note: &Note| {
                OpenOptions::new().write(true).open(&path).and_then(|mut file| file.write_all(note.text().as_bytes()))
            };
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(BEAT) {
                note.beat += 1;
                let gone = write(&note).is_err_and(|e| e.kind() == ErrorKind::NotFound);
                if gone || generations(&place, &name).is_ok_and(|all| all.iter().any(|n| *n > number)) {
                    told.store(true, Ordering::Relaxed);
                    return;
                }
            }
            note.released = true;
            // Best effort: otherwise the claim ends with this process.
            let _ = write(&note);
        });
        Claim { folder, cell, lost, end: Some(end), beats: Some(beats) }
    }

    /// Whether another process took the cell over because this one's heartbeat had stopped.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// The cell is finished: removes its claims.
    pub fn done(self) {
        let (folder, cell) = (self.folder.clone(), self.cell.clone());
        drop(self);
        for number in generations(&folder, &cell).unwrap_or_default() {
            // Best effort: they are small and no longer read.
            let _ = fs::remove_file(folder.join(format!("{cell}.{number}")));
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(beats) = self.beats.take() {
            // A panic of the thread was already printed.
            let _ = beats.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_cell_has_one_holder() {
        let dir = tempfile::tempdir().unwrap();
        let claims = || Claims::new(dir.path().into());
        let claim = claims().claim("a-s1").unwrap().unwrap();
        assert!(claims().claim("a-s1").unwrap().is_none());
        let other = claims().claim("a-s1.5-s1").unwrap().unwrap();
        drop(claim);
        let next = claims().claim("a-s1").unwrap().unwrap();
        assert_eq!(files(dir.path()), ["a-s1.1", "a-s1.2", "a-s1.5-s1.1"]);
        next.done();
        other.done();
        assert!(files(dir.path()).is_empty());
    }

    #[test]
    fn of_many_who_come_together_one_has_the_cell() {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..20 {
            let barrier = std::sync::Barrier::new(8);
            let found: Vec<Option<Claim>> = std::thread::scope(|scope| {
                let one = || {
                    let mut claims = Claims::new(dir.path().into());
                    barrier.wait();
                    claims.claim("a").unwrap()
                };
                let all: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
                all.into_iter().map(|t| t.join().unwrap()).collect()
            });
            assert_eq!(found.iter().flatten().count(), 1, "round {round}");
            // Every third holder finishes its cell; the others release it.
            found.into_iter().flatten().for_each(|claim| {
                if round % 3 == 2 {
                    claim.done()
                }
            });
        }
    }

    /// A claim left by another process.
    fn left(dir: &Path, holder: Process) {
        fs::write(dir.join("a.1"), Note { holder, released: false, beat: 3 }.text()).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_claim_of_a_dead_process_is_taken_over_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let number = child.id();
        let holder = Process { machine: machine().unwrap(), number, started: started(number).unwrap() };
        left(dir.path(), holder.clone());
        let mut claims = Claims::new(dir.path().into());
        assert!(claims.claim("a").unwrap().is_none());
        child.kill().unwrap();
        // Not waited for yet: a zombie counts as dead.
        while holder.runs() == Some(true) {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(claims.claim("a").unwrap().is_some());
        child.wait().unwrap();
        // The process number, reused by another process.
        fs::remove_file(dir.path().join("a.2")).unwrap();
        left(dir.path(), Process { number: std::process::id(), ..holder });
        assert!(claims.claim("a").unwrap().is_some());
    }

    #[test]
    fn elsewhere_silence_is_the_end_and_a_sign_of_life_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let holder = Process { machine: "another".into(), number: 1, started: "1".into() };
        left(dir.path(), holder.clone());
        let silence = Duration::from_millis(60);
        let mut claims = Claims { silence, ..Claims::new(dir.path().into()) };
        assert!(claims.claim("a").unwrap().is_none());
        std::thread::sleep(silence);
        fs::write(dir.path().join("a.1"), Note { holder, released: false, beat: 4 }.text()).unwrap();
        assert!(claims.claim("a").unwrap().is_none());
        std::thread::sleep(silence);
        assert!(claims.claim("a").unwrap().is_some());
        // An empty claim, as left by a crash on a file system without hard links.
        fs::write(dir.path().join("b.1"), "").unwrap();
        assert!(claims.claim("b").unwrap().is_none());
        std::thread::sleep(silence);
        assert!(claims.claim("b").unwrap().is_some());
    }
}
