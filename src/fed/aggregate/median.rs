//! The coordinate-wise median (Yin et al. 2018).

use super::coordinate::{self, Average};
use super::{Aggregation, AggregationRule, Condition, Draws, Network};
use crate::Result;
use crate::exec::Engine;
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
        coordinate::build(engine, networks, Average::Middle)
    }
}
