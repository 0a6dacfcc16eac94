//! The geometric median by smoothed Weiszfeld iterations (RFA, Pillutla et al. 2022).

use super::device::{Combine, Coordinates, Kind, Norms, Sum, mask, record_copy, row_like};
use super::{
    Aggregation, AggregationRule, Candidates, Condition, Draws, Each, Network, NetworkDecision, NetworkRule, RULE,
};
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::key::{Bound, DefaultValue, Key, ValueKind};
use serde::{Deserialize, Serialize};

/// The start of the iterations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// The server's networks: an update of 0.
    Zero,
    /// The weighted mean. One large update takes many iterations to forget.
    Mean,
    /// The coordinate-wise median.
    Median,
}

/// b_i = a_i / max(nu, ||x_i - z||), z = sum b_i x_i / sum b_i, repeated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeometricMedian {
    /// Least distance that is divided by.
    pub nu: f64,
    /// Iterations.
    pub iterations: u32,
    /// Their start.
    pub start: Start,
}

pub(super) const OPTIONS: &[Key] = &[
    Key::new(
        "federation.aggregation.nu",
        ValueKind::Real(Bound::Open(0.0), Bound::Free),
        DefaultValue::Real(1e-6),
        "least distance that is divided by",
    )
    .of(RULE, &["geometric-median"]),
    Key::new(
        "federation.aggregation.iterations",
        ValueKind::Int(1, 1000),
        DefaultValue::Int(8),
        "iterations in each round",
    )
    .of(RULE, &["geometric-median"]),
    Key::new(
        "federation.aggregation.start",
        ValueKind::Choice(&["zero", "mean", "median"]),
        DefaultValue::Text("median"),
        "start of the iterations; from `mean` one large update takes many iterations to forget",
    )
    .of(RULE, &["geometric-median"]),
];
pub(super) const CONDITION: Condition = Condition::MINORITY;

impl AggregationRule for GeometricMedian {
    fn check(&self, _clients: u32) -> Result<(), String> {
        Ok(())
    }

    fn takes_weights(&self) -> bool {
        true
    }

    fn build(&self, engine: &mut dyn Engine, networks: &[Network], _draws: &Draws) -> Result<Box<dyn Aggregation>> {
        Each::build(networks, |_, network| OnNetwork::new(engine, network, self.clone()))
    }
}

/// The iterations run on the clients' weights, with which the rule commutes; z is a row of its own.
struct OnNetwork {
    options: GeometricMedian,
    /// z = the server's row.
    restart: Recording,
    /// The median, written to the server's row.
    median: Option<Coordinates>,
    step: Sum,
    norms: Norms,
    combine: Combine,
}

impl OnNetwork {
    fn new(engine: &mut dyn Engine, network: &Network, options: GeometricMedian) -> Result<OnNetwork> {
        let rows = &network.weights;
        let z = row_like(engine, rows, "geometric median")?;
        let mut restart = Recording::new();
        record_copy(&mut restart, rows.server, z, rows.words, "start of the geometric median")?;
        let median = match options.start {
            // The statistics follow from the final weights.
            Start::Median => {
                Some(Coordinates::new(engine, &Network { statistics: None, ..network.clone() }, Kind::Trimmed)?)
            }
            Start::Zero | Start::Mean => None,
        };
        let step = Sum::new(engine, rows, rows.server, z)?;
        let (norms, combine) = (Norms::new(engine, rows, z)?, Combine::new(engine, network)?);
        Ok(OnNetwork { options, restart, median, step, norms, combine })
    }
}

impl NetworkRule for OnNetwork {
    fn recordings(&self) -> Vec<&Recording> {
        let own = [&self.restart, self.step.recording(), self.norms.recording()];
        own.into_iter().chain(self.median.iter().map(Coordinates::recording)).chain(self.combine.recordings()).collect()
    }

    fn aggregate(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<NetworkDecision> {
        let present = round.clients();
        if let Some(median) = &self.median {
            median.run_places(engine, &mask(round.present), (present.len() - 1) / 2, present.len() / 2)?;
        }
        match self.options.start {
            Start::Mean => self.step.run(engine, 0.0, round.weights)?,
            Start::Zero | Start::Median => engine.run(&self.restart, 1)?,
        }
        let mut weights = round.weights.to_vec();
        for iteration in 0..self.options.iterations {
            let distances = self.norms.read(engine)?;
            weights.fill(0.0);
            for c in &present {
                weights[*c] = round.weights[*c] / distances[*c].value().max(self.options.nu);
            }
            let sum: f64 = weights.iter().sum();
            weights.iter_mut().for_each(|weight| *weight /= sum);
            if iteration + 1 < self.options.iterations {
                self.step.run(engine, 0.0, &weights)?;
            }
        }
        self.combine.run(engine, &weights)?;
        Ok(NetworkDecision::of(weights))
    }
}
