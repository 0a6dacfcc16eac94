//! The settings of a federation.

use super::detector::{Detector, LossReport};
use super::local::Local;
use super::{Attack, OnNonfinite, Pre, Rule, Shared, Statistics, Weights};

/// The settings of a federation other than the network architecture.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Seeds weights, latents and batch order.
    pub seed: u64,
    /// Images per step.
    pub batch: u32,
    /// Adam's learning rate.
    pub lr: f64,
    /// Local training per round.
    pub local: Local,
    /// The networks that clients share.
    pub shared: Shared,
    /// How the server combines them.
    pub rule: Rule,
    /// What it does with the clients' networks before.
    pub pre: Pre,
    /// Where the running statistics of the aggregated networks come from.
    pub statistics: Statistics,
    /// Decay of the momentum of their updates that clients send; 0: they send the updates.
    pub client_momentum: f64,
    /// The clients' weights, unless a detector changes them.
    pub weights: Weights,
    /// Clients trained in one launch; `None`: as many as the device's bindings allow.
    pub clients_per_launch: Option<u32>,
    /// The attack; no client is malicious in an honest run.
    pub attack: Attack,
    /// The losses that malicious clients report.
    pub report: LossReport,
    /// The detector, which reduces the weights of suspicious clients.
    pub detector: Detector,
    /// The response to non-finite values of a client.
    pub nonfinite: OnNonfinite,
}
