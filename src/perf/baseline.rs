//! Saved measurements, and changes since then.

use super::row::{Document, SCHEMA};
use super::stats::{Comparison, SpeedChange, compare};
use crate::{Error, Result, input};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The relative difference between two runs' ceilings beyond which their times are not comparable: on an idle machine the best
/// samples differ by a few per cent.
pub const DRIFT: f64 = 0.1;

/// One measurement compared with the baseline's.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// The row, step or round.
    pub name: String,
    /// New over old; `None` if the samples cannot be compared.
    pub comparison: Option<Comparison>,
    /// Why the samples cannot be compared.
    pub note: Option<&'static str>,
}

/// The folder of baselines: `given`, or else in the user's data folder.
///
/// # Errors
/// [`Error::Input`] on a machine without a home directory.
pub fn folder(given: Option<&Path>) -> Result<PathBuf> {
    folder_from(given, |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from))
}

fn folder_from(given: Option<&Path>, var: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf> {
    if let Some(given) = given {
        return Ok(given.to_path_buf());
    }
    // The XDG specification says to ignore relative paths.
    let xdg = var("XDG_DATA_HOME").filter(|p| p.is_absolute());
    let home = || var("HOME").map(|home| home.join(".local").join("share"));
    let data = xdg.or_else(|| var("LOCALAPPDATA")).or_else(home);
    data.map(|data| data.join("fedgan").join("baselines")).ok_or_else(|| {
        Error::input(
            "baselines have no folder: none of XDG_DATA_HOME, HOME and LOCALAPPDATA is set; give --baseline-dir DIR",
        )
    })
}

/// The file of a baseline.
///
/// # Errors
/// [`Error::Input`] for a name that is not a plain file name.
pub fn file(folder: &Path, name: &str) -> Result<PathBuf> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        return Err(Error::input(format!(
            "baseline `{name}`: a name consists of letters, digits, `-`, `_` and `.`, and does not start with a dot"
        )));
    }
    Ok(folder.join(format!("{name}.json")))
}

/// Saves `document` in a new file.
///
/// # Errors
/// [`Error::Input`] if the file exists, [`Error::Output`] if it cannot be written.
pub fn save(path: &Path, document: &Document) -> Result<()> {
    use std::io::Write;
    let text = serde_json::to_string(document).map_err(|e| Error::internal(format!("JSON: {e}")))?;
    make_folder(path)?;
    let bad = |e: std::io::Error| Error::output(path, e);
    // Under another name first: a full disk leaves no partial baseline.
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(bad)?;
    file.write_all(text.as_bytes()).map_err(bad)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => Err(exists(path)),
        Err(e) => Err(bad(e.error)),
    }
}

/// Creates the folder of a baseline.
///
/// # Errors
/// [`Error::Output`] if it cannot be created.
pub fn make_folder(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), |folder| std::fs::create_dir_all(folder).map_err(|e| Error::output(folder, e)))
}

/// The error for a baseline that exists: it is not overwritten.
pub fn exists(path: &Path) -> Error {
    Error::file(path, "this baseline exists; choose another name, or remove the file")
}

/// Reads a baseline.
///
/// # Errors
/// [`Error::Input`]: no such file (lists the existing ones), or not a baseline of this schema.
pub fn load(path: &Path) -> Result<Document> {
    let text = input::read_text(path, input::MEASURED).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::file(path, format!("no such baseline; there are: {}", names(path))),
        _ => Error::file(path, format!("cannot be read: {e}")),
    })?;
    parse(path, &text)
}

/// The schema alone: the rest may be from another version and is not worth parsing twice.
#[derive(Deserialize)]
struct Head {
    schema: Option<serde_json::Value>,
}

/// [`load`] from text; `path` is named in errors.
///
/// # Errors
/// [`Error::Input`] for anything but a baseline of this schema.
pub fn parse(path: &Path, text: &str) -> Result<Document> {
    let head: Head = serde_json::from_str(text).map_err(|e| Error::file(path, format!("not JSON: {e}")))?;
    match head.schema.as_ref().and_then(serde_json::Value::as_u64) {
        Some(schema) if schema == u64::from(SCHEMA) => {}
        found => {
            let found = found.map_or("none".to_string(), |s| s.to_string());
            return Err(Error::file(path, format!("schema {found}; this version reads {SCHEMA}")));
        }
    }
    serde_json::from_str(text).map_err(|e| Error::file(path, format!("not a baseline: {e}")))
}

fn names(path: &Path) -> String {
    let entries = path.parent().and_then(|folder| std::fs::read_dir(folder).ok());
    let stem = |e: std::fs::DirEntry| Some(e.file_name().to_str()?.strip_suffix(".json")?.to_string());
    let mut names: Vec<String> = entries.into_iter().flatten().flatten().filter_map(stem).collect();
    names.sort();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// Rejects comparisons across devices, drivers, checks or numbers of threads.
///
/// # Errors
/// [`Error::Input`] with all differences.
pub fn same_device(old: &Document, new: &Document) -> Result<()> {
    let text = |v: &dyn std::fmt::Debug| format!("{v:?}");
    let facts = |d: &Document| {
        let e = &d.device;
        [
            ("engine", e.engine.clone()),
            ("adapter", e.adapter.clone()),
            ("backend", e.backend.clone()),
            ("device type", e.device_type.clone()),
            ("driver", e.driver.clone()),
            ("threads", d.threads.map_or("-".into(), |n| n.to_string())),
            ("run-time checks", d.checked.map_or("-".into(), |c| text(&c))),
        ]
    };
    let pairs = facts(old).into_iter().zip(facts(new));
    let differ: Vec<String> =
        pairs.filter(|(a, b)| a.1 != b.1).map(|(a, b)| format!("{} `{}` then, `{}` now", a.0, a.1, b.1)).collect();
    match differ.is_empty() {
        true => Ok(()),
        false => Err(Error::input(format!("the baseline is from another device: {}", differ.join("; ")))),
    }
}

/// Compares every measurement of `new` with that of the same name in `old`.
pub fn changes(old: &Document, new: &Document) -> Vec<Change> {
    let before = old.measurements();
    let one = |(name, samples, clock): (String, &[f64], _)| {
        let known = before.iter().find(|b| b.0 == name);
        let (comparison, note) = match known {
            None => (None, Some("not in the baseline")),
            Some(b) if b.2 != clock => (None, Some("timed with another clock")),
            Some(b) => match compare(b.1, samples) {
                Some(comparison) => (Some(comparison), None),
                None => (None, Some("invalid samples")),
            },
        };
        Change { name, comparison, note }
    };
    new.measurements().into_iter().map(one).collect()
}

/// The rates of the device that differ between two runs by more than [`DRIFT`]: then the machine has changed, not the code.
pub fn drift(old: &Document, new: &Document) -> Vec<String> {
    let (Some(old), Some(new)) = (&old.ceilings, &new.ceilings) else { return Vec::new() };
    let largest = new.copies.iter().rev().find_map(|now| {
        let then = old.copies.iter().find(|then| then.bytes == now.bytes)?;
        Some((format!("copies of {:.1} MB", now.bytes / 1e6), [then.rate(), now.rate()], "GB/s"))
    });
    let arithmetic = ("arithmetic".to_string(), [old.flops, new.flops], "GFLOP/s");
    let differs = |[then, now]: [f64; 2]| {
        let ratio = f64::max(then / now, now / then);
        ratio.is_nan() || ratio > 1.0 + DRIFT
    };
    let line = |(what, [then, now], unit): (String, [f64; 2], &str)| {
        let percent = 100.0 * (now / then - 1.0);
        format!("{what} {:.1} {unit} then, {:.1} now ({percent:+.0} %)", then / 1e9, now / 1e9)
    };
    [arithmetic].into_iter().chain(largest).filter(|(_, rates, _)| differs(*rates)).map(line).collect()
}

/// Changes with that verdict.
pub fn count(changes: &[Change], verdict: SpeedChange) -> usize {
    changes.iter().filter(|c| c.comparison.is_some_and(|c| c.verdict == verdict)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perf::ceilings::tests::ceilings;
    use crate::perf::row::tests::{document, timed};

    #[test]
    fn a_baseline_round_trips_and_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(&dir.path().join("new"), "before-1.0").unwrap();
        let saved = document(vec![timed("fill", 1.0, 30)]);
        save(&path, &saved).unwrap();
        let text = |d: &Document| serde_json::to_string(d).unwrap();
        assert_eq!(text(&load(&path).unwrap()), text(&saved));
        let error = save(&path, &document(Vec::new())).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("exists"), "{error}");
        assert_eq!(text(&load(&path).unwrap()), text(&saved));
        let error = load(&file(&dir.path().join("new"), "other").unwrap()).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("there are: before-1.0"), "{error}");
    }

    #[test]
    fn other_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        for (text, needle) in [("{", "not JSON"), ("{}", "schema none"), (r#"{"schema": 99}"#, "schema 99")] {
            std::fs::write(&path, text).unwrap();
            let error = load(&path).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains(needle), "{error}");
        }
        for name in ["", "a/b", "..", ".hidden", "a b"] {
            assert_eq!(file(dir.path(), name).unwrap_err().exit_code(), 2, "{name}");
        }
    }

    #[test]
    fn changes_are_found_by_name() {
        let old = document(vec![timed("fill", 1.0, 30), timed("copy", 1.0, 30), timed("adam", 1.0, 3)]);
        let mut new = document(vec![timed("fill", 1.2, 30), timed("copy", 1.0, 30), timed("adam", 1.5, 3)]);
        new.rows.push(timed("rmsprop", 1.0, 30));
        let found = changes(&old, &new);
        let verdicts: Vec<Option<SpeedChange>> = found.iter().map(|c| c.comparison.map(|c| c.verdict)).collect();
        let expected = [Some(SpeedChange::Slower), Some(SpeedChange::Same), Some(SpeedChange::Undecided), None];
        assert_eq!(verdicts, expected);
        assert_eq!(found[3].note, Some("not in the baseline"));
        assert_eq!((count(&found, SpeedChange::Slower), count(&found, SpeedChange::Faster)), (1, 0));
        assert_eq!(count(&changes(&new, &old), SpeedChange::Faster), 1);
    }

    #[test]
    fn ceilings_that_differ_are_named() {
        let mut old = document(Vec::new());
        old.ceilings = Some(ceilings());
        let mut new = old.clone();
        let now = |new: &mut Document, flops: f64, copy: f64| {
            let now = new.ceilings.as_mut().unwrap();
            now.flops *= flops;
            now.copies.iter_mut().for_each(|c| (c.copy, c.read) = (c.copy * copy, c.read.map(|r| r * copy)));
        };
        now(&mut new, 1.09, 1.0 / 1.09);
        assert!(drift(&old, &new).is_empty(), "noise");
        now(&mut new, 0.8, 0.5);
        let found = drift(&old, &new);
        assert!(found.len() == 2 && found[0].starts_with("arithmetic ") && found[0].ends_with("(-13 %)"), "{found:?}");
        assert!(found[1].starts_with("copies of ") && found[1].ends_with("(-54 %)"), "{found:?}");
        assert_eq!(drift(&new, &old).len(), 2, "a machine that was busy then");
        new.ceilings = None;
        assert!(drift(&old, &new).is_empty());
    }

    #[test]
    fn other_devices_and_drivers_are_refused_with_what_differs() {
        let old = document(Vec::new());
        same_device(&old, &old.clone()).unwrap();
        let mut new = old.clone();
        new.version = "9.9.9".into();
        new.device.variant = "tiled".into();
        same_device(&old, &new).unwrap();
        new.device.driver = "Mesa 99".into();
        new.threads = Some(7);
        let error = same_device(&old, &new).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.exit_code(), 2);
        assert!(
            text.contains("driver `d` then, `Mesa 99` now") && text.contains("threads") && !text.contains("adapter")
        );
    }

    #[test]
    fn the_folder_follows_the_environment() {
        let from = |vars: &'static [(&str, &str)], given: Option<&Path>| {
            folder_from(given, |name| vars.iter().find(|v| v.0 == name).map(|v| PathBuf::from(v.1)))
        };
        let home = from(&[("HOME", "/h")], None).unwrap();
        assert_eq!(home, Path::new("/h/.local/share/fedgan/baselines"));
        let relative = from(&[("HOME", "/h"), ("XDG_DATA_HOME", "data")], None).unwrap();
        assert_eq!(relative, home);
        assert_eq!(from(&[("XDG_DATA_HOME", "/d")], None).unwrap(), Path::new("/d/fedgan/baselines"));
        assert_eq!(from(&[], Some(Path::new("here"))).unwrap(), Path::new("here"));
        let error = from(&[], None).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("--baseline-dir"), "{error}");
    }
}
