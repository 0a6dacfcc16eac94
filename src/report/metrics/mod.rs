//! Metrics of a run, one record per round: `metrics.jsonl` (one line per round), `metrics.csv` (one row per round and
//! client), `evaluation.csv` (one row per round and evaluation metric), and separately `timing.jsonl`.
//!
//! The first three do not depend on the clock and have one representation for every value: fields in the order of the
//! structs, numbers as the shortest decimal that reads back as the same f64, non-finite values as `null` (JSON) or as
//! an empty cell (CSV). Equal results therefore give equal bytes.

use crate::error::count;
use crate::fed::NetworkDecision;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::RunDir;
use crate::{Error, Result, input};

/// One client in one round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientRecord {
    /// Index of the client, from 0.
    pub client: usize,
    /// Whether the configuration makes this client malicious.
    pub malicious: bool,
    /// Aggregation weight used in this round.
    #[serde(deserialize_with = "null_is_nan")]
    pub weight: f64,
    /// Generator loss, mean over the steps of the round.
    #[serde(deserialize_with = "null_is_nan")]
    pub loss_g: f64,
    /// Discriminator loss on real images, mean over the steps of the round.
    #[serde(deserialize_with = "null_is_nan")]
    pub loss_d_real: f64,
    /// Discriminator loss on generated images, mean over the steps of the round.
    #[serde(deserialize_with = "null_is_nan")]
    pub loss_d_fake: f64,
    /// Generator loss of the last step.
    #[serde(deserialize_with = "null_is_nan")]
    pub last_loss_g: f64,
    /// Discriminator loss on real images of the last step.
    #[serde(deserialize_with = "null_is_nan")]
    pub last_loss_d_real: f64,
    /// Discriminator loss on generated images of the last step.
    #[serde(deserialize_with = "null_is_nan")]
    pub last_loss_d_fake: f64,
    /// L2 norm of the client's generator update; `None` if it was not measured.
    pub update_norm: Option<f64>,
    /// Cosine between the client's generator update and that of the others; `None` if undefined.
    #[serde(default)]
    pub update_cosine: Option<f64>,
    /// Gradient penalty including lambda, mean over the steps of the round; `None` without a penalty.
    #[serde(default)]
    pub penalty: Option<f64>,
    /// Largest averaged deviation of the client's mean image in the server's probe, for pixels in [-1, 1]; `None`
    /// without a probe.
    #[serde(default)]
    pub probe_deviation: Option<f64>,
    /// Whether the detector flagged the client; `false` without detection and during the warm-up.
    #[serde(default)]
    pub flagged: bool,
    /// The detector's score of the client; `None` without detection.
    #[serde(default)]
    pub score: Option<f64>,
    /// The client's first non-finite value, such as `D weights main.3.weight[17]`; `None` if all were finite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonfinite: Option<String>,
    /// The client's name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl ClientRecord {
    /// An honest or malicious client for tests: losses of 1, a weight of 1/4, nothing else measured.
    #[cfg(test)]
    pub(crate) fn example(client: usize, malicious: bool) -> ClientRecord {
        ClientRecord {
            client,
            malicious,
            weight: 0.25,
            loss_g: 1.0,
            loss_d_real: 1.0,
            loss_d_fake: 1.0,
            last_loss_g: 1.0,
            last_loss_d_real: 1.0,
            last_loss_d_fake: 1.0,
            update_norm: None,
            update_cosine: None,
            penalty: None,
            probe_deviation: None,
            flagged: false,
            score: None,
            nonfinite: None,
            name: None,
        }
    }

    /// The discriminator loss as one number: the mean over real and generated images.
    pub fn loss_d(&self) -> f64 {
        (self.loss_d_real + self.loss_d_fake) / 2.0
    }
}

/// One round of the federation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundRecord {
    /// Number of the round, from 0. Pictures and the console count completed rounds: `round-0030.png` belongs to round
    /// 29.
    pub round: usize,
    /// The clients that took part, in order of their index.
    pub clients: Vec<ClientRecord>,
    /// What the aggregation rule decided on each shared network; absent for the mean.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aggregation: Vec<NetworkDecision>,
    /// Further metrics of the round by name, such as evaluation results; usually empty.
    #[serde(deserialize_with = "null_values_are_nan")]
    pub extra: BTreeMap<String, f64>,
}

impl RoundRecord {
    /// Generator and discriminator loss averaged over the clients (as in the progress display); NaN without clients.
    pub fn mean_losses(&self) -> (f64, f64) {
        let n = self.clients.len() as f64;
        let mean = |loss: fn(&ClientRecord) -> f64| self.clients.iter().map(loss).sum::<f64>() / n;
        (mean(|c| c.loss_g), mean(ClientRecord::loss_d))
    }

    /// The line of `metrics.jsonl`, without a line break.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::internal(format!("metrics of round {}: {e}", self.round)))
    }
}

/// Wall time of a round, and the process's resources after it. Separate from the metrics, which must not differ between
/// two runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimingRecord {
    /// Number of the round.
    pub round: usize,
    /// Wall time of the round in seconds.
    #[serde(deserialize_with = "null_is_nan")]
    pub seconds: f64,
    /// Training images consumed by all clients together, per second.
    #[serde(deserialize_with = "null_is_nan")]
    pub images_per_second: f64,
    /// Resident memory of the process; absent if the system does not report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_bytes: Option<u64>,
    /// Bytes allocated by the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_bytes: Option<u64>,
    /// Files, sockets and devices that the process has open; Linux only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
}

pub(super) fn null_is_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

pub(super) fn null_values_are_nan<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, f64>, D::Error> {
    let values = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect())
}

/// Reads a `metrics.jsonl`; `null` becomes NaN.
///
/// # Errors
/// [`Error::Input`] naming the file and the line.
pub fn read_jsonl(path: &Path) -> Result<Vec<RoundRecord>> {
    let text = input::read_text(path, input::LOG).map_err(|e| Error::file(path, format!("cannot read: {e}")))?;
    parse_jsonl(path, &text)
}

/// [`read_jsonl`] for the first `length` bytes, at which a checkpoint was taken of a log that has grown since. The
/// caller vouches for the length, and the log may exceed the limit for files from elsewhere.
///
/// # Errors
/// As [`read_jsonl`].
pub fn read_jsonl_to(path: &Path, length: u64) -> Result<Vec<RoundRecord>> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(length).read_to_string(&mut text));
    read.map_err(|e| Error::file(path, format!("cannot read: {e}")))?;
    parse_jsonl(path, &text)
}

/// [`read_jsonl`] from text; `path` is named in errors.
pub fn parse_jsonl(path: &Path, text: &str) -> Result<Vec<RoundRecord>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let records: Vec<RoundRecord> = lines.map(|(index, line)| parse_line(path, index, line)).collect::<Result<_>>()?;
    let clients = records.first().map_or(0, |r| r.clients.len());
    let odd = |r: &&RoundRecord| r.clients.len() != clients || r.clients.iter().enumerate().any(|(i, c)| c.client != i);
    match records.iter().find(odd) {
        Some(r) => {
            let found = r.clients.len();
            let what = match clients {
                0 => format!("round {}: {}, expected none, as in the first round", r.round, count(found, "client")),
                n => format!("round {}: {}, expected 0 to {} in order", r.round, count(found, "client"), n - 1),
            };
            Err(Error::file(path, what))
        }
        None => Ok(records),
    }
}

/// One line of a `metrics.jsonl`; `index` counts from 0.
///
/// # Errors
/// [`Error::Input`] naming the file and the line.
pub fn parse_line(path: &Path, index: usize, line: &str) -> Result<RoundRecord> {
    serde_json::from_str(line).map_err(|e| Error::file(path, format!("line {}: not a round record: {e}", index + 1)))
}

/// The lengths of the logs at a point in time, in bytes. Later bytes belong to later rounds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Positions {
    /// `metrics.jsonl`.
    pub jsonl: u64,
    /// `metrics.csv`.
    pub csv: u64,
    /// `timing.jsonl`.
    pub timing: u64,
    /// `evaluation.csv`, if it exists.
    pub evaluation: Option<u64>,
}

impl Positions {
    /// True if every log of the run is at least as long.
    pub fn reached(&self, run: &RunDir) -> bool {
        let long = |name: &str, least: u64| std::fs::metadata(run.file(name)).is_ok_and(|m| m.len() >= least);
        long("metrics.jsonl", self.jsonl)
            && long("metrics.csv", self.csv)
            && long("timing.jsonl", self.timing)
            && self.evaluation.is_none_or(|least| long("evaluation.csv", least))
    }
}

/// A log file that grows by complete lines.
struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    fn create(run: &RunDir, name: &str) -> Result<Log> {
        Ok(Log { path: run.file(name), file: run.create_log(name)? })
    }

    /// Truncates the file to `position` and continues there.
    fn resume(run: &RunDir, name: &str, position: u64) -> Result<Log> {
        let path = run.file(name);
        let bad = |e| Error::output(&path, e);
        let file = std::fs::OpenOptions::new().append(true).open(&path).map_err(bad)?;
        file.set_len(position).map_err(bad)?;
        Ok(Log { path, file })
    }

    /// Syncs the file to disk; returns its length.
    fn sync(&self) -> Result<u64> {
        let bad = |e| Error::output(&self.path, e);
        self.file.sync_data().map_err(bad)?;
        Ok(self.file.metadata().map_err(bad)?.len())
    }

    /// Appends complete lines in one unbuffered write.
    fn append(&mut self, lines: &str) -> Result<()> {
        self.file.write_all(lines.as_bytes()).map_err(|e| Error::output(&self.path, e))
    }
}

/// The header of `metrics.csv`; its columns are the fields of [`ClientRecord`] after the round.
pub const CSV_HEADER: &str = "round,client,malicious,weight,loss_g,loss_d_real,loss_d_fake,\
last_loss_g,last_loss_d_real,last_loss_d_fake,update_norm,update_cosine,penalty,probe_deviation,flagged,score,nonfinite";
/// Appended to [`CSV_HEADER`] if clients have names.
pub const CSV_NAME: &str = ",name";

/// Writes the metric files of a run, which are complete after every round.
pub struct MetricsWriter {
    run: RunDir,
    jsonl: Log,
    csv: Log,
    timing: Log,
    /// Whether `metrics.csv` has a column of names.
    named: bool,
    /// Created with its first row: most runs evaluate rarely, some never.
    evaluation: Option<Log>,
}

impl MetricsWriter {
    /// Creates `metrics.jsonl`, `metrics.csv` (with a last column for names if clients are `named`) and `timing.jsonl`
    /// in the run directory.
    ///
    /// # Errors
    /// [`Error::Output`] if one exists or cannot be created.
    pub fn create(run: &RunDir, named: bool) -> Result<MetricsWriter> {
        let mut writer = MetricsWriter {
            run: run.clone(),
            jsonl: Log::create(run, "metrics.jsonl")?,
            csv: Log::create(run, "metrics.csv")?,
            timing: Log::create(run, "timing.jsonl")?,
            named,
            evaluation: None,
        };
        writer.csv.append(&format!("{CSV_HEADER}{}\n", if named { CSV_NAME } else { "" }))?;
        Ok(writer)
    }

    /// Continues at `positions`: truncates the logs there, and removes an `evaluation.csv` that was created later.
    ///
    /// # Errors
    /// [`Error::Output`] if a log cannot be opened or truncated.
    pub fn resume(run: &RunDir, positions: &Positions) -> Result<MetricsWriter> {
        let evaluation = match positions.evaluation {
            Some(position) => Some(Log::resume(run, "evaluation.csv", position)?),
            None => {
                run.remove("evaluation.csv")?;
                None
            }
        };
        Ok(MetricsWriter {
            run: run.clone(),
            jsonl: Log::resume(run, "metrics.jsonl", positions.jsonl)?,
            csv: Log::resume(run, "metrics.csv", positions.csv)?,
            timing: Log::resume(run, "timing.jsonl", positions.timing)?,
            named: is_named(&run.file("metrics.csv")),
            evaluation,
        })
    }

    /// Appends a round to `metrics.jsonl` whose other logs already have it.
    ///
    /// # Errors
    /// [`Error::Output`] if it cannot be written.
    pub fn line(&mut self, record: &RoundRecord) -> Result<()> {
        self.jsonl.append(&format!("{}\n", record.to_json()?))
    }

    /// Syncs the logs to disk; returns their lengths.
    ///
    /// # Errors
    /// [`Error::Output`] naming the log.
    pub fn sync(&self) -> Result<Positions> {
        Ok(Positions {
            jsonl: self.jsonl.sync()?,
            csv: self.csv.sync()?,
            timing: self.timing.sync()?,
            evaluation: self.evaluation.as_ref().map(Log::sync).transpose()?,
        })
    }

    /// Appends a round to `metrics.jsonl` and `metrics.csv`, and its `extra` values, if any, to `evaluation.csv` (long
    /// form `round,metric,value`, so that a new metric needs no new column).
    ///
    /// # Errors
    /// [`Error::Output`] if a line cannot be written.
    pub fn round(&mut self, record: &RoundRecord) -> Result<()> {
        self.line(record)?;
        self.csv.append(&csv_rows(record, self.named))?;
        if record.extra.is_empty() {
            return Ok(());
        }
        if self.evaluation.is_none() {
            let mut log = Log::create(&self.run, "evaluation.csv")?;
            log.append("round,metric,value\n")?;
            self.evaluation = Some(log);
        }
        let row = |(name, value): (&String, &f64)| format!("{},{},{}\n", record.round, quoted(name), marked(*value));
        let rows: String = record.extra.iter().map(row).collect();
        self.evaluation.as_mut().map_or(Ok(()), |log| log.append(&rows))
    }

    /// Appends a round's wall time and counters to `timing.jsonl`.
    pub fn timing(&mut self, timing: &TimingRecord) -> Result<()> {
        let line = serde_json::to_string(timing).map_err(|e| Error::internal(format!("timing: {e}")))?;
        self.timing.append(&format!("{line}\n"))
    }
}

/// Whether the table at `path` has a column of names: earlier versions created none, and its rows keep their format.
fn is_named(path: &Path) -> bool {
    use std::io::BufRead;
    let mut header = String::new();
    let read = File::open(path).and_then(|file| std::io::BufReader::new(file.take(1 << 16)).read_line(&mut header));
    read.is_ok() && header.trim_end().ends_with(CSV_NAME)
}

fn csv_rows(record: &RoundRecord, named: bool) -> String {
    let row = |c: &ClientRecord| {
        let values = [
            c.weight,
            c.loss_g,
            c.loss_d_real,
            c.loss_d_fake,
            c.last_loss_g,
            c.last_loss_d_real,
            c.last_loss_d_fake,
            c.update_norm.unwrap_or(f64::NAN),
            c.update_cosine.unwrap_or(f64::NAN),
            c.penalty.unwrap_or(f64::NAN),
            c.probe_deviation.unwrap_or(f64::NAN),
        ];
        let (values, score) = (values.map(number).join(","), number(c.score.unwrap_or(f64::NAN)));
        let nonfinite = c.nonfinite.as_deref().map_or(String::new(), quoted);
        let name = if named { format!(",{}", c.name.as_deref().map_or(String::new(), quoted)) } else { String::new() };
        format!("{},{},{},{values},{},{score},{nonfinite}{name}\n", record.round, c.client, c.malicious, c.flagged)
    };
    record.clients.iter().map(row).collect()
}

/// The shortest decimal that reads back as `value`; empty for non-finite values.
pub(super) fn number(value: f64) -> String {
    if value.is_finite() { format!("{value:?}") } else { String::new() }
}

/// [`number`] for a measured value: `NaN`, `inf` or `-inf` if it is non-finite.
pub(super) fn marked(value: f64) -> String {
    if value.is_finite() { number(value) } else { value.to_string() }
}

/// A CSV text cell, quoted if necessary.
pub(super) fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into() }
}

#[cfg(test)]
mod tests;
