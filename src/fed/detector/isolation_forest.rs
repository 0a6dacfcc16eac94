//! The corrected rule: evidence gathered over rounds, a margin that it must clear, weights that recover.
//!
//! Each feature of a client is compared with the median of the other clients in the same round, in units of the clients'
//! usual spread (averaged over rounds). An update that points away from the others', a larger update and a higher generator
//! loss count for the suspicion, their opposites against it. A round's differences are cut, added, and averaged over
//! rounds, so that neither one odd round nor the ever-present most isolated of four flags anybody.

use super::{Observation, Verdict, forest, median, normalised};
use crate::kernels::rng::HostRng;
use serde::{Deserialize, Serialize};

/// What the rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Features {
    /// Direction and norm of the update, and the reported generator loss.
    All,
    /// Direction and norm of the update: what no client can misreport.
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
    /// Rounds over which a client's deviations are averaged (exponentially), at least 1.
    pub memory: f64,
    /// Evidence (a client's mean deviation in units of the spread, averaged over rounds; at most 2) above which a client is suspect.
    pub margin: f64,
    /// Suspect rounds in a row until a client is flagged, at least 1. A flag falls when the evidence is below half the
    /// margin.
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
            features: Features::All,
            memory: 12.0,
            margin: 0.65,
            patience: 2,
            decay: 0.3,
            floor: 0.25,
        }
    }
}

/// Spreads below these are noise: of the cosine, ln norm and asinh loss.
const LEAST_SPREAD: [f64; FEATURES] = [0.02, 0.03, 0.03];
const FEATURES: usize = 3;
/// Rounds over which the spread is averaged.
const SPREAD_MEMORY: f64 = 10.0;
/// Deviations are cut here (in units of the spread), so that lasting ones count, not large ones.
const CUT: f64 = 2.0;
/// What each feature counts: honest clients' losses drift apart for longer than their updates do.
const SHARES: [f64; FEATURES] = [1.0, 1.0, 0.5];
/// Median absolute deviation to standard deviation, for normal values.
const MAD: f64 = 1.4826;
/// Trust below this is as good as none and would take long to recover from.
const LEAST_TRUST: f64 = 1e-6;

/// The memory of a run.
#[derive(Clone, Debug)]
pub(super) struct State {
    rule: IsolationForest,
    evidence: Vec<f64>,
    spreads: [Option<f64>; FEATURES],
    suspect: Vec<u32>,
    flagged: Vec<bool>,
    trust: Vec<f64>,
}

impl State {
    pub fn new(rule: IsolationForest, clients: usize) -> Self {
        State {
            rule,
            evidence: vec![0.0; clients],
            spreads: [None; FEATURES],
            suspect: vec![0; clients],
            flagged: vec![false; clients],
            trust: vec![1.0; clients],
        }
    }

    pub fn judge(&mut self, round: u32, observed: &[Observation], base: &[f64], rng: &mut HostRng) -> Verdict {
        self.gather(observed);
        let scores = self.evidence.clone();
        if round > self.rule.warmup {
            self.flag(&scores, rng);
            self.weigh();
        }
        // An update that is not finite would spread to everybody at once.
        let usable = |o: &Observation| f64::from(u8::from(o.update_norm.is_finite()));
        let trusted = self.trust.iter().zip(observed).map(|(t, o)| t * usable(o));
        let weights: Vec<f64> = base.iter().zip(trusted).map(|(b, t)| b * t).collect();
        Verdict { flagged: self.flagged.clone(), scores, weights: normalised(&weights, base) }
    }

    /// Updates spreads and evidence with a round.
    fn gather(&mut self, observed: &[Observation]) {
        let rows: Vec<[f64; FEATURES]> = observed.iter().map(features).collect();
        let used = if self.rule.features == Features::All { FEATURES } else { FEATURES - 1 };
        let mut sums = vec![0.0; rows.len()];
        let shares: f64 = SHARES[..used].iter().sum();
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
                *sum += SHARES[k] / shares * deviation;
            }
        }
        for (evidence, sum) in self.evidence.iter_mut().zip(sums) {
            *evidence += (sum - *evidence) / self.rule.memory;
        }
    }

    /// Raises flags where isolated evidence has stayed above the margin, drops those that fell below half of it.
    fn flag(&mut self, scores: &[f64], rng: &mut HostRng) {
        // Isolated on the harmful side: how far the exemplary ones stand apart is no matter.
        let points: Vec<Vec<f32>> = scores.iter().map(|s| vec![s.max(0.0) as f32]).collect();
        let isolation = forest::scores(&points, rng);
        for i in 0..scores.len() {
            let suspect = scores[i] > self.rule.margin && isolation[i] < forest::THRESHOLD;
            self.suspect[i] = if suspect { self.suspect[i] + 1 } else { 0 };
            let stays = self.flagged[i] && scores[i] > self.rule.margin / 2.0;
            self.flagged[i] = stays || self.suspect[i] >= self.rule.patience;
        }
        // The median is the honest clients' only while they are more than half.
        let most = scores.len().saturating_sub(1) / 2;
        let mut ranked: Vec<usize> = (0..scores.len()).filter(|i| self.flagged[*i]).collect();
        ranked.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        for i in ranked.into_iter().skip(most) {
            self.flagged[i] = false;
        }
    }

    fn weigh(&mut self) {
        for (trust, flagged) in self.trust.iter_mut().zip(&self.flagged) {
            *trust = if *flagged {
                (*trust * self.rule.decay).max(LEAST_TRUST)
            } else {
                (*trust / self.rule.decay).clamp(self.rule.floor, 1.0)
            };
        }
    }
}

/// Larger is worse: 1 - cosine, ln norm, asinh loss (a logarithm that takes a critic's losses of any sign). NaN where there
/// is nothing to compare, infinite where the client diverged.
fn features(o: &Observation) -> [f64; FEATURES] {
    let or_worst = |v: f64| if v.is_finite() { v } else { f64::INFINITY };
    [1.0 - o.update_cosine, or_worst(o.update_norm).max(1e-12).ln(), or_worst(o.loss_g).asinh()]
}

/// Feature `k` of client `i` against the median of the others.
fn difference(rows: &[[f64; FEATURES]], i: usize, k: usize) -> f64 {
    let others = rows.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, r)| r[k]).collect();
    rows[i][k] - median(others)
}

#[cfg(test)]
#[path = "isolation_forest_tests.rs"]
mod tests;
