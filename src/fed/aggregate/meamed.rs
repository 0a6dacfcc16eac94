//! The mean around the median (Xie et al. 2018).

use super::device::{Coordinates, Kind, mask};
use super::each::too_few;
use super::{
    Aggregation, AggregationRule, Candidates, Condition, Draws, Each, Network, NetworkDecision, NetworkRule, faulty,
};
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::key::Key;
use serde::{Deserialize, Serialize};

/// The mean of each coordinate's n - f values nearest to its median; of two at equal distance the smaller one is taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meamed {
    /// Values left out.
    pub f: u32,
}

pub(super) const OPTIONS: &[Key] = &[faulty(&["meamed"])];
pub(super) const CONDITION: Condition = Condition::MINORITY;

impl AggregationRule for Meamed {
    fn check(&self, clients: u32) -> Result<(), String> {
        CONDITION.check(clients, self.f)
    }

    fn build(&self, engine: &mut dyn Engine, networks: &[Network], _draws: &Draws) -> Result<Box<dyn Aggregation>> {
        let f = self.f;
        Each::build(networks, |_, network| Ok(OnNetwork { f, rule: Coordinates::new(engine, network, Kind::Nearest)? }))
    }
}

struct OnNetwork {
    f: u32,
    rule: Coordinates,
}

impl NetworkRule for OnNetwork {
    fn recordings(&self) -> Vec<&Recording> {
        vec![self.rule.recording()]
    }

    fn aggregate(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<NetworkDecision> {
        let (present, f) = (round.clients(), round.faults(self.f));
        if present.len() <= 2 * f {
            return Err(too_few(round, "the mean around the median needs more than 2f"));
        }
        self.rule.run_nearest(engine, &mask(round.present), present.len() - f)?;
        Ok(NetworkDecision::equal(round.present.len(), &present))
    }
}
