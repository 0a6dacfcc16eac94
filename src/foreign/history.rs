//! Versions of a kernel that was watched while it was written, with their verdicts and times.

use crate::{Error, Result, input};
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// One saved version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// What was wrong, if anything was.
    pub failure: Option<String>,
    /// The case that was timed.
    pub case: Option<String>,
    /// Seconds of a launch.
    pub seconds: Option<f64>,
    /// Its time over that of the last good version.
    pub ratio: Option<f64>,
    /// The adapter.
    pub adapter: String,
    /// The WGSL.
    pub text: String,
}

/// Where the versions of a kernel file are kept: beside it.
pub fn file(manifest: &Path) -> PathBuf {
    manifest.with_extension("history.jsonl")
}

/// Appends a version.
///
/// # Errors
/// A file that cannot be written.
pub fn append(manifest: &Path, version: &Version) -> Result<()> {
    let path = file(manifest);
    let line = serde_json::to_string(version).map_err(|e| Error::internal(format!("JSON: {e}")))? + "\n";
    let mut open = std::fs::OpenOptions::new();
    let written = open.create(true).append(true).open(&path).and_then(|mut file| file.write_all(line.as_bytes()));
    written.map_err(|e| Error::output(&path, e))
}

/// All versions, the oldest first.
///
/// # Errors
/// No file, or a line that is not a version.
pub fn load(manifest: &Path) -> Result<Vec<Version>> {
    let path = file(manifest);
    let text = input::read_text(&path, input::MEASURED);
    let text = text.map_err(|e| Error::file(&path, format!("cannot be read: {e}; `--watch` writes it")))?;
    let line = |(i, line): (usize, &str)| {
        serde_json::from_str(line)
            .map_err(|e| Error::input(format!("{}:{}: not a version: {e}", path.display(), i + 1)))
    };
    text.lines().enumerate().map(line).collect()
}

/// The versions as a table.
pub fn table(versions: &[Version]) -> String {
    let mut out = format!("{:>4}  {:>10}  {:>7}  {}\n", "n", "ms", "ratio", "verdict");
    for (i, version) in versions.iter().enumerate() {
        let ms = version.seconds.map_or("-".into(), |s| format!("{:.4}", 1e3 * s));
        let ratio = version.ratio.map_or("-".into(), |r| format!("{r:.3}"));
        let verdict = version.failure.as_deref().map_or("pass", |what| what.lines().next().unwrap_or("FAIL"));
        out.push_str(&format!("{:>4}  {ms:>10}  {ratio:>7}  {verdict}\n", i + 1));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_kept_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let manifest = dir.path().join("k.kernel.toml");
        assert!(load(&manifest).unwrap_err().to_string().contains("--watch"));
        let version = |failure: Option<&str>| Version {
            failure: failure.map(String::from),
            case: None,
            seconds: failure.is_none().then_some(2e-3),
            ratio: None,
            adapter: "a".into(),
            text: "fn\n".into(),
        };
        for v in [version(None), version(Some("wrong\nmore"))] {
            append(&manifest, &v).unwrap();
        }
        let back = load(&manifest).unwrap();
        assert_eq!(back.len(), 2);
        let text = table(&back);
        assert!(text.contains("   1      2.0000"), "{text}");
        assert!(text.contains("  wrong\n") && !text.contains("more"));
        std::fs::write(file(&manifest), "{}\n").unwrap();
        assert!(load(&manifest).unwrap_err().to_string().contains("history.jsonl:1: not a version"));
    }
}
