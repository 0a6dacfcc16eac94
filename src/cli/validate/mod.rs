//! `fedgan validate`: checks a driver, a GPU or a shader. Kernels against the reference, golden cases, random problems,
//! portability variants, mutants and whole runs are sections of one report.

mod compare;
mod engines;
mod foreign;
mod mutants;
mod portable;
mod random;
mod report;
mod table;
mod whole_run;

use super::shader_file::{Replacement, read_shader};
use crate::check::Repro;
use crate::check::golden::{self, CaseReport};
use crate::check::suite::{self, KernelSummary};
use crate::gpu::{Choice, DeviceTarget, choose};
use crate::kernels::{CATALOGUE, Class};
use crate::report::outputs::{self, output};
use crate::{Error, Result};
use engines::{check_golden, check_kernels, subjects};
use mutants::Mutants;
use report::ValidateReport;
use std::path::PathBuf;
use std::time::Instant;

/// Arguments of `fedgan validate`.
#[derive(Debug, Default, clap::Args)]
pub struct ValidateArgs {
    /// Kernels (`conv2d`), single problems (`conv2d:clients=2,n=3,...`, as printed for a failure), or kernel files of your own
    /// (NAME.kernel.toml, see docs/own-kernels.md) [default: every kernel, unless another check is requested].
    #[arg(value_name = "KERNEL|REPRO|FILE.kernel.toml")]
    pub targets: Vec<String>,
    /// Every check except golden cases: all kernels, 3 random problems each, portability variants, mutants, and two short
    /// rounds of an attacked and defended run.
    #[arg(long, conflicts_with_all = ["targets", "shader", "random", "portable", "mutants", "run"])]
    pub all: bool,
    /// Golden case (*.safetensors) or folder of golden cases: results from another framework, see docs/golden-format.md.
    #[arg(long, value_name = "PATH")]
    pub golden: Option<PathBuf>,
    /// WGSL file to check in place of the built-in shader of the same name, e.g. my/conv2d_direct.wgsl, or of NAME, e.g.
    /// adam=mine.wgsl; needs a GPU device.
    #[arg(long, value_name = "[NAME=]FILE.wgsl")]
    pub shader: Option<String>,
    /// Check N random problems per kernel instead of the catalogue's cases; failing problems are shrunk.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub random: Option<u32>,
    /// Seed of the random problems, or of a kernel file's random contents: the same seed gives the same numbers.
    #[arg(long, value_name = "SEED", default_value_t = random::SEED)]
    pub seed: u64,
    /// Case of a kernel file; may be repeated [default: all].
    #[arg(long, value_name = "NAME")]
    pub case: Vec<String>,
    /// Longest time of a launch of a kernel file, in seconds: an endless loop cannot be stopped otherwise.
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = super::parse::time_limit)]
    pub timeout: f64,
    /// Run a kernel file that passes without naga's run-time checks as well: an index outside workgroup memory may then crash.
    #[arg(long)]
    pub unclamped: bool,
    /// Check portability. Every shader passes through the writers for Vulkan, Metal, DX12 and OpenGL and through wgpu's
    /// validation without a driver; every case runs with WebGPU's default limits, with and without run-time checks, and with
    /// rolled loops, and the results must be bit-equal.
    #[arg(long, conflicts_with_all = ["golden", "shader"])]
    pub portable: bool,
    /// Break every shader deliberately, up to N times per kind of fault [default: 2], and require that the kernel's cases
    /// detect it; also for kernel files.
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = mutants::SAMPLE,
          conflicts_with_all = ["golden", "shader"], value_parser = clap::value_parser!(u32).range(1..))]
    pub mutants: Option<u32>,
    /// Experiment (a file or a built-in one) to run with every launch compared with the reference on the device's inputs.
    #[arg(long, value_name = "CONFIG", conflicts_with_all = ["targets", "golden"])]
    pub run: Option<PathBuf>,
    /// Rounds of --run.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "run", value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Number of output elements that --run compares per launch, drawn at random [default: all].
    #[arg(long, value_name = "N", requires = "run", value_parser = elements)]
    pub elements: Option<usize>,
    /// Overrides a key of --run's experiment, such as model.width=8; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "run")]
    pub set: Vec<String>,
    /// auto, gpu, gpu:N, cpu, reference, or part of an adapter's name [default:
    /// FEDGAN_DEVICE, or auto; with --shader, --portable or --mutants: gpu].
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Write the report to this file as JSON, also for --compare.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report to this file as Markdown.
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Compare two --json reports side by side instead of checking anything.
    #[arg(long, num_args = 2, value_names = ["A.json", "B.json"], exclusive = true)]
    pub compare: Vec<PathBuf>,
}

fn elements(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..) => Ok(n),
        _ => Err(format!("`{text}`: a whole number of at least 1")),
    }
}

impl ValidateArgs {
    /// The requested device, or the default for the selected checks.
    fn request(&self) -> &str {
        let gpu = self.shader.is_some() || self.portable || self.mutants.is_some();
        self.device.as_deref().unwrap_or(if gpu { "gpu" } else { "auto" })
    }

    /// Whether the catalogue's cases (or the targets) run: when targets are named, or when no other check is selected.
    fn cases(&self) -> bool {
        let others = self.random.is_some() || self.portable || self.mutants.is_some() || self.run.is_some();
        self.all || !others && (self.golden.is_none() || !self.targets.is_empty() || self.shader.is_some())
    }
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
    if !args.compare.is_empty() {
        let (text, same) = compare::compare(&args.compare)?;
        super::print(text)?;
        return Ok(u8::from(!same));
    }
    if args.targets.iter().any(|target| crate::foreign::is_kernel_file(target)) {
        return foreign::run(&args);
    }
    for (name, given) in [("--case", !args.case.is_empty()), ("--unclamped", args.unclamped)] {
        if given {
            return Err(Error::input(format!("{name} needs a kernel file (NAME.kernel.toml)")));
        }
    }
    if args.seed != random::SEED && args.random.is_none() {
        return Err(Error::input("--seed needs --random or a kernel file (NAME.kernel.toml)"));
    }
    let files = [
        output("--json", args.json.as_deref(), report::JSON),
        output("--markdown", args.markdown.as_deref(), report::MARKDOWN),
    ];
    outputs::check(&files, &[])?;
    let started = Instant::now();
    let replacement = args.shader.as_deref().map(read_shader).transpose()?;
    let (adapter, reason) = match choose(args.request()) {
        Ok(Choice { target: DeviceTarget::Gpu(adapter), reason }) => (Some(adapter.facts), reason),
        Ok(Choice { reason, .. }) => (None, reason),
        // The writers of --portable need no adapter.
        Err(why) if args.portable && args.device.is_none() => (None, why.to_string()),
        Err(why) => return Err(why),
    };
    let mut report =
        ValidateReport { adapter, ..ValidateReport::new(reason.clone(), args.shader.clone().map(PathBuf::from)) };
    super::print(format!("device: {reason}\n"))?;
    let mut code = 0;
    // A failed check (1) takes precedence over one that could not be run (2).
    let mut worst = |section: u8| code = if code == 1 || section == 1 { 1 } else { code.max(section) };
    if args.cases() || args.random.is_some() || args.golden.is_some() || args.all {
        worst(on_engines(&args, replacement.clone(), &mut report)?);
    }
    if args.portable || args.all {
        report.portable = portable::rows_of(&args)?;
        super::print(portable::table(&report.portable))?;
        worst(u8::from(!report.portable.iter().all(crate::check::portable::VariantSummary::passed)));
    }
    if args.mutants.is_some() || args.all && report.adapter.is_some() {
        let mutants = Mutants::run(&args)?;
        super::print(mutants.text())?;
        worst(u8::from(!mutants.passed()));
        report.mutants = Some(mutants);
    }
    if args.all && report.mutants.is_none() {
        super::print("mutants: not run, they need a GPU device (--device gpu)\n")?;
    }
    if args.run.is_some() || args.all {
        let (run, device) = whole_run::run(&args, replacement)?;
        super::print(format!("{}{run}", table::text(&run.kernels, &[])))?;
        worst(u8::from(run.failure.is_some()));
        report.device.get_or_insert(device);
        report.run = Some(run);
    }
    report.passed = code == 0;
    report.seconds = started.elapsed().as_secs_f64();
    report.write(args.json.as_deref(), args.markdown.as_deref())?;
    if args.all {
        let verdict = match (report.passed, report.mutants.is_some()) {
            (true, true) => "all checks passed",
            (true, false) => "all checks that were run passed",
            (false, _) => "checks FAILED: see above",
        };
        super::print(format!("{verdict}, {:.0} s\n", report.seconds))?;
    }
    Ok(code)
}

/// Cases, random problems and golden cases: the checks that need no adapter.
fn on_engines(args: &ValidateArgs, replacement: Option<Replacement>, report: &mut ValidateReport) -> Result<u8> {
    let groups = select(args, replacement.as_ref())?;
    let drawn = random::RandomReport::draw(args, &groups)?;
    let golden_files = args.golden.as_deref().map(golden::files).transpose()?.unwrap_or_default();
    let (mut subjects, reason) = subjects(args, replacement)?;
    report.reason = reason;
    report.device = Some(subjects[0].engine.descriptor().clone());
    let mut passed = true;
    if args.cases() {
        report.kernels = check_kernels(&mut subjects, &groups)?;
        passed &= report.kernels.iter().all(KernelSummary::passed);
        super::print(table::text(&report.kernels, &[]))?;
    }
    if let Some((mut random, problems)) = drawn {
        random.kernels = check_kernels(&mut subjects, &problems)?;
        random.shrink(&mut subjects)?;
        passed &= random.kernels.iter().all(KernelSummary::passed);
        super::print(table::text(&random.kernels, &[]) + &random.text())?;
        report.random = Some(random);
    }
    report.golden = check_golden(&mut subjects, &golden_files);
    let reports: Vec<CaseReport> = report.golden.iter().map(|g| g.case.clone()).collect();
    super::print(table::text(&[], &report.golden))?;
    Ok(if passed { golden::exit_code(&reports) } else { 1 })
}

/// What to check, grouped by kernel: the targets; else the kernels that use the replaced shader; else all kernels, unless only
/// golden cases are requested.
fn select(args: &ValidateArgs, replacement: Option<&Replacement>) -> Result<Vec<Vec<Repro>>> {
    let mut repros = Vec::new();
    for target in &args.targets {
        repros.extend(Repro::select(target)?);
    }
    let named = replacement.is_some() || args.random.is_some() || args.all;
    if args.targets.is_empty() && (args.golden.is_none() || named) {
        repros.extend(CATALOGUE.iter().flat_map(|kernel| Repro::cases(*kernel)));
        if let Some((file, _)) = replacement {
            repros.retain(|r| Class::ALL.iter().any(|class| r.kernel.build(&r.params, *class).file == *file));
        }
    }
    Ok(suite::by_kernel(repros))
}
