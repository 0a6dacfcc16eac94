//! What the server learns about a client in each stage of a round: [`Trained`], then [`Measured`], then [`Weighted`].

use super::{Fault, NetworkDecision};

/// A client after local training, from the round's first read.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Steps taken.
    pub steps: u32,
    /// Mean losses over the round: D on real, D on fake, G.
    pub mean: [f64; 3],
    /// Mean gradient penalty over the round (of each step's last critic step), lambda included; 0 without one.
    pub penalty: f64,
    /// Losses of the last batch.
    pub last: [f64; 3],
    /// The first non-finite value of the client.
    pub nonfinite: Option<Fault>,
}

/// The server's measurements of a client's update, from the round's second read.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// ||w_i - w||_2 of the generator's weights before aggregation.
    pub update_norm: f64,
    /// Cosine between the client's update and the mean update of the others, with the weights of the last round; NaN if either
    /// is zero.
    pub update_cosine: f64,
    /// Largest averaged deviation of the client's mean image from the clients' median in the server's probe, in units of
    /// pixels in [-1, 1]; NaN without a probe.
    pub probe_deviation: f64,
}

/// A client's part in the aggregation.
#[derive(Clone, Copy, Debug)]
pub struct Weighted {
    /// Weight in the mean.
    pub weight: f64,
    /// Whether the detector flagged the client.
    pub flagged: bool,
    /// The detector's score ([`super::detector::Detected::scores`]); NaN without detection.
    pub score: f64,
}

impl Weighted {
    /// A client of a round without clients: all of them were dropped.
    pub(super) const NONE: Weighted = Weighted { weight: 0.0, flagged: false, score: f64::NAN };
}

/// A client's round. Reports are equal if their bits are: a NaN (no detection, a zero update) equals itself, as tests of
/// repeatability require.
#[derive(Clone, Debug)]
pub struct ClientReport {
    /// After local training.
    pub trained: Trained,
    /// Its update.
    pub measured: Measured,
    /// Its part in the aggregation.
    pub weighted: Weighted,
}

impl ClientReport {
    fn bits(&self) -> ([u64; 12], u32, bool, &Option<Fault>) {
        let ClientReport { trained, measured, weighted } = self;
        let [a, b, c] = trained.mean;
        let [d, e, f] = trained.last;
        let [n, u, v] = [measured.update_norm, measured.update_cosine, measured.probe_deviation];
        let all = [a, b, c, d, e, f, trained.penalty, n, u, v, weighted.weight, weighted.score];
        (all.map(f64::to_bits), trained.steps, weighted.flagged, &trained.nonfinite)
    }
}

impl PartialEq for ClientReport {
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
    }
}

/// A finished round.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundReport {
    /// The round, counted from 0.
    pub round: u32,
    /// One report per client.
    pub clients: Vec<ClientReport>,
    /// What the aggregation rule decided on each shared network; empty for the mean.
    pub networks: Vec<NetworkDecision>,
}

impl RoundReport {
    /// The report of round `round` from its stages, each with one entry per client.
    pub(super) fn new(
        round: u32,
        trained: Vec<Trained>,
        measured: Vec<Measured>,
        weighted: Vec<Weighted>,
        networks: Vec<NetworkDecision>,
    ) -> Self {
        let stages = trained.into_iter().zip(measured).zip(weighted);
        let clients = stages.map(|((trained, measured), weighted)| ClientReport { trained, measured, weighted });
        RoundReport { round, clients: clients.collect(), networks }
    }

    /// Clients with non-finite losses, updates, gradients, weights, moments or running statistics, each with its first fault.
    pub fn diverged(&self) -> Vec<(usize, Fault)> {
        let faults = self.clients.iter().enumerate();
        faults.filter_map(|(i, c)| Some((i, c.trained.nonfinite.clone()?))).collect()
    }
}
