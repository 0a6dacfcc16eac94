//! Metrics without training: a run's generator against the run's images, or one folder against another.

use super::Observer;
use super::generator::Generator;
use super::images::Images;
use crate::config::{self, Overrides, Plan};
use crate::data::{FolderOptions, SIZES, first_side, folder};
use crate::exec::Purpose;
use crate::gpu::GpuOptions;
use crate::kernels::rng::Stream;
use crate::metric::{Evaluator, Extractor, ExtractorOptions, ImageSet, Metric, Value};
use crate::report::layout;
use crate::report::metrics::read_jsonl;
use crate::report::rates::Rates;
use crate::report::summary::{DetectorSummary, Digests, Summary};
use crate::{Error, Result};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

/// Options for evaluating a run directory.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Metrics to compute; empty: all that the number of images allows.
    pub metrics: Vec<Metric>,
    /// Number of generated images; `None`: the plan's.
    pub samples: Option<u32>,
    /// The device that samples the generator; `None`: `auto`.
    pub device: Option<String>,
    /// Assignments of keys of `data`, the present location of the run's images, and of `evaluation.extractor` with its options.
    pub set: Vec<String>,
    /// Whether to evaluate against images other than the run's own.
    pub other_images: bool,
}

/// Options for evaluating two folders.
#[derive(Clone, Debug, Default)]
pub struct FoldersOptions {
    /// Metrics to compute; empty: all that the number of images allows. Leakage needs a run.
    pub metrics: Vec<Metric>,
    /// Size in pixels to which the images of both folders are resized; `None`: the size of the first generated image, rounded
    /// down to a model's image size.
    pub size: Option<usize>,
    /// Seed of random subsets and halves.
    pub seed: u64,
    /// Whether to skip unreadable images.
    pub skip_bad: bool,
    /// Assignments of `evaluation.extractor` and its options; empty: the built-in extractor.
    pub set: Vec<String>,
}

/// The result of an evaluation.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// Description of the real images.
    pub real: String,
    /// Description of the generated images.
    pub fake: String,
    /// Height and width in pixels.
    pub size: usize,
    /// Channels.
    pub channels: usize,
    /// The extractor in words; `None` if no metric needs features.
    #[serde(skip)]
    pub features: Option<String>,
    /// The metrics' values.
    pub values: Vec<Value>,
    /// Floors: the metrics of real images against real ones.
    pub floors: Vec<Value>,
    /// Metrics with too few images, with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// The detector's rates, if the run had a detector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detector: Option<DetectorSummary>,
    /// The detector's rates in words.
    #[serde(skip)]
    pub detected: Option<String>,
}

/// The requested metrics, or all that the number of images allows; in the latter case also those that it does not, with the
/// reason.
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
/// A run directory without plan or generator, images other than the run's, too few images for a metric.
pub fn run(dir: &Path, options: &RunOptions, observer: &mut dyn Observer) -> Result<Evaluation> {
    if !dir.join(layout::PLAN).is_file() {
        return Err(Error::file(dir, format!("not a run directory: it has no {}", layout::PLAN)));
    }
    let overrides = Overrides { set: allowed(&options.set, &["data", EXTRACTOR])?, ..Default::default() };
    let plan = config::load(Some(&dir.join(layout::PLAN)), &overrides)?;
    plan.notes.lines().for_each(|line| observer.note(&line));
    let images = Images::load(&plan)?;
    let digests = images.digests(&plan)?;
    let note = same_images(dir, &digests, options.other_images, observer)?;
    let asked = options.set.iter().any(|set| set.trim_start().starts_with(EXTRACTOR));
    same_extractor(dir, &digests).map_or(Ok(()), |error| if asked { Ok(()) } else { Err(error) })?;
    let n = options.samples.unwrap_or(plan.evaluation.samples) as usize;
    let (metrics, left_out) = chosen(&options.metrics, true, images.references(), n);
    let evaluator = images.evaluator(&plan, &metrics, n)?;
    evaluator.warnings().iter().for_each(|warning| observer.warning(warning));
    let generator = Generator::load(&dir.join("generator.safetensors"))?;
    generator.expect((plan.model.image_size as usize, plan.model.channels as usize), layout::PLAN)?;
    let (size, channels) = generator.shape();
    let rates = rates(dir, &plan, observer)?;
    let device = options.device.as_deref().unwrap_or("auto");
    let (mut engine, _) = crate::gpu::open(device, GpuOptions::default())?;
    let engine = engine.as_mut();
    let sampler = generator.sampler(engine, (plan.seed, Stream::EVALUATION))?;
    let mut gathering = evaluator.gather(n)?;
    sampler.seeded_batches(engine, n, Purpose::Evaluation, |images| {
        gathering.add(&ImageSet::new(images, size, channels))
    })?;
    let values = gathering.values()?;
    let real = match images.held_out {
        0 => "training images (none are held out)".to_string(),
        n => format!("{n} held-out images"),
    };
    let real = note.map_or(real.clone(), |note| format!("{real} ({note})"));
    let found = evaluation(&evaluator, values, [size, channels], real, generator.source);
    let (detector, detected) = (rates.as_ref().map(Into::into), rates.map(|r| r.describe()));
    Ok(Evaluation { left_out, detector, detected, ..found })
}

/// The key of the extractor; those of its options begin with it.
const EXTRACTOR: &str = "evaluation.extractor";

/// The assignments, which may only set keys of some tables: `data` stands for `data.path` too, the extractor for its options.
fn allowed(set: &[String], tables: &[&str]) -> Result<Vec<String>> {
    for assignment in set {
        let key = assignment.split('=').next().unwrap_or_default().trim();
        let of = |table: &&str| {
            key.strip_prefix(*table)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '_']) && rest.len() > 1)
        };
        if !tables.iter().any(of) {
            let (some, others) = match tables.contains(&"data") {
                true => (
                    "data only, such as data.path=FOLDER, and evaluation.extractor",
                    "; all other keys are the run's own",
                ),
                false => ("evaluation.extractor only, when it compares folders", ""),
            };
            return Err(Error::input(format!("--set {key}: eval takes keys of {some} with its options{others}")));
        }
    }
    Ok(set.to_vec())
}

/// The error if the extractor's file is not the one of the run in `dir`.
fn same_extractor(dir: &Path, now: &Digests) -> Option<Error> {
    let was = Summary::read(dir).ok()?.digests?.extractor;
    let what = "the extractor is not what the run has used: values on the features of two networks cannot be compared. Restore \
                its file, or name it or another one with --set evaluation.extractor=PATH";
    (was != now.extractor).then(|| Error::file(dir, what))
}

/// Compares images and trigger with those of the run in `dir`; returns a note on the difference, if any.
///
/// # Errors
/// If they differ, unless `others` allows it: a new split would measure against training images.
fn same_images(dir: &Path, now: &Digests, others: bool, observer: &mut dyn Observer) -> Result<Option<String>> {
    let path = dir.join(layout::SUMMARY);
    let known = if path.exists() { Summary::read(dir)?.digests } else { None };
    let changed = match known {
        None => {
            let what = "the run has no digest of its images, so these may be different ones";
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
                "{what} not what the run has used: training images could be taken for held-out ones. Restore them, or pass \
                 their present location with --set data.path=PATH; --other-images evaluates anyway"
            ),
        )),
    }
}

/// The detector's rates over the run, from its `metrics.jsonl`; `None` for a run without detection and, with a warning, if that
/// file is missing: everything else needs only plan and generator.
fn rates(dir: &Path, plan: &Plan, observer: &mut dyn Observer) -> Result<Option<Rates>> {
    let Some(warmup) = plan.detection.warmup() else { return Ok(None) };
    let path = dir.join("metrics.jsonl");
    if !path.exists() {
        observer.warning(&format!("{}: missing, so the detector's rates are not available", path.display()));
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
    let own = own_extractor(&options.set)?;
    let own = own.map(|own| Extractor::open(&own)).transpose()?.map(Arc::new);
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
        return Err(Error::input("--metrics leakage: folders have no trigger; evaluate a run directory"));
    }
    let evaluator = Evaluator::new(&metrics, references, None, options.seed, images.len(), own.as_ref())?;
    let (values, shape) = (evaluator.values(&images)?, [images.size, images.channels]);
    let found = evaluation(&evaluator, values, shape, real.display().to_string(), fake.display().to_string());
    Ok(Evaluation { left_out, ..found })
}

/// The extractor that assignments name, if it is not the built-in one.
fn own_extractor(set: &[String]) -> Result<Option<ExtractorOptions>> {
    let overrides = Overrides { set: allowed(set, &[EXTRACTOR])?, ..Default::default() };
    Ok(config::load(None, &overrides)?.evaluation.own_extractor())
}

fn evaluation(
    evaluator: &Evaluator,
    values: Vec<Value>,
    [size, channels]: [usize; 2],
    real: String,
    fake: String,
) -> Evaluation {
    let floors = evaluator.floors().to_vec();
    let features = evaluator.extractor().map(|own| own.describe().to_string());
    let (left_out, detector, detected) = (Vec::new(), None, None);
    Evaluation { real, fake, size, channels, features, values, floors, left_out, detector, detected }
}
