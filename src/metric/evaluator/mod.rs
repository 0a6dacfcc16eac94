//! The metrics that an experiment requests, against one set of real images.

use super::extractor::Extractor;
use super::gather::{BATCH, Gathered, Keep};
use super::images::ImageSet;
use super::leakage::{self, Leakage};
use super::lite0::Features;
use super::sliced::{self, Patches};
use super::ssim::WHOLE;
use super::{NEIGHBOURS, PAIRS, diversity, frechet, kid, prdc, scales};
use crate::fed::Attack;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A metric of evaluation rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Sliced Wasserstein distance of image patches; needs no network.
    SlicedWasserstein,
    /// Kernel distance of features.
    Kid,
    /// Frechet distance of features.
    Fd,
    /// Precision, recall, density, coverage of features.
    Prdc,
    /// MS-SSIM between generated images.
    MsSsim,
    /// Share of generated images that carry the trigger.
    Leakage,
}

impl Metric {
    /// Every metric with its name in experiment files.
    pub const NAMES: [&str; 6] = ["sliced-wasserstein", "kid", "fd", "prdc", "ms-ssim", "leakage"];

    /// All metrics, in the order of [`NAMES`](Self::NAMES).
    pub const ALL: [Metric; 6] =
        [Metric::SlicedWasserstein, Metric::Kid, Metric::Fd, Metric::Prdc, Metric::MsSsim, Metric::Leakage];

    /// The name in experiment files.
    pub fn name(self) -> &'static str {
        Metric::NAMES[self as usize]
    }

    /// Whether it compares features of a network.
    pub fn needs_features(self) -> bool {
        matches!(self, Metric::Kid | Metric::Fd | Metric::Prdc)
    }

    /// Minimum images per set.
    pub fn least(self) -> usize {
        match self {
            Metric::SlicedWasserstein | Metric::Leakage => 1,
            Metric::Kid | Metric::Fd | Metric::MsSsim => 2,
            Metric::Prdc => NEIGHBOURS + 1,
        }
    }
}

/// A number with everything needed to interpret it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Value {
    /// Name with size, extractor, resize filter and numbers of images.
    pub name: String,
    /// The number; NaN (`null` in JSON) if the generated images are non-finite.
    pub value: f64,
    /// Spread over subsets, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub std: Option<f64>,
    /// Images evaluated.
    pub images: usize,
    /// Number of real images in the comparison; 0 if it uses none.
    pub references: usize,
    /// Feature network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extractor: Option<String>,
    /// Filter and side of the network's input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resize: Option<String>,
    /// Further information needed to interpret it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Value {
    fn plain(name: String, value: f64, images: usize, references: usize) -> Value {
        Value { name, value, std: None, images, references, extractor: None, resize: None, note: None }
    }

    fn noted(self, note: &str) -> Value {
        Value { note: Some(note.into()), ..self }
    }

    /// A value on features; `tail` follows extractor and resize filter.
    fn of_features(
        (head, network): (&str, &Extractor),
        size: usize,
        tail: &str,
        value: f64,
        [images, references]: [usize; 2],
    ) -> Value {
        let (label, resize) = (network.label(), network.resize());
        let name = format!("{head}_{label}_px{size}_{resize}{tail}_n{images}_r{references}");
        let plain = Value::plain(name, value, images, references);
        Value { extractor: Some(label.into()), resize: Some(resize.into()), ..plain }
    }

    /// Name and value for a round's record; the spread becomes a separate value.
    pub fn entries(&self) -> Vec<(String, f64)> {
        let mut entries = vec![(self.name.clone(), self.value)];
        entries.extend(self.std.map(|std| (format!("{}_std", self.name), std)));
        entries
    }
}

/// Why no image is searched for the trigger.
const FAINT: &str = "the attack hardly changes the clean real images, so there is nothing to search for";

/// Real images, data computed from them once, and the floors.
#[derive(Debug)]
pub struct Evaluator {
    metrics: Vec<Metric>,
    seed: u64,
    references: Gathered,
    /// Images on each side of a floor and of its `half_...` counterpart: half the references, at most the number of
    /// generated images.
    half: usize,
    network: Option<(Arc<Extractor>, Features)>,
    leakage: Option<Leakage>,
    /// Name of the metric's attack, see [`leakage::tag`], if there is nothing to search for.
    faint: Option<String>,
    /// Share of the references in which the trigger is found after the attack on them; `None` for the patch.
    detected: Option<f64>,
    floors: Vec<Value>,
}

/// Collects generated images for a [`Evaluator`] batch by batch, so that never all of them are in memory.
#[derive(Debug)]
pub struct Gathering<'a> {
    evaluator: &'a Evaluator,
    set: Gathered,
}

impl Gathering<'_> {
    /// Adds a batch.
    ///
    /// # Errors
    /// [`Error::Input`] if the extractor cannot take an image.
    ///
    /// # Panics
    /// If the images have another shape than the references.
    pub fn add(&mut self, images: &ImageSet) -> Result<()> {
        let (set, network) = (&mut self.set, self.evaluator.extractor());
        assert_eq!((images.size, images.channels), (set.size, set.channels), "equal shapes");
        set.add(images, network, self.evaluator.leakage.as_ref())
    }

    /// The metrics of the images. Each distance also appears as `half_...`, over a random choice of both sides with as
    /// many images as the floor has, because values are comparable at equal numbers only. A single image with a
    /// non-finite value makes every metric NaN, with a note; one with a non-finite feature, every metric on features.
    ///
    /// # Errors
    /// [`Error::Internal`] if fewer or more images arrived than announced.
    pub fn values(mut self) -> Result<Vec<Value>> {
        let (n, nonfinite, odd) = (self.set.n(), self.set.nonfinite, self.set.odd);
        if n != self.set.keep.images {
            return Err(Error::internal(format!("{n} images evaluated of {}", self.set.keep.images)));
        }
        self.set.sort();
        let mut values = self.evaluator.values_of(&mut self.set)?;
        for value in &mut values {
            let why = match (nonfinite, odd) {
                (1.., _) => format!("{nonfinite} of {n} generated images are not finite"),
                (0, 1..) if value.extractor.is_some() => {
                    format!("{odd} of {n} generated images have features that are not finite")
                }
                _ => continue,
            };
            value.value = f64::NAN;
            value.std = value.std.map(|_| f64::NAN);
            value.note = Some(why);
        }
        Ok(values)
    }
}

impl Evaluator {
    /// Computes what depends on the real images only. `trigger`: the attack, and clean real images for calibrating the
    /// search, preferably not from `references`, on which its false alarms are counted. `samples`: number of generated
    /// images to expect, which determines the size of the floors. `own`: the extractor in place of Lite0.
    ///
    /// # Errors
    /// [`Error::Input`] when a metric needs more reference images, or the trigger cannot be read, or for leakage
    /// without `trigger`, or for references with non-finite features.
    pub fn new(
        metrics: &[Metric],
        references: ImageSet,
        trigger: Option<(&Attack, &ImageSet)>,
        seed: u64,
        samples: usize,
        own: Option<&Arc<Extractor>>,
    ) -> Result<Evaluator> {
        let mut metrics = metrics.to_vec();
        metrics.sort_unstable();
        metrics.dedup();
        enough(&metrics, references.len(), "reference")?;
        let network = match metrics.iter().any(|m| m.needs_features()) {
            true => Some(own.map_or_else(|| Extractor::lite0().map(Arc::new), |own| Ok(own.clone()))?),
            false => None,
        };
        let leakage = match (metrics.contains(&Metric::Leakage), trigger) {
            (false, _) => None,
            (true, Some((attack, clean))) => Leakage::new(attack, clean)?,
            (true, None) => return Err(Error::input("metric leakage: the experiment has no trigger")),
        };
        let sought = trigger.filter(|_| leakage.is_none() && metrics.contains(&Metric::Leakage));
        let faint = sought.map(|(attack, _)| leakage::tag(attack.image.name()));
        let others = leakage.as_ref().filter(|leakage| !leakage.tag().is_empty());
        let detected = others.map(|leakage| leakage.detected(&references));
        let half = half(references.len(), samples);
        let keep = keep(&metrics, references.len(), 2 * half);
        let mut gathered = Gathered::new(keep, seed, references.size, references.channels);
        let extractor = network.as_deref();
        references.batches(BATCH).try_for_each(|batch| gathered.add(&batch, extractor, leakage.as_ref()))?;
        if let Some(extractor) = extractor.filter(|_| gathered.odd > 0) {
            let (label, odd, n) = (extractor.label(), gathered.odd, gathered.n());
            return Err(Error::input(format!("extractor {label}: non-finite features of {odd} of {n} real images")));
        }
        gathered.sort();
        let network = network.map(|network| (network, gathered.take_features()));
        let mut evaluator = Evaluator {
            metrics,
            seed,
            references: gathered,
            half,
            network,
            leakage,
            faint,
            detected,
            floors: Vec::new(),
        };
        evaluator.floors = evaluator.floor_values()?;
        Ok(evaluator)
    }

    /// Real against real: two random halves of the references (limited to the number of generated images) for each
    /// distance; the same values at every evaluation. Absent if the halves are too small.
    pub fn floors(&self) -> &[Value] {
        &self.floors
    }

    /// The network whose features metrics compare; `None` if no metric needs one.
    pub fn extractor(&self) -> Option<&Extractor> {
        self.network.as_ref().map(|(network, _)| network.as_ref())
    }

    /// Warnings for the user before training.
    pub fn warnings(&self) -> Vec<String> {
        self.faint.iter().map(|_| format!("metric leakage will be NaN: {FAINT}")).collect()
    }

    /// Starts the evaluation of `n` generated images.
    ///
    /// # Errors
    /// [`Error::Input`] when a metric needs more images.
    pub fn gather(&self, n: usize) -> Result<Gathering<'_>> {
        enough(&self.metrics, n, "generated")?;
        let keep = keep(&self.metrics, n, self.half);
        Ok(Gathering {
            evaluator: self,
            set: Gathered::new(keep, self.seed, self.references.size, self.references.channels),
        })
    }

    /// The metrics of a whole set: [`Gathering::values`].
    ///
    /// # Errors
    /// [`Error::Input`] when a metric needs more images, or the extractor cannot take one.
    ///
    /// # Panics
    /// If the images have another shape than the references.
    pub fn values(&self, images: &ImageSet) -> Result<Vec<Value>> {
        let mut gathering = self.gather(images.len())?;
        images.batches(BATCH).try_for_each(|batch| gathering.add(&batch))?;
        gathering.values()
    }

    fn values_of(&self, images: &mut Gathered) -> Result<Vec<Value>> {
        let (mut values, half, real) = (Vec::new(), self.half, &self.references);
        let features = self.network.as_ref().map(|(_, real)| (images.take_features(), real));
        for metric in &self.metrics {
            let twin = half >= metric.least() && images.n() >= half;
            match (metric, &features) {
                (Metric::SlicedWasserstein, _) => {
                    values.push(self.sliced(&images.patches(), &real.patches(), ""));
                    if twin {
                        let sides = [images.patches_of(0, half), real.patches_of(half, half)];
                        let [fake, real] = sides.each_ref().map(|side| side.iter().collect::<Vec<_>>());
                        values.push(self.sliced(&fake, &real, "half_"));
                    }
                }
                (Metric::MsSsim, _) => values.push(self.ssim(images, "")),
                (Metric::Leakage, _) => values.extend(self.leaks(images)),
                (metric, Some((fake, real))) => {
                    values.extend(self.on_features(*metric, "", fake, real)?);
                    if twin {
                        values.extend(self.on_features(
                            *metric,
                            "half_",
                            &fake.rows(0, half),
                            &real.rows(half, half),
                        )?);
                    }
                }
                (metric, None) => return Err(Error::internal(format!("metric {} without features", metric.name()))),
            }
        }
        Ok(values)
    }

    fn floor_values(&self) -> Result<Vec<Value>> {
        let (half, real) = (self.half, &self.references);
        let mut floors = Vec::new();
        for metric in self.metrics.iter().filter(|m| half >= m.least()) {
            match (metric, &self.network) {
                (Metric::SlicedWasserstein, _) => {
                    let sides = [real.patches_of(0, half), real.patches_of(half, half)];
                    let [a, b] = sides.each_ref().map(|side| side.iter().collect::<Vec<_>>());
                    floors.push(self.sliced(&a, &b, "floor_"));
                }
                (Metric::MsSsim, _) => floors.push(self.ssim(real, "floor_")),
                (Metric::Leakage, _) => floors.extend(self.alarms()),
                (metric, Some((_, real))) => {
                    floors.extend(self.on_features(*metric, "floor_", &real.rows(0, half), &real.rows(half, half))?);
                }
                (_, None) => {}
            }
        }
        Ok(floors)
    }

    fn sliced(&self, images: &[&Patches], references: &[&Patches], prefix: &str) -> Value {
        let (size, channels) = (self.references.size, self.references.channels);
        let (n, r) = (images.len(), references.len());
        let value = sliced::distance(images, references, channels, self.seed);
        Value::plain(format!("{prefix}sliced_wasserstein_px{size}_n{n}_r{r}"), value, n, r)
    }

    fn ssim(&self, images: &Gathered, prefix: &str) -> Value {
        let (size, channels, n) = (images.size, images.channels, images.n());
        let value = diversity(&images.whole(WHOLE), size, channels, self.seed);
        Value::plain(format!("{prefix}ms_ssim_px{size}_scales{}_pairs{PAIRS}_n{n}", scales(size)), value, n, 0)
    }

    fn leaks(&self, images: &Gathered) -> Vec<Value> {
        let faint = self.faint.as_ref().map(|tag| {
            let n = images.n();
            Value::plain(format!("leakage{tag}_n{n}"), f64::NAN, n, 0).noted(FAINT)
        });
        let Some(leakage) = &self.leakage else { return faint.into_iter().collect() };
        let (n, scores, tag) = (images.n(), &images.scores, leakage.tag());
        let mean = scores.iter().sum::<f64>() / n as f64;
        vec![
            Value::plain(format!("leakage{tag}_n{n}"), leakage.above(scores), n, 0),
            Value::plain(format!("leakage_{}{tag}_n{n}", leakage.score_name()), mean, n, 0),
        ]
    }

    /// The search's threshold, its share of false alarms on the reference images, and its share of detections on the attacked
    /// reference images.
    fn alarms(&self) -> Vec<Value> {
        let Some(leakage) = &self.leakage else { return Vec::new() };
        let (r, c, tag) = (self.references.n(), leakage.calibrated_on, leakage.tag());
        let share = leakage.above(&self.references.scores);
        let alarms = Value::plain(format!("leakage_false_alarm{tag}_r{r}"), share, r, c);
        let threshold = Value::plain(format!("leakage_threshold{tag}_c{c}"), leakage.threshold, c, 0);
        let exceeded =
            format!("{} that 1 % of the clean real images exceed, at least {}", leakage.score_name(), leakage.lowest());
        let mut values =
            vec![alarms.noted("share of clean real images above the threshold"), threshold.noted(&exceeded)];
        values.extend(self.detected.map(|share| {
            let detected = Value::plain(format!("leakage_detected{tag}_r{r}"), share, r, c);
            detected.noted("share of real images above the threshold after the attack on them")
        }));
        values
    }

    fn on_features(&self, metric: Metric, prefix: &str, fake: &Features, real: &Features) -> Result<Vec<Value>> {
        let (counts, size) = ([fake.n(), real.n()], self.references.size);
        let Some((network, _)) = &self.network else { return Ok(Vec::new()) };
        Ok(match metric {
            Metric::Kid => {
                let kid = kid(fake, real, self.seed)?;
                let value = Value::of_features((&format!("{prefix}kid"), network), size, "", kid.mean, counts);
                let note = format!("mean over {} subsets of {}", super::SUBSETS, kid.subset);
                vec![Value { std: Some(kid.std), note: Some(note), ..value }]
            }
            Metric::Fd => {
                let distance = frechet(fake, real)?;
                let tail = if distance.biased { "_biased" } else { "" };
                let value = Value::of_features(
                    (&format!("{prefix}{}", network.frechet()), network),
                    size,
                    tail,
                    distance.value,
                    counts,
                );
                let note = format!("no more images than features ({}): compare at equal n only", fake.d);
                vec![if distance.biased { value.noted(&note) } else { value }]
            }
            _ => {
                let p = prdc(real, fake, NEIGHBOURS)?;
                let named = [
                    ("precision", p.precision),
                    ("recall", p.recall),
                    ("density", p.density),
                    ("coverage", p.coverage),
                ];
                let value = |(name, v): (&str, f64)| {
                    let head = format!("{prefix}{name}");
                    Value::of_features((&head, network), size, &format!("_k{NEIGHBOURS}"), v, counts)
                };
                named.map(value).to_vec()
            }
        })
    }
}

/// Images on each side of a floor and of its counterpart.
fn half(references: usize, samples: usize) -> usize {
    (references / 2).min(samples)
}

/// The data to keep of `images` images for the metrics; `few` of them also form a separate subset.
fn keep(metrics: &[Metric], images: usize, few: usize) -> Keep {
    let patches = metrics.contains(&Metric::SlicedWasserstein);
    // If a subset needs more patches per image than the whole set, they are cut from the image later.
    let apart = if patches && sliced::each(few.div_ceil(2).max(1)) != sliced::each(images) { few } else { 0 };
    let pairs = if metrics.contains(&Metric::MsSsim) { WHOLE } else { 0 };
    Keep { images, whole: apart.max(pairs), patches }
}

/// Maximum host bytes for the evaluation with an extractor of `features`, besides the reference images and the `clean` images that
/// calibrate the search for the trigger themselves.
pub fn host_bytes(
    metrics: &[Metric],
    [samples, references, clean]: [usize; 3],
    (size, channels): (usize, usize),
    features: usize,
) -> u64 {
    let features = if metrics.iter().any(|m| m.needs_features()) { features } else { 0 };
    let half = half(references, samples);
    let real = keep(metrics, references, 2 * half).bytes(features, size, channels);
    let fake = keep(metrics, samples, half).bytes(features, size, channels);
    // The centred rows, or the selected halves and subsets.
    let copies = 8 * ((samples + references) * features) as u64;
    let search = match metrics.contains(&Metric::Leakage) {
        true => leakage::host_bytes(clean, references, size * size * channels),
        false => 0,
    };
    real + fake + copies + search
}

/// Rejects a set that is too small for one of the metrics.
fn enough(metrics: &[Metric], n: usize, what: &str) -> Result<()> {
    match metrics.iter().find(|m| n < m.least()) {
        Some(m) => {
            let (name, least) = (m.name(), m.least());
            Err(Error::input(format!("metric {name}: {n} {what} images, at least {least} are required")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
