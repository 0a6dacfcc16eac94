//! `fedgan validate --portable`: the kernels as other devices would run them.

use super::{ValidateArgs, select};
use crate::Result;
use crate::check::portable::{VariantSummary, noop, on_adapter, texts};
use crate::check::{Repro, suite};
use crate::gpu::{Adapter, DeviceTarget, GpuOptions, choose};
use crate::kernels::Class;
use crate::report::Steps;
use std::fmt::Write as _;

/// Runs the checks that need no adapter, then those on the chosen adapter.
///
/// # Errors
/// Unknown kernels, parameters, devices.
pub(super) fn rows_of(args: &ValidateArgs) -> Result<Vec<VariantSummary>> {
    let repros = select(args, None)?.concat();
    let (adapter, reason) = adapter(args)?;
    rows(&repros, adapter.as_ref(), &reason)
}

/// The adapter with its name, or the reason why there is none. A device requested by name must exist.
fn adapter(args: &ValidateArgs) -> Result<(Option<Adapter>, String)> {
    match (choose(args.device.as_deref().unwrap_or("gpu")), &args.device) {
        (Ok(choice), _) => Ok(match choice.target {
            DeviceTarget::Gpu(adapter) => (Some(*adapter), choice.reason),
            _ => (None, choice.reason),
        }),
        (Err(why), None) => Ok((None, why.to_string())),
        (Err(why), Some(_)) => Err(why),
    }
}

fn rows(repros: &[Repro], adapter: Option<&Adapter>, reason: &str) -> Result<Vec<VariantSummary>> {
    let cases = |runs: &dyn Fn(&Class) -> bool| -> u64 {
        Class::ALL.into_iter().filter(runs).map(|class| suite::differing(repros, class).len() as u64).sum()
    };
    let bar = Steps::new(cases(&|_| true) + adapter.map_or(0, |adapter| cases(&|class| adapter.facts.runs(*class))));
    let texts = texts::of(repros)?;
    bar.set_message("shader writers".into());
    let mut rows = vec![texts::declarations(&texts)];
    rows.extend(texts::writers(&texts));
    bar.set_message("spirv-val".into());
    rows.push(texts::spirv_val(&texts));
    bar.set_message("tint".into());
    rows.push(texts::tint(&texts)?);
    bar.set_message("wgpu validation".into());
    rows.push(noop(repros, &GpuOptions::default(), || bar.inc())?);
    match adapter {
        Some(adapter) => rows.extend(on_adapter(adapter, repros, |class| {
            bar.set_message(class.to_string());
            bar.inc();
        })?),
        None => rows.push(VariantSummary::not_run("portability variants of the cases, bit for bit", "cases", reason)),
    }
    bar.finish_and_clear();
    Ok(rows)
}

pub(super) fn table(rows: &[VariantSummary]) -> String {
    let what = rows.iter().map(|r| r.what.len()).max().unwrap_or(0);
    let mut out = String::new();
    let _ = writeln!(out, "{:what$}  {:>14}  verdict", "form", "checked");
    for row in rows {
        let verdict = match (&row.not_run, row.failed) {
            (Some(why), _) => format!("not run: {why}"),
            (None, 0) if row.checked > 0 => "pass".to_string(),
            (None, 0) => "FAIL (nothing was checked)".to_string(),
            (None, failed) => format!("FAIL ({failed} of {})", row.checked),
        };
        let _ = writeln!(out, "{:what$}  {:>6} {:7}  {verdict}", row.what, row.checked, row.unit);
    }
    for row in rows.iter().filter(|r| !r.passed()) {
        let _ = writeln!(out, "\n{}:\n  {}", row.what, row.first.as_deref().unwrap_or("no case or shader"));
    }
    let count = |f: fn(&&VariantSummary) -> bool| rows.iter().filter(f).count();
    let (failed, not_run) = (count(|r| !r.passed()), count(|r| r.not_run.is_some()));
    let _ = writeln!(out, "portable: {} passed, {failed} failed, {not_run} not run", rows.len() - failed - not_run);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_failures_and_what_was_not_run() {
        let mut good = VariantSummary::new("default limits", "cases");
        good.add(None);
        let mut bad = VariantSummary::new("loops", "cases");
        bad.add(None);
        bad.add(Some("fill: y[3] is 1, normally 2".into()));
        let rows =
            [good, bad, VariantSummary::not_run("tint", "texts", "not here"), VariantSummary::new("empty", "texts")];
        let text = table(&rows);
        for part in [
            "FAIL (1 of 2)",
            "y[3] is 1, normally 2",
            "not run: not here",
            "nothing was checked",
            "portable: 1 passed, 2 failed, 1 not run",
        ] {
            assert!(text.contains(part), "{part} not in\n{text}");
        }
    }
}
