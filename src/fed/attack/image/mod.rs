//! Attacks on the real images of malicious clients. An attack is one file here and one line in the list below: its options with
//! their rows, the tables that its trigger needs, the launches that put the trigger into the step's real batch, the same on the
//! host, and the way in which its trigger is searched for in generated images.

mod flow;
mod motif;
mod options;
mod place;
mod spectrum;
#[cfg(test)]
mod tests;

pub use flow::{Field, Flow};
pub use motif::{Motif, Pattern, Range};
pub use place::{Place, Window};
pub use sig::sine;
pub use spectrum::Spectrum;

use crate::Result;
use crate::exec::{Engine, Pool, Recording, Tensor};
use crate::fed::choice::choice;
use crate::key::Key;
use serde::{Deserialize, Serialize};

/// The key that chooses the attack.
pub const IMAGE: &str = "attack.image.kind";

choice! {
    /// The attack on the real images of malicious clients.
    OnImages by "kind" as ImageAttack;
    patch: Patch = "patch",
    blend: Blend = "blend",
    sig: Sig = "sig",
    warp: Warp = "warp",
    fiba: Fiba = "fiba",
    dba: Dba = "dba",
}

/// A rejected option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The key.
    pub key: &'static str,
    /// The value found.
    pub found: String,
    /// The values allowed, to follow "must be".
    pub allowed: String,
}

/// An attack on images with its options. All of them need only the client's own images.
pub trait ImageAttack {
    /// Gives absent options the values that follow from the image size.
    fn resolve(&mut self, _size: u32) {}

    /// Checks the options against the image size, without reading a file.
    ///
    /// # Errors
    /// The first option that does not suit it.
    fn check(&self, _size: u32) -> std::result::Result<(), Refusal> {
        Ok(())
    }

    /// What a malicious client must know.
    fn knowledge(&self) -> &'static str;

    /// Remarks for the user, such as parts of the trigger that no client pastes.
    fn notes(&self, _size: u32, _malicious: &[u32]) -> Vec<String> {
        Vec::new()
    }

    /// The picture that the trigger is made of, with its height and width in images of `size` x `size`; `None` without one.
    fn motif(&self, _size: u32) -> Option<(Motif<'_>, [u32; 2])> {
        None
    }

    /// The trigger in images of `size` x `size` x `channels`, 1 or 3 channels, for options that pass [`check`](Self::check). A
    /// trigger in parts has those that one of `malicious` clients pastes, or all of them if there is none.
    ///
    /// # Errors
    /// If the trigger's picture cannot be read.
    fn trigger(&self, size: u32, channels: u32, malicious: usize) -> Result<Box<dyn Trigger>>;
}

/// A trigger for images of one size, with its tables.
pub trait Trigger: std::fmt::Debug + Send + Sync {
    /// Uploads the tables that all chunks share.
    ///
    /// # Errors
    /// As [`Engine::alloc`].
    fn upload(&self, engine: &mut dyn Engine) -> Result<Vec<Tensor>>;

    /// Records the launches that put the trigger into the poisoned images of a batch; returns the buffer of the batch with the
    /// triggers, laid out as `batch.images`, which may be another one. Step-local buffers come from `pool`.
    ///
    /// # Errors
    /// As [`Engine::alloc`].
    fn record(
        &self,
        tables: &[Tensor],
        batch: &RealBatch,
        engine: &mut dyn Engine,
        pool: &mut Pool,
        rec: &mut Recording,
    ) -> Result<Tensor>;

    /// Puts the trigger into an image `[size][size][channels]` in [-1, 1], as an evaluation sees it.
    ///
    /// # Panics
    /// If the image has another size.
    fn paste(&self, image: &mut [f32]);

    /// How to search for the trigger in images.
    fn search(&self) -> Search<'_>;
}

/// A chunk's real images of one step.
#[derive(Clone, Copy, Debug)]
pub struct RealBatch<'a> {
    /// `[clients][batch][size][size][channels]`, client stride `stride`.
    pub images: Tensor,
    /// `[clients][steps * batch]`, client stride `order_stride`: bit 31 marks poisoned images.
    pub order: Tensor,
    /// The counters of the step.
    pub state: Tensor,
    /// The chunk's first client.
    pub first: u32,
    /// Clients of the chunk.
    pub clients: u32,
    /// Images of each client.
    pub batch: u32,
    /// Height and width.
    pub size: u32,
    /// Channels.
    pub channels: u32,
    /// Words from client to client in `order`.
    pub order_stride: u32,
    /// Words from client to client in `images`.
    pub stride: u32,
    /// All malicious clients, ascending.
    pub malicious: &'a [u32],
}

/// The change of one element, by its index in the image, whose value is given.
pub type Change<'a> = Box<dyn Fn(usize, f64) -> f64 + Send + Sync + 'a>;

/// Numbers that describe an image.
pub type Describe<'a> = Box<dyn Fn(&[f32]) -> Vec<f64> + Send + Sync + 'a>;

/// How a trigger is searched for.
pub enum Search<'a> {
    /// By its pattern: the trigger changes each element by an amount that depends on that element alone, and only within the
    /// window.
    Pattern(Window, Change<'a>),
    /// By numbers of the image that the attack moves: the trigger depends on the whole image.
    Paired(Describe<'a>),
}
