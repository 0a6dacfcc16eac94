//! `fedgan bench`: the speed of kernels, training steps and rounds on a device, relative to its ceilings and to earlier
//! measurements. Results are verified before anything is timed.

mod device;
mod files;
mod foreign;
mod shader;
mod table;
mod targets;

use super::parse::{CLASSES, word};
use crate::model::Convolution;
use crate::perf::baseline::{self, Change};
use crate::perf::round::RoundReport;
use crate::perf::row::LaunchRow;
use crate::perf::step::StepReport;
use crate::perf::workload::NAMED;
use crate::perf::{Bench, Budget, Ceilings, Document, Loss, Problem, SpeedChange, verify_sampled};
use crate::{Error, Result};
use clap::builder::PossibleValuesParser;
use device::Subject;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;
use targets::Wanted;

/// Arguments of `fedgan bench`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct BenchArgs {
    /// Kernels (`conv2d`), single problems (`conv2d:clients=1,n=32,...`, in the notation of `validate`), `step`, `round`, or kernel
    /// files of your own (NAME.kernel.toml, see docs/own-kernels.md) [default: every kernel, with its heaviest launch in each workload].
    #[arg(value_name = "KERNEL|PROBLEM|step|round|FILE.kernel.toml")]
    pub targets: Vec<String>,
    /// Parameters of the one kernel given, as NAME=VALUE,...; equivalent to KERNEL:NAME=VALUE,...; may be repeated.
    #[arg(long, value_name = "NAME=VALUE,...")]
    pub shape: Vec<String>,
    /// Training workload whose launches are timed: w1 (32 px RGB, width 32, latent 64), w2 (64 px, 64, 100) or w3 (256 px, 64,
    /// 100), batch 32; may be repeated [default: w1; for kernels on a hardware GPU all three].
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(NAMED.map(|(name, _)| name)))]
    pub workload: Vec<String>,
    /// Clients trained in the same launches [default: 1].
    #[arg(long, value_name = "N")]
    pub clients: Option<u32>,
    /// Overrides the workload's image size in pixels.
    #[arg(long, value_name = "S")]
    pub image_size: Option<u32>,
    /// Overrides the workload's channels.
    #[arg(long, value_name = "C")]
    pub channels: Option<u32>,
    /// Overrides the workload's width.
    #[arg(long, value_name = "W")]
    pub width: Option<u32>,
    /// Overrides the workload's latent length.
    #[arg(long, value_name = "Z")]
    pub latent: Option<u32>,
    /// Overrides the workload's batch.
    #[arg(long, value_name = "B")]
    pub batch: Option<u32>,
    /// Loss for `step` and `round`.
    #[arg(long, value_name = "LOSS", value_parser = word(&[("bce", Loss::Bce), ("wgan-gp", Loss::WganGp)]))]
    pub loss: Option<Loss>,
    /// Form of the convolutions for `step` and `round`, as `train.convolution`.
    #[arg(
        long,
        value_name = "FORM",
        value_parser = word(&[("auto", Convolution::Auto), ("direct", Convolution::Direct)])
    )]
    pub convolution: Option<Convolution>,
    /// Training steps per round, for `round`.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub steps: u32,
    /// WGSL file to time against the built-in shader of the same name, or of NAME (adam=mine.wgsl), with alternating launches; may be
    /// repeated; needs a GPU device.
    #[arg(long, value_name = "[NAME=]FILE.wgsl")]
    pub shader: Vec<String>,
    /// Case of a kernel file; may be repeated [default: all].
    #[arg(long, value_name = "NAME")]
    pub case: Vec<String>,
    /// Watch a kernel file and its shaders: at every save the kernel is validated and timed against its last good version; =N ends
    /// after N versions. Versions are kept in NAME.kernel.history.jsonl beside the kernel file.
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "0", conflicts_with = "json")]
    pub watch: Option<u32>,
    /// Print the versions that --watch has kept of a kernel file.
    #[arg(long, conflicts_with_all = ["watch", "json"])]
    pub history: bool,
    /// Also compile the kernels of a kernel file for AMD GPUs of these families (navi21,vega10) with Mesa's RADV, without running them:
    /// registers, waves, spills, workgroup memory and the share of multiply-adds beside the times.
    #[arg(long, value_name = "FAMILY,...", value_delimiter = ',')]
    pub isa: Vec<String>,
    /// Shader variants [default: the device's].
    #[arg(long, value_name = "VARIANT", value_parser = word(CLASSES))]
    pub variant: Option<crate::kernels::Class>,
    /// Run-time checks that naga inserts [default: on for software adapters, off for hardware].
    #[arg(long, value_name = "CHECKS", value_parser = word(&[("on", true), ("off", false)]))]
    pub checks: Option<bool>,
    /// Seconds of sampling per row; below 0.01 the run is only a smoke test, with ceilings measured in the caches.
    #[arg(long, value_name = "S", default_value_t = 0.3, value_parser = super::parse::seconds)]
    pub seconds: f64,
    /// auto, gpu, gpu:N, cpu, reference, or part of an adapter's name [default:
    /// FEDGAN_DEVICE, or auto; with --shader: gpu].
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Write all measurements, including every sample, to this file as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the rows to this file as CSV.
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Draw a roofline plot of the rows into this PNG file.
    #[arg(long, value_name = "FILE.png")]
    pub roofline: Option<PathBuf>,
    /// Save the measurements as a baseline under this name.
    #[arg(long, value_name = "NAME")]
    pub save_baseline: Option<String>,
    /// Compare with the baseline of this name; the exit code is 1 if anything is slower.
    #[arg(long, value_name = "NAME")]
    pub baseline: Option<String>,
    /// Folder of baselines [default: fedgan/baselines in the user's data folder].
    #[arg(long, value_name = "DIR")]
    pub baseline_dir: Option<PathBuf>,
}

/// Runs the verb; the exit code is 1 if results were wrong or something is slower than in the baseline, else 0.
///
/// # Errors
/// Unknown kernels, parameters, workloads, devices or baselines; a baseline from another device; an output file that cannot be
/// written.
pub fn run(args: BenchArgs) -> Result<u8> {
    if args.targets.iter().any(|target| crate::foreign::is_kernel_file(target)) {
        return foreign::run(&args);
    }
    let given = [
        ("--case", !args.case.is_empty()),
        ("--watch", args.watch.is_some()),
        ("--history", args.history),
        ("--isa", !args.isa.is_empty()),
    ];
    if let Some((name, _)) = given.iter().find(|(_, given)| *given) {
        return Err(Error::input(format!("{name} needs a kernel file (NAME.kernel.toml)")));
    }
    let wanted = Wanted::new(&args)?;
    let files = files::Files::new(&args)?;
    let subject = Subject::open(&args)?;
    let mut document = subject.document();
    if let Some(old) = &files.baseline {
        baseline::same_device(old, &document)?;
    }
    if args.roofline.is_some() && subject.is_reference() {
        return Err(Error::input("--roofline: the reference engine has no ceilings to draw"));
    }
    let problems = wanted.problems(&args, &subject)?;
    super::print(table::device(&subject, &document))?;
    let desk = Desk::new(&args);
    if !subject.is_reference() && (!problems.is_empty() || wanted.step || wanted.round || args.roofline.is_some()) {
        desk.say("measuring the ceilings");
        let mut bench = Bench::new(subject.engine()?);
        document.ceilings = Some(Ceilings::measure(&mut bench, args.seconds)?);
    }
    desk.print(table::ceilings(document.ceilings.as_ref(), subject.is_reference()))?;
    match wanted.replacements() {
        [] => document.rows = rows(&desk, &subject, &problems, document.ceilings.as_ref())?,
        replacements => document.shaders = shader::run(&desk, &subject, replacements, &problems, &document)?,
    }
    wholes(&desk, &args, &subject, &wanted, &mut document)?;
    desk.bar.finish_and_clear();
    let changes = files.baseline.as_ref().map(|old| baseline::changes(old, &document));
    let drift = files.baseline.as_ref().map_or(Vec::new(), |old| baseline::drift(old, &document));
    files.write(&document, changes.as_deref())?;
    if let Some(changes) = &changes {
        super::print(table::changes(changes, &drift))?;
    }
    super::print(table::summary(&document))?;
    Ok(code(&document, changes.as_deref().unwrap_or_default()))
}

fn code(document: &Document, changes: &[Change]) -> u8 {
    u8::from(document.wrong() > 0 || baseline::count(changes, SpeedChange::Slower) > 0)
}

/// Output of progress and rows, and the time budget of a row.
struct Desk {
    bar: ProgressBar,
    budget: Budget,
}

impl Desk {
    fn new(args: &BenchArgs) -> Desk {
        let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}");
        let bar = ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Desk { bar, budget: Budget::of(args.seconds) }
    }

    /// Shows the current activity on a terminal; prints nothing elsewhere.
    fn say(&self, what: &str) {
        self.bar.set_message(what.to_string());
        self.bar.tick();
    }

    fn print(&self, text: String) -> Result<()> {
        self.bar.suspend(|| super::print(text))
    }
}

fn rows(desk: &Desk, subject: &Subject, problems: &[Problem], ceilings: Option<&Ceilings>) -> Result<Vec<LaunchRow>> {
    let mut rows = Vec::new();
    if problems.is_empty() {
        return Ok(rows);
    }
    let mut bench = Bench::new(subject.engine()?);
    let layout = table::Layout::new(problems);
    desk.print(layout.header())?;
    for (at, p) in problems.iter().enumerate() {
        desk.say(&format!("{}/{} {} {}", at + 1, problems.len(), p.kernel.name(), p.origin));
        let row = LaunchRow::named(p.kernel, &p.params, targets::shape(p), p.origin.clone(), subject.variant());
        let row = row.run(&mut bench, p.kernel, &p.params, &verify_sampled, &desk.budget, ceilings)?;
        desk.print(layout.row(&row))?;
        rows.push(row);
    }
    Ok(rows)
}

/// Steps and rounds.
fn wholes(desk: &Desk, args: &BenchArgs, subject: &Subject, wanted: &Wanted, document: &mut Document) -> Result<()> {
    let ceilings = document.ceilings.clone();
    for (_, workload) in wanted.wholes.iter().filter(|_| wanted.step) {
        let mut tick = |what: &str| desk.say(&format!("step: {what}"));
        let engine = subject.engine()?;
        let step = StepReport::measure(*workload, engine, &verify_sampled, &desk.budget, ceilings.as_ref(), &mut tick)?;
        desk.print(table::step(&step))?;
        document.steps.push(step);
    }
    for (_, workload) in wanted.wholes.iter().filter(|_| wanted.round) {
        desk.say("verifying and timing rounds");
        let (steps, ceilings) = (args.steps, ceilings.as_ref());
        let mut engines = || subject.engine();
        let round = RoundReport::measure(*workload, &mut engines, verify_sampled, steps, &desk.budget, ceilings)?;
        desk.print(table::round(&round))?;
        document.rounds.push(round);
    }
    Ok(())
}

/// Rejects a problem that would take the reference engine minutes.
fn too_large_for_reference(what: &str, operations: f64) -> Error {
    Error::input(format!(
        "{what}: {operations:.1e} operations and bytes; the reference engine takes at most {:.0e} (choose a smaller shape, \
         or for step and round e.g. --image-size 16 --width 4 --batch 2)",
        device::REFERENCE_LIMIT
    ))
}

#[cfg(test)]
mod tests;
