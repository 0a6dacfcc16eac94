//! `fedgan validate --compare A.json B.json`: two reports side by side.

use crate::error::count;
use crate::{Error, Result, input};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The format that this program writes and reads.
pub(super) const FORMAT: &str = "fedgan-validate-1";

/// The parts of a report that are read.
#[derive(Deserialize)]
struct StoredReport {
    version: String,
    /// Absent if no kernel ran.
    device: Option<BTreeMap<String, String>>,
    adapter: Option<Adapter>,
    kernels: Vec<Kernel>,
    passed: bool,
}

#[derive(Deserialize)]
struct Adapter {
    features: BTreeMap<String, bool>,
    limits: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Kernel {
    kernel: String,
    variant: String,
    cases: usize,
    /// `null` for non-finite values.
    percent: Option<f64>,
    health: Option<f64>,
    failed: Vec<serde_json::Value>,
    seconds: f64,
}

impl Kernel {
    fn verdict(&self) -> &'static str {
        if self.failed.is_empty() { "pass" } else { "FAIL" }
    }
}

fn read(path: &Path) -> Result<StoredReport> {
    let text =
        input::read_text(path, input::MEASURED).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| Error::file(path, format!("not JSON: {e}")))?;
    let wanted = "a report of `fedgan validate --json`";
    match value.get("format").and_then(|f| f.as_str()) {
        Some(FORMAT) => {}
        Some(other) => return Err(Error::file(path, format!("format `{other}`; this version reads `{FORMAT}`"))),
        None => return Err(Error::file(path, format!("no key `format`: not {wanted}"))),
    }
    serde_json::from_value(value).map_err(|e| Error::file(path, format!("not {wanted}: {e}")))
}

/// Returns the text, and whether both reports passed and cover the same kernels.
///
/// # Errors
/// A file that cannot be read or is not a report.
pub(super) fn compare(files: &[PathBuf]) -> Result<(String, bool)> {
    let reports = files.iter().map(|f| read(f)).collect::<Result<Vec<_>>>()?;
    let [a, b] = &reports[..] else {
        return Err(Error::input(format!("--compare takes two reports, {} were given", reports.len())));
    };
    let mut out = String::new();
    for (name, report, file) in [("A", a, &files[0]), ("B", b, &files[1])] {
        let get = |key: &str| report.device.as_ref().and_then(|d| d.get(key)).map_or("-", String::as_str);
        let verdict = if report.passed { "passed" } else { "FAILED" };
        let _ = writeln!(out, "{name}: {} ({})", get("adapter"), file.display());
        let _ = writeln!(
            out,
            "   {} over {}, driver {}, fedgan {}: {verdict}",
            get("device_type"),
            get("backend"),
            get("driver"),
            report.version
        );
    }
    differences(&mut out, a, b);
    let missing = table(&mut out, a, b);
    let _ = match (a.passed && b.passed, missing) {
        (true, 0) => writeln!(out, "both passed"),
        (true, n) => writeln!(out, "both passed, but {} in one report only", count(n, "row")),
        (false, _) => writeln!(out, "not both passed"),
    };
    Ok((out, a.passed && b.passed && missing == 0))
}

/// Features and limits that differ.
fn differences(out: &mut String, a: &StoredReport, b: &StoredReport) {
    if a.version != b.version {
        let _ = writeln!(out, "different versions: cases and bounds may differ");
    }
    let (Some(a), Some(b)) = (&a.adapter, &b.adapter) else { return };
    fn differing<V: PartialEq + ToString>(
        out: &mut String,
        what: &str,
        a: &BTreeMap<String, V>,
        b: &BTreeMap<String, V>,
    ) {
        let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
        keys.sort();
        keys.dedup();
        let show = |v: Option<&V>| v.map_or("-".into(), V::to_string);
        for key in keys.into_iter().filter(|k| a.get(*k) != b.get(*k)) {
            let _ = writeln!(out, "{what} {key}: A {}, B {}", show(a.get(key)), show(b.get(key)));
        }
    }
    differing(out, "feature", &a.features, &b.features);
    differing(out, "limit", &a.limits, &b.limits);
}

/// A row for each kernel and variant of either; returns how many are in one report only.
fn table(out: &mut String, a: &StoredReport, b: &StoredReport) -> usize {
    let key = |k: &Kernel| (k.kernel.clone(), k.variant.clone());
    let (left, right): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (a.kernels.iter().map(|k| (key(k), k)).collect(), b.kernels.iter().map(|k| (key(k), k)).collect());
    let mut keys: Vec<_> = a.kernels.iter().chain(&b.kernels).map(key).collect();
    let mut seen = std::collections::BTreeSet::new();
    keys.retain(|k| seen.insert(k.clone()));
    let wide = keys.iter().map(|k| k.0.len()).max().unwrap_or(6).max(6);
    let _ = writeln!(
        out,
        "\n{:wide$}  {:7}  {:>11}  {:>11}  {:>11}  {:>9}  {:>9}  verdicts",
        "kernel", "variant", "cases", "% of bound", "health", "A s", "B s"
    );
    let number = |v: Option<f64>| v.map_or("over".to_string(), |v| format!("{v:.1}"));
    let health = |k: &Kernel| k.health.map_or("-".to_string(), |v| format!("{v:.2}"));
    let mut missing = 0;
    for key in &keys {
        let both = [left.get(key), right.get(key)];
        missing += usize::from(both.iter().any(Option::is_none));
        let pair = |f: &dyn Fn(&Kernel) -> String| {
            let [a, b] = both.map(|k| k.map_or("-".to_string(), |k| f(k)));
            format!("{a} / {b}")
        };
        let seconds = both.map(|k| k.map_or("-".to_string(), |k| format!("{:.3}", k.seconds)));
        let _ = writeln!(
            out,
            "{:wide$}  {:7}  {:>11}  {:>11}  {:>11}  {:>9}  {:>9}  {}",
            key.0,
            key.1,
            pair(&|k| k.cases.to_string()),
            pair(&|k| number(k.percent)),
            pair(&health),
            seconds[0],
            seconds[1],
            pair(&|k| k.verdict().into())
        );
    }
    missing
}
