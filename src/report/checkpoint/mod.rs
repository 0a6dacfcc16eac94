//! Checkpoints of a run: `checkpoints/round-NNNNNN.safetensors`, each with everything needed to resume bit for bit
//! after that many rounds.
//!
//! The file is a safetensors file, so any tool can read it. Its metadata contains the format's version, the run's state
//! as JSON, and the SHA-256 of the whole file, computed with the digest's own digits as zeros. It is written to a
//! temporary file row by row, synced and renamed: under its name there is either a complete checkpoint or none. The
//! digest detects later damage.

use super::RunDir;
use super::layout::CHECKPOINTS;
use super::metrics::{Positions, RoundRecord, null_is_nan, null_values_are_nan};
use super::run_dir::{replace_with, sync_folder};
use super::safetensors::header;
use super::summary::Resumed;
use crate::check::watch::Checked;
use crate::exec::Descriptor;
use crate::fed::state::SavedState;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The format that this version writes and reads.
const FORMAT: &str = "fedgan-run-state 1";
/// Placeholder for the digest before it is known.
const BLANK: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// The bytes before the digest in the header.
const DIGEST_KEY: &[u8] = b"\"sha256\":\"";
/// Maximum header size: 16 MiB are more than twice the detector's state of 65535 clients.
const LARGEST_HEADER: u64 = 16 << 20;
/// Bytes read at a time while a file is digested.
const BLOCK: usize = 1 << 20;

/// A run after a number of rounds, without the tensors.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunState {
    /// The program's version.
    pub version: String,
    /// The experiment as TOML.
    pub plan: String,
    /// The device of the last rounds.
    pub device: Descriptor,
    /// Digest of the tuning file in use, if any.
    pub tuning: Option<String>,
    /// Digest of the images and their assignment to clients.
    pub images: String,
    /// The lengths of the logs.
    pub logs: Positions,
    /// The last round of a finished run, as a longer run would have recorded it: its evaluation was only due to the end
    /// of the run. It follows `logs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unevaluated: Option<RoundRecord>,
    /// The federation's round, client weights and detector.
    pub federation: SavedState,
    /// The untrained generator's values.
    pub first: Measured,
    /// The latest evaluation's values.
    pub last: Measured,
    /// Diverged client-rounds.
    pub diverged: u64,
    /// Wall time of the rounds.
    #[serde(deserialize_with = "null_is_nan")]
    pub seconds: f64,
    /// The results of verification.
    pub verified: Option<Checked>,
    /// When, and on which device, the run was resumed before.
    pub resumed: Vec<Resumed>,
}

/// Values of an evaluation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Names and values without their spreads, in the order of the experiment's metrics.
    pub names: Vec<String>,
    /// All numbers by name.
    #[serde(deserialize_with = "null_values_are_nan")]
    pub entries: BTreeMap<String, f64>,
}

/// A tensor of a checkpoint, `[rows][words]`.
pub type Shape = (String, [usize; 2]);

/// The name of the checkpoint after `round` rounds.
fn file_name(round: u32) -> String {
    format!("round-{round:06}.safetensors")
}

/// Writes the checkpoint of `state` after its round and removes all but the latest `keep` (at least 1). `row` yields
/// row r of tensor t as f32 words.
///
/// # Errors
/// As `row`; [`Error::Output`] naming the file.
pub fn save(
    run: &RunDir,
    state: &RunState,
    shapes: &[Shape],
    keep: usize,
    mut row: impl FnMut(usize, usize) -> Result<Vec<u32>>,
) -> Result<PathBuf> {
    let folder = run.file(CHECKPOINTS);
    fs::create_dir_all(&folder).map_err(|e| Error::output(&folder, e))?;
    let path = folder.join(file_name(state.federation.round));
    let json = serde_json::to_string(state).map_err(|e| Error::internal(format!("checkpoint: {e}")))?;
    let metadata = [("format", FORMAT), ("state", &json), ("sha256", BLANK)];
    let metadata = metadata.map(|(k, v)| (k.to_string(), v.to_string())).into();
    let sizes = shapes.iter().map(|(name, shape)| (name.as_str(), &shape[..]));
    let header = header(sizes, &metadata)?;
    if header.len() as u64 > 8 + LARGEST_HEADER {
        return Err(Error::internal(format!("a checkpoint's header of {} bytes", header.len())));
    }
    let at = place(&header).ok_or_else(|| Error::internal("a checkpoint without a place for its digest"))?;
    replace_with(&path, |file| {
        let bad = |e| Error::output(&path, e);
        let mut digest = Sha256::new();
        let mut out = BufWriter::with_capacity(BLOCK, &mut *file);
        digest.update(&header);
        out.write_all(&header).map_err(bad)?;
        for (t, (name, [rows, words])) in shapes.iter().enumerate() {
            for r in 0..*rows {
                let values = row(t, r)?;
                if values.len() != *words {
                    return Err(Error::internal(format!("{name}: row {r} has {} words", values.len())));
                }
                let bytes: Vec<u8> = values.iter().flat_map(|w| w.to_le_bytes()).collect();
                digest.update(&bytes);
                out.write_all(&bytes).map_err(bad)?;
            }
        }
        out.flush().map_err(bad)?;
        drop(out);
        file.seek(SeekFrom::Start(at)).map_err(bad)?;
        file.write_all(hex(digest).as_bytes()).map_err(bad)
    })?;
    sync_folder(&folder);
    for (_, old) in list(run)?.into_iter().skip(keep.max(1)) {
        remove(&old)?;
    }
    Ok(path)
}

/// The run's checkpoints with their rounds, the latest first.
///
/// # Errors
/// [`Error::Input`] if the folder exists and cannot be read.
pub fn list(run: &RunDir) -> Result<Vec<(u32, PathBuf)>> {
    let folder = run.file(CHECKPOINTS);
    let bad = |e: std::io::Error| Error::file(&folder, format!("cannot read this directory: {e}"));
    let mut found = Vec::new();
    match fs::read_dir(&folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        entries => {
            for entry in entries.map_err(bad)? {
                let path = entry.map_err(bad)?.path();
                let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                let digits = name.strip_prefix("round-").and_then(|n| n.strip_suffix(".safetensors"));
                // Only names that `save` creates: others are the user's own files.
                let round = digits.and_then(|d| d.parse().ok()).filter(|round| name == file_name(*round));
                found.extend(round.map(|round| (round, path)));
            }
        }
    }
    found.sort();
    found.reverse();
    Ok(found)
}

/// Removes checkpoints of later rounds than `round`: they were not used, and the run continues differently from here.
///
/// # Errors
/// [`Error::Output`] if one cannot be removed.
pub fn forget_after(run: &RunDir, round: u32) -> Result<()> {
    for (_, path) in list(run)?.into_iter().filter(|(found, _)| *found > round) {
        remove(&path)?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    fs::remove_file(path).map_err(|e| Error::output(path, format!("cannot remove: {e}")))
}

/// Removes all checkpoints, the temporary files of interrupted processes, and the folder if nothing else is in it.
///
/// # Errors
/// [`Error::Output`] if a checkpoint cannot be removed.
pub fn clear(run: &RunDir) -> Result<()> {
    let folder = run.file(CHECKPOINTS);
    for (_, path) in list(run)? {
        remove(&path)?;
    }
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().is_ok_and(|kind| kind.is_file()) && is_part(&name) {
            remove(&entry.path())?;
        }
    }
    // Files that the run did not create keep the folder.
    let _ = fs::remove_dir(&folder);
    Ok(())
}

/// Whether this is the temporary file of a checkpoint (see [`replace_with`]).
fn is_part(name: &str) -> bool {
    let middle = name.strip_prefix(".round-").and_then(|n| n.strip_suffix(".part"));
    middle.and_then(|n| n.split_once(".safetensors.")).is_some_and(|(round, process)| {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits(round) && digits(process)
    })
}

/// A complete checkpoint: its state, and its tensors to be read row by row.
#[derive(Debug)]
pub struct Checkpoint<R> {
    path: PathBuf,
    source: R,
    state: RunState,
    /// Shape and position in the file.
    tensors: BTreeMap<String, ([usize; 2], u64)>,
}

impl Checkpoint<File> {
    /// Opens a checkpoint and verifies its digest.
    ///
    /// # Errors
    /// As [`Checkpoint::of`]; [`Error::Input`] if the file cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::file(path, format!("cannot read: {e}")))?;
        Checkpoint::of(file, path)
    }
}

impl<R: Read + Seek> Checkpoint<R> {
    /// A checkpoint from its bytes; `path` is named in errors. SavedState is limited to the header and one block.
    ///
    /// # Errors
    /// [`Error::Input`]: truncated, altered, of another format, or inconsistent with its header.
    pub fn of(mut source: R, path: &Path) -> Result<Self> {
        let bad = |what: &str| Error::file(path, what);
        let io = |e: std::io::Error| Error::file(path, format!("cannot read: {e}"));
        let length = source.seek(SeekFrom::End(0)).map_err(io)?;
        source.seek(SeekFrom::Start(0)).map_err(io)?;
        let mut first = [0; 8];
        source.read_exact(&mut first).map_err(|_| bad("damaged: it is truncated"))?;
        let size = u64::from_le_bytes(first);
        if size > LARGEST_HEADER || size > length - 8 {
            return Err(bad(
                "damaged, or not a checkpoint: its header would be longer than the file or than any checkpoint's",
            ));
        }
        let mut header = first.to_vec();
        header.resize(8 + size as usize, 0);
        source.read_exact(&mut header[8..]).map_err(io)?;
        let at = place(&header).ok_or_else(|| bad("not a checkpoint: its header has no digest"))? as usize;
        let end = at + BLANK.len();
        let digits = header.get(at..end).ok_or_else(|| bad("damaged: its header is truncated"))?.to_vec();
        header[at..end].copy_from_slice(BLANK.as_bytes());
        let mut digest = Sha256::new();
        digest.update(&header);
        let mut block = vec![0; BLOCK];
        loop {
            match source.read(&mut block).map_err(io)? {
                0 => break,
                n => digest.update(&block[..n]),
            }
        }
        if hex(digest).as_bytes() != digits {
            return Err(bad("damaged: its SHA-256 differs"));
        }
        let (state, tensors) = parse(&header[8..], length - 8 - size, path)?;
        let start = 8 + size;
        let tensors = tensors.into_iter().map(|(name, (shape, at))| (name, (shape, start + at))).collect();
        Ok(Checkpoint { path: path.into(), source, state, tensors })
    }

    /// The state.
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// Rejects any other tensors than these.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file and the first tensor that differs.
    pub fn expect(&self, shapes: &[Shape]) -> Result<()> {
        for (name, shape) in shapes {
            match self.tensors.get(name) {
                None => return Err(Error::file(&self.path, format!("lacks the tensor '{name}'"))),
                Some((found, _)) if found != shape => {
                    let what = format!("tensor '{name}' has shape {found:?}, this run's has {shape:?}");
                    return Err(Error::file(&self.path, what));
                }
                Some(_) => {}
            }
        }
        match self.tensors.len() == shapes.len() {
            true => Ok(()),
            false => {
                Err(Error::file(&self.path, format!("{} tensors, this run has {}", self.tensors.len(), shapes.len())))
            }
        }
    }

    /// Row `row` of a tensor as words.
    ///
    /// # Errors
    /// [`Error::Input`] if there is none, or the file cannot be read.
    pub fn row(&mut self, name: &str, row: usize) -> Result<Vec<u32>> {
        let io = |path: &Path, e: std::io::Error| Error::file(path, format!("cannot read: {e}"));
        let found = self.tensors.get(name).filter(|(shape, _)| row < shape[0]);
        let &([_, words], start) = found.ok_or_else(|| Error::file(&self.path, format!("no row {row} of '{name}'")))?;
        self.source.seek(SeekFrom::Start(start + (row * words * 4) as u64)).map_err(|e| io(&self.path, e))?;
        let mut bytes = vec![0; words * 4];
        self.source.read_exact(&mut bytes).map_err(|e| io(&self.path, e))?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|w| u32::from_le_bytes(*w)).collect())
    }
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: [usize; 2],
    data_offsets: [u64; 2],
}

/// Shape and offset in the data of every tensor.
type Tensors = BTreeMap<String, ([usize; 2], u64)>;

/// The header's JSON, checked against the number of bytes that follow it.
fn parse(json: &[u8], data: u64, path: &Path) -> Result<(RunState, Tensors)> {
    let bad = |what: String| Error::file(path, what);
    // As raw text first: general JSON values would take many times the header's length.
    let mut header: BTreeMap<String, &RawValue> =
        serde_json::from_slice(json).map_err(|e| bad(format!("not a checkpoint: its header is not JSON ({e})")))?;
    let metadata: BTreeMap<String, String> = header
        .remove("__metadata__")
        .and_then(|m| serde_json::from_str(m.get()).ok())
        .ok_or_else(|| bad("not a checkpoint: it has no metadata".into()))?;
    match metadata.get("format").map(String::as_str) {
        Some(FORMAT) => {}
        found => {
            let found = found.unwrap_or("none");
            return Err(bad(format!("format `{found}`; this version of fedgan reads `{FORMAT}`")));
        }
    }
    let state = metadata.get("state").map_or("", String::as_str);
    let state = serde_json::from_str(state).map_err(|e| bad(format!("its state cannot be read: {e}")))?;
    let mut tensors = Tensors::new();
    for (name, entry) in header {
        let entry: Entry = serde_json::from_str(entry.get()).map_err(|e| bad(format!("tensor '{name}': {e}")))?;
        let [start, end] = entry.data_offsets;
        let [rows, words] = entry.shape.map(|n| n as u64);
        let bytes = rows.checked_mul(words).and_then(|n| n.checked_mul(4));
        if entry.dtype != "F32" || end > data || bytes.is_none() || end.checked_sub(start) != bytes {
            return Err(bad(format!("tensor '{name}' is not at the position in its header")));
        }
        tensors.insert(name, (entry.shape, start));
    }
    Ok((state, tensors))
}

/// Position of the digest's digits.
fn place(header: &[u8]) -> Option<u64> {
    let at = header.windows(DIGEST_KEY.len()).position(|w| w == DIGEST_KEY)?;
    Some((at + DIGEST_KEY.len()) as u64)
}

/// A digest's digits.
pub fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
