//! The robust learning rate (Ozdayi et al. 2021).

use super::device::{Combine, Coordinates, Kind, Network};
use super::{Aggregation, AggregationRule, Candidates, Condition, Draws, Each, NetworkDecision, NetworkRule, RULE};
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::key::{DefaultValue, Key, U32, ValueKind};
use serde::{Deserialize, Serialize};

/// The mean of the updates, reversed in every coordinate where the signs of fewer than theta clients, net, agree. Running statistics are
/// averaged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RobustLr {
    /// Net votes that a direction needs.
    pub theta: u32,
}

pub(super) const OPTIONS: &[Key] = &[Key::new(
    "federation.aggregation.theta",
    ValueKind::Int(1, U32),
    DefaultValue::Required,
    "net votes that the direction of a weight needs, at most the number of clients; sensible above twice the faulty clients",
)
.of(RULE, &["robust-lr"])];
pub(super) const CONDITION: Condition = Condition::MINORITY;

impl AggregationRule for RobustLr {
    fn check(&self, clients: u32) -> Result<(), String> {
        match self.theta <= clients {
            true => Ok(()),
            false => Err(format!("theta = {}: {clients} clients have at most {clients} votes", self.theta)),
        }
    }

    fn most_clients(&self) -> u32 {
        u32::MAX
    }

    fn takes_weights(&self) -> bool {
        true
    }

    fn build(&self, engine: &mut dyn Engine, networks: &[Network], _draws: &Draws) -> Result<Box<dyn Aggregation>> {
        let kind = Kind::Robust(self.theta);
        Each::build(networks, |_, network| {
            Ok(OnNetwork { rule: Coordinates::new(engine, network, kind)?, statistics: Combine::new(engine, network)? })
        })
    }
}

struct OnNetwork {
    rule: Coordinates,
    statistics: Combine,
}

impl NetworkRule for OnNetwork {
    fn recordings(&self) -> Vec<&Recording> {
        std::iter::once(self.rule.recording()).chain(self.statistics.recordings()).collect()
    }

    fn aggregate(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<NetworkDecision> {
        self.rule.run(engine, round.weights)?;
        self.statistics.run_statistics(engine, 0.0, round.weights)?;
        Ok(NetworkDecision::of(round.weights.to_vec()))
    }
}
