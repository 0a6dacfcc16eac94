//! No attack on updates.

use super::{Attacker, Knowledge, Sight, Target, UpdateAttack};
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::key::Key;
use serde::{Deserialize, Serialize};

/// Malicious clients send their updates unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct None {}

pub(super) const OPTIONS: &[Key] = &[];

impl UpdateAttack for None {
    fn knowledge(&self) -> Knowledge {
        Knowledge::Own
    }

    fn build(&self, _engine: &mut dyn Engine, _on: &Target) -> Result<Box<dyn Attacker>> {
        Ok(Box::new(Unchanged))
    }
}

struct Unchanged;

impl Attacker for Unchanged {
    fn recordings(&self) -> Vec<&Recording> {
        Vec::new()
    }

    fn rewrite(&mut self, _engine: &mut dyn Engine, _round: &Sight) -> Result<()> {
        Ok(())
    }
}
