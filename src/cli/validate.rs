//! `fedgan validate`: kernels on a device against the reference, golden cases, edited shaders.

mod portable;
mod table;

use crate::check::golden::{self, CaseReport};
use crate::check::suite::{self, Row};
use crate::check::{Checker, Repro};
use crate::exec::{Descriptor, Engine};
use crate::gpu::{GpuOptions, Target, choose, open};
use crate::kernels::{CATALOGUE, Class, shader};
use crate::{Error, Result};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};

/// Arguments of `fedgan validate`.
#[derive(Debug, Default, clap::Args)]
pub struct ValidateArgs {
    /// Kernels (`conv2d`) or single problems (`conv2d:clients=2,n=3,...`, as printed for a failure); none: every kernel,
    /// unless --golden is given.
    #[arg(value_name = "KERNEL|REPRO")]
    pub targets: Vec<String>,
    /// Golden case or folder of them (*.safetensors): results of another framework, see docs/golden-format.md.
    #[arg(long, value_name = "PATH")]
    pub golden: Option<PathBuf>,
    /// WGSL file to check in the place of the kernel shader of the same name, e.g. my/conv2d_direct.wgsl; needs a GPU device.
    #[arg(long, value_name = "FILE.wgsl")]
    pub shader: Option<PathBuf>,
    /// Instead: the forms in which other devices would run the kernels. Every shader through the writers for Vulkan, Metal,
    /// DX12 and OpenGL and through wgpu's validation without a driver; every case with WebGPU's default limits, with and without run-time
    /// checks and with loops as loops, which must give equal bits.
    #[arg(long, conflicts_with_all = ["golden", "shader"])]
    pub portable: bool,
    /// auto, gpu, cpu, reference, or part of an adapter's name [default: auto; with --shader or --portable: gpu].
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Write the whole report to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// One engine to check: all there is on `cpu` and `reference`, one for each class of shader variants on a GPU.
struct Subject {
    engine: Box<dyn Engine>,
    class: Option<Class>,
}

impl Subject {
    fn variant(&self) -> &'static str {
        self.class.map_or("-", Class::name)
    }
}

/// The replaced shader: its path under `shaders/` and its text.
type Replacement = (&'static str, String);

/// The report, as `--json` writes it.
#[derive(serde::Serialize)]
struct Report {
    version: &'static str,
    device: Descriptor,
    reason: String,
    shader: Option<PathBuf>,
    kernels: Vec<Row>,
    golden: Vec<Golden>,
    passed: bool,
}

/// A golden case's report with the variant it ran in.
#[derive(serde::Serialize)]
struct Golden {
    variant: &'static str,
    #[serde(flatten)]
    case: CaseReport,
}

/// Runs the verb; the exit code is 1 if a comparison failed, 2 if a golden case could not be run, else 0.
///
/// # Errors
/// Unknown kernels, parameters, devices, shader names; missing files; a report that cannot be written.
pub fn run(args: ValidateArgs) -> Result<u8> {
    if args.portable {
        return portable::run(&args);
    }
    let replacement = args.shader.as_deref().map(read_shader).transpose()?;
    let groups = select(&args, replacement.as_ref())?;
    let golden_files = args.golden.as_deref().map(golden::files).transpose()?.unwrap_or_default();
    let (mut subjects, reason) = subjects(&args, replacement)?;
    let device = subjects[0].engine.descriptor().clone();
    super::print(format!("device: {reason}\n"))?;

    let kernels = check_kernels(&mut subjects, &groups)?;
    let golden = check_golden(&mut subjects, &golden_files);
    let reports: Vec<CaseReport> = golden.iter().map(|g| g.case.clone()).collect();
    let code = if kernels.iter().all(Row::passed) { golden::exit_code(&reports) } else { 1 };
    super::print(table::text(&kernels, &golden))?;
    if let Some(path) = &args.json {
        let version = env!("CARGO_PKG_VERSION");
        let report =
            Report { version, device, reason, shader: args.shader.clone(), kernels, golden, passed: code == 0 };
        let text = serde_json::to_string_pretty(&report).map_err(|e| Error::internal(format!("JSON: {e}")))?;
        std::fs::write(path, text + "\n").map_err(|e| Error::file(path, format!("cannot be written: {e}")))?;
    }
    Ok(code)
}

/// Reads the file and finds the shader of the same name.
fn read_shader(path: &Path) -> Result<Replacement> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
    let own = |name: &str| Path::new(name).file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = own(&path.to_string_lossy());
    let kernels = || shader::files().iter().map(|f| f.0).filter(|f| !f.starts_with("lib/"));
    match kernels().find(|file| own(file) == stem) {
        Some(file) => Ok((file, text)),
        None => {
            let stems: Vec<String> = kernels().map(own).collect();
            Err(Error::file(path, format!("no kernel shader is called `{stem}`; there are: {}", stems.join(", "))))
        }
    }
}

/// What to check, grouped by kernel: the targets; else what the replaced shader is used by; else everything, unless only
/// golden cases are asked for.
fn select(args: &ValidateArgs, replacement: Option<&Replacement>) -> Result<Vec<Vec<Repro>>> {
    let mut repros = Vec::new();
    for target in &args.targets {
        repros.extend(Repro::select(target)?);
    }
    if args.targets.is_empty() && (args.golden.is_none() || replacement.is_some()) {
        repros.extend(CATALOGUE.iter().flat_map(|kernel| Repro::cases(*kernel)));
        if let Some((file, _)) = replacement {
            repros.retain(|r| Class::ALL.iter().any(|class| r.kernel.build(&r.params, *class).file == *file));
        }
    }
    Ok(suite::by_kernel(repros))
}

/// Opens the engines: both classes of variants on a GPU, or with a replaced shader those that use it.
fn subjects(args: &ValidateArgs, replacement: Option<Replacement>) -> Result<(Vec<Subject>, String)> {
    let request = args.device.as_deref().unwrap_or(if replacement.is_some() { "gpu" } else { "auto" });
    let choice = choose(request)?;
    if !matches!(choice.target, Target::Gpu(_)) {
        if replacement.is_some() {
            return Err(Error::input(format!(
                "--shader needs a GPU device, and --device {request} is {}; `fedgan devices` lists adapters",
                choice.reason
            )));
        }
        let (engine, reason) = open(request, GpuOptions::default())?;
        return Ok((vec![Subject { engine, class: None }], reason));
    }
    let uses = |class: Class| match &replacement {
        None => true,
        Some((file, _)) => CATALOGUE.iter().any(|k| k.cases().iter().any(|words| k.build(words, class).file == *file)),
    };
    let mut list = Vec::new();
    for class in Class::ALL.into_iter().filter(|class| uses(*class)) {
        let sources = replacement.iter().map(|(file, text)| (file.to_string(), text.clone())).collect();
        let options = GpuOptions { class: Some(class), sources, ..GpuOptions::default() };
        let (engine, _) = open(request, options)?;
        // `auto` falls back to the cpu engine when the adapter refuses to open.
        let class = (engine.descriptor().engine == "gpu").then_some(class);
        list.push(Subject { engine, class });
        if class.is_none() {
            break;
        }
    }
    if list.is_empty() {
        return Err(Error::internal("no kernel is built from that shader"));
    }
    Ok((list, choice.reason))
}

/// Every group on every subject; cases that both classes build alike run once.
fn check_kernels(subjects: &mut [Subject], groups: &[Vec<Repro>]) -> Result<Vec<Row>> {
    let total: usize = groups.iter().map(Vec::len).sum::<usize>() * subjects.len();
    let bar = progress(total as u64);
    let mut rows = Vec::new();
    let several = subjects.len() > 1;
    for (at, subject) in subjects.iter_mut().enumerate() {
        let variant = subject.variant();
        let class = subject.class;
        let mut checker = Checker::new(subject.engine.as_mut());
        for group in groups {
            let cases = match class {
                Some(class) if at > 0 => suite::differing(group, class),
                _ => group.clone(),
            };
            if cases.is_empty() {
                continue;
            }
            let alike = several && suite::differing(group, Class::Direct).is_empty();
            bar.set_message(format!("{} {variant}", group[0].kernel.name()));
            let row = suite::run(&mut checker, &cases, if alike { "-" } else { variant }, || bar.inc(1))?;
            rows.push(row);
        }
    }
    bar.finish_and_clear();
    // Rows of one kernel beside each other, in the catalogue's order of appearance.
    let order = |row: &Row| groups.iter().position(|g| g[0].kernel.name() == row.kernel);
    rows.sort_by_key(order);
    Ok(rows)
}

/// Every file on every subject; what cannot be run is reported once.
fn check_golden(subjects: &mut [Subject], files: &[PathBuf]) -> Vec<Golden> {
    let bar = progress((files.len() * subjects.len()) as u64);
    let mut reports: Vec<Golden> = Vec::new();
    for file in files {
        for subject in subjects.iter_mut() {
            bar.set_message(file.display().to_string());
            let case = golden::run_file(subject.engine.as_mut(), file);
            bar.inc(1);
            let not_run = matches!(case.outcome, golden::Outcome::NotRun(_));
            reports.push(Golden { variant: if not_run { "-" } else { subject.variant() }, case });
            if not_run {
                break;
            }
        }
    }
    bar.finish_and_clear();
    reports
}

/// A line on a terminal, nothing elsewhere.
fn progress(total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:20} {pos}/{len} {elapsed} {msg}");
    ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
