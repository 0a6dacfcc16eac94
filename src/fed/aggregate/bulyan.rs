//! Bulyan (El Mhamdi et al. 2018).

use super::device::{Coordinates, Distances, Kind, Matrix};
use super::each::too_few;
use super::select::bulyan;
use super::{
    Aggregation, AggregationRule, Candidates, Condition, Draws, Each, Network, NetworkDecision, NetworkRule, faulty,
};
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::key::Key;
use serde::{Deserialize, Serialize};

/// Krum picks n - 2f clients in turn, each among those that are left; then the mean of each coordinate's n - 4f values nearest to the
/// median of the chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bulyan {
    /// Assumed number of faulty clients.
    pub f: u32,
}

pub(super) const OPTIONS: &[Key] = &[faulty(&["bulyan"])];
pub(super) const CONDITION: Condition = Condition { text: "n >= 4f + 3", holds: |n, f| n >= 4 * f + 3 };

impl AggregationRule for Bulyan {
    fn check(&self, clients: u32) -> Result<(), String> {
        CONDITION.check(clients, self.f)
    }

    fn build(&self, engine: &mut dyn Engine, networks: &[Network], _draws: &Draws) -> Result<Box<dyn Aggregation>> {
        let f = self.f;
        Each::build(networks, |_, network| {
            let matrix = Matrix::new(engine, &network.weights)?;
            let distances = Distances::new(engine, &matrix)?;
            Ok(OnNetwork { f, distances, rule: Coordinates::new(engine, network, Kind::Nearest)? })
        })
    }
}

struct OnNetwork {
    f: u32,
    distances: Distances,
    rule: Coordinates,
}

impl NetworkRule for OnNetwork {
    fn recordings(&self) -> Vec<&Recording> {
        vec![self.distances.recording(), self.rule.recording()]
    }

    fn aggregate(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<NetworkDecision> {
        let (present, f) = (round.clients(), round.faults(self.f));
        if present.len() < 4 * f + 3 {
            return Err(too_few(round, "Bulyan needs n >= 4f + 3"));
        }
        let (chosen, margin) = bulyan(&self.distances.read(engine)?, &present, f, present.len() - 2 * f);
        let decision = NetworkDecision::equal(round.present.len(), &chosen);
        self.rule.run_nearest(engine, &decision.weights, present.len() - 4 * f)?;
        Ok(decision.margin(margin))
    }
}
