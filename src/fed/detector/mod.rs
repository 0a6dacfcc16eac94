//! Global malicious detection: after every round the server compares the clients by the round's scalars and adjusts their weights
//! in the mean.

pub mod forest;
mod isolation_forest;
mod published;

pub use isolation_forest::{Features, IsolationForest};
pub use published::Published;

use super::exact;
use super::stages::{Measured, Trained};
use crate::kernels::rng::{HostRng, Stream};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Smallest number of clients among which an outlier can be identified.
pub const MIN_CLIENTS: u32 = 3;
/// Smallest number of clients with which the published rule can lower a weight.
const MIN_CLIENTS_PUBLISHED: u32 = 4;

/// The rule, chosen by `kind`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Detector {
    /// No detection: the weights are those of the settings.
    None {},
    /// The published rule, with its flaws.
    IsolationForestPublished(Published),
    /// The corrected rule.
    IsolationForest(IsolationForest),
}

impl Default for Detector {
    fn default() -> Self {
        Detector::None {}
    }
}

impl Detector {
    /// Whether the rule needs the server's probe of the clients' generators.
    pub fn probes(&self) -> bool {
        matches!(self, Detector::IsolationForest(_))
    }

    /// Smallest number of clients that the rule can compare. The published rule acts if fewer than floor(n / 2) clients are
    /// flagged: with three clients it would flag, but never act.
    pub fn least_clients(&self) -> u32 {
        match self {
            Detector::None {} => 1,
            Detector::IsolationForestPublished(_) => MIN_CLIENTS_PUBLISHED,
            Detector::IsolationForest(_) => MIN_CLIENTS,
        }
    }

    /// The last warm-up round, counted from 0; verdicts start after it. `None` without detection.
    pub fn warmup(&self) -> Option<u32> {
        match self {
            Detector::None {} => None,
            Detector::IsolationForestPublished(rule) => Some(rule.warmup),
            Detector::IsolationForest(rule) => Some(rule.warmup),
        }
    }
}

/// The server's observations of a client in a round: reported losses and measurements of its update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// Generator loss, mean over the round, as the client reports it.
    pub loss_g: f64,
    /// Generator loss of the last batch, as the client reports it.
    pub last_loss_g: f64,
    /// Norm of the generator's update, measured by the server.
    pub update_norm: f64,
    /// Cosine between the client's update and the others' mean, measured by the server; NaN if undefined.
    pub update_cosine: f64,
    /// Largest lasting deviation in the server's probe; NaN without one.
    pub probe_deviation: f64,
}

/// The losses that malicious clients report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossReport {
    /// Their true losses.
    #[default]
    True,
    /// The median of the honest clients' losses: the best lie against a comparison of losses.
    Median,
}

impl LossReport {
    /// The detector's input: the clients as `trained`, with the losses of `malicious` clients replaced by those that they
    /// report, and as `measured`. Clients dropped from the round (`dropped`) do not enter the median.
    pub fn observe(
        self,
        trained: &[Trained],
        measured: &[Measured],
        malicious: &[u32],
        dropped: &[bool],
    ) -> Vec<Observation> {
        let lies = |i: usize| self == LossReport::Median && malicious.contains(&(i as u32));
        let honest = |value: fn(&Trained) -> f64| {
            let told = trained.iter().enumerate().filter(|(i, _)| !lies(*i) && !dropped[*i]);
            median(told.map(|(_, client)| value(client)).collect())
        };
        let (loss_g, last) = (honest(|c| c.mean[2]), honest(|c| c.last[2]));
        let told = |i: usize, own: f64, lie: f64| if lies(i) && lie.is_finite() { lie } else { own };
        let observation = |(i, (t, m)): (usize, (&Trained, &Measured))| Observation {
            loss_g: told(i, t.mean[2], loss_g),
            last_loss_g: told(i, t.last[2], last),
            update_norm: m.update_norm,
            update_cosine: m.update_cosine,
            probe_deviation: m.probe_deviation,
        };
        trained.iter().zip(measured).enumerate().map(observation).collect()
    }
}

/// The verdicts of a round.
#[derive(Clone, Debug, PartialEq)]
pub struct Detected {
    /// Flagged clients; none during the warm-up.
    pub flagged: Vec<bool>,
    /// Published rule: the forest's score, flagged below -0.5; NaN during the warm-up. Corrected rule: the evidence; 2/3
    /// corresponds to one octave of the probe or two spreads of the direction in every round. NaN without detection.
    pub scores: Vec<f64>,
    /// Weights in the mean, summing to one.
    pub weights: Vec<f64>,
}

/// A rule with its memory over the rounds of a run.
#[derive(Clone, Debug)]
pub struct Detection {
    seed: u64,
    base: Vec<f64>,
    state: RuleState,
}

/// A rule's memory, for checkpoints.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DetectorState(RuleState);

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RuleState {
    None,
    Published(published::PublishedState),
    Corrected(isolation_forest::ForestState),
}

impl Detection {
    /// `base` are the weights without detection; `seed` draws the trees.
    pub fn new(detector: &Detector, base: Vec<f64>, seed: u64) -> Self {
        let state = match detector {
            Detector::None {} => RuleState::None,
            Detector::IsolationForestPublished(rule) => {
                RuleState::Published(published::PublishedState::new(rule.clone(), base.clone()))
            }
            Detector::IsolationForest(rule) => {
                RuleState::Corrected(isolation_forest::ForestState::new(rule.clone(), base.len()))
            }
        };
        Detection { seed, base, state }
    }

    /// The rule's memory.
    pub fn memory(&self) -> DetectorState {
        DetectorState(self.state.clone())
    }

    /// Restores a memory of the same rule for the same number of clients.
    ///
    /// # Errors
    /// [`Error::Input`] with the reason alone if the memory belongs to another rule or to another number of clients.
    pub fn recall(&mut self, memory: DetectorState) -> Result<()> {
        let n = self.base.len();
        let clients = match (&mut self.state, memory.0) {
            (RuleState::None, RuleState::None) => Some(n),
            (RuleState::Published(own), RuleState::Published(kept)) => own.recall(kept),
            (RuleState::Corrected(own), RuleState::Corrected(kept)) => own.recall(kept),
            _ => return Err(Error::input("the detector's memory belongs to another rule")),
        };
        match clients {
            Some(found) if found == n => Ok(()),
            _ => Err(Error::input(format!("the detector's memory is not of {n} clients"))),
        }
    }

    /// Evaluates round `round` (from 0), whose observations must come in order of rounds. Clients dropped from it (`dropped`) are
    /// not present: they have no score, and their memory does not change. If too few clients remain to identify an outlier, none
    /// is present.
    pub fn detect(&mut self, round: u32, observed: &[Observation], dropped: &[bool]) -> Detected {
        let mut present: Vec<usize> = (0..observed.len()).filter(|i| !dropped[*i]).collect();
        if present.len() < MIN_CLIENTS as usize {
            present.clear();
        }
        let mut rng = HostRng::new(self.seed, Stream::DETECTOR, 0, round);
        match &mut self.state {
            RuleState::None => Detected {
                flagged: vec![false; self.base.len()],
                scores: vec![f64::NAN; self.base.len()],
                weights: self.base.clone(),
            },
            RuleState::Published(state) => state.detect(round, observed, &present, &mut rng),
            RuleState::Corrected(state) => state.detect(round, observed, &present, &self.base, &mut rng),
        }
    }
}

/// Divides by the sum; `fallback` unless the sum is positive and finite.
fn normalised(weights: &[f64], fallback: &[f64]) -> Vec<f64> {
    let sum: f64 = weights.iter().sum();
    if sum > 0.0 && sum.is_finite() { weights.iter().map(|w| w / sum).collect() } else { fallback.to_vec() }
}

/// Median of the finite values; NaN if there are none.
fn median(mut values: Vec<f64>) -> f64 {
    values.retain(|v| v.is_finite());
    values.sort_by(f64::total_cmp);
    let n = values.len();
    match n {
        0 => f64::NAN,
        _ if n % 2 == 1 => values[n / 2],
        _ => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_every_kind_and_refuses_strange_keys() {
        let parse = |text: &str| toml::from_str::<Detector>(text);
        assert_eq!(parse("kind = 'none'").unwrap(), Detector::None {});
        assert_eq!(parse("kind = 'isolation-forest-published'").unwrap().warmup(), Some(10));
        let text = "kind = 'isolation-forest'\nfeatures = 'server'\nwarmup = 4";
        let corrected = parse(text).unwrap();
        assert!(matches!(&corrected, Detector::IsolationForest(rule) if rule.features == Features::Server));
        for detector in [Detector::None {}, corrected, parse("kind = 'isolation-forest-published'").unwrap()] {
            assert_eq!(parse(&toml::to_string(&detector).unwrap()).unwrap(), detector);
        }
        for bad in ["kind = 'none'\nwarmup = 3", "kind = 'isolation-forest-published'\nfeatures = 'all'", "kind = 'x'"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn liars_report_the_honest_median() {
        let losses = [9.0, 1.0, 2.0, 4.0];
        let (mean, last) = (|loss: f64| [0.0, 0.0, loss], |loss: f64| [0.0, 0.0, 10.0 * loss]);
        let trained =
            losses.map(|loss| Trained { steps: 1, mean: mean(loss), penalty: 0.0, last: last(loss), nonfinite: None });
        let measured =
            losses.map(|update_norm| Measured { update_norm, update_cosine: 0.5, probe_deviation: f64::NAN });
        let observe = |how: LossReport, dropped: [bool; 4]| how.observe(&trained, &measured, &[0], &dropped);
        let losses = |how: LossReport| -> Vec<f64> { observe(how, [false; 4]).iter().map(|o| o.loss_g).collect() };
        assert_eq!(losses(LossReport::True), [9.0, 1.0, 2.0, 4.0]);
        assert_eq!(losses(LossReport::Median), [2.0, 1.0, 2.0, 4.0]);
        let seen = observe(LossReport::Median, [false; 4])[0];
        let without = observe(LossReport::Median, [false, true, false, false])[0];
        assert_eq!(without.loss_g, 3.0, "the median of those that take part");
        assert_eq!((seen.last_loss_g, seen.update_norm), (20.0, 9.0), "the update is seen, not told");
    }

    #[test]
    fn medians_skip_what_is_not_finite() {
        assert_eq!(median(vec![3.0, f64::NAN, 1.0]), 2.0);
        assert!(median(vec![f64::INFINITY]).is_nan());
    }
}
