//! `fedgan tune NAME.kernel.toml`: the fastest constants of a kernel that the catalogue does not have.

use super::TuneArgs;
use crate::cli::units::time;
use crate::foreign::bench::ForeignRow;
use crate::foreign::manifest::Case;
use crate::foreign::tune::{self, MARK, TunedFile};
use crate::foreign::{Manifest, PATIENCE, SEED, Workbench};
use crate::perf::Budget;
use crate::report::outputs::{self, OutputKind, output};
use crate::{Error, Result};
use std::fmt::Write as _;
use std::path::Path;

const FILE: OutputKind = OutputKind::Json(MARK);

/// Times every combination of `[tune]` in every case that is timed, and keeps the best beside the kernel file.
pub(super) fn run(args: &TuneArgs, path: &Path) -> Result<u8> {
    for (name, given) in
        [("--set", !args.set.is_empty()), ("--out", args.out.is_some()), ("--variant", args.variant.is_some())]
    {
        if given {
            return Err(Error::input(format!("{name} does not apply to a kernel file")));
        }
    }
    let file = tune::file(path);
    outputs::check(&[output("the choices", Some(&file), FILE)], &[])?;
    let adapter = super::adapter(args.device.as_deref().unwrap_or("gpu"))?;
    let mut bench = Workbench::open(Manifest::read(path)?, &adapter, PATIENCE)?;
    let combinations = bench.combinations()?.len();
    let mut kept = TunedFile::load(path)?;
    let cases = bench.manifest.timed(&[])?;
    crate::cli::print(format!("device    {}\n", adapter.facts.title()))?;
    let mut wrong = false;
    for case in &cases {
        let (rows, best) = bench.tune(case, SEED, &Budget::of(args.seconds))?;
        crate::cli::print(text(case, &rows))?;
        if rows.iter().any(|row| row.kernel == "as written" && row.wrong.is_some()) {
            crate::cli::print("not tuned: the kernel is wrong with the constants of its file\n")?;
            wrong = true;
            continue;
        }
        let verdict = match &best {
            Some((constants, ratio)) => {
                let constants: Vec<String> =
                    constants.iter().map(|(name, value)| format!("{name} = {value}")).collect();
                format!("best: {}, {ratio:.3} of the time\n", constants.join(", "))
            }
            None => "best: as written\n".into(),
        };
        crate::cli::print(verdict)?;
        kept.set(&adapter.facts, &case.name, best);
    }
    let json = serde_json::to_string_pretty(&kept).map_err(|e| Error::internal(format!("JSON: {e}")))? + "\n";
    outputs::write(&file, FILE, json.as_bytes())?;
    crate::cli::print(format!(
        "{combinations} builds measured\nfile      {}; `fedgan bench` shows its choices for this adapter and driver\n",
        file.display()
    ))?;
    Ok(u8::from(wrong))
}

fn text(case: &Case, rows: &[ForeignRow]) -> String {
    let name = rows.iter().map(|r| r.kernel.len()).max().unwrap_or(0).max(9);
    let mut out = format!("\n{}\n{:name$}  {:>10}  against the first\n", case.name, "constants", "time");
    for row in rows {
        let _ = match (&row.timed, row.comparison) {
            (Some(timed), Some(c)) => writeln!(
                out,
                "{:name$}  {:>10}  x {:.3} [{:.3}, {:.3}] {}",
                row.kernel,
                time(timed.summary.median),
                c.ratio,
                c.low,
                c.high,
                c.verdict.name()
            ),
            (Some(timed), None) => writeln!(out, "{:name$}  {:>10}  -", row.kernel, time(timed.summary.median)),
            (None, _) => {
                writeln!(out, "{:name$}  WRONG, not timed: {}", row.kernel, row.wrong.as_deref().unwrap_or_default())
            }
        };
    }
    out
}
