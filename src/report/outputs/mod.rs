//! Files that a command writes where it is told to: looked at before any work is done, and again before they are written. Every
//! such file carries a mark that names verb and option. A file with that mark is replaced, anything else is somebody's.

use super::picture::{SOFTWARE, png_text};
use super::run_dir::{probe, replace_file};
use crate::{Error, Result};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// The first key of JSON objects, the metadata key of safetensors files and the last column of tables that carry a mark.
pub const KEY: &str = super::results::MARK_COLUMN;

/// Bytes of a file that are looked at for a mark of a text; of a table all.
const START: u64 = 4096;
/// Bytes of the header of a safetensors file that carries a mark: such files hold one tensor.
const HEADER: u64 = 1 << 16;

/// What an option writes, with its mark.
#[derive(Clone, Copy, Debug)]
pub enum OutputKind {
    /// A PNG picture; the mark is its `Software` text.
    Png(&'static str),
    /// A safetensors file; the mark is in its metadata.
    Tensors(&'static str),
    /// A JSON object; the mark is its first value.
    Json(&'static str),
    /// A CSV table; the mark is the last value of every line.
    Table(&'static str),
    /// A text that begins so.
    Text(&'static str),
    /// Whatever it is, by the user's leave.
    Any,
}

impl OutputKind {
    /// Whether this option has written what is read from `file`.
    fn wrote<R: Read + std::io::Seek>(self, mut file: R) -> bool {
        let mut start = |most: u64| {
            let mut bytes = Vec::new();
            file.by_ref().take(most).read_to_end(&mut bytes).map(|_| bytes).unwrap_or_default()
        };
        match self {
            OutputKind::Png(mark) => png_text(BufReader::new(file), SOFTWARE).as_deref() == Some(mark),
            OutputKind::Tensors(mark) => {
                let length = start(8).first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
                let header = if length > HEADER { Vec::new() } else { start(length) };
                let header: Option<serde_json::Value> = serde_json::from_slice(&header).ok();
                header.is_some_and(|header| header["__metadata__"][KEY] == mark)
            }
            OutputKind::Json(mark) => json_begins(&String::from_utf8_lossy(&start(START)), mark),
            OutputKind::Table(mark) => {
                let text = start(crate::input::TABLE);
                let (head, line) = (format!(",{KEY}"), format!(",{mark}"));
                let mut lines = std::str::from_utf8(&text).unwrap_or_default().lines();
                lines.next().is_some_and(|l| l.ends_with(&head)) && lines.all(|l| l.ends_with(&line))
            }
            OutputKind::Text(begin) => start(START).starts_with(begin.as_bytes()),
            OutputKind::Any => true,
        }
    }
}

/// Whether the first key of the JSON object is [`KEY`], with the mark as its value.
fn json_begins(text: &str, mark: &str) -> bool {
    let tokens = ["{".to_string(), format!("{KEY:?}"), ":".to_string(), format!("{mark:?}")];
    let rest = tokens.iter().try_fold(text, |rest, token| rest.trim_start().strip_prefix(token.as_str()));
    rest.is_some_and(|rest| rest.trim_start().starts_with([',', '}']))
}

/// A file that will be written.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    /// The option that names it.
    pub flag: &'static str,
    /// The file.
    pub path: &'a Path,
    /// What is written, with its mark.
    pub kind: OutputKind,
}

/// The output of an option, where it is given.
pub fn output<'a>(flag: &'static str, path: Option<&'a Path>, kind: OutputKind) -> Option<Output<'a>> {
    path.map(|path| Output { flag, path, kind })
}

/// Refuses outputs that cannot be, that are `read` or twice the same file, or that would replace what the same option has not
/// written. An empty file has nothing to lose; a device or a pipe is written to.
///
/// # Errors
/// [`Error::Input`] naming the file and its option.
pub fn check(outputs: &[Option<Output>], read: &[&Path]) -> Result<()> {
    let outputs: Vec<&Output> = outputs.iter().flatten().collect();
    for (i, output) in outputs.iter().enumerate() {
        let Output { flag, path, kind } = output;
        let refusal = |what: &str| Error::file(path, format!("{what} ({flag})"));
        let refuse = |what: &str| Err(refusal(what));
        if path.file_name().is_none() || path.as_os_str().to_string_lossy().ends_with(std::path::is_separator) {
            return refuse("is no name of a file");
        }
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty() && !p.is_dir()) {
            return Err(Error::file(parent, format!("no such directory ({flag})")));
        }
        if let Some(other) = outputs[..i].iter().find(|other| same(other.path, path)) {
            return refuse(&format!("is the file of {} already", other.flag));
        }
        if read.iter().any(|input| same(input, path)) {
            return refuse("is what is read; choose another file");
        }
        if let Some(target) = vet(path, *kind).map_err(|what| refusal(&what))? {
            // What cannot be written is better known now than after minutes of work.
            probe(&target).map_err(|e| refusal(&format!("cannot be written: {e}")))?;
        }
    }
    Ok(())
}

/// The regular file that will be written in one step, there or not; `None` for a device or a pipe, which are written to.
/// The error says what is in the way.
fn vet(path: &Path, kind: OutputKind) -> std::result::Result<Option<PathBuf>, String> {
    let there = match std::fs::metadata(path) {
        // A dangling link exists too: renaming would replace it.
        Err(_) if std::fs::symlink_metadata(path).is_ok() => return Err("is a link to nothing".into()),
        Err(_) => return Ok(Some(path.into())),
        Ok(there) => there,
    };
    if there.is_dir() {
        return Err("is a directory, must be a file".into());
    }
    if !there.is_file() {
        return Ok(None);
    }
    if there.len() > 0 && !File::open(path).is_ok_and(|file| kind.wrote(file)) {
        let what = "exists, and this option has not written it (a file of version 0.1.0 has no mark either): it is left as it \
                    is; choose another file, or remove this one";
        return Err(what.into());
    }
    // What a link leads to, not the link.
    path.canonicalize().map(Some).map_err(|e| format!("cannot be looked at: {e}"))
}

/// Writes a file that was checked, in one step where it is one: what a link leads to, not the link; into a device or a pipe, not
/// in its place. What has come into its place since is not replaced.
///
/// # Errors
/// [`Error::Output`] if it cannot be written, [`Error::Input`] for somebody's file.
pub fn write(path: &Path, kind: OutputKind, bytes: &[u8]) -> Result<()> {
    if !kind.wrote(std::io::Cursor::new(bytes)) {
        return Err(Error::internal(format!("{}: what is to be written carries no mark", path.display())));
    }
    match vet(path, kind).map_err(|what| Error::file(path, what))? {
        Some(target) => replace_file(&target, bytes),
        None => std::fs::write(path, bytes).map_err(|e| Error::output(path, e)),
    }
}

/// Whether both name one file, there or not.
fn same(a: &Path, b: &Path) -> bool {
    let whole = |path: &Path| match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(path), ..) => Some(path),
        (Err(_), Some(parent), Some(name)) => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            Some(parent.canonicalize().ok()?.join(name))
        }
        _ => None,
    };
    a == b || whole(a).is_some_and(|a| Some(a) == whole(b))
}

#[cfg(test)]
mod tests;
