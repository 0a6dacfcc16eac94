//! Aggregation of the clients' networks: the rules and their interface.
//!
//! A rule is one file here and one line in the list below. It declares its options and its condition on the numbers of clients and of
//! faulty ones, records its launches over all clients' rows (with the parts in `device`), and decides on the host from a few scalars
//! per client (with the functions in `select`). Formulas, conditions and ties: docs/robust.md.

mod condition;
mod coordinate;
pub(super) mod device;
mod draws;
mod each;
pub mod pre;
pub(super) mod select;
mod trial;
mod weighted;
mod weights;

pub use condition::Condition;
pub(super) use device::Network;
pub use draws::Draws;
pub use each::NetworkDecision;
pub use trial::{Outcome, Trial};
pub(super) use weighted::{WeightedSum, record_weighted};
pub use weights::Weights;

use super::choice::choice;
use crate::Result;
use crate::exec::{Engine, Recording, Tensor};
use crate::kernels::fed::pairs::MOST_CLIENTS;
use crate::key::{DefaultValue, Key, U32, ValueKind};
use each::{Each, NetworkRule};
use pre::Pre;
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
    /// Rejects a number of clients that the rule's theory does not cover, in a sentence with the condition and the numbers.
    ///
    /// # Errors
    /// The sentence.
    fn check(&self, clients: u32) -> Result<(), String>;

    /// Most rows that it combines: by default as many as the kernels over pairs and sorted values take.
    fn most_clients(&self) -> u32 {
        MOST_CLIENTS
    }

    /// Whether the rule uses the clients' weights (by data, by a detector). If not, both settings are rejected.
    fn takes_weights(&self) -> bool {
        false
    }

    /// Whether the server must train on images of its own.
    fn needs_server_data(&self) -> bool {
        false
    }

    /// Allocates buffers and records the rule's launches over the shared networks.
    ///
    /// # Errors
    /// As [`Engine::alloc`].
    fn build(&self, engine: &mut dyn Engine, networks: &[Network], draws: &Draws) -> Result<Box<dyn Aggregation>>;
}

/// A rule built on a device.
pub trait Aggregation {
    /// The recordings that it executes.
    fn recordings(&self) -> Vec<&Recording>;

    /// Executes its recordings, reads a few scalars per client (as [`Purpose::RoundScalars`](crate::exec::Purpose)), and decides.
    ///
    /// # Errors
    /// If the device fails; [`crate::Error::NotFinite`] if too few clients are present for the rule.
    fn decide(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<Decision>;

    /// What the rule remembers from round to round, for checkpoints.
    fn memory(&self) -> Vec<Memory> {
        Vec::new()
    }

    /// The rows of the first network that a pre-aggregator made in the last round.
    fn mixed(&self) -> Vec<Tensor> {
        Vec::new()
    }
}

/// A tensor that a rule remembers: `[rows][words]`.
#[derive(Clone, Debug)]
pub struct Memory {
    /// The name in checkpoints, such as `rule.generator.momentum`.
    pub name: String,
    /// One row, or one per client in their order.
    pub rows: usize,
    /// Words per row.
    pub words: usize,
    /// The rows.
    pub tensor: Tensor,
}

/// The clients of a round, as visible to a rule beside their rows.
#[derive(Clone, Copy, Debug)]
pub struct Candidates<'a> {
    /// The round, counted from 0.
    pub round: u32,
    /// Clients that take part. A client with non-finite values never does, except in the mean if `federation.nonfinite` is `record`.
    pub present: &'a [bool],
    /// Weights by data and detector, summing to one, 0 for clients that are not present.
    pub weights: &'a [f64],
}

impl Candidates<'_> {
    /// The clients that take part, ascending.
    pub fn clients(&self) -> Vec<usize> {
        (0..self.present.len()).filter(|c| self.present[*c]).collect()
    }

    /// Of `f` assumed faults those that are left after clients with non-finite values are rejected: each uses up one.
    pub fn faults(&self, f: u32) -> usize {
        let rejected = self.present.iter().filter(|present| !**present).count();
        (f as usize).saturating_sub(rejected)
    }
}

/// A rule's decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Each client's weight in the result; recorded, and used for the next round's proposal.
    pub weights: Vec<f64>,
    /// The source of the server's new rows.
    pub result: Combination,
    /// What the rule decided on each network, for the round's record; empty for the mean.
    pub networks: Vec<NetworkDecision>,
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

/// The list of rules. **A rule is one line here** and its file.
macro_rules! rules {
    ($($module:ident: $type:ident = $name:literal,)*) => {
        choice! {
            /// The rule of an experiment.
            Rule by "rule" as AggregationRule;
            $($module: $type = $name,)*
        }

        /// The rules' names with their conditions.
        const CONDITIONS: &[(&str, Condition)] = &[$(($name, $module::CONDITION)),*];
    };
}

rules! {
    mean: Mean = "mean",
    median: Median = "median",
    trimmed_mean: TrimmedMean = "trimmed-mean",
    meamed: Meamed = "meamed",
    krum: Krum = "krum",
    multi_krum: MultiKrum = "multi-krum",
    bulyan: Bulyan = "bulyan",
    geometric_median: GeometricMedian = "geometric-median",
    centred_clipping: CentredClipping = "centred-clipping",
    norm_clip: NormClip = "norm-clip",
    crfl: Crfl = "crfl",
    mda: Mda = "mda",
    dnc: Dnc = "dnc",
    foolsgold: FoolsGold = "foolsgold",
    flame: Flame = "flame",
    sign_majority: SignMajority = "sign-majority",
    robust_lr: RobustLr = "robust-lr",
    fltrust: FlTrust = "fltrust",
}

pub use geometric_median::Start;

impl Default for Rule {
    fn default() -> Self {
        Rule::Mean(Mean {})
    }
}

/// Whether the rule after the pre-aggregator suits the number of clients.
///
/// # Errors
/// One sentence for each that does not, with its key.
pub fn suits(pre: &Pre, rule: &Rule, clients: u32) -> Result<(), Vec<String>> {
    let mut problems = Vec::new();
    let before = pre.check(clients).and_then(|()| few_enough(clients, pre.most_clients()));
    // A pre-aggregator that does not suit has no number of rows.
    let rows = if before.is_ok() { pre.outputs(clients) } else { clients };
    if let Err(sentence) = before {
        problems.push(format!("{} = {:?}: {sentence}", pre::PRE, pre.name()));
    }
    if let Err(sentence) = rule.check(rows).and_then(|()| few_enough(rows, rule.most_clients())) {
        let counted = match rows < clients {
            true => format!(" (n counts the rows after {} = {:?})", pre::PRE, pre.name()),
            false => String::new(),
        };
        problems.push(format!("{RULE} = {:?}: {sentence}{counted}", rule.name()));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Rejects more clients than kernels take.
pub(super) fn few_enough(clients: u32, most: u32) -> Result<(), String> {
    match clients <= most {
        true => Ok(()),
        false => Err(format!("takes at most {most} clients; n = {clients}")),
    }
}

/// The row of a rule's assumed number of faulty clients.
const fn faulty(rule: &'static [&'static str]) -> Key {
    Key::new(
        "federation.aggregation.f",
        ValueKind::Int(0, U32),
        DefaultValue::Required,
        "number of faulty clients that the rule assumes; a count, never a share",
    )
    .of(RULE, rule)
}

#[cfg(test)]
mod tests;
