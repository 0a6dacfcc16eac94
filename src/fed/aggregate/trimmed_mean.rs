//! The coordinate-wise trimmed mean (Yin et al. 2018).

use super::coordinate::{self, Average};
use super::{Aggregation, AggregationRule, Condition, Draws, Network, faulty};
use crate::Result;
use crate::exec::Engine;
use crate::key::Key;
use serde::{Deserialize, Serialize};

/// The mean of each coordinate's values without the f smallest and the f largest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrimmedMean {
    /// Values cut off at each end.
    pub f: u32,
}

pub(super) const OPTIONS: &[Key] = &[faulty(&["trimmed-mean"])];
pub(super) const CONDITION: Condition = Condition::MINORITY;

impl AggregationRule for TrimmedMean {
    fn check(&self, clients: u32) -> Result<(), String> {
        CONDITION.check(clients, self.f)
    }

    fn build(&self, engine: &mut dyn Engine, networks: &[Network], _draws: &Draws) -> Result<Box<dyn Aggregation>> {
        coordinate::build(engine, networks, Average::WithoutEnds(self.f))
    }
}
