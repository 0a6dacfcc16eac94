//! Majority vote over the signs of updates (Bernstein et al. 2019).

use super::device::{Combine, Coordinates, Kind, Network, mask};
use super::{Aggregation, AggregationRule, Candidates, Condition, Draws, Each, NetworkDecision, NetworkRule, RULE};
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::key::{Bound, DefaultValue, Key, ValueKind};
use serde::{Deserialize, Serialize};

/// Every weight takes a step of one length in the direction of most clients' updates; none at a tie. Running statistics are averaged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignMajority {
    /// Length of the step.
    pub step: f64,
}

pub(super) const OPTIONS: &[Key] = &[Key::new(
    "federation.aggregation.step",
    ValueKind::Real(Bound::Open(0.0), Bound::Free),
    DefaultValue::Required,
    "length of the step of every weight in a round",
)
.of(RULE, &["sign-majority"])];
pub(super) const CONDITION: Condition = Condition::MINORITY;

impl AggregationRule for SignMajority {
    fn check(&self, _clients: u32) -> Result<(), String> {
        Ok(())
    }

    fn most_clients(&self) -> u32 {
        u32::MAX
    }

    fn build(&self, engine: &mut dyn Engine, networks: &[Network], _draws: &Draws) -> Result<Box<dyn Aggregation>> {
        let kind = Kind::Majority(self.step as f32);
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
        self.rule.run(engine, &mask(round.present))?;
        let decision = NetworkDecision::equal(round.present.len(), &round.clients());
        self.statistics.run_statistics(engine, 0.0, &decision.weights)?;
        Ok(decision)
    }
}
