//! The weighted mean (federated averaging, McMahan et al. 2017).

use super::{Aggregation, AggregationRule, Candidates, Combination, Decision};
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::fed::rows::Rows;
use crate::key::Key;
use serde::{Deserialize, Serialize};

/// w = sum a_i w_i with the clients' weights a_i, which data and detector determine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mean {}

pub(super) const OPTIONS: &[Key] = &[];

impl AggregationRule for Mean {
    fn check(&self, _clients: u32) -> Result<(), String> {
        Ok(())
    }

    fn takes_weights(&self) -> bool {
        true
    }

    fn build(&self, _engine: &mut dyn Engine, _rows: &[Rows]) -> Result<Box<dyn Aggregation>> {
        Ok(Box::new(Mean {}))
    }
}

impl Aggregation for Mean {
    fn recordings(&self) -> Vec<&Recording> {
        Vec::new()
    }

    fn decide(&mut self, _engine: &mut dyn Engine, round: &Candidates) -> Result<Decision> {
        Ok(Decision { weights: round.weights.to_vec(), result: Combination::WeightedSum })
    }
}
