//! Model replacement (Bagdasaryan et al. 2020): a malicious client scales up its own update. It needs no knowledge of the
//! others.

use super::device::Factors;
use super::{Attacker, Knowledge, Target, UPDATE, UpdateAttack};
use crate::Result;
use crate::exec::Engine;
use crate::key::{Bound, DefaultValue, Key, ValueKind};
use serde::{Deserialize, Serialize};

/// w_i becomes w + factor (w_i - w). A factor of N, the number of clients, replaces the global model under equal weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// The factor, above 0; 1 leaves updates unchanged.
    pub factor: f64,
}

pub(super) const OPTIONS: &[Key] = &[Key::new(
    "attack.update.factor",
    ValueKind::Real(Bound::Open(0.0), Bound::Free),
    DefaultValue::Required,
    "factor of the update that a malicious client sends: 1 sends it unchanged, the number of clients replaces the global model",
)
.of(UPDATE, &["scale"])];

impl UpdateAttack for Scale {
    fn knowledge(&self) -> Knowledge {
        Knowledge::Own
    }

    fn growth(&self) -> (&'static str, f64) {
        ("factor", self.factor)
    }

    fn build(&self, engine: &mut dyn Engine, on: &Target) -> Result<Box<dyn Attacker>> {
        Ok(Box::new(Factors::new(engine, on, self.factor)?))
    }
}
