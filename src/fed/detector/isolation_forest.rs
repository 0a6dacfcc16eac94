//! The corrected rule: evidence gathered over rounds, a margin that it must clear, weights that recover.
//!
//! Its main feature is the server's probe (see `fed/probe.rs`): how far the mean image of a client's generator departs, round
//! after round at the same place, from the median of all clients' mean images, against the same number of the other clients.
//! Beside it counts an update that points away from the others', and, where losses are believed, a higher generator loss. What
//! a round shows is cut, added, and averaged over rounds, so that neither one odd round nor the ever-present most isolated of
//! four flags anybody.

use super::{Observation, Verdict, exact, forest, median, normalised};
use crate::kernels::rng::HostRng;
use serde::{Deserialize, Serialize};

/// What the rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Features {
    /// What the server sees, and the reported generator loss.
    All,
    /// The probe of the generators and the direction of the updates: what no client can misreport.
    Server,
}

/// `isolation-forest`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IsolationForest {
    /// Verdicts come in rounds after this one, counted from 0; evidence gathers from the start.
    pub warmup: u32,
    /// What the rule looks at.
    pub features: Features,
    /// Rounds over which evidence is averaged (exponentially), at least 1.
    pub memory: f64,
    /// Evidence (see [`super::Verdict::scores`]; at most 2, with the loss 2.3) above which a client is suspect.
    pub margin: f64,
    /// Suspect rounds in a row until a client is flagged, at least 1. A flag falls when the evidence is below 0.7 of the
    /// margin, one that has stood for 20 rounds only below a quarter of it.
    pub patience: u32,
    /// Factor of a client's weight in each flagged round; its inverse in each clean one.
    pub decay: f64,
    /// Smallest weight of a client that is not flagged, as a share of its weight without detection.
    pub floor: f64,
}

impl Default for IsolationForest {
    fn default() -> Self {
        IsolationForest {
            warmup: 10,
            features: Features::Server,
            memory: 8.0,
            margin: 0.7,
            patience: 2,
            decay: 0.3,
            floor: 0.25,
        }
    }
}

/// Features compared in units of the clients' spread: direction, loss.
const SPREAD_FEATURES: usize = 2;
/// Spreads below these are noise: of the cosine, of the asinh of the loss.
const LEAST_SPREAD: [f64; SPREAD_FEATURES] = [0.02, 0.03];
/// Rounds over which the spread is averaged.
const SPREAD_MEMORY: f64 = 10.0;
/// Each feature of a round is cut here (spreads, octaves of the probe), so that lasting ones count, not large ones.
const CUT: f64 = 2.0;
/// What direction and loss count beside the probe's 1: honest clients' losses drift apart, and cosines fade as training goes on.
const SHARES: [f64; SPREAD_FEATURES] = [0.5, 0.25];
/// Evidence is in units of probe and direction together; the loss comes on top.
const UNIT: f64 = 1.5;
/// A flag falls below this share of the margin,
const HOLD: f64 = 0.7;
/// one that has stood for so many rounds in a row
const CONFIRMED: u32 = 20;
/// below this share: a suppressed attacker moves the others less, and departs less from them, than one that takes part, while
/// an honest client's odd phase seldom lasts so long.
const CONFIRMED_HOLD: f64 = 0.25;
/// Median absolute deviation to standard deviation, for normal values.
const MAD: f64 = 1.4826;
/// Trust below this is as good as none and would take long to recover from.
const LEAST_TRUST: f64 = 1e-6;

/// The memory of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    #[serde(skip)]
    rule: IsolationForest,
    #[serde(with = "exact")]
    evidence: Vec<f64>,
    #[serde(with = "exact::options")]
    spreads: [Option<f64>; SPREAD_FEATURES],
    suspect: Vec<u32>,
    /// Rounds in a row with the flag.
    standing: Vec<u32>,
    flagged: Vec<bool>,
    #[serde(with = "exact")]
    trust: Vec<f64>,
}

impl State {
    pub fn new(rule: IsolationForest, clients: usize) -> Self {
        State {
            rule,
            evidence: vec![0.0; clients],
            spreads: [None; SPREAD_FEATURES],
            suspect: vec![0; clients],
            standing: vec![0; clients],
            flagged: vec![false; clients],
            trust: vec![1.0; clients],
        }
    }

    /// Takes over what `kept` remembers; of how many clients, if that is one number.
    pub fn recall(&mut self, kept: State) -> Option<usize> {
        let clients = kept.evidence.len();
        *self = State { rule: self.rule.clone(), ..kept };
        let lengths = [self.suspect.len(), self.standing.len(), self.flagged.len(), self.trust.len()];
        lengths.iter().all(|n| *n == clients).then_some(clients)
    }

    /// Judges the `judged` clients by one another; what is remembered of the others stays as it is, and they have no score.
    pub fn judge(
        &mut self,
        round: u32,
        observed: &[Observation],
        judged: &[usize],
        base: &[f64],
        rng: &mut HostRng,
    ) -> Verdict {
        self.gather(observed, judged);
        let mut scores = vec![f64::NAN; observed.len()];
        judged.iter().for_each(|i| scores[*i] = self.evidence[*i]);
        if round > self.rule.warmup {
            self.flag(judged, rng);
            self.weigh(judged);
        }
        // An update that is not finite would spread to everybody at once.
        let usable = |o: &Observation| f64::from(u8::from(o.update_norm.is_finite()));
        let trusted = self.trust.iter().zip(observed).map(|(t, o)| t * usable(o));
        let weights: Vec<f64> = base.iter().zip(trusted).map(|(b, t)| b * t).collect();
        Verdict { flagged: self.flagged.clone(), scores, weights: normalised(&weights, base) }
    }

    /// Updates spreads and evidence with a round of the `judged` clients.
    fn gather(&mut self, observed: &[Observation], judged: &[usize]) {
        let peaks: Vec<f64> = judged.iter().map(|i| observed[*i].probe_deviation).collect();
        let mut sums: Vec<f64> = (0..peaks.len()).map(|i| octaves(&peaks, i)).collect();
        let rows: Vec<[f64; SPREAD_FEATURES]> = judged.iter().map(|i| features(&observed[*i])).collect();
        let used = if self.rule.features == Features::All { SPREAD_FEATURES } else { SPREAD_FEATURES - 1 };
        for k in 0..used {
            let differences: Vec<f64> = (0..rows.len()).map(|i| difference(&rows, i, k)).collect();
            let spread = MAD * median(differences.iter().map(|d| d.abs()).collect());
            if spread.is_finite() {
                let old = self.spreads[k].unwrap_or(spread);
                self.spreads[k] = Some(old + (spread - old) / SPREAD_MEMORY);
            }
            let unit = LEAST_SPREAD[k] + self.spreads[k].unwrap_or(0.0);
            for (sum, difference) in sums.iter_mut().zip(differences) {
                // Nothing to compare leaves the memory to fade; what is not finite counts in full.
                let deviation = if difference.is_nan() { 0.0 } else { (difference / unit).clamp(-CUT, CUT) };
                *sum += SHARES[k] * deviation;
            }
        }
        for (i, sum) in judged.iter().zip(sums) {
            let evidence = &mut self.evidence[*i];
            *evidence += (sum / UNIT - *evidence) / self.rule.memory;
        }
    }

    /// Raises flags where isolated evidence has stayed above the margin, drops those that fell below its share of [`HOLD`] or [`CONFIRMED_HOLD`].
    fn flag(&mut self, judged: &[usize], rng: &mut HostRng) {
        let scores = &self.evidence;
        // Isolated on the harmful side: how far the exemplary ones stand apart is no matter.
        let points: Vec<Vec<f32>> = judged.iter().map(|i| vec![scores[*i].max(0.0) as f32]).collect();
        let isolation = forest::scores(&points, rng);
        for (i, isolation) in judged.iter().copied().zip(isolation) {
            let suspect = scores[i] > self.rule.margin && isolation < forest::THRESHOLD;
            self.suspect[i] = if suspect { self.suspect[i] + 1 } else { 0 };
            let hold = if self.standing[i] >= CONFIRMED { CONFIRMED_HOLD } else { HOLD };
            let stays = self.flagged[i] && scores[i] > hold * self.rule.margin;
            self.flagged[i] = stays || self.suspect[i] >= self.rule.patience;
        }
        // The median is the honest clients' only while they are more than half.
        let most = judged.len().saturating_sub(1) / 2;
        let mut ranked: Vec<usize> = judged.iter().copied().filter(|i| self.flagged[*i]).collect();
        ranked.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        for i in ranked.into_iter().skip(most) {
            self.flagged[i] = false;
        }
        for i in judged.iter().copied() {
            self.standing[i] = if self.flagged[i] { self.standing[i] + 1 } else { 0 };
        }
    }

    fn weigh(&mut self, judged: &[usize]) {
        for i in judged.iter().copied() {
            let trust = &mut self.trust[i];
            *trust = if self.flagged[i] {
                (*trust * self.rule.decay).max(LEAST_TRUST)
            } else {
                (*trust / self.rule.decay).clamp(self.rule.floor, 1.0)
            };
        }
    }
}

/// log2 of client `i`'s value against the median of the others', cut; 0 where there is nothing to compare (a client that
/// diverged has no weight anyway).
fn octaves(values: &[f64], i: usize) -> f64 {
    let others = values.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, v)| *v).collect();
    let octaves = (values[i] / median(others)).log2();
    if octaves.is_nan() { 0.0 } else { octaves.clamp(-CUT, CUT) }
}

/// Larger is worse: 1 - cosine, asinh loss (a logarithm that takes a critic's losses of any sign). NaN where there is nothing to
/// compare, infinite where the client diverged.
fn features(o: &Observation) -> [f64; SPREAD_FEATURES] {
    [1.0 - o.update_cosine, if o.loss_g.is_finite() { o.loss_g.asinh() } else { f64::INFINITY }]
}

/// Feature `k` of client `i` against the median of the others.
fn difference(rows: &[[f64; SPREAD_FEATURES]], i: usize, k: usize) -> f64 {
    let others = rows.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, r)| r[k]).collect();
    rows[i][k] - median(others)
}

#[cfg(test)]
#[path = "isolation_forest_tests.rs"]
mod tests;
