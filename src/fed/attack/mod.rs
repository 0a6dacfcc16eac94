//! The attacks of malicious clients: on their images ([`Patch`]) and on the updates that they send ([`UpdateAttack`]).
//!
//! An attack on updates is one file here and one line in the list below. It records launches that rewrite the malicious
//! clients' rows between local training and screening; it can read all clients' rows, and its documentation states the
//! knowledge that it assumes.

mod patch;

pub use patch::{Patch, Pattern, Place, Range, Trigger};

use super::choice::choice;
use super::rows::Rows;
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::key::Key;
use serde::{Deserialize, Serialize};

/// An attack on updates with its options.
pub trait UpdateAttack {
    /// Records the launches that rewrite the rows of the `malicious` clients (ascending) in all of `rows`.
    ///
    /// # Errors
    /// As [`Engine::alloc`].
    fn record(&self, engine: &mut dyn Engine, rows: &[Rows], malicious: &[u32]) -> Result<Recording>;

    /// Largest factor by which an honest update grows; 1 if it does not grow. Used to name the cause of non-finite values.
    fn growth(&self) -> f64 {
        1.0
    }
}

/// The key that chooses the attack.
pub const UPDATE: &str = "attack.update.kind";

choice! {
    /// The attack on the updates that malicious clients send.
    OnUpdate by "kind" as UpdateAttack;
    none: None = "none",
    scale: Scale = "scale",
}

impl Default for OnUpdate {
    fn default() -> Self {
        OnUpdate::None(None {})
    }
}
