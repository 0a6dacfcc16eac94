//! What a federation does.

use super::detector::{Detector, LossReport};
use super::local::Local;
use super::{Aggregate, OnNonfinite, Patch, Weights};

/// What a federation does beside the networks themselves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Seeds weights, latents and batch order.
    pub seed: u64,
    /// Images of a step.
    pub batch: u32,
    /// Adam's learning rate.
    pub lr: f64,
    /// Local training of a round.
    pub local: Local,
    /// What the server averages.
    pub aggregate: Aggregate,
    /// The clients' weights.
    pub weights: Weights,
    /// Clients trained in one launch; `None`: as many as the device's bindings hold.
    pub clients_per_launch: Option<u32>,
    /// The attack; nobody malicious in an honest run.
    pub attack: Patch,
    /// What malicious clients report of their losses.
    pub report: LossReport,
    /// Which clients lose weight.
    pub detector: Detector,
    /// What follows when something of a client is not finite.
    pub nonfinite: OnNonfinite,
}
