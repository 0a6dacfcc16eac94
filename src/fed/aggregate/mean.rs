//! The weighted mean (federated averaging, McMahan et al. 2017).

use super::{Aggregation, AggregationRule, Candidates, Combination, Condition, Decision, Draws, Network};
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::key::Key;
use serde::{Deserialize, Serialize};

/// w = sum a_i w_i with the clients' weights a_i, which data and detector determine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mean {}

pub(super) const OPTIONS: &[Key] = &[];
pub(super) const CONDITION: Condition = Condition::NONE;

impl AggregationRule for Mean {
    fn check(&self, _clients: u32) -> Result<(), String> {
        Ok(())
    }

    fn most_clients(&self) -> u32 {
        u32::MAX
    }

    fn takes_weights(&self) -> bool {
        true
    }

    fn build(&self, _engine: &mut dyn Engine, _networks: &[Network], _draws: &Draws) -> Result<Box<dyn Aggregation>> {
        Ok(Box::new(Mean {}))
    }
}

impl Aggregation for Mean {
    fn recordings(&self) -> Vec<&Recording> {
        Vec::new()
    }

    fn decide(&mut self, _engine: &mut dyn Engine, round: &Candidates) -> Result<Decision> {
        let weights = round.weights.to_vec();
        Ok(Decision { weights, result: Combination::WeightedSum, networks: Vec::new() })
    }
}
