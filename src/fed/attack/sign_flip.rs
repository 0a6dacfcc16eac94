//! Sign flipping: a malicious client sends its own update reversed.

use super::device::Factors;
use super::{Attacker, Knowledge, Target, UPDATE, UpdateAttack};
use crate::Result;
use crate::exec::Engine;
use crate::key::{Bound, DefaultValue, Key, ValueKind};
use serde::{Deserialize, Serialize};

/// The update is -factor times the trained one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignFlip {
    /// The factor, above 0.
    pub factor: f64,
}

pub(super) const OPTIONS: &[Key] = &[Key::new(
    "attack.update.factor",
    ValueKind::Real(Bound::Open(0.0), Bound::Free),
    DefaultValue::Real(1.0),
    "length of the reversed update that a malicious client sends, relative to its own",
)
.of(UPDATE, &["sign-flip"])];

impl UpdateAttack for SignFlip {
    fn knowledge(&self) -> Knowledge {
        Knowledge::Own
    }

    fn growth(&self) -> (&'static str, f64) {
        ("factor", self.factor)
    }

    fn build(&self, engine: &mut dyn Engine, on: &Target) -> Result<Box<dyn Attacker>> {
        Ok(Box::new(Factors::new(engine, on, -self.factor)?))
    }
}
