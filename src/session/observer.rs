//! What a session says and asks while it works.

use crate::Result;
use crate::fed::Fault;
use std::path::Path;

/// Training is about to begin, or to continue.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Rounds that are done already.
    pub done: u32,
    /// Rounds of the whole run.
    pub rounds: u32,
}

/// A finished round.
#[derive(Clone, Debug)]
pub struct Round {
    /// Rounds done, this one included.
    pub done: u32,
    /// Generator loss of the round, mean over the clients.
    pub loss_g: f64,
    /// Discriminator loss of the round (mean of real and fake), mean over the clients.
    pub loss_d: f64,
    /// Training images per second, all clients together.
    pub images_per_second: f64,
    /// Clients, as `id name`, with the first value of theirs that is not finite.
    pub diverged: Vec<(String, Fault)>,
    /// Whether those clients were left out of the round.
    pub left_out: bool,
}

/// The listener of a session. Every method has a default that does nothing.
pub trait Observer {
    /// A line on the preparation or its outcome: images, device, memory plan, training.
    fn note(&mut self, _line: &str) {}

    /// Something that the user should know: images that were left out, a tuning file that does not fit, a damaged checkpoint.
    fn warning(&mut self, _text: &str) {}

    /// Everything is prepared; the session writes to this directory from now on.
    ///
    /// # Errors
    /// Any error ends the session.
    fn directory(&mut self, _path: &Path) -> Result<()> {
        Ok(())
    }

    /// The first round follows. Called again when the device was lost and opened anew.
    fn begin(&mut self, _start: &Start) {}

    /// A round is done.
    fn round(&mut self, _round: &Round) {}

    /// No further round follows: training is finished, stopped or failed.
    fn end(&mut self) {}

    /// Asked between rounds: whether to write a checkpoint and stop.
    fn stop(&mut self) -> bool {
        false
    }
}

/// Hears nothing and never stops.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
