//! `fedgan tune`: measures the fastest variants of the convolutions on a GPU and saves them in a file for later runs on it.

mod foreign;

use super::parse::{CLASSES, word};
use super::units::time;
use crate::config::{self, Overrides, Plan};
use crate::error::count;
use crate::exec::TallyEngine;
use crate::gpu::{Adapter, AdapterFacts, Choice, Device, DeviceTarget, GpuEngine, GpuOptions, Tuning, choose, tuning};
use crate::kernels::Class;
use crate::perf::tune::{Tuned, shapes, tune};
use crate::perf::{Bench, Budget, Shape, Tap, verify_sampled};
use crate::report::outputs::{self, OutputKind, output};
use crate::report::run_dir;
use crate::session::{Images, Parts, parts};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Kind of the `--out` file.
const FILE: OutputKind = OutputKind::Json(tuning::MARK);
/// Width of a launch's label, in columns.
const LABEL: usize = 34;

/// Arguments of `fedgan tune`.
#[derive(Debug, Default, clap::Args)]
pub struct TuneArgs {
    /// Experiment file (TOML), or a built-in one, whose launches are measured; its images must exist; or a kernel file of your own
    /// (NAME.kernel.toml) with `[tune]` [default: `default`].
    pub config: Option<PathBuf>,
    /// Overrides a key of the experiment, such as model.width=64; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// auto, gpu, gpu:N (a number of `fedgan devices`), or part of an adapter's name; overrides FEDGAN_DEVICE, which overrides
    /// the experiment's device.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Write to this file instead of the adapter's tuning file in the user's cache folder; runs do not read it.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Shader variants; only `tiled` has variants to choose from [default: the device's].
    #[arg(long, value_name = "VARIANT", value_parser = word(CLASSES))]
    pub variant: Option<Class>,
    /// Seconds of sampling per variant.
    #[arg(long, value_name = "S", default_value_t = 0.1, value_parser = super::parse::seconds)]
    pub seconds: f64,
}

/// Runs the verb; the exit code is 1 if a variant was wrong, else 0.
///
/// # Errors
/// A bad plan, an engine without an adapter, an existing `--out` file that is not a tuning file of this adapter, a device that
/// fails.
pub fn run(args: TuneArgs) -> Result<u8> {
    if let Some(path) = args.config.as_deref().filter(|path| crate::foreign::is_kernel_file(&path.to_string_lossy())) {
        return foreign::run(&args, path);
    }
    outputs::check(&[output("--out", args.out.as_deref(), FILE)], &[])?;
    let overrides = Overrides { set: args.set, device: args.device, ..Overrides::default() };
    let plan = config::load(args.config.as_deref(), &overrides)?;
    plan.notes.lines().for_each(|line| super::tell(&line));
    let adapter = adapter(&plan.device)?;
    let facts = &adapter.facts;
    let class = args.variant.unwrap_or(facts.class());
    if class != Class::Tiled {
        let hint = "only the tiled ones have variants to choose from (--variant tiled measures them anyway)";
        let title = facts.title();
        return super::print(format!("nothing to tune: {title} uses the {} shaders; {hint}\n", class.name()))
            .map(|()| 0);
    }
    let (file, mut kept) = kept(args.out.as_deref(), facts)?;
    let options = GpuOptions { class: Some(class), timestamps: true, ..GpuOptions::default() };
    let engine = GpuEngine::new(Device::open_for(&adapter, &options)?, options)?;
    super::print(format!("device    {}\n{}", facts.title(), header()))?;
    let (mut wrong, shapes) = (0, launches(&plan, &engine)?);
    let mut bench = Bench::of(engine);
    for shape in &shapes {
        let tuned = tune(&mut bench, facts, shape, &verify_sampled, &Budget::of(args.seconds))?;
        super::print(row(&tuned))?;
        wrong += tuned.wrong().count();
        if let Some(chosen) = tuned.chosen() {
            kept.pick(shape.kernel, &shape.params, chosen.name);
        }
    }
    match &args.out {
        Some(out) => outputs::write(out, FILE, kept.to_json()?.as_bytes())?,
        None => kept.save(&file)?,
    }
    let used = match args.out.is_none() && facts.class() == class {
        true => "; runs on this adapter and driver use it",
        false => "",
    };
    super::print(format!(
        "{} measured, {} wrong\nfile      {}{used}\n",
        count(shapes.len(), "launch"),
        count(wrong, "variant"),
        file.display()
    ))?;
    Ok(u8::from(wrong > 0))
}

fn adapter(request: &str) -> Result<Adapter> {
    match choose(request)? {
        Choice { target: DeviceTarget::Gpu(adapter), .. } => Ok(*adapter),
        Choice { reason, .. } => Err(Error::input(format!(
            "tune needs a GPU adapter; --device {request} gives {reason} (`fedgan devices` lists adapters)"
        ))),
    }
}

/// The file to write, and the choices in it to retain: those for other launches, measured earlier with the same adapter and
/// driver. Any other existing file is an error. A file that cannot be written is reported before anything is measured.
fn kept(out: Option<&Path>, facts: &AdapterFacts) -> Result<(PathBuf, Tuning)> {
    let new = || Tuning::new(facts);
    let Some(out) = out else {
        let nowhere =
            "the tuning file has no folder: none of XDG_CACHE_HOME, LOCALAPPDATA and HOME is set; give --out FILE";
        let file = tuning::file(facts).ok_or_else(|| Error::input(nowhere))?;
        let old = Tuning::load(&file).map_err(|e| Error::input(format!("{e}; remove the file, or give --out FILE")))?;
        let bad = |e: std::io::Error| Error::file(&file, format!("cannot be written: {e}; give --out FILE"));
        let folder = file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).and_then(|()| run_dir::probe(&file)).map_err(bad)?;
        return Ok((file, old.filter(|t| t.matches(facts).is_ok()).unwrap_or_else(new)));
    };
    let there = out.metadata().is_ok_and(|there| there.is_file() && there.len() > 0);
    match if there { Tuning::load(out)? } else { None } {
        None => Ok((out.into(), new())),
        Some(old) => match old.matches(facts) {
            Ok(()) => Ok((out.into(), old)),
            Err(why) => Err(Error::file(out, format!("{why}; give --out another name, or remove the file"))),
        },
    }
}

/// The launches of a round of the plan that have several variants on `engine`.
fn launches(plan: &Plan, engine: &GpuEngine) -> Result<Vec<Shape>> {
    let images = Images::load(plan)?;
    let (paper, _) = TallyEngine::of(engine);
    let (tap, ear) = Tap::new(Box::new(paper));
    let Parts { mut federation, .. } = parts(plan, &images, Box::new(tap))?;
    federation.run_round()?;
    Ok(shapes(&ear.heard()))
}

fn header() -> String {
    let (a, b, c, d, e) = ("launch", "kernel", "default", "chosen", "ratio");
    format!("{a:LABEL$} {b:18} {c:>16} {d:>16} {e:>6}\n")
}

/// A launch: its default and its chosen variant with their medians, and the ratio chosen / default. Wrong variants are listed
/// below.
fn row(tuned: &Tuned) -> String {
    let cell = |tried: Option<&crate::perf::tune::Tried>| match tried {
        Some(t) => format!("{} {}", t.name, t.median().map_or("WRONG".into(), time)),
        None => "none".into(),
    };
    let label: String = tuned.shape.label.chars().take(LABEL).collect();
    let ratio = tuned.ratio().map_or("-".into(), |r| format!("{r:.2}"));
    let (default, chosen) = (cell(tuned.tried.first()), cell(tuned.chosen()));
    let mut text = format!("{label:LABEL$} {:18} {default:>16} {chosen:>16} {ratio:>6}\n", tuned.shape.kernel.name());
    for (name, why) in tuned.wrong() {
        text.push_str(&format!("  {name} is WRONG, not timed: {why}\n"));
    }
    text
}

#[cfg(test)]
mod tests;
