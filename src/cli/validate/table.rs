//! The report as text.

use super::Golden;
use crate::check::golden::Outcome;
use crate::check::suite::KernelSummary;
use crate::check::{CaseResult, Verdict};
use crate::error::count;
use std::fmt::Write as _;

/// Failures printed per kernel; the JSON report contains all.
const SHOWN: usize = 5;

/// Both tables and the summary lines.
pub(super) fn text(rows: &[KernelSummary], golden: &[Golden]) -> String {
    let mut out = String::new();
    if !rows.is_empty() {
        kernels(&mut out, rows);
    }
    if !golden.is_empty() {
        golden_cases(&mut out, golden);
    }
    out
}

/// `write!` to a `String` cannot fail.
fn kernels(out: &mut String, rows: &[KernelSummary]) {
    let worst = |row: &KernelSummary| row.worst.as_ref().map_or("-".into(), |w| format!("{}[{}]", w.binding, w.index));
    let wide = |f: &dyn Fn(&KernelSummary) -> usize, least: usize| rows.iter().map(f).max().unwrap_or(0).max(least);
    let (name, element) = (wide(&|r| r.kernel.len(), 6), wide(&|r| worst(r).len(), 13));
    let (a, b, c, d, e) = ("kernel", "variant", "cases", "worst element", "% of bound");
    let _ = writeln!(out, "{a:name$}  {b:7}  {c:>5}  {d:element$}  {e:>10}  health       s  verdict");
    for row in rows {
        let verdict = match row.failed.len() {
            0 => "pass".to_string(),
            n => format!("FAIL ({n} of {})", row.cases),
        };
        let (at, percent) = (worst(row), percent(row.percent));
        let health = row.health.map_or("-".into(), |h| format!("{h:.2}"));
        let _ = writeln!(
            out,
            "{:name$}  {:7}  {:>5}  {at:element$}  {percent:>10}  {health:>6}  {:>6.2}  {verdict}",
            row.kernel, row.variant, row.cases, row.seconds
        );
    }
    for row in rows.iter().filter(|r| !r.passed()) {
        let _ = writeln!(out, "\n{} ({}):", row.kernel, row.variant);
        row.failed.iter().take(SHOWN).for_each(|case| failure(out, case));
        if row.failed.len() > SHOWN {
            let _ = writeln!(out, "  ... and {} more", row.failed.len() - SHOWN);
        }
    }
    let failed = rows.iter().filter(|r| !r.passed()).count();
    let cases: usize = rows.iter().map(|r| r.cases).sum();
    let elements: usize = rows.iter().map(|r| r.elements).sum();
    let seconds: f64 = rows.iter().map(|r| r.seconds).sum();
    let verdict =
        if failed == 0 { "all passed".into() } else { format!("{failed} of {} FAILED", count(rows.len(), "row")) };
    let _ = writeln!(out, "\n{}, {} in {seconds:.1} s: {verdict}", count(cases, "case"), count(elements, "element"));
}

fn failure(out: &mut String, case: &CaseResult) {
    if let Verdict::Fail(what) = &case.verdict {
        let _ = writeln!(out, "  {what}");
        let _ = writeln!(out, "  repeat with: fedgan validate '{}'", case.repro);
    }
}

fn percent(value: f64) -> String {
    if value.is_finite() && value < 1e6 { format!("{value:.2}") } else { "over".into() }
}

fn golden_cases(out: &mut String, golden: &[Golden]) {
    let stem = |g: &Golden| g.case.file.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let width = golden.iter().map(|g| stem(g).len()).max().unwrap_or(0);
    let of = |kind: fn(&Outcome) -> bool| golden.iter().filter(move |g| kind(&g.case.outcome));
    let passed = |o: &Outcome| *o == Outcome::Passed;
    let failed = |o: &Outcome| matches!(o, Outcome::Failed(_));
    let not_run = |o: &Outcome| matches!(o, Outcome::NotRun(_));
    for g in of(passed) {
        let worst = g.case.tensors.iter().max_by(|a, b| a.percent.total_cmp(&b.percent));
        let worst = worst.map_or(String::new(), |t| format!("{} at {}% of its bound", t.name, percent(t.percent)));
        let _ = writeln!(out, "passed   {:width$}  {:7}  {}: {worst}", stem(g), g.variant, g.case.op);
    }
    for g in of(failed) {
        let _ = writeln!(out, "FAILED   {:width$}  {:7}  {}", stem(g), g.variant, g.case.op);
        for tensor in g.case.tensors.iter().filter(|t| !t.passed) {
            let _ = writeln!(out, "         {tensor}");
        }
        if let (Outcome::Failed(what), true) = (&g.case.outcome, g.case.tensors.is_empty()) {
            let _ = writeln!(out, "         {what}");
        }
    }
    for g in of(not_run) {
        if let Outcome::NotRun(what) = &g.case.outcome {
            let _ = writeln!(out, "not run  {what}");
        }
    }
    let counts = (of(passed).count(), of(failed).count(), of(not_run).count());
    let _ = writeln!(out, "golden: {} passed, {} failed, {} not run", counts.0, counts.1, counts.2);
}
