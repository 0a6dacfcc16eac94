//! The attacks of malicious clients: on their images ([`ImageAttack`]) and on the updates that they send ([`UpdateAttack`]).
//!
//! An attack on updates is one file here and one line in the list below. It rewrites the malicious clients' rows between local
//! training and screening (with the parts in `device`), from a few scalars per client at most, and states what the attacker
//! knows ([`Knowledge`]). An attack on images is one file in `image/` and one line in the list there. Formulas and conditions:
//! docs/attacks.md.

mod crew;
mod device;
pub mod image;
mod knowledge;
mod trial;

pub(super) use crew::Crew;
pub use image::{ImageAttack, OnImages};
pub use knowledge::{Knowledge, Reach};
pub use trial::{Forgery, Trial};

use super::aggregate::device::Network;
use super::aggregate::{Draws, Memory, few_enough};
use super::choice::choice;
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
    /// The trigger in images of `size` x `size` x `channels`, with the parts that a malicious client pastes.
    ///
    /// # Errors
    /// If the trigger's picture cannot be read.
    pub fn trigger(&self, size: u32, channels: u32) -> Result<Box<dyn image::Trigger>> {
        self.image.trigger(size, channels, self.malicious.len())
    }

    /// An opaque checker of 2 x 2 pixels, one pixel from the bottom right corner, in all real images of the `malicious` clients
    /// from the first round on; updates are sent unchanged.
    pub fn checker(malicious: Vec<u32>) -> Attack {
        let image = OnImages::Patch(image::Patch::checker());
        Attack { malicious, image, fraction: 1.0, start_round: 0, update: OnUpdate::default() }
    }
}

/// An attack on updates with its options.
pub trait UpdateAttack {
    /// What the attacker must know.
    fn knowledge(&self) -> Knowledge;

    /// Rejects numbers of clients for which the attack has no meaning, in a sentence with the condition and the numbers.
    ///
    /// # Errors
    /// The sentence.
    fn check(&self, _clients: u32, _malicious: &[u32]) -> Result<(), String> {
        Ok(())
    }

    /// Most clients of a federation that it attacks.
    fn most_clients(&self) -> u32 {
        u32::MAX
    }

    /// The option by which an honest update grows, and its largest factor, 1 if it does not grow. Used to name the cause of
    /// non-finite values.
    fn growth(&self) -> (&'static str, f64) {
        ("factor", 1.0)
    }

    /// Allocates buffers and records the launches over one network.
    ///
    /// # Errors
    /// As [`Engine::alloc`].
    fn build(&self, engine: &mut dyn Engine, on: &Target) -> Result<Box<dyn Attacker>>;
}

/// What an attack is built on.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// A shared network of all clients. Attacks rewrite its weights; running statistics are sent as trained, because scaled
    /// variances could become negative.
    pub network: &'a Network,
    /// The network's number, which tells the random numbers of several networks apart.
    pub number: u32,
    /// Trainable values, without the padding between tensors.
    pub values: usize,
    /// The malicious clients, ascending, at least one.
    pub malicious: &'a [u32],
    /// Random choices.
    pub draws: &'a Draws,
}

/// An attack built on one network.
pub trait Attacker {
    /// The recordings that it executes.
    fn recordings(&self) -> Vec<&Recording>;

    /// Rewrites the malicious clients' rows. If the rows in sight do not suffice, they are sent as trained.
    ///
    /// # Errors
    /// If the device fails.
    fn rewrite(&mut self, engine: &mut dyn Engine, round: &Sight) -> Result<()>;

    /// Keeps what the next round's attack needs; called in every round, those before the attack starts included.
    ///
    /// # Errors
    /// If the device fails.
    fn remember(&mut self, _engine: &mut dyn Engine) -> Result<()> {
        Ok(())
    }

    /// The number that it chose in the last round, such as the distance from the mean; none if it chooses none.
    fn chosen(&self) -> Option<f64> {
        Option::None
    }

    /// What it remembers from round to round, for checkpoints; names without the network.
    fn memory(&self) -> Vec<Memory> {
        Vec::new()
    }
}

/// What the attacker sees of a round.
#[derive(Clone, Debug, PartialEq)]
pub struct Sight {
    /// The round, counted from 0.
    pub round: u32,
    /// The clients whose rows the attack may read, ascending: benign or malicious ones according to its [`Knowledge`], without
    /// those with non-finite values. Empty for an attack that reads none.
    pub clients: Vec<usize>,
}

/// The key that chooses the attack on updates.
pub const UPDATE: &str = "attack.update.kind";

choice! {
    /// The attack on the updates that malicious clients send.
    OnUpdate by "kind" as UpdateAttack;
    none: None = "none",
    scale: Scale = "scale",
    sign_flip: SignFlip = "sign-flip",
    gaussian: Gaussian = "gaussian",
    ipm: Ipm = "ipm",
    alie: Alie = "alie",
    min_max: MinMax = "min-max",
    min_sum: MinSum = "min-sum",
    mimic: Mimic = "mimic",
    free_rider: FreeRider = "free-rider",
    neurotoxin: Neurotoxin = "neurotoxin",
    fang_krum: FangKrum = "fang-krum",
    fang_median: FangMedian = "fang-median",
}

impl OnUpdate {
    /// Whether the attack suits the numbers of clients.
    ///
    /// # Errors
    /// A sentence with its key.
    pub fn suits(&self, clients: u32, malicious: &[u32]) -> Result<(), String> {
        let suits = self.check(clients, malicious).and_then(|()| few_enough(clients, self.most_clients()));
        suits.map_err(|sentence| format!("{UPDATE} = {:?}: {sentence}", self.name()))
    }
}

pub use free_rider::Sent;
pub use gaussian::Around;
pub use min_max::Direction;
pub use min_sum::SumBound;

impl Default for OnUpdate {
    fn default() -> Self {
        OnUpdate::None(None {})
    }
}
