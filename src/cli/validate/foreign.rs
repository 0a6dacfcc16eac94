//! `fedgan validate NAME.kernel.toml`: a kernel that the catalogue does not have.

use super::ValidateArgs;
use crate::check::portable::VariantSummary;
use crate::check::portable::texts::{self, Text};
use crate::error::count;
use crate::exec::Descriptor;
use crate::foreign::expr::Names;
use crate::foreign::mutants::MutantReport;
use crate::foreign::{CaseReport, Checks, Manifest, Only, Workbench};
use crate::gpu::{AdapterFacts, Choice, DeviceTarget, choose};
use crate::report::Steps;
use crate::report::outputs::{self, OutputKind, output};
use crate::{Error, Result};
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

const JSON: OutputKind = OutputKind::Json("fedgan validate --json");

/// The report of one kernel file.
#[derive(serde::Serialize)]
struct ForeignReport {
    file: String,
    cases: Vec<CaseReport>,
    /// The kernel and its candidates through the writers of all backends, and through other readers.
    portable: Vec<VariantSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mutants: Option<MutantReport>,
}

impl ForeignReport {
    fn passed(&self) -> bool {
        self.cases.iter().all(CaseReport::passed)
            && self.portable.iter().all(VariantSummary::passed)
            && self.mutants.as_ref().is_none_or(MutantReport::passed)
    }
}

#[derive(serde::Serialize)]
struct Document<'a> {
    written_by: &'static str,
    format: &'static str,
    version: &'static str,
    device: &'a Descriptor,
    adapter: &'a AdapterFacts,
    reason: &'a str,
    kernels: &'a [ForeignReport],
    passed: bool,
}

/// Checks every kernel file of the targets; the exit code is 1 if something is wrong with a kernel.
pub(super) fn run(args: &ValidateArgs) -> Result<u8> {
    refuse_others(args)?;
    outputs::check(&[output("--json", args.json.as_deref(), JSON)], &[])?;
    let request = args.device.as_deref().unwrap_or("gpu");
    let (adapter, reason) = match choose(request)? {
        Choice { target: DeviceTarget::Gpu(adapter), reason } => (adapter, reason),
        Choice { reason, .. } => {
            return Err(Error::input(format!(
                "a kernel file needs a GPU device, and --device {request} is {reason}; `fedgan devices` lists adapters"
            )));
        }
    };
    crate::cli::print(format!("device: {reason}\n"))?;
    let manifests = args.targets.iter().map(|path| Manifest::read(Path::new(path))).collect::<Result<Vec<_>>>()?;
    let timeout = Duration::from_secs_f64(args.timeout);
    let mut reports = Vec::new();
    for manifest in manifests {
        let mut bench = Workbench::open(manifest, &adapter, timeout)?;
        reports.push(one(args, &mut bench)?);
    }
    let passed = reports.iter().all(ForeignReport::passed);
    if let Some(path) = &args.json {
        let descriptor = Descriptor {
            engine: "gpu".into(),
            adapter: adapter.facts.name.clone(),
            address: adapter.facts.address(),
            backend: format!("{:?}", adapter.facts.backend),
            device_type: format!("{:?}", adapter.facts.kind),
            driver: adapter.facts.driver.clone(),
            variant: "-".into(),
        };
        let document = Document {
            written_by: "fedgan validate --json",
            format: "fedgan-validate-kernel-1",
            version: env!("CARGO_PKG_VERSION"),
            device: &descriptor,
            adapter: &adapter.facts,
            reason: &reason,
            kernels: &reports,
            passed,
        };
        let text = serde_json::to_string_pretty(&document).map_err(|e| Error::internal(format!("JSON: {e}")))? + "\n";
        outputs::write(path, JSON, text.as_bytes())?;
    }
    Ok(u8::from(!passed))
}

/// Checks of the catalogue say nothing about a foreign kernel.
fn refuse_others(args: &ValidateArgs) -> Result<()> {
    if let Some(other) = args.targets.iter().find(|t| !crate::foreign::is_kernel_file(t)) {
        return Err(Error::input(format!(
            "`{other}` is not a kernel file (NAME.kernel.toml): check those in a command of their own"
        )));
    }
    let given = [
        ("--golden", args.golden.is_some()),
        ("--shader", args.shader.is_some()),
        ("--random", args.random.is_some()),
        ("--portable", args.portable),
        ("--run", args.run.is_some()),
        ("--markdown", args.markdown.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(Error::input(format!("{name} does not apply to a kernel file"))),
        None => Ok(()),
    }
}

fn one(args: &ValidateArgs, bench: &mut Workbench) -> Result<ForeignReport> {
    let start = Instant::now();
    let file = bench.path().display().to_string();
    let chosen: Vec<_> = bench.manifest.select(Only::Validate, &args.case)?.into_iter().cloned().collect();
    let constants = Names::new();
    let checks = Checks { seed: args.seed, unclamped: args.unclamped, brief: false };
    let bar = Steps::new((chosen.len() * bench.loaded.len()) as u64);
    let mut report = ForeignReport { file, cases: Vec::new(), portable: Vec::new(), mutants: None };
    for case in &chosen {
        for at in 0..bench.loaded.len() {
            bar.set_message(format!("{} {}", bench.loaded[at].build.name, case.name));
            report.cases.push(bench.check(at, case, &constants, checks)?);
            bar.inc();
        }
    }
    bar.finish_and_clear();
    crate::cli::print(cases(&report, args.seed))?;
    report.portable = portable(bench, &chosen)?;
    crate::cli::print(texts_line(&report.portable))?;
    if let Some(sample) = args.mutants {
        if report.cases.iter().all(CaseReport::passed) {
            let bar = Steps::new(0);
            let mutants = bench.mutants(sample as usize, args.seed, &args.case, |at, total| {
                bar.set_message(format!("mutant {at} of {total}"))
            })?;
            bar.finish_and_clear();
            crate::cli::print(mutants_text(&mutants))?;
            report.mutants = Some(mutants);
        } else {
            crate::cli::print("mutants: not run, the kernel itself fails\n")?;
        }
    }
    let verdict = if report.passed() { "all passed" } else { "FAILED" };
    let numbers: usize = report.cases.iter().flat_map(|c| &c.outputs).map(|o| o.elements).sum();
    let cases = count(report.cases.len(), "case");
    crate::cli::print(format!("{cases}, {numbers} numbers in {:.1} s: {verdict}\n", start.elapsed().as_secs_f64()))?;
    Ok(report)
}

/// Every build, with the constants of every case, through the writers and readers.
fn portable(bench: &Workbench, chosen: &[crate::foreign::manifest::Case]) -> Result<Vec<VariantSummary>> {
    let mut list: Vec<Text> = Vec::new();
    let mut seen = Vec::new();
    for (at, loaded) in bench.loaded.iter().enumerate() {
        for case in chosen {
            let constants = format!("{at} {:?}", bench.constants(at, case)?);
            if seen.contains(&constants) {
                continue;
            }
            seen.push(constants);
            if crate::foreign::interface::uses_half(&loaded.shader) {
                let why = format!("{} uses 16-bit floats, which are optional everywhere", loaded.wgsl.name());
                return Ok(vec![VariantSummary::not_run("naga's writers", "texts", why)]);
            }
            let shader = bench.resolved(at, case, &Names::new())?;
            list.push(Text::foreign(loaded.build.name.clone(), loaded.wgsl.clone(), &shader));
        }
    }
    let mut rows = texts::writers(&list);
    rows.push(texts::spirv_val(&list));
    rows.push(texts::tint(&list)?);
    Ok(rows)
}

fn cases(report: &ForeignReport, seed: u64) -> String {
    let mut out = format!("\n{}\n", report.file);
    let wide =
        |of: &dyn Fn(&CaseReport) -> usize, least: usize| report.cases.iter().map(of).max().unwrap_or(0).max(least);
    let (build, case) = (wide(&|c| c.build.chars().count(), 6), wide(&|c| c.case.chars().count(), 4));
    let grid = |c: &CaseReport| c.grid.map(|g| g.to_string()).join(" x ");
    let groups = wide(&|c| grid(c).len(), 10);
    let (a, b, c) = ("kernel", "case", "workgroups");
    let _ =
        writeln!(out, "{a:build$}  {b:case$}  {c:groups$}  {:>8}  {:>12}       s  verdict", "numbers", "% of allowed");
    for row in &report.cases {
        let numbers: usize = row.outputs.iter().map(|o| o.elements).sum();
        let percent = row.outputs.iter().map(|o| o.percent).fold(0.0, f64::max);
        let percent = if percent.is_finite() && percent < 1e6 { format!("{percent:.2}") } else { "over".into() };
        let verdict = if row.passed() { "pass" } else { "FAIL" };
        let (name, shape) = (&row.case, grid(row));
        let _ = writeln!(
            out,
            "{:build$}  {name:case$}  {shape:groups$}  {numbers:>8}  {percent:>12}  {:>6.2}  {verdict}",
            row.build, row.seconds
        );
    }
    for row in report.cases.iter().filter(|row| !row.passed()) {
        let _ = writeln!(out, "\n{} ({}):", row.build, row.case);
        for what in &row.failures {
            let _ = writeln!(out, "  {what}");
        }
        let seed = if seed == super::random::SEED { String::new() } else { format!(" --seed {seed}") };
        let _ = writeln!(out, "  repeat with: fedgan validate '{}' --case '{}'{seed}", report.file, row.case);
    }
    let mut notes: Vec<&String> = report.cases.iter().flat_map(|row| &row.notes).collect();
    notes.sort();
    notes.dedup();
    for note in notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

fn texts_line(rows: &[VariantSummary]) -> String {
    let mut out = String::new();
    let run = rows.iter().filter(|row| row.not_run.is_none());
    let passed: Vec<&VariantSummary> = run.clone().filter(|row| row.passed()).collect();
    if !passed.is_empty() {
        let writers = passed.iter().filter(|row| row.what.starts_with("naga writes")).count();
        let others = passed.iter().filter(|row| !row.what.starts_with("naga writes")).map(|row| row.what.as_str());
        let others: String = others.map(|what| format!(", {what}")).collect();
        let _ = writeln!(out, "texts: {} of naga's writers{others}: pass", count(writers, "configuration"));
    }
    for row in run.filter(|row| !row.passed()) {
        let _ = writeln!(out, "texts: {}: FAIL: {}", row.what, row.first.as_deref().unwrap_or("nothing was checked"));
    }
    for row in rows {
        if let Some(why) = &row.not_run {
            let _ = writeln!(out, "texts: {}: not run: {why}", row.what);
        }
    }
    out
}

fn mutants_text(report: &MutantReport) -> String {
    let survived = report.survivors.len();
    let total = report.noticed + survived + report.listed;
    let mut out = format!(
        "mutants: {} of {total} noticed, {} listed as equivalent, {survived} not noticed\n",
        report.noticed, report.listed
    );
    for mutant in &report.survivors {
        let _ = writeln!(out, "  no case notices ({}): {}", mutant.operator.name(), mutant.change);
    }
    if survived > 0 {
        let _ = writeln!(out, "  add a case that notices, or the text after the colon to `equivalent`");
    }
    for what in &report.stale {
        let _ = writeln!(out, "  `equivalent`: {what}");
    }
    out
}
