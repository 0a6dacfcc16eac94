//! `fedgan bench NAME.kernel.toml`: a kernel that the catalogue does not have, and its candidates, in turn.

mod compiler;
mod rows;
mod watch;

use super::device::Subject;
use super::{BenchArgs, Desk, table};
use crate::error::count;
use crate::foreign::bench::{Contender, ForeignRow};
use crate::foreign::history;
use crate::foreign::tune::TunedFile;
use crate::foreign::{Manifest, PATIENCE, SEED, Workbench, is_kernel_file};
use crate::gpu::{Choice, DeviceTarget, choose};
use crate::perf::{Bench, Ceilings};
use crate::report::outputs::{self, OutputKind, output};
use crate::{Error, Result};
use compiler::Compiler;
use rows::rows_text;
use std::path::Path;

const JSON: OutputKind = OutputKind::Json("fedgan bench --json");

/// The JSON output.
#[derive(serde::Serialize)]
struct Document<'a> {
    written_by: &'static str,
    format: &'static str,
    #[serde(flatten)]
    device: &'a crate::perf::Document,
    kernels: &'a [ForeignReport],
}

/// The rows of one kernel file.
#[derive(serde::Serialize)]
struct ForeignReport {
    file: String,
    rows: Vec<ForeignRow>,
}

/// Times every kernel file of the targets; the exit code is 1 if a build is wrong.
pub(super) fn run(args: &BenchArgs) -> Result<u8> {
    refuse_others(args)?;
    outputs::check(&[output("--json", args.json.as_deref(), JSON)], &[])?;
    let args = &BenchArgs { device: Some(args.device.clone().unwrap_or("gpu".into())), ..args.clone() };
    let subject = Subject::open(args)?;
    let request = args.device.as_deref().unwrap_or("gpu");
    let Choice { target: DeviceTarget::Gpu(adapter), .. } = choose(request)? else {
        return Err(Error::input(format!(
            "a kernel file needs a GPU device, and --device {request} is {}; `fedgan devices` lists adapters",
            subject.reason
        )));
    };
    if args.history {
        for target in &args.targets {
            crate::cli::print(history::table(&history::load(Path::new(target))?))?;
        }
        return Ok(0);
    }
    let compiler = Compiler::of(&args.isa)?;
    let manifests = args.targets.iter().map(|path| Manifest::read(Path::new(path))).collect::<Result<Vec<_>>>()?;
    let mut document = subject.document();
    document.checked = Some(args.checks.unwrap_or(true));
    crate::cli::print(table::device(&subject, &document))?;
    let desk = Desk::new(args);
    if args.watch.is_some() {
        return watch::run(args, &desk, &subject, &adapter, compiler.as_ref());
    }
    desk.say("measuring the ceilings");
    document.ceilings = Some(Ceilings::measure(&mut Bench::new(subject.engine()?), args.seconds)?);
    desk.print(table::ceilings(document.ceilings.as_ref(), false))?;
    let mut reports = Vec::new();
    for manifest in manifests {
        let mut bench = Workbench::open(manifest, &adapter, PATIENCE)?;
        let cases = bench.manifest.timed(&args.case)?;
        let tuned = TunedFile::load(bench.path())?;
        let mut report = ForeignReport { file: bench.path().display().to_string(), rows: Vec::new() };
        desk.print(format!("{}\n", report.file))?;
        for case in &cases {
            desk.say(&format!("{} {}", report.file, case.name));
            let mut contenders = bench.contenders();
            if let Some(choice) = tuned.find(&adapter.facts, &case.name) {
                let constants = choice.constants.clone();
                contenders.push(Contender { name: "tuned".into(), build: 0, constants });
            }
            let checked = args.checks.unwrap_or(true);
            let mut rows = bench.bench(case, &contenders, (SEED, checked), &desk.budget, document.ceilings.as_ref())?;
            desk.print(rows_text(&rows))?;
            if let Some(compiler) = &compiler {
                desk.print(compiler.compile(&bench, case, &contenders, &mut rows)?)?;
            }
            report.rows.extend(rows);
        }
        reports.push(report);
    }
    desk.bar.finish_and_clear();
    if let Some(path) = &args.json {
        let written_by = "fedgan bench --json";
        let json = Document { written_by, format: "fedgan-bench-kernel-1", device: &document, kernels: &reports };
        let text = serde_json::to_string_pretty(&json).map_err(|e| Error::internal(format!("JSON: {e}")))? + "\n";
        outputs::write(path, JSON, text.as_bytes())?;
    }
    let rows = || reports.iter().flat_map(|r| &r.rows);
    let wrong = rows().filter(|row| row.wrong.is_some()).count();
    let verdict = if wrong == 0 { "all correct".into() } else { format!("{wrong} WRONG, not timed") };
    crate::cli::print(format!("\n{}: {verdict}\n", count(rows().count(), "row")))?;
    Ok(u8::from(wrong > 0))
}

/// What is measured of the catalogue says nothing about a foreign kernel.
fn refuse_others(args: &BenchArgs) -> Result<()> {
    if let Some(other) = args.targets.iter().find(|t| !is_kernel_file(t)) {
        return Err(Error::input(format!(
            "`{other}` is not a kernel file (NAME.kernel.toml): measure those in a command of their own"
        )));
    }
    let given = [
        ("--shape", !args.shape.is_empty()),
        ("--workload", !args.workload.is_empty()),
        ("--clients", args.clients.is_some()),
        ("--loss", args.loss.is_some()),
        ("--convolution", args.convolution.is_some()),
        ("--shader", !args.shader.is_empty()),
        ("--variant", args.variant.is_some()),
        ("--csv", args.csv.is_some()),
        ("--roofline", args.roofline.is_some()),
        ("--save-baseline", args.save_baseline.is_some()),
        ("--baseline", args.baseline.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(Error::input(format!("{name} does not apply to a kernel file"))),
        None => Ok(()),
    }
}
