//! Metrics without training: of a run's generator against the run's images, or of two folders.

use super::Observer;
use super::generator::Generator;
use super::images::Images;
use crate::config::{self, Overrides, Plan};
use crate::data::{FolderOptions, SIZES, first_side, folder};
use crate::exec::Purpose;
use crate::gpu::GpuOptions;
use crate::kernels::rng::Stream;
use crate::metric::{ImageSet, Judge, Metric, Value};
use crate::report::layout;
use crate::report::metrics::read_jsonl;
use crate::report::rates::Rates;
use crate::report::summary::{DetectorSummary, Digests, Summary};
use crate::{Error, Result};
use serde::Serialize;
use std::path::Path;

/// What is measured of a run directory.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Metrics; none: all that can be had of so many images.
    pub metrics: Vec<Metric>,
    /// Generated images; `None`: the plan's.
    pub samples: Option<u32>,
    /// The device that samples the generator; `None`: `auto`.
    pub device: Option<String>,
    /// Assignments of keys of `data`: where the run's images are now.
    pub set: Vec<String>,
    /// Whether images that are not the run's own are measured all the same.
    pub other_images: bool,
}

/// What is measured of two folders.
#[derive(Clone, Debug, Default)]
pub struct FoldersOptions {
    /// Metrics; none: all that can be had of so many images. Leakage needs a run.
    pub metrics: Vec<Metric>,
    /// Side in pixels that both folders are brought to; `None`: that of the first generated image, rounded down to a size of
    /// the models.
    pub size: Option<usize>,
    /// Seed of subsets and halves.
    pub seed: u64,
    /// Whether images that cannot be read are left out.
    pub skip_bad: bool,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// What the real images are.
    pub real: String,
    /// What the generated images are.
    pub fake: String,
    /// Height and width in pixels.
    pub size: usize,
    /// Channels.
    pub channels: usize,
    /// The metrics' values.
    pub values: Vec<Value>,
    /// Real images against real ones.
    pub floors: Vec<Value>,
    /// Metrics that there are too few images for, with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// The detector's rates, where the run had a detector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detector: Option<DetectorSummary>,
    /// The same in words.
    #[serde(skip)]
    pub detected: Option<String>,
}

/// The metrics asked for, or all that can be had of so many images; then also which cannot, and why.
fn chosen(asked: &[Metric], trigger: bool, references: usize, images: usize) -> (Vec<Metric>, Vec<String>) {
    if !asked.is_empty() {
        return (asked.to_vec(), Vec::new());
    }
    let all = Metric::ALL.into_iter().filter(|m| trigger || *m != Metric::Leakage);
    let (can, cannot): (Vec<Metric>, Vec<Metric>) = all.partition(|m| references.min(images) >= m.least());
    let why = |m: &Metric| {
        format!(
            "{}: at least {} images on each side are needed, there are {references} real and {images} generated",
            m.name(),
            m.least()
        )
    };
    let left_out = cannot.iter().map(why).collect();
    (can, left_out)
}

/// Measures the generator of the run in `dir` against the run's held-out images.
///
/// # Errors
/// A run directory without plan or generator, images that are not the run's, too few images for a metric.
pub fn run(dir: &Path, options: &RunOptions, observer: &mut dyn Observer) -> Result<Evaluation> {
    let overrides = Overrides { set: of_data(&options.set)?, ..Default::default() };
    let plan = config::load(Some(&dir.join(layout::PLAN)), &overrides)?;
    let images = Images::load(&plan)?;
    let note = same_images(dir, &images.digests(&plan)?, options.other_images, observer)?;
    let n = options.samples.unwrap_or(plan.evaluation.samples) as usize;
    let (metrics, left_out) = chosen(&options.metrics, true, images.references(), n);
    let judge = images.judge(&plan, &metrics, n)?;
    let generator = Generator::load(&dir.join("generator.safetensors"))?;
    generator.expect((plan.model.image_size as usize, plan.model.channels as usize), layout::PLAN)?;
    let (size, channels) = generator.shape();
    let rates = rates(dir, &plan, observer)?;
    let device = options.device.as_deref().unwrap_or("auto");
    let (mut engine, _) = crate::gpu::open(device, GpuOptions::default())?;
    let engine = engine.as_mut();
    let sampler = generator.sampler(engine, (plan.seed, Stream::EVALUATION))?;
    let mut gathering = judge.gather(n)?;
    sampler.seeded_batches(engine, n, Purpose::Evaluation, |images| {
        gathering.add(&ImageSet::new(images, size, channels));
        Ok(())
    })?;
    let values = gathering.values()?;
    let real = match images.held_out {
        0 => "training images (none are held out)".to_string(),
        n => format!("{n} held-out images"),
    };
    let real = note.map_or(real.clone(), |note| format!("{real} ({note})"));
    let found = evaluation(&judge, values, [size, channels], real, generator.source);
    let (detector, detected) = (rates.as_ref().map(Into::into), rates.map(|r| r.describe()));
    Ok(Evaluation { left_out, detector, detected, ..found })
}

/// The assignments, all of which must be of the table `data`.
fn of_data(set: &[String]) -> Result<Vec<String>> {
    for assignment in set {
        let key = assignment.split('=').next().unwrap_or_default().trim();
        if key != "data" && !key.starts_with("data.") {
            return Err(Error::input(format!(
                "--set {key}: eval takes keys of data only, such as data.path=FOLDER; all other keys are the run's own"
            )));
        }
    }
    Ok(set.to_vec())
}

/// Compares images and trigger with those of the run in `dir`; a note on the difference, if there is one.
///
/// # Errors
/// When they differ, unless `others` allows it: a split drawn anew would measure with images of the training.
fn same_images(dir: &Path, now: &Digests, others: bool, observer: &mut dyn Observer) -> Result<Option<String>> {
    let path = dir.join(layout::SUMMARY);
    let known = if path.exists() { Summary::read(dir)?.digests } else { None };
    let changed = match known {
        None => {
            let what = "the run has kept no digest of its images, so that these may be others";
            observer.warning(&format!("{}: {what}", dir.display()));
            return Ok(Some("not known to be the run's images".into()));
        }
        Some(was) => was.changed(now),
    };
    match changed {
        None => Ok(None),
        Some(what) if others => {
            observer.warning(&format!("{}: {what} not the run's", dir.display()));
            Ok(Some(format!("{what} NOT the run's")))
        }
        Some(what) => Err(Error::file(
            dir,
            format!(
                "{what} not what the run has used: training images could be taken for held-out ones. Restore them, or say \
                 where they are now with --set data.path=PATH; --other-images measures all the same"
            ),
        )),
    }
}

/// The detector's rates over the run, from its `metrics.jsonl`; `None` for a run without detection and, with a warning, where
/// that file is missing: plan and generator are enough for the rest.
fn rates(dir: &Path, plan: &Plan, observer: &mut dyn Observer) -> Result<Option<Rates>> {
    let Some(warmup) = plan.detection.warmup() else { return Ok(None) };
    let path = dir.join("metrics.jsonl");
    if !path.exists() {
        observer.warning(&format!("{}: missing, so there are no rates of the detector", path.display()));
        return Ok(None);
    }
    let records = read_jsonl(&path)?;
    Ok(Some(Rates::of(&records, warmup, plan.attack.start_round)))
}

/// Measures the images in the folder `fake` against those in the folder `real`.
///
/// # Errors
/// Folders without images, a metric that needs a run, too few images for a metric.
pub fn folders(real: &Path, fake: &Path, options: &FoldersOptions, observer: &mut dyn Observer) -> Result<Evaluation> {
    let size = match options.size {
        Some(size) => size,
        None => {
            let side = first_side(fake)? as usize;
            SIZES.into_iter().rev().find(|s| *s <= side).unwrap_or(SIZES[0])
        }
    };
    let mut load = |path: &Path| -> Result<ImageSet> {
        let options = FolderOptions { follow_links: true, skip_bad: options.skip_bad };
        let (set, skipped) = folder(path, size, 3, options)?;
        if !skipped.is_empty() {
            observer.warning(&format!("{}: left out: {}", path.display(), skipped.join(", ")));
        }
        Ok(ImageSet::from_bytes(&set.pixels, size, 3))
    };
    let (references, images) = (load(real)?, load(fake)?);
    let (metrics, left_out) = chosen(&options.metrics, false, references.len(), images.len());
    if metrics.contains(&Metric::Leakage) {
        return Err(Error::input("--metrics leakage: folders say nothing of a trigger; evaluate a run directory"));
    }
    let judge = Judge::new(&metrics, references, None, options.seed, images.len())?;
    let (values, shape) = (judge.values(&images)?, [images.size, images.channels]);
    let found = evaluation(&judge, values, shape, real.display().to_string(), fake.display().to_string());
    Ok(Evaluation { left_out, ..found })
}

fn evaluation(
    judge: &Judge,
    values: Vec<Value>,
    [size, channels]: [usize; 2],
    real: String,
    fake: String,
) -> Evaluation {
    let floors = judge.floors().to_vec();
    Evaluation { real, fake, size, channels, values, floors, left_out: Vec::new(), detector: None, detected: None }
}
