//! Golden cases: results of another framework in files (docs/golden-format.md). A case runs on any engine through the
//! same catalogue rows as training; expected values come from the file, bounds from an f64 error analysis of the
//! inputs.

mod aggregate;
mod approx;
mod attack;
mod case;
mod compare;
mod conv;
mod elementwise;
mod gan;
mod image;
mod instance;
mod lab;
mod norm;
mod penalty;
mod spec;
mod update;

pub use case::{Case, GoldenTensor};
pub use compare::{TensorVerdict, WorstElement};

use crate::exec::Engine;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// The outcome of a case.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Outcome {
    /// Every expected tensor within its bound.
    Passed,
    /// A comparison or the device failed.
    Failed(String),
    /// Malformed, an unknown op, or one that is not built yet.
    NotRun(String),
}

/// One case's report.
#[derive(Clone, Debug, serde::Serialize)]
pub struct CaseReport {
    /// The file.
    pub file: PathBuf,
    /// The operation, if the file could be read.
    pub op: String,
    /// The outcome.
    pub outcome: Outcome,
    /// Every expected tensor.
    pub tensors: Vec<TensorVerdict>,
}

/// Runs one file.
pub fn run_file(engine: &mut dyn Engine, path: &Path) -> CaseReport {
    let mut report = CaseReport { file: path.into(), op: "-".into(), outcome: Outcome::Passed, tensors: vec![] };
    let result = Case::read(path).and_then(|case| {
        report.op = crate::input::shorten(&case.op, 40);
        run_case(engine, &case)
    });
    match result {
        Ok(tensors) => {
            if let Some(bad) = tensors.iter().find(|t| !t.passed) {
                report.outcome = Outcome::Failed(bad.to_string());
            }
            report.tensors = tensors;
        }
        Err(Error::Input(what)) => report.outcome = Outcome::NotRun(what),
        Err(error) => report.outcome = Outcome::Failed(error.to_string()),
    }
    report
}

/// Runs a case and compares every expected tensor.
///
/// # Errors
/// `Error::Input` if the case is malformed or its op not built; device errors.
pub fn run_case(engine: &mut dyn Engine, case: &Case) -> Result<Vec<TensorVerdict>> {
    let (op, run) = spec::find(case)?;
    spec::check_names(case, op)?;
    let computed = run(case, &mut lab::Lab::new(engine, format!("{}: {}", case.path.display(), case.op)))?;
    let mut verdicts = Vec::new();
    for (name, expected) in &case.expected {
        let Some(result) = computed.iter().find(|c| c.name == *name) else {
            let names: Vec<String> = computed.iter().map(|c| format!("out.{}", c.name)).collect();
            return Err(case.malformed(format!("unknown tensor `out.{name}`; allowed: {}", names.join(", "))));
        };
        if expected.shape != result.shape {
            let (found, needed) = (&expected.shape, &result.shape);
            return Err(case.malformed(format!("`out.{name}` has shape {found:?}, must be {needed:?}")));
        }
        verdicts.push(compare::compare(result, expected));
    }
    Ok(verdicts)
}

/// The files for `path`: itself, or every `.safetensors` file directly in the folder, in name order.
///
/// # Errors
/// If there is none.
pub fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.into()]);
    }
    let entries = std::fs::read_dir(path).map_err(|e| Error::file(path, format!("no golden case here: {e}")))?;
    let is_case = |p: &PathBuf| p.extension().is_some_and(|e| e == "safetensors");
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(is_case).collect();
    files.sort();
    if files.is_empty() {
        return Err(Error::file(path, "no golden case here: no file ends in .safetensors"));
    }
    Ok(files)
}

/// The exit code of a list of reports: 1 (a comparison failed) takes precedence over 2 (not run), and 2 over 0.
pub fn exit_code(reports: &[CaseReport]) -> u8 {
    let any = |f: fn(&Outcome) -> bool| reports.iter().any(|r| f(&r.outcome));
    if any(|o| matches!(o, Outcome::Failed(_))) {
        1
    } else if any(|o| matches!(o, Outcome::NotRun(_))) {
        2
    } else {
        0
    }
}
