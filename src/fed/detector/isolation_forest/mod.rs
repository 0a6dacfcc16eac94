//! The corrected rule: evidence accumulated over rounds, a margin that it must exceed, weights that recover.
//!
//! Its main feature is the server's probe (see `fed/probe.rs`): how far the mean image of a client's generator deviates, round
//! after round at the same place, from the median of all clients' mean images, relative to the deviations of the other clients.
//! Further features are an update that points away from the others' and, if reported losses are trusted, a higher generator
//! loss. The features of a round are clipped, added and averaged over rounds, so that neither a single unusual round nor being
//! the most isolated of four clients, which one always is, leads to a flag.

use super::{Detected, Observation, exact, forest, median, normalised};
use crate::kernels::rng::HostRng;
use serde::{Deserialize, Serialize};

/// The features of the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Features {
    /// The server's own measurements and the reported generator loss.
    All,
    /// The probe of the generators and the direction of the updates, which no client can misreport.
    Server,
}

/// `isolation-forest`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IsolationForest {
    /// The last round without verdicts, counted from 0; evidence accumulates from the start.
    pub warmup: u32,
    /// The features of the rule.
    pub features: Features,
    /// Rounds over which evidence is averaged (exponentially), at least 1.
    pub memory: f64,
    /// Evidence (see [`super::Detected::scores`]; at most 2, with the loss 2.3) above which a client is suspect.
    pub margin: f64,
    /// Consecutive suspect rounds until a client is flagged, at least 1. A flag is removed when the evidence falls below 0.7 of
    /// the margin; after 20 flagged rounds, only when it falls below a quarter of the margin.
    pub patience: u32,
    /// Factor of a client's weight in each flagged round; its inverse in each other round.
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

/// Features in units of the clients' spread: direction, loss.
const SPREAD_FEATURES: usize = 2;
/// Smallest meaningful spreads: of the cosine, of the asinh of the loss.
const LEAST_SPREAD: [f64; SPREAD_FEATURES] = [0.02, 0.03];
/// Rounds over which the spread is averaged.
const SPREAD_MEMORY: f64 = 10.0;
/// Each feature of a round is clipped to this (spreads, octaves of the probe), so that lasting deviations count, not large
/// ones.
const CUT: f64 = 2.0;
/// Weights of direction and loss relative to the probe's 1: honest clients' losses drift apart, and cosines decline in the
/// course of training.
const SHARES: [f64; SPREAD_FEATURES] = [0.5, 0.25];
/// Evidence is in units of probe and direction together; the loss is added on top.
const UNIT: f64 = 1.5;
/// A flag is removed below this share of the margin;
const HOLD: f64 = 0.7;
/// after this many consecutive flagged rounds,
const CONFIRMED: u32 = 20;
/// only below this share: a suppressed attacker influences the others less, and deviates less from them, than one that takes
/// part, whereas an unusual phase of an honest client seldom lasts so long.
const CONFIRMED_HOLD: f64 = 0.25;
/// Ratio of standard deviation to median absolute deviation, for normal values.
const MAD: f64 = 1.4826;
/// Smallest trust: lower values have no further effect and would take long to recover.
const LEAST_TRUST: f64 = 1e-6;

/// The rule's memory during a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForestState {
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

impl ForestState {
    pub fn new(rule: IsolationForest, clients: usize) -> Self {
        ForestState {
            rule,
            evidence: vec![0.0; clients],
            spreads: [None; SPREAD_FEATURES],
            suspect: vec![0; clients],
            standing: vec![0; clients],
            flagged: vec![false; clients],
            trust: vec![1.0; clients],
        }
    }

    /// Restores the memory `kept`; returns its number of clients, if consistent.
    pub fn recall(&mut self, kept: ForestState) -> Option<usize> {
        let clients = kept.evidence.len();
        *self = ForestState { rule: self.rule.clone(), ..kept };
        let lengths = [self.suspect.len(), self.standing.len(), self.flagged.len(), self.trust.len()];
        lengths.iter().all(|n| *n == clients).then_some(clients)
    }

    /// Compares the `present` clients relative to one another; the memory of the others does not change, and they have no score.
    pub fn detect(
        &mut self,
        round: u32,
        observed: &[Observation],
        present: &[usize],
        base: &[f64],
        rng: &mut HostRng,
    ) -> Detected {
        self.gather(observed, present);
        let mut scores = vec![f64::NAN; observed.len()];
        present.iter().for_each(|i| scores[*i] = self.evidence[*i]);
        if round > self.rule.warmup {
            self.flag(present, rng);
            self.weigh(present);
        }
        // A non-finite update would reach all clients at once.
        let usable = |o: &Observation| f64::from(u8::from(o.update_norm.is_finite()));
        let trusted = self.trust.iter().zip(observed).map(|(t, o)| t * usable(o));
        let weights: Vec<f64> = base.iter().zip(trusted).map(|(b, t)| b * t).collect();
        Detected { flagged: self.flagged.clone(), scores, weights: normalised(&weights, base) }
    }

    /// Updates spreads and evidence with a round of the `present` clients.
    fn gather(&mut self, observed: &[Observation], present: &[usize]) {
        let peaks: Vec<f64> = present.iter().map(|i| observed[*i].probe_deviation).collect();
        let mut sums: Vec<f64> = (0..peaks.len()).map(|i| octaves(&peaks, i)).collect();
        let rows: Vec<[f64; SPREAD_FEATURES]> = present.iter().map(|i| features(&observed[*i])).collect();
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
                // A missing feature lets the memory decay; a non-finite feature counts in full.
                let deviation = if difference.is_nan() { 0.0 } else { (difference / unit).clamp(-CUT, CUT) };
                *sum += SHARES[k] * deviation;
            }
        }
        for (i, sum) in present.iter().zip(sums) {
            let evidence = &mut self.evidence[*i];
            *evidence += (sum / UNIT - *evidence) / self.rule.memory;
        }
    }

    /// Raises flags where isolated evidence has stayed above the margin, removes flags whose evidence fell below the share
    /// [`HOLD`] or [`CONFIRMED_HOLD`] of the margin.
    fn flag(&mut self, present: &[usize], rng: &mut HostRng) {
        let scores = &self.evidence;
        // Only isolation on the harmful side counts.
        let points: Vec<Vec<f32>> = present.iter().map(|i| vec![scores[*i].max(0.0) as f32]).collect();
        let isolation = forest::scores(&points, rng);
        for (i, isolation) in present.iter().copied().zip(isolation) {
            let suspect = scores[i] > self.rule.margin && isolation < forest::THRESHOLD;
            self.suspect[i] = if suspect { self.suspect[i] + 1 } else { 0 };
            let hold = if self.standing[i] >= CONFIRMED { CONFIRMED_HOLD } else { HOLD };
            let stays = self.flagged[i] && scores[i] > hold * self.rule.margin;
            self.flagged[i] = stays || self.suspect[i] >= self.rule.patience;
        }
        // The median represents the honest clients only while they are the majority.
        let most = present.len().saturating_sub(1) / 2;
        let mut ranked: Vec<usize> = present.iter().copied().filter(|i| self.flagged[*i]).collect();
        ranked.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        for i in ranked.into_iter().skip(most) {
            self.flagged[i] = false;
        }
        for i in present.iter().copied() {
            self.standing[i] = if self.flagged[i] { self.standing[i] + 1 } else { 0 };
        }
    }

    fn weigh(&mut self, present: &[usize]) {
        for i in present.iter().copied() {
            let trust = &mut self.trust[i];
            *trust = if self.flagged[i] {
                (*trust * self.rule.decay).max(LEAST_TRUST)
            } else {
                (*trust / self.rule.decay).clamp(self.rule.floor, 1.0)
            };
        }
    }
}

/// log2 of client `i`'s value relative to the median of the others', clipped; 0 if there is nothing to compare (a diverged
/// client has no weight anyway).
fn octaves(values: &[f64], i: usize) -> f64 {
    let others = values.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, v)| *v).collect();
    let octaves = (values[i] / median(others)).log2();
    if octaves.is_nan() { 0.0 } else { octaves.clamp(-CUT, CUT) }
}

/// Larger is worse: 1 - cosine, asinh loss (a logarithm that takes a critic's losses of any sign). NaN if there is nothing to
/// compare, infinite if the client diverged.
fn features(o: &Observation) -> [f64; SPREAD_FEATURES] {
    [1.0 - o.update_cosine, if o.loss_g.is_finite() { o.loss_g.asinh() } else { f64::INFINITY }]
}

/// Feature `k` of client `i` relative to the median of the others.
fn difference(rows: &[[f64; SPREAD_FEATURES]], i: usize, k: usize) -> f64 {
    let others = rows.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, r)| r[k]).collect();
    rows[i][k] - median(others)
}

#[cfg(test)]
mod tests;
