//! Minimum diameter averaging (El Mhamdi et al. 2018).

use super::device::{Combine, Distances, Matrix};
use super::each::too_few;
use super::select::{MOST_SUBSETS, least_diameter, subsets};
use super::{
    Aggregation, AggregationRule, Candidates, Condition, Draws, Each, Network, NetworkDecision, NetworkRule, faulty,
};
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::key::Key;
use serde::{Deserialize, Serialize};

/// The mean of the n - f clients whose largest distance is least; of equal ones the first in lexicographic order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mda {
    /// Assumed number of faulty clients.
    pub f: u32,
}

pub(super) const OPTIONS: &[Key] = &[faulty(&["mda"])];
pub(super) const CONDITION: Condition = Condition {
    text: "n > 2f and at most 100000 ways to leave out f of n clients",
    holds: |n, f| n > 2 * f && subsets(n, f).is_some_and(|count| count <= MOST_SUBSETS),
};

impl AggregationRule for Mda {
    fn check(&self, clients: u32) -> Result<(), String> {
        CONDITION.check(clients, self.f)
    }

    fn build(&self, engine: &mut dyn Engine, networks: &[Network], _draws: &Draws) -> Result<Box<dyn Aggregation>> {
        let f = self.f;
        Each::build(networks, |_, network| {
            let matrix = Matrix::new(engine, &network.weights)?;
            let (distances, combine) = (Distances::new(engine, &matrix)?, Combine::new(engine, network)?);
            Ok(OnNetwork { f, distances, combine })
        })
    }
}

struct OnNetwork {
    f: u32,
    distances: Distances,
    combine: Combine,
}

impl NetworkRule for OnNetwork {
    fn recordings(&self) -> Vec<&Recording> {
        std::iter::once(self.distances.recording()).chain(self.combine.recordings()).collect()
    }

    fn aggregate(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<NetworkDecision> {
        let (present, f) = (round.clients(), round.faults(self.f));
        if present.len() <= 2 * f {
            return Err(too_few(round, "minimum diameter averaging needs n > 2f"));
        }
        let (chosen, margin) = least_diameter(&self.distances.read(engine)?, &present, present.len() - f);
        let decision = NetworkDecision::equal(round.present.len(), &chosen);
        self.combine.run(engine, &decision.weights)?;
        Ok(decision.margin(margin))
    }
}
