//! Rules that decide on each shared network by itself.

use super::device::Network;
use super::{Aggregation, Candidates, Combination, Decision, Memory};
use crate::exec::{Engine, Recording};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// What a rule decided on a network in a round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkDecision {
    /// `generator` or `discriminator`.
    pub network: String,
    /// The part of each client's update in the result: a selection has equal parts, clipping smaller ones than 1/n. Rules that decide
    /// coordinate by coordinate: equal parts of the clients that they take.
    pub weights: Vec<f64>,
    /// The clients' scores, if the rule ranks them; none for a client that is not present, and beyond the range of f32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scores: Vec<Option<f64>>,
    /// The relative gap by which the choice was made, if there was one. Equal scores are decided by client and do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// Whether the margin is below 1e-5: another device may decide otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub close: bool,
    /// A remark, such as that no client was trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Margins below this are within the rounding errors of sums on different devices.
pub const CLOSE: f64 = 1e-5;

impl NetworkDecision {
    /// Weights alone; the network's name is filled in later.
    pub(super) fn of(weights: Vec<f64>) -> NetworkDecision {
        NetworkDecision { weights, ..NetworkDecision::default() }
    }

    /// Equal parts of the `chosen` of `clients` clients.
    pub(super) fn equal(clients: usize, chosen: &[usize]) -> NetworkDecision {
        let mut weights = vec![0.0; clients];
        chosen.iter().for_each(|c| weights[*c] = 1.0 / chosen.len() as f64);
        NetworkDecision::of(weights)
    }

    /// With the margin of the choice.
    pub(super) fn margin(self, margin: f64) -> NetworkDecision {
        // No margin where no other choice was possible.
        NetworkDecision { margin: margin.is_finite().then_some(margin), close: margin < CLOSE, ..self }
    }

    /// With the scores of the `present` clients.
    pub(super) fn scores(self, present: &[usize], scores: &[f64]) -> NetworkDecision {
        let mut all = vec![None; self.weights.len()];
        let known = |score: f64| (score <= f64::from(f32::MAX)).then_some(score);
        present.iter().zip(scores).for_each(|(c, score)| all[*c] = known(*score));
        NetworkDecision { scores: all, ..self }
    }

    /// With a remark.
    pub(super) fn note(self, note: &str) -> NetworkDecision {
        NetworkDecision { note: Some(note.into()), ..self }
    }
}

/// A rule on one network.
pub(super) trait NetworkRule {
    /// The recordings that it executes.
    fn recordings(&self) -> Vec<&Recording>;

    /// Decides, and writes the server's rows of the network.
    ///
    /// # Errors
    /// If the device fails; if too few clients are present.
    fn aggregate(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<NetworkDecision>;

    /// See [`Aggregation::memory`]; names without the network.
    fn memory(&self) -> Vec<Memory> {
        Vec::new()
    }
}

/// A rule on every network by itself. Recorded weights are those of the generator, the first network.
pub(super) struct Each<T> {
    networks: Vec<(&'static str, T)>,
}

impl<T: NetworkRule + 'static> Each<T> {
    /// Builds the rule on every network; `build` gets its number too.
    pub fn build(
        networks: &[Network],
        mut build: impl FnMut(u32, &Network) -> Result<T>,
    ) -> Result<Box<dyn Aggregation>> {
        let build = |(number, network): (u32, &Network)| Ok((network.name, build(number, network)?));
        let networks = (0..).zip(networks).map(build).collect::<Result<Vec<_>>>()?;
        Ok(Box::new(Each { networks }))
    }
}

impl<T: NetworkRule> Aggregation for Each<T> {
    fn recordings(&self) -> Vec<&Recording> {
        self.networks.iter().flat_map(|(_, rule)| rule.recordings()).collect()
    }

    fn decide(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<Decision> {
        let mut networks = Vec::new();
        for (name, rule) in &mut self.networks {
            let decision = rule.aggregate(engine, round)?;
            networks.push(NetworkDecision { network: (*name).into(), ..decision });
        }
        let weights = networks.first().map(|d| d.weights.clone()).unwrap_or_default();
        Ok(Decision { weights, result: Combination::Written, networks })
    }

    fn memory(&self) -> Vec<Memory> {
        let named = |(name, rule): &(&'static str, T)| {
            let named = |m: Memory| Memory { name: format!("rule.{name}.{}", m.name), ..m };
            rule.memory().into_iter().map(named).collect::<Vec<_>>()
        };
        self.networks.iter().flat_map(named).collect()
    }
}

/// The error of a round in which too few clients are present for a rule.
pub(super) fn too_few(round: &Candidates, what: &str) -> Error {
    let (left, all) = (round.clients().len(), round.present.len());
    Error::NotFinite(format!(
        "round {}: {left} of {all} clients are left after those with non-finite values; {what}",
        round.round + 1
    ))
}
