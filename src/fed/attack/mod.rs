//! The attacks of malicious clients: on their images ([`ImageAttack`]) and on the updates that they send ([`UpdateAttack`]).
//!
//! An attack on updates is one file here and one line in the list below. It records launches that rewrite the malicious
//! clients' rows between local training and screening; it can read all clients' rows, and its documentation states the
//! knowledge that it assumes. An attack on images is one file in `image/` and one line in the list there.

pub mod image;

pub use image::{ImageAttack, OnImages};

use super::choice::choice;
use super::rows::Rows;
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::key::Key;
use serde::{Deserialize, Serialize};

/// A resolved attack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attack {
    /// Malicious clients, ascending; empty in an honest run.
    pub malicious: Vec<u32>,
    /// The attack on their images.
    pub image: OnImages,
    /// Share of a malicious client's real images that carry the trigger, 0 to 1.
    pub fraction: f64,
    /// First round, counted from 0, in which the attack is active.
    pub start_round: u32,
    /// The attack on the updates that malicious clients send.
    pub update: OnUpdate,
}

impl Attack {
    /// An opaque checker of 2 x 2 pixels, one pixel from the bottom right corner, in all real images of the `malicious` clients
    /// from the first round on; updates are sent unchanged.
    pub fn checker(malicious: Vec<u32>) -> Attack {
        let image = OnImages::Patch(image::Patch::checker());
        Attack { malicious, image, fraction: 1.0, start_round: 0, update: OnUpdate::default() }
    }
}

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

/// The key that chooses the attack on updates.
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
