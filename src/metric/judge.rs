//! The metrics that an experiment asks for, against one set of real images.

use super::images::{ImageSet, halves};
use super::leakage::Leakage;
use super::lite0::{Features, Lite0};
use super::{NEIGHBOURS, PAIRS, RESIZE, diversity, frechet, kid, prdc, scales, sliced_wasserstein};
use crate::fed::Patch;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// The extractor, as it stands in names.
const EXTRACTOR: &str = "lite0";

/// A metric of evaluation rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Sliced Wasserstein distance of image patches; needs no network.
    SlicedWasserstein,
    /// Kernel distance on Lite0 features.
    Kid,
    /// Frechet distance on Lite0 features.
    Fd,
    /// Precision, recall, density, coverage on Lite0 features.
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

    fn needs_features(self) -> bool {
        matches!(self, Metric::Kid | Metric::Fd | Metric::Prdc)
    }

    /// Images that each set must have.
    pub fn least(self) -> usize {
        match self {
            Metric::SlicedWasserstein | Metric::Leakage => 1,
            Metric::Kid | Metric::Fd | Metric::MsSsim => 2,
            Metric::Prdc => NEIGHBOURS + 1,
        }
    }
}

/// A number with everything it must be read with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Value {
    /// Name with extractor, resize and numbers of images.
    pub name: String,
    /// The number.
    pub value: f64,
    /// Spread over subsets, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub std: Option<f64>,
    /// Images judged.
    pub images: usize,
    /// Real images compared with; 0 where there are none in the comparison.
    pub references: usize,
    /// Feature network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extractor: Option<&'static str>,
    /// Filter and side of the network's input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resize: Option<&'static str>,
    /// What else must be known.
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

    /// A value on features; `tail` follows the extractor and resize.
    fn of_features(head: &str, tail: &str, value: f64, [images, references]: [usize; 2]) -> Value {
        let name = format!("{head}_{EXTRACTOR}_{RESIZE}{tail}_n{images}_r{references}");
        let plain = Value::plain(name, value, images, references);
        Value { extractor: Some(EXTRACTOR), resize: Some(RESIZE), ..plain }
    }

    /// Name and value as they stand in a round's record; the spread becomes a value of its own.
    pub fn entries(&self) -> Vec<(String, f64)> {
        let mut entries = vec![(self.name.clone(), self.value)];
        entries.extend(self.std.map(|std| (format!("{}_std", self.name), std)));
        entries
    }
}

/// Real images, what was computed of them once, and the floors.
#[derive(Debug)]
pub struct Judge {
    metrics: Vec<Metric>,
    seed: u64,
    references: ImageSet,
    halves: (Vec<usize>, Vec<usize>),
    network: Option<(Lite0, Features)>,
    leakage: Option<Leakage>,
    floors: Vec<Value>,
}

impl Judge {
    /// Computes what depends on the real images only. `trigger`: the attack and clean real images to calibrate the search
    /// on, best others than `references`, on which its false alarms are counted.
    ///
    /// # Errors
    /// [`Error::Input`] when a metric needs more reference images, or the trigger cannot be read; leakage without `trigger`.
    pub fn new(
        metrics: &[Metric],
        references: ImageSet,
        trigger: Option<(&Patch, &ImageSet)>,
        seed: u64,
    ) -> Result<Judge> {
        let mut metrics = metrics.to_vec();
        metrics.sort_unstable();
        metrics.dedup();
        enough(&metrics, &references, "reference")?;
        let network = if metrics.iter().any(|m| m.needs_features()) {
            let network = Lite0::embedded()?;
            let features = network.features(&references);
            Some((network, features))
        } else {
            None
        };
        let leakage = match (metrics.contains(&Metric::Leakage), trigger) {
            (false, _) => None,
            (true, Some((patch, clean))) => Leakage::new(patch, clean)?,
            (true, None) => return Err(Error::input("metric leakage: there is no trigger to search for")),
        };
        let halves = halves(references.len(), seed);
        let mut judge = Judge { metrics, seed, references, halves, network, leakage, floors: Vec::new() };
        judge.floors = judge.floor_values()?;
        Ok(judge)
    }

    /// The real images.
    pub fn references(&self) -> &ImageSet {
        &self.references
    }

    /// Real images against real ones: the two random halves of the references, for each distance; the same numbers at every
    /// evaluation. Absent where the halves are too small.
    pub fn floors(&self) -> &[Value] {
        &self.floors
    }

    /// The metrics of generated images. KID and FD come a second time as `half_...`, with as many images on each side as
    /// the floor has, since values are comparable at equal numbers only.
    ///
    /// # Errors
    /// [`Error::Input`] when a metric needs more images.
    ///
    /// # Panics
    /// If the images have another shape than the references.
    pub fn values(&self, images: &ImageSet) -> Result<Vec<Value>> {
        assert_eq!((images.size, images.channels), (self.references.size, self.references.channels), "one shape");
        enough(&self.metrics, images, "generated")?;
        let mut values = Vec::new();
        let features = self.network.as_ref().map(|(network, real)| (network.features(images), real));
        for metric in &self.metrics {
            match (metric, &features) {
                (Metric::SlicedWasserstein, _) => values.push(self.sliced(images, &self.references, "")),
                (Metric::MsSsim, _) => values.push(self.ssim(images, "")),
                (Metric::Leakage, _) => values.extend(self.leaks(images)),
                (metric, Some((fake, real))) => {
                    values.extend(self.on_features(*metric, "", fake, real)?);
                    let half = self.halves.0.len();
                    if *metric != Metric::Prdc && half >= metric.least() && fake.n() >= half {
                        let few = fake.pick(&(0..half).collect::<Vec<_>>());
                        values.extend(self.on_features(*metric, "half_", &few, &real.pick(&self.halves.1))?);
                    }
                }
                (metric, None) => return Err(Error::internal(format!("metric {} without features", metric.name()))),
            }
        }
        Ok(values)
    }

    fn floor_values(&self) -> Result<Vec<Value>> {
        let (a, b) = &self.halves;
        let mut floors = Vec::new();
        for metric in self.metrics.iter().filter(|m| a.len() >= m.least()) {
            match (metric, &self.network) {
                (Metric::SlicedWasserstein, _) => {
                    floors.push(self.sliced(&self.references.pick(a), &self.references.pick(b), "floor_"));
                }
                (Metric::MsSsim, _) => floors.push(self.ssim(&self.references, "floor_")),
                (Metric::Leakage, _) => floors.extend(self.alarms()),
                (metric, Some((_, real))) => {
                    floors.extend(self.on_features(*metric, "floor_", &real.pick(a), &real.pick(b))?);
                }
                (_, None) => {}
            }
        }
        Ok(floors)
    }

    fn sliced(&self, images: &ImageSet, references: &ImageSet, prefix: &str) -> Value {
        let (size, channels) = (images.size, images.channels);
        let d = sliced_wasserstein(&images.pixels, &references.pixels, size, channels, self.seed);
        let name = format!("{prefix}sliced_wasserstein_n{}", d.images);
        Value::plain(name, d.value, d.images, d.references)
    }

    fn ssim(&self, images: &ImageSet, prefix: &str) -> Value {
        let name = format!("{prefix}ms_ssim_scales{}_pairs{PAIRS}_n{}", scales(images.size), images.len());
        Value::plain(name, diversity(images, self.seed), images.len(), 0)
    }

    fn leaks(&self, images: &ImageSet) -> Vec<Value> {
        let Some(leakage) = &self.leakage else { return Vec::new() };
        let (n, scores) = (images.len(), leakage.correlations(images));
        let mean = scores.iter().sum::<f64>() / n as f64;
        vec![
            Value::plain(format!("leakage_n{n}"), leakage.share(images), n, 0),
            Value::plain(format!("leakage_correlation_n{n}"), mean, n, 0),
        ]
    }

    /// The search's threshold, and its share of alarms on the reference images.
    fn alarms(&self) -> Vec<Value> {
        let Some(leakage) = &self.leakage else { return Vec::new() };
        let (r, c) = (self.references.len(), leakage.calibrated_on);
        let alarms = Value::plain(format!("leakage_false_alarm_r{r}"), leakage.share(&self.references), r, c);
        let threshold = Value::plain(format!("leakage_threshold_c{c}"), leakage.threshold, c, 0);
        vec![
            alarms.noted("share of clean real images above the threshold"),
            threshold.noted("correlation that 1 % of the clean real images exceed, at least 0.5"),
        ]
    }

    fn on_features(&self, metric: Metric, prefix: &str, fake: &Features, real: &Features) -> Result<Vec<Value>> {
        let counts = [fake.n(), real.n()];
        Ok(match metric {
            Metric::Kid => {
                let kid = kid(fake, real, self.seed)?;
                let value = Value::of_features(&format!("{prefix}kid"), "", kid.mean, counts);
                let note = format!("mean over {} subsets of {}", super::SUBSETS, kid.subset);
                vec![Value { std: Some(kid.std), note: Some(note), ..value }]
            }
            Metric::Fd => {
                let distance = frechet(fake, real)?;
                let tail = if distance.biased { "_biased" } else { "" };
                let value = Value::of_features(&format!("{prefix}fd"), tail, distance.value, counts);
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
                    Value::of_features(&format!("{prefix}{name}"), &format!("_k{NEIGHBOURS}"), v, counts)
                };
                named.map(value).to_vec()
            }
        })
    }
}

/// Refuses a set that is too small for one of the metrics.
fn enough(metrics: &[Metric], set: &ImageSet, what: &str) -> Result<()> {
    match metrics.iter().find(|m| set.len() < m.least()) {
        Some(m) => {
            let (name, least) = (m.name(), m.least());
            Err(Error::input(format!("metric {name}: {} {what} images, at least {least} are needed", set.len())))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::rng::{HostRng, Stream};

    fn noise(n: usize, client: u32) -> ImageSet {
        let mut rng = HostRng::new(8, Stream::CHECK, client, 0);
        ImageSet::new((0..n * 256).map(|_| rng.range(-1.0, 1.0) as f32).collect(), 16, 1)
    }

    #[test]
    fn names_say_what_a_value_must_be_read_with() {
        let metrics = [Metric::Fd, Metric::Kid, Metric::SlicedWasserstein, Metric::MsSsim];
        let judge = Judge::new(&metrics, noise(6, 0), None, 1).unwrap();
        let names = |values: &[Value]| values.iter().map(|v| v.name.clone()).collect::<Vec<_>>();
        assert_eq!(
            names(&judge.values(&noise(4, 1)).unwrap()),
            [
                "sliced_wasserstein_n4",
                "kid_lite0_catmullrom224_n4_r6",
                "half_kid_lite0_catmullrom224_n3_r3",
                "fd_lite0_catmullrom224_biased_n4_r6",
                "half_fd_lite0_catmullrom224_biased_n3_r3",
                "ms_ssim_scales1_pairs500_n4"
            ]
        );
        assert_eq!(
            names(judge.floors()),
            [
                "floor_sliced_wasserstein_n3",
                "floor_kid_lite0_catmullrom224_n3_r3",
                "floor_fd_lite0_catmullrom224_biased_n3_r3",
                "floor_ms_ssim_scales1_pairs500_n6"
            ]
        );
    }

    #[test]
    fn sets_that_are_too_small_are_refused() {
        let refusal = Judge::new(&[Metric::Prdc], noise(5, 0), None, 1).unwrap_err();
        assert!(refusal.to_string().contains("prdc: 5 reference images, at least 6"), "{refusal}");
        let refusal = Judge::new(&[Metric::Leakage], noise(5, 0), None, 1).unwrap_err();
        assert_eq!(refusal.exit_code(), 2);
        assert!(Metric::ALL.iter().zip(Metric::NAMES).all(|(m, name)| m.name() == name));
        let json = serde_json::to_string(&Metric::ALL).unwrap();
        assert_eq!(json, format!("{:?}", Metric::NAMES).replace(", ", ","));
    }
}
