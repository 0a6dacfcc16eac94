//! Pre-aggregation: clients' rows are mixed or clipped before a rule combines them. A pre-aggregator is one file here and one line in
//! the list below.

use super::device::{Combine, Network, Sum};
use super::each::NetworkDecision;
use super::{Aggregation, Candidates, Combination, Decision, Draws, Memory, Rule};
use crate::Result;
use crate::exec::{Engine, Recording, Tensor};
use crate::fed::choice::choice;
use crate::fed::rows::{Piece, Rows};
use crate::key::Key;
use serde::{Deserialize, Serialize};

/// A pre-aggregator with its options.
pub trait PreAggregation {
    /// Rejects a number of clients, as [`super::AggregationRule::check`].
    ///
    /// # Errors
    /// The sentence.
    fn check(&self, clients: u32) -> Result<(), String>;

    /// Most clients whose rows it mixes.
    fn most_clients(&self) -> u32 {
        u32::MAX
    }

    /// Number of rows that the rule gets from `clients` clients.
    fn outputs(&self, clients: u32) -> u32 {
        clients
    }

    /// What decides how the rows of one network are mixed, if there is a pre-aggregator.
    ///
    /// # Errors
    /// As [`Engine::alloc`].
    fn build(
        &self,
        engine: &mut dyn Engine,
        network: &Network,
        draws: &Draws,
        number: u32,
    ) -> Result<Option<Box<dyn Mixing>>>;
}

/// A pre-aggregator on one network.
pub trait Mixing {
    /// The recordings that it executes.
    fn recordings(&self) -> Vec<&Recording>;

    /// The rows to make: each a sum of the clients' rows and the server's.
    ///
    /// # Errors
    /// If the device fails; if too few clients are present.
    fn mix(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<Mixed>;
}

/// Rows as sums of the clients' rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixed {
    /// For each row its coefficients of the clients; the server's row has what is missing to 1. Empty for a row that does not exist,
    /// because clients were not present.
    pub rows: Vec<Vec<f64>>,
    /// The margin of the decision, see [`NetworkDecision`].
    pub margin: f64,
}

/// The key that chooses the pre-aggregator.
pub const PRE: &str = "federation.pre_aggregation.rule";

choice! {
    /// The pre-aggregator of an experiment.
    Pre by "rule" as PreAggregation;
    none: None = "none",
    nnm: Nnm = "nnm",
    bucketing: Bucketing = "bucketing",
    arc: Arc = "arc",
}

impl Default for Pre {
    fn default() -> Self {
        Pre::None(None {})
    }
}

/// Builds `rule` on the rows that `pre` makes.
///
/// # Errors
/// As [`Engine::alloc`].
pub(in crate::fed) fn build(
    engine: &mut dyn Engine,
    pre: &Pre,
    rule: &Rule,
    networks: &[Network],
    draws: &Draws,
) -> Result<Box<dyn Aggregation>> {
    let mut mixers = Vec::new();
    for (number, network) in (0..).zip(networks) {
        let Some(mixing) = pre.build(engine, network, draws, number)? else {
            return rule.build(engine, networks, draws);
        };
        mixers.push(Mixer::new(engine, network, mixing, pre.outputs(network.weights.clients()))?);
    }
    let mixed: Vec<Network> = mixers.iter().map(|mixer| mixer.network.clone()).collect();
    Ok(Box::new(Before { rule: rule.build(engine, &mixed, draws)?, mixers, made: Vec::new() }))
}

/// A network's mixed rows.
struct Mixer {
    mixing: Box<dyn Mixing>,
    /// The network as the rule sees it.
    network: Network,
    /// For every row the sums of its tensors.
    sums: Vec<Vec<Sum>>,
    /// The mean of the mixed rows, if the rule is the mean.
    combine: Combine,
}

impl Mixer {
    fn new(engine: &mut dyn Engine, network: &Network, mixing: Box<dyn Mixing>, outputs: u32) -> Result<Mixer> {
        let mut sums: Vec<Vec<Sum>> = (0..outputs).map(|_| Vec::new()).collect();
        let mut mixed = |rows: &Rows| -> Result<Rows> {
            let to = engine.alloc("mixed rows", outputs as usize * rows.words)?;
            for (at, sums) in sums.iter_mut().enumerate() {
                sums.push(Sum::new(engine, rows, rows.server, to.slice(at * rows.words, rows.words))?);
            }
            Ok(Rows { pieces: vec![Piece { first: 0, clients: outputs, rows: to }], ..rows.clone() })
        };
        let weights = mixed(&network.weights)?;
        let statistics = network.statistics.as_ref().map(&mut mixed).transpose()?;
        let network = Network { name: network.name, weights, statistics, root: network.root };
        let combine = Combine::new(engine, &network)?;
        Ok(Mixer { mixing, network, sums, combine })
    }
}

/// A rule on mixed rows.
struct Before {
    mixers: Vec<Mixer>,
    /// The rows made in the last round.
    made: Vec<usize>,
    rule: Box<dyn Aggregation>,
}

impl Aggregation for Before {
    fn recordings(&self) -> Vec<&Recording> {
        let mut all = self.rule.recordings();
        for mixer in &self.mixers {
            all.extend(mixer.mixing.recordings());
            all.extend(mixer.sums.iter().flatten().map(Sum::recording));
            all.extend(mixer.combine.recordings());
        }
        all
    }

    fn decide(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<Decision> {
        let mut all = Vec::new();
        for mixer in &mut self.mixers {
            let mixed = mixer.mixing.mix(engine, round)?;
            for (coefficients, sums) in mixed.rows.iter().zip(&mixer.sums).filter(|(row, _)| !row.is_empty()) {
                let server = rest(coefficients);
                sums.iter().try_for_each(|sum| sum.run(engine, server, coefficients))?;
            }
            all.push(mixed);
        }
        // Every network has the same rows: they depend on the clients that are present alone.
        let present: Vec<bool> = all[0].rows.iter().map(|row| !row.is_empty()).collect();
        self.made = (0..present.len()).filter(|row| present[*row]).collect();
        let count = self.made.len().max(1) as f64;
        let weights: Vec<f64> = present.iter().map(|present| f64::from(u8::from(*present)) / count).collect();
        let inner =
            self.rule.decide(engine, &Candidates { round: round.round, present: &present, weights: &weights })?;
        let back = |mixed: &Mixed, weights: &[f64]| -> Vec<f64> {
            let of = |c: usize| {
                let parts = mixed.rows.iter().zip(weights).filter(|(row, _)| !row.is_empty());
                parts.map(|(row, weight)| row[c] * weight).sum()
            };
            (0..round.present.len()).map(of).collect()
        };
        if inner.result == Combination::WeightedSum {
            self.mixers.iter().try_for_each(|mixer| mixer.combine.run(engine, &inner.weights))?;
        }
        let mut networks = inner.networks;
        if networks.is_empty() {
            let of = |mixer: &Mixer| NetworkDecision { network: mixer.network.name.into(), ..Default::default() };
            networks = self.mixers.iter().map(of).collect();
        }
        for (decision, mixed) in networks.iter_mut().zip(&all) {
            let weights = if decision.weights.is_empty() { &inner.weights } else { &decision.weights };
            let margin = decision.margin.unwrap_or(f64::INFINITY).min(mixed.margin);
            *decision = NetworkDecision { weights: back(mixed, weights), ..decision.clone() }.margin(margin);
        }
        let weights = networks.first().map(|d| d.weights.clone()).unwrap_or_default();
        Ok(Decision { weights, result: Combination::Written, networks })
    }

    fn memory(&self) -> Vec<Memory> {
        self.rule.memory()
    }

    fn mixed(&self) -> Vec<Tensor> {
        let rows = &self.mixers[0].network.weights;
        self.made.iter().map(|at| rows.pieces[0].rows.slice(at * rows.words, rows.words)).collect()
    }
}

/// What is missing to 1; rounding errors are no part of the server's row.
fn rest(coefficients: &[f64]) -> f64 {
    let rest = 1.0 - coefficients.iter().sum::<f64>();
    if rest.abs() < 1e-12 { 0.0 } else { rest }
}
