//! No pre-aggregation.

use super::{Mixing, PreAggregation};
use crate::Result;
use crate::exec::Engine;
use crate::fed::aggregate::{Draws, device::Network};
use crate::key::Key;
use serde::{Deserialize, Serialize};

/// The rule gets the clients' rows as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct None {}

pub(super) const OPTIONS: &[Key] = &[];

impl PreAggregation for None {
    fn check(&self, _clients: u32) -> Result<(), String> {
        Ok(())
    }

    fn build(&self, _: &mut dyn Engine, _: &Network, _: &Draws, _: u32) -> Result<Option<Box<dyn Mixing>>> {
        Ok(Option::None)
    }
}
