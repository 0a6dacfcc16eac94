//! `summary.json`: the outcome of a run in one object. It is written last, so a directory with it is a finished run.

use super::layout::SUMMARY;
use super::metrics::{null_is_nan, null_values_are_nan};
use super::rates::Rates;
use crate::check::watch::Checked;
use crate::exec::Descriptor;
use crate::fed::attack::OnImages;
use crate::{Error, Result, input};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A continuation of a run in another process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resumed {
    /// Number of rounds completed before.
    pub round: u32,
    /// The device from then on.
    pub device: Descriptor,
    /// The program's version from then on.
    pub version: String,
}

/// The outcome of a run. Everything except `timing`, `resumed` and, in a resumed run, `verified` is the same for the
/// same plan, device and version; `null` is a non-finite number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The experiment's name.
    pub name: String,
    /// Its seed.
    pub seed: u64,
    /// Rounds trained.
    pub rounds: u32,
    /// The program's version.
    pub version: String,
    /// The device used for training.
    pub device: Descriptor,
    /// Why this device was chosen.
    pub reason: String,
    /// Names of the clients by id; absent if they have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<String>,
    /// Client-rounds in which a loss, the update, a gradient, weight, moment or running statistic was non-finite.
    pub diverged: u64,
    /// Values of the last evaluation by name.
    #[serde(deserialize_with = "null_values_are_nan")]
    pub metrics: BTreeMap<String, f64>,
    /// The same values of the untrained generator.
    #[serde(deserialize_with = "null_values_are_nan")]
    pub untrained: BTreeMap<String, f64>,
    /// Real images against real ones.
    #[serde(deserialize_with = "null_values_are_nan")]
    pub floors: BTreeMap<String, f64>,
    /// Digests of the run's input; absent in runs of version 0.1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digests: Option<Digests>,
    /// The detector's results; absent without detection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detector: Option<DetectorSummary>,
    /// The results of `--verify-every` for the run's launches; absent without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Checked>,
    /// Continuations of the run in other processes; absent without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resumed: Vec<Resumed>,
    /// Warnings, such as an evaluation against training images; absent without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Wall times, which differ between runs.
    pub timing: Timing,
}

/// SHA-256 digests of a run's input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// All images as loaded, at the model's size, with their classes and clients.
    pub images: String,
    /// Training images, held-out images and their assignment to clients.
    pub split: String,
    /// The trigger's picture at its size; absent if the trigger is a pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// The extractor's ONNX file; absent for the built-in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extractor: Option<String>,
}

impl Digests {
    /// The changed images or trigger, as the subject and verb of a sentence.
    pub fn changed(&self, now: &Digests) -> Option<&'static str> {
        match (self.images != now.images, self.trigger != now.trigger) {
            (true, true) => Some("the images and the trigger's picture are"),
            (true, false) => Some("the images are"),
            (false, true) => Some("the trigger's picture is"),
            (false, false) if self.split != now.split => Some("the split into training and held-out images is"),
            (false, false) => None,
        }
    }
}

/// A metric's name; that of the leakage without the attack's, so that one name serves all attacks.
fn without_attack(name: &str) -> String {
    let rest = name.strip_prefix("leakage_");
    let kind = OnImages::NAMES.iter().find_map(|kind| rest?.strip_prefix(kind)?.strip_prefix("_n"));
    kind.map_or_else(|| name.into(), |count| format!("leakage_n{count}"))
}

/// Wall time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Seconds of all rounds with their evaluations, without loading and the untrained evaluation.
    #[serde(deserialize_with = "null_is_nan")]
    pub seconds: f64,
}

/// [`Rates`] as written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DetectorSummary {
    /// Flagged honest client-rounds after the warm-up.
    pub false_flags: u64,
    /// All honest client-rounds after the warm-up.
    pub honest_rounds: u64,
    /// Flagged malicious client-rounds after the warm-up, with the attack active.
    pub true_flags: u64,
    /// All malicious client-rounds after the warm-up, with the attack active.
    pub malicious_rounds: u64,
    /// [`Rates::suppression`].
    pub suppressed_after: Option<usize>,
    /// Total weight of all malicious clients at the end; non-finite without one.
    #[serde(deserialize_with = "null_is_nan")]
    pub malicious_weight_last: f64,
    /// Smallest weight of an honest client at the end; non-finite without one.
    #[serde(deserialize_with = "null_is_nan")]
    pub least_honest_weight_last: f64,
}

impl From<&Rates> for DetectorSummary {
    fn from(rates: &Rates) -> Self {
        DetectorSummary {
            false_flags: rates.false_flags.0,
            honest_rounds: rates.false_flags.1,
            true_flags: rates.true_flags.0,
            malicious_rounds: rates.true_flags.1,
            suppressed_after: rates.suppression(),
            malicious_weight_last: rates.malicious_weight,
            least_honest_weight_last: rates.least_honest_weight,
        }
    }
}

impl Summary {
    /// The file's text.
    ///
    /// # Errors
    /// If a value cannot be serialised.
    pub fn to_json(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::internal(format!("summary: {e}")))?;
        Ok(text + "\n")
    }

    /// Reads the summary of a run directory.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file: missing (an unfinished run), or not a summary.
    pub fn read(directory: &Path) -> Result<Summary> {
        let path = directory.join(SUMMARY);
        let text =
            input::read_text(&path, input::SUMMARY).map_err(|e| Error::file(&path, format!("cannot read: {e}")))?;
        Summary::parse(&path, &text)
    }

    /// [`Summary::read`] from text; `path` is named in errors.
    pub fn parse(path: &Path, text: &str) -> Result<Summary> {
        serde_json::from_str(text).map_err(|e| Error::file(path, format!("not the summary of a run: {e}")))
    }

    /// The values that fit on a line, by short names: distances, leakage, diversity. Sliced distances and MS-SSIM from
    /// before 0.2, with other definitions, have other names and are not included.
    pub fn headline(&self) -> Vec<(&'static str, f64)> {
        const SHORT: [(&str, &str); 6] = [
            ("fid_", "fid"),
            ("fd_", "fd"),
            ("kid_", "kid"),
            ("sliced_wasserstein_px", "sw"),
            ("ms_ssim_px", "ms-ssim"),
            ("leakage_n", "leakage"),
        ];
        let value = |prefix: &str| {
            let own = |name: &&String| without_attack(name).starts_with(prefix) && !name.ends_with("_std");
            self.metrics.keys().find(own).map(|name| self.metrics[name])
        };
        SHORT.iter().filter_map(|(prefix, short)| Some((*short, value(prefix)?))).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A summary with every part.
    pub(crate) fn example() -> Summary {
        let values = |pairs: &[(&str, f64)]| pairs.iter().map(|(n, v)| (n.to_string(), *v)).collect();
        Summary {
            name: "x".into(),
            seed: u64::MAX >> 1,
            rounds: 3,
            version: "0.1.0".into(),
            device: crate::exec::Engine::descriptor(&crate::exec::ReferenceEngine::new()).clone(),
            reason: "asked for".into(),
            clients: vec!["a".into(), "b, c".into()],
            diverged: 0,
            metrics: values(&[
                ("fd_lite0_n8", 116.25),
                ("fd_lite0_n8_std", 3.0),
                ("leakage_n8", 0.125),
                ("leakage_correlation_n8", 0.5),
                ("sliced_wasserstein_px16_n8_r4", 0.0811),
            ]),
            untrained: values(&[("fd_lite0_n8", 400.0)]),
            floors: values(&[("floor_fd_lite0", 50.0)]),
            digests: Some(Digests {
                images: "a1".into(),
                split: "b2".into(),
                trigger: Some("c3".into()),
                extractor: None,
            }),
            detector: Some(DetectorSummary {
                false_flags: 1,
                honest_rounds: 6,
                true_flags: 2,
                malicious_rounds: 2,
                suppressed_after: Some(1),
                malicious_weight_last: 0.01,
                least_honest_weight_last: 0.3,
            }),
            verified: Some(Checked { launches: 3, elements: 768, percent: 12.5, label: "D".into(), too_large: 0 }),
            resumed: vec![],
            warnings: vec![],
            timing: Timing { seconds: 41.25 },
        }
    }

    #[test]
    fn reads_back_as_itself() {
        let dir = tempfile::tempdir().unwrap();
        let summary = example();
        std::fs::write(dir.path().join(SUMMARY), summary.to_json().unwrap()).unwrap();
        assert_eq!(Summary::read(dir.path()).unwrap(), summary);
        let bare = Summary { digests: None, detector: None, verified: None, clients: vec![], ..summary };
        let text = bare.to_json().unwrap();
        assert!(!text.contains("detector") && !text.contains("clients") && !text.contains("digests"));
        std::fs::write(dir.path().join(SUMMARY), bare.to_json().unwrap()).unwrap();
        assert_eq!(Summary::read(dir.path()).unwrap(), bare);
    }

    #[test]
    fn digests_name_the_changed_input() {
        let was = example().digests.unwrap();
        let other = |change: fn(&mut Digests)| {
            let mut now = was.clone();
            change(&mut now);
            was.changed(&now)
        };
        assert_eq!(other(|_| ()), None);
        assert_eq!(other(|d| d.images.push('x')), Some("the images are"));
        assert_eq!(other(|d| d.split.push('x')), Some("the split into training and held-out images is"));
        assert_eq!(other(|d| d.trigger = None), Some("the trigger's picture is"));
    }

    #[test]
    fn non_finite_numbers_are_null() {
        let mut summary = example();
        summary.metrics.insert("sliced_wasserstein_px16_n8_r4".into(), f64::NAN);
        let text = summary.to_json().unwrap();
        assert!(text.contains("\"sliced_wasserstein_px16_n8_r4\": null"), "{text}");
        let back: Summary = serde_json::from_str(&text).unwrap();
        assert!(back.metrics["sliced_wasserstein_px16_n8_r4"].is_nan());
    }

    #[test]
    fn missing_and_broken_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = Summary::read(dir.path()).unwrap_err();
        assert!(missing.to_string().contains("summary.json: cannot read") && missing.exit_code() == 2);
        std::fs::write(dir.path().join(SUMMARY), "{}").unwrap();
        assert!(Summary::read(dir.path()).unwrap_err().to_string().contains("not the summary of a run"));
    }

    #[test]
    fn a_line_has_values_without_their_spread() {
        assert_eq!(example().headline(), [("fd", 116.25), ("sw", 0.0811), ("leakage", 0.125)]);
        let mut other = example();
        let leakage = ["leakage_false_alarm_warp_r4", "leakage_score_warp_n8", "leakage_warp_n8"]
            .into_iter()
            .zip([0.75, 0.5, 0.25]);
        other.metrics = leakage.map(|(name, value)| (name.to_string(), value)).collect();
        assert_eq!(other.headline(), [("leakage", 0.25)]);
    }
}
