//! Aggregation of the clients' networks: the rules and their interface.
//!
//! A rule is one file here and one line in the list below. It declares its options and the number of clients that it needs,
//! records its launches over all clients' rows, and decides on the host from a few scalars per client.

mod weighted;
mod weights;

pub(super) use weighted::{WeightedSum, record_weighted};
pub use weights::Weights;

use super::choice::choice;
use super::rows::Rows;
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::key::Key;
use serde::{Deserialize, Serialize};

/// The networks that clients share: the server aggregates them and sends them back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shared {
    /// The generators; discriminators stay with their clients.
    Generator,
    /// Generators and discriminators.
    Both,
}

/// An aggregation rule with its options.
pub trait AggregationRule {
    /// Rejects a number of clients that the rule's theory does not cover, in a sentence with the condition and both numbers.
    ///
    /// # Errors
    /// The sentence.
    fn check(&self, clients: u32) -> Result<(), String>;

    /// Whether the rule uses the clients' weights (by data, by a detector). If not, both settings are rejected.
    fn takes_weights(&self) -> bool;

    /// Allocates buffers and records the rule's launches over `rows`, one entry per aggregated tensor.
    ///
    /// # Errors
    /// As [`Engine::alloc`].
    fn build(&self, engine: &mut dyn Engine, rows: &[Rows]) -> Result<Box<dyn Aggregation>>;
}

/// A rule built on a device.
pub trait Aggregation {
    /// The recordings that it executes.
    fn recordings(&self) -> Vec<&Recording>;

    /// Executes its recordings, reads a few scalars per client (as [`Purpose::RoundScalars`](crate::exec::Purpose)), and decides.
    ///
    /// # Errors
    /// If the device fails.
    fn decide(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<Decision>;
}

/// The clients of a round, as visible to a rule beside their rows.
#[derive(Clone, Copy, Debug)]
pub struct Candidates<'a> {
    /// The round, counted from 0.
    pub round: u32,
    /// Clients dropped from the round.
    pub dropped: &'a [bool],
    /// Weights by data and detector, summing to one, 0 for dropped clients.
    pub weights: &'a [f64],
}

/// A rule's decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Each client's weight in the result, summing to one; recorded, and used for the next round's proposal.
    pub weights: Vec<f64>,
    /// The source of the server's new rows.
    pub result: Combination,
}

/// The source of the server's new rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combination {
    /// The sum of the clients' rows with the decision's weights.
    WeightedSum,
    /// The rule has written them itself.
    Written,
}

/// The key that chooses the rule.
pub const RULE: &str = "federation.aggregation.rule";

choice! {
    /// The rule of an experiment.
    Rule by "rule" as AggregationRule;
    mean: Mean = "mean",
}

impl Default for Rule {
    fn default() -> Self {
        Rule::Mean(Mean {})
    }
}

#[cfg(test)]
mod tests;
