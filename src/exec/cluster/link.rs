//! What carries messages between two ranks.

use crate::{Error, Result};
use std::sync::mpsc::{Receiver, Sender, channel};

/// A connection to another rank. Messages arrive whole, once and in order.
pub trait Link {
    /// Sends a message; may wait until the other rank receives it.
    ///
    /// # Errors
    /// If the other rank cannot be reached.
    fn send(&mut self, message: &[u8]) -> Result<()>;

    /// Waits for the next message.
    ///
    /// # Errors
    /// If the other rank cannot be reached.
    fn receive(&mut self) -> Result<Vec<u8>>;
}

/// A link between two threads of a process.
#[derive(Debug)]
pub struct Thread {
    to: Sender<Vec<u8>>,
    from: Receiver<Vec<u8>>,
}

impl Thread {
    /// Both ends of a link.
    pub fn pair() -> (Thread, Thread) {
        let ((to_worker, at_worker), (to_root, at_root)) = (channel(), channel());
        (Thread { to: to_worker, from: at_root }, Thread { to: to_root, from: at_worker })
    }
}

impl Link for Thread {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        self.to.send(message.to_vec()).map_err(|_| ended())
    }

    fn receive(&mut self) -> Result<Vec<u8>> {
        self.from.recv().map_err(|_| ended())
    }
}

fn ended() -> Error {
    Error::device("the other thread has ended")
}
