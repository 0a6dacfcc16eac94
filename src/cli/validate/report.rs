//! The report of `fedgan validate`, written by `--json` and `--markdown`.

use super::compare::FORMAT;
use super::mutants::Mutants;
use super::{Golden, random, whole_run};
use crate::check::golden::Outcome;
use crate::check::portable;
use crate::check::suite::KernelSummary;
use crate::exec::Descriptor;
use crate::gpu::AdapterFacts;
use crate::report::outputs::{self, OutputKind};
use crate::{Error, Result};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const BY: &str = "fedgan validate --json";
const COMMENT: &str = "<!-- written by fedgan validate --markdown, which replaces this file -->\n";
pub(super) const JSON: OutputKind = OutputKind::Json(BY);
pub(super) const MARKDOWN: OutputKind = OutputKind::Text(COMMENT);

/// All checks that ran; checks that were not requested are absent.
#[derive(serde::Serialize)]
pub(super) struct ValidateReport {
    pub written_by: &'static str,
    pub format: &'static str,
    pub version: &'static str,
    /// The device that ran the kernels; absent if only shader texts were checked.
    pub device: Option<Descriptor>,
    /// Why this device was chosen.
    pub reason: String,
    /// Features and limits of a GPU.
    pub adapter: Option<AdapterFacts>,
    pub shader: Option<PathBuf>,
    /// One row per kernel and variant: the catalogue's cases, or the targets.
    pub kernels: Vec<KernelSummary>,
    pub golden: Vec<Golden>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random: Option<random::RandomReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub portable: Vec<portable::VariantSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mutants: Option<Mutants>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<whole_run::WholeRun>,
    pub passed: bool,
    /// Wall time of all checks, in seconds.
    pub seconds: f64,
}

impl ValidateReport {
    /// A report before any check.
    pub(super) fn new(reason: String, shader: Option<PathBuf>) -> Self {
        ValidateReport {
            written_by: BY,
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION"),
            device: None,
            reason,
            adapter: None,
            shader,
            kernels: Vec::new(),
            golden: Vec::new(),
            random: None,
            portable: Vec::new(),
            mutants: None,
            run: None,
            passed: false,
            seconds: 0.0,
        }
    }

    /// Writes the requested files.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub(super) fn write(&self, json: Option<&Path>, markdown: Option<&Path>) -> Result<()> {
        if let Some(path) = json {
            let text = serde_json::to_string_pretty(self).map_err(|e| Error::internal(format!("JSON: {e}")))?;
            outputs::write(path, JSON, (text + "\n").as_bytes())?;
        }
        markdown.map_or(Ok(()), |path| outputs::write(path, MARKDOWN, self.markdown().as_bytes()))
    }

    /// The report as a Markdown page.
    pub(super) fn markdown(&self) -> String {
        let mut out = String::new();
        let verdict = if self.passed { "passed" } else { "FAILED" };
        let name = self.device.as_ref().map_or(self.reason.as_str(), |d| d.adapter.as_str());
        // `write!` to a `String` cannot fail.
        let _ = writeln!(out, "{COMMENT}# fedgan validate: {name}: {verdict}\n");
        let _ = writeln!(out, "fedgan {}, {:.0} s; {}\n", self.version, self.seconds, self.reason);
        self.about(&mut out);
        kernels(&mut out, "Kernels against the f64 reference", &self.kernels);
        golden(&mut out, &self.golden);
        if let Some(random) = &self.random {
            kernels(&mut out, "Random problems", &random.kernels);
            fenced(&mut out, &random.text());
        }
        portable_rows(&mut out, &self.portable);
        if let Some(mutants) = &self.mutants {
            let _ = writeln!(out, "## Mutants\n\n{}\n\n| fault | run | killed |\n|---|---|---|", mutants.verdict());
            for (operator, (run, killed)) in &mutants.operators {
                let _ = writeln!(out, "| {operator} | {run} | {killed} |");
            }
            out.push('\n');
            for survivor in mutants.survivors.iter().chain(&mutants.stale) {
                let _ = writeln!(out, "- `{survivor}`");
            }
        }
        if let Some(run) = &self.run {
            kernels(&mut out, &format!("Launches of a run of `{}`", run.experiment), &run.kernels);
            fenced(&mut out, &run.to_string());
        }
        out
    }

    fn about(&self, out: &mut String) {
        if let Some(d) = &self.device {
            let _ = writeln!(out, "| | |\n|---|---|\n| adapter | {} |\n| type | {} |", d.adapter, d.device_type);
            let _ =
                writeln!(out, "| backend | {} |\n| driver | {} |\n| variants | {} |", d.backend, d.driver, d.variant);
        }
        if let Some(facts) = &self.adapter {
            let names = |wanted: bool| {
                let names: Vec<&str> = facts.features.iter().filter(|f| *f.1 == wanted).map(|f| *f.0).collect();
                if names.is_empty() { "-".to_string() } else { names.join(", ") }
            };
            let _ = writeln!(out, "| features | {} |\n| missing | {} |", names(true), names(false));
            for (limit, value) in &facts.limits {
                let _ = writeln!(out, "| {limit} | {value} |");
            }
        }
        out.push('\n');
    }
}

/// A number; "over" for large and non-finite values.
fn percent(value: f64) -> String {
    if value.is_finite() && value < 1e6 { format!("{value:.2}") } else { "over".into() }
}

fn kernels(out: &mut String, title: &str, rows: &[KernelSummary]) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "## {title}\n\n| kernel | variant | cases | elements | worst element | % of bound | health | s | verdict |"
    );
    out.push_str("|---|---|---|---|---|---|---|---|---|\n");
    for row in rows {
        let worst = row.worst.as_ref().map_or("-".into(), |w| format!("{}[{}]", w.binding, w.index));
        let verdict = if row.passed() { "pass".into() } else { format!("FAIL ({})", row.failed.len()) };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {worst} | {} | {} | {:.2} | {verdict} |",
            row.kernel,
            row.variant,
            row.cases,
            row.elements,
            percent(row.percent),
            row.health.map_or("-".into(), |h| format!("{h:.2}")),
            row.seconds
        );
    }
    out.push('\n');
    for case in rows.iter().flat_map(|r| &r.failed) {
        let _ = writeln!(out, "- `fedgan validate '{}'`: {:?}", case.repro, case.verdict);
    }
}

fn golden(out: &mut String, cases: &[Golden]) {
    if cases.is_empty() {
        return;
    }
    out.push_str("## Golden cases\n\n| case | op | variant | outcome |\n|---|---|---|---|\n");
    for Golden { variant, case } in cases {
        let outcome = match &case.outcome {
            Outcome::Passed => "passed".to_string(),
            Outcome::Failed(what) => format!("FAILED: {what}"),
            Outcome::NotRun(what) => format!("not run: {what}"),
        };
        let outcome = outcome.replace('|', "\\|").replace('\n', " ");
        let _ = writeln!(out, "| {} | {} | {variant} | {outcome} |", case.file.display(), case.op);
    }
    out.push('\n');
}

fn portable_rows(out: &mut String, rows: &[portable::VariantSummary]) {
    if rows.is_empty() {
        return;
    }
    out.push_str("## Portability\n\n| form | checked | verdict |\n|---|---|---|\n");
    for row in rows {
        let verdict = match (&row.not_run, row.passed()) {
            (Some(why), _) => format!("not run: {why}"),
            (None, true) => "pass".into(),
            (None, false) => format!("FAIL: {}", row.first.as_deref().unwrap_or("nothing was checked")),
        };
        let _ = writeln!(out, "| {} | {} {} | {} |", row.what, row.checked, row.unit, verdict.replace('\n', " "));
    }
    out.push('\n');
}

fn fenced(out: &mut String, text: &str) {
    let _ = writeln!(out, "```\n{}\n```\n", text.trim_end());
}
