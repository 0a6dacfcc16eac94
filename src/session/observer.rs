//! The events of a session and its question whether to stop.

use crate::Result;
use crate::fed::Fault;
use crate::report::RoundProgress;
use std::path::Path;

/// The start or continuation of training.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Rounds already done.
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
    /// Clients with non-finite values, as `id name`, each with its first fault.
    pub diverged: Vec<(String, Fault)>,
    /// Whether those clients were dropped from the round.
    pub left_out: bool,
}

impl Round {
    /// The round for a progress display.
    pub fn progress(&self) -> RoundProgress {
        RoundProgress {
            done: self.done as usize,
            loss_g: self.loss_g,
            loss_d: self.loss_d,
            images_per_second: self.images_per_second,
        }
    }
}

/// The listener of a session. Every method has a default that does nothing.
pub trait Observer {
    /// One line about the preparation: images, device, memory plan, training.
    fn note(&mut self, _line: &str) {}

    /// A warning for the user, such as skipped images, a tuning file that does not fit or a damaged checkpoint.
    fn warning(&mut self, _text: &str) {}

    /// Preparation is finished; the session writes to this directory from now on.
    ///
    /// # Errors
    /// Any error ends the session.
    fn directory(&mut self, _path: &Path) -> Result<()> {
        Ok(())
    }

    /// Training starts. Called again after a lost device was reopened.
    fn begin(&mut self, _start: &Start) {}

    /// A round is done.
    fn round(&mut self, _round: &Round) {}

    /// Training has ended: finished, stopped or failed.
    fn end(&mut self) {}

    /// Called between rounds; `true` makes the session write a checkpoint and stop.
    fn stop(&mut self) -> bool {
        false
    }
}

/// Ignores all events and never stops the session.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
