//! Event files for TensorBoard: the scalars and sample grids of a run, in the folder [`FOLDER`] of its directory. Steps are
//! completed rounds.
//!
//! Every process that works on a run writes a file of its own. Files are numbered, because TensorBoard reads them in the order of
//! their names and clocks may jump. Each begins with a session's start at its first step. TensorBoard forgets later steps that it
//! read from earlier files: its Python loader all of them at that event, its default loader those of a tag with the tag's next value.

mod wall;
mod wire;

use super::metrics::{ClientRecord, RoundRecord};
use super::run_dir::RunDir;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use wire::{Event, Value, What};

/// The folder of the event files, in a run's directory.
pub const FOLDER: &str = "tensorboard";

/// Names of event files, around their number. TensorBoard requires `tfevents`.
const NAME: (&str, &str) = ("events.out.tfevents.", ".fedgan");

/// A column of `metrics.csv`; `None` where a client has no value.
type Column = (&'static str, fn(&ClientRecord) -> Option<f64>);

/// The columns that become scalars. The losses of the last step alone are noise beside the means.
const COLUMNS: [Column; 9] = [
    ("weight", |c| Some(c.weight)),
    ("loss_g", |c| Some(c.loss_g)),
    ("loss_d_real", |c| Some(c.loss_d_real)),
    ("loss_d_fake", |c| Some(c.loss_d_fake)),
    ("update_norm", |c| c.update_norm),
    ("update_cosine", |c| c.update_cosine),
    ("penalty", |c| c.penalty),
    ("probe_deviation", |c| c.probe_deviation),
    ("score", |c| c.score),
];
/// Only with a detector: 0 or 1, so that the means are rates.
const FLAGGED: Column = ("flagged", |c| Some(f64::from(u8::from(c.flagged))));

/// The event file of one process. Every event is complete in the file once it is written.
pub struct EventLog {
    path: PathBuf,
    file: File,
    columns: Vec<Column>,
}

impl EventLog {
    /// Creates the next event file of a run whose next values have step `first`. With a `detector`, its flags are written.
    ///
    /// # Errors
    /// [`Error::Input`] if something other than a directory has the folder's name, [`Error::Output`] if the file cannot be written.
    pub fn create(run: &RunDir, first: u32, detector: bool) -> Result<EventLog> {
        vet(run)?;
        let folder = run.file(FOLDER);
        fs::create_dir_all(&folder).map_err(|e| Error::output(&folder, e))?;
        let path = folder.join(format!("{}{:010}{}", NAME.0, next(&folder)?, NAME.1));
        let file = OpenOptions::new().append(true).create_new(true).open(&path).map_err(|e| Error::output(&path, e))?;
        let columns = COLUMNS.into_iter().chain(detector.then_some(FLAGGED)).collect();
        let mut log = EventLog { path, file, columns };
        log.write(0, What::Version)?;
        log.write(first, What::Start)?;
        Ok(log)
    }

    /// Writes a round's scalars: `COLUMN/client-NNN` with the client's name if it has one, the means `COLUMN/honest` and
    /// `COLUMN/malicious` over the clients that have a value, and `evaluation/METRIC`.
    ///
    /// # Errors
    /// [`Error::Output`] if it cannot be written.
    pub fn round(&mut self, record: &RoundRecord) -> Result<()> {
        let of_clients = self.columns.iter().flat_map(|column| scalars(column, &record.clients));
        let values: Vec<_> = of_clients.chain(evaluated(&record.extra)).collect();
        self.write(record.round as u32 + 1, What::Values(&values))
    }

    /// Writes the metrics of an evaluation after `done` rounds, without a round.
    ///
    /// # Errors
    /// [`Error::Output`] if they cannot be written.
    pub fn evaluation(&mut self, done: u32, metrics: &BTreeMap<String, f64>) -> Result<()> {
        let values: Vec<_> = evaluated(metrics).collect();
        if values.is_empty() { Ok(()) } else { self.write(done, What::Values(&values)) }
    }

    /// Writes a grid of samples after `done` rounds, a PNG file in RGB of `size` (width, height), as `samples`.
    ///
    /// # Errors
    /// [`Error::Output`] if it cannot be written.
    pub fn samples(&mut self, done: u32, png: &[u8], size: (u32, u32)) -> Result<()> {
        self.write(done, What::Values(&[("samples".into(), Value::Picture { png, size })]))
    }

    /// Syncs the file to disk.
    ///
    /// # Errors
    /// [`Error::Output`] naming the file.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| Error::output(&self.path, e))
    }

    /// One unbuffered write: a killed process leaves whole events.
    fn write(&mut self, step: u32, what: What) -> Result<()> {
        let record = Event { wall_time: wall::now(), step, what }.record();
        self.file.write_all(&record).map_err(|e| Error::output(&self.path, e))
    }
}

/// Refuses a run's directory in which event files have no place.
///
/// # Errors
/// [`Error::Input`] if something other than a directory has the folder's name.
pub fn vet(run: &RunDir) -> Result<()> {
    let folder = run.file(FOLDER);
    if folder.is_dir() || fs::symlink_metadata(&folder).is_err() {
        return Ok(());
    }
    Err(Error::file(&folder, "is not a directory; TensorBoard event files need a folder of this name: move it away"))
}

/// The number after those of all event files in the folder: names that were used before stay in order.
fn next(folder: &Path) -> Result<u64> {
    let bad = |e: std::io::Error| Error::file(folder, format!("cannot read this directory: {e}"));
    let mut last = 0;
    for entry in fs::read_dir(folder).map_err(bad)? {
        let name = entry.map_err(bad)?.file_name().to_string_lossy().into_owned();
        let number = name.strip_prefix(NAME.0).and_then(|rest| rest.strip_suffix(NAME.1));
        last = last.max(number.and_then(|digits| digits.parse::<u32>().ok()).unwrap_or(0));
    }
    Ok(u64::from(last) + 1)
}

/// A column's values of all clients, and their means over honest and malicious ones.
fn scalars((name, value): &Column, clients: &[ClientRecord]) -> Vec<(String, Value<'static>)> {
    let mut out = Vec::new();
    for (who, malicious) in [("honest", false), ("malicious", true)] {
        let values: Vec<f64> = clients.iter().filter(|c| c.malicious == malicious).filter_map(value).collect();
        if !values.is_empty() {
            out.push(scalar(format!("{name}/{who}"), values.iter().sum::<f64>() / values.len() as f64));
        }
    }
    for client in clients {
        let who = client.name.as_ref().map_or(String::new(), |name| format!(" {name}"));
        let tag = format!("{name}/client-{:03}{who}", client.client);
        out.extend(value(client).map(|value| scalar(tag, value)));
    }
    out
}

fn evaluated(metrics: &BTreeMap<String, f64>) -> impl Iterator<Item = (String, Value<'static>)> {
    metrics.iter().map(|(name, value)| scalar(format!("evaluation/{name}"), *value))
}

fn scalar(tag: String, value: f64) -> (String, Value<'static>) {
    (tag, Value::Scalar(value as f32))
}

#[cfg(test)]
pub(crate) mod tests;
