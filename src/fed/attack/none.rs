//! No attack on updates.

use super::UpdateAttack;
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::fed::rows::Rows;
use crate::key::Key;
use serde::{Deserialize, Serialize};

/// Malicious clients send their updates unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct None {}

pub(super) const OPTIONS: &[Key] = &[];

impl UpdateAttack for None {
    fn record(&self, _engine: &mut dyn Engine, _rows: &[Rows], _malicious: &[u32]) -> Result<Recording> {
        Ok(Recording::new())
    }
}
