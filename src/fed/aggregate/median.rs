//! The coordinate-wise median (Yin et al. 2018).

use super::device::{Coordinates, Kind, mask};
use super::{Aggregation, AggregationRule, Candidates, Condition, Draws, Each, Network, NetworkDecision, NetworkRule};
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::key::Key;
use serde::{Deserialize, Serialize};

/// Each coordinate's middle value, the mean of the two middle ones for an even number of clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Median {}

pub(super) const OPTIONS: &[Key] = &[];
pub(super) const CONDITION: Condition = Condition::MINORITY;

impl AggregationRule for Median {
    fn check(&self, _clients: u32) -> Result<(), String> {
        Ok(())
    }

    fn build(&self, engine: &mut dyn Engine, networks: &[Network], _draws: &Draws) -> Result<Box<dyn Aggregation>> {
        Each::build(networks, |_, network| Ok(OnNetwork(Coordinates::new(engine, network, Kind::Trimmed)?)))
    }
}

struct OnNetwork(Coordinates);

impl NetworkRule for OnNetwork {
    fn recordings(&self) -> Vec<&Recording> {
        vec![self.0.recording()]
    }

    fn aggregate(&mut self, engine: &mut dyn Engine, round: &Candidates) -> Result<NetworkDecision> {
        let present = round.clients();
        let n = present.len();
        self.0.run_places(engine, &mask(round.present), (n - 1) / 2, n / 2)?;
        Ok(NetworkDecision::equal(round.present.len(), &present))
    }
}
