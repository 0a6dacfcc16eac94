//! What a federation does.

use super::detector::{Detector, LossReport};
use super::local::Local;
use super::{OnNonfinite, Patch, Rule, Shared, Weights};

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
    /// The networks that clients share.
    pub shared: Shared,
    /// How the server combines them.
    pub rule: Rule,
    /// The clients' weights, where no detector changes them.
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
