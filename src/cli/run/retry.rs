//! Training that outlives its device.

use super::{Prepared, Trained};
use crate::report::{ProgressMode, RunDir};
use crate::{Error, Result};
use std::time::Duration;

/// A driver that was reset needs a while.
pub(super) const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// What is done about a device that fails.
pub(super) struct Retries<'a> {
    /// How often it is opened anew.
    pub left: u32,
    /// The time before each try.
    pub pause: Duration,
    /// Opens it and goes on in the run's directory; with a line on where.
    pub again: &'a dyn Fn(&RunDir) -> Result<(Prepared, String)>,
    /// Hears of failures.
    pub warn: &'a dyn Fn(&str),
}

impl Retries<'_> {
    /// [`Prepared::train_until`], again from the latest checkpoint when the device fails.
    ///
    /// # Errors
    /// Those of the last try, and at once any that is not the device's.
    pub fn train(
        mut self,
        mut prepared: Prepared,
        dir: &RunDir,
        mode: ProgressMode,
        stop: &dyn Fn() -> bool,
    ) -> Result<Trained> {
        // What a try left in the directory is the next one's to replace.
        let again = dir.clone().again();
        let mut of_try = dir;
        loop {
            let mut failed = match prepared.train_until(of_try, mode, stop) {
                Err(Error::Device(what) | Error::OutOfMemory { what, .. }) => what,
                answer => return answer,
            };
            of_try = &again;
            prepared = loop {
                if self.left == 0 || stop() {
                    return Err(Error::Device(failed));
                }
                self.left -= 1;
                (self.warn)(&format!("device: {failed}; opening it anew ({} more tries)", self.left));
                std::thread::sleep(self.pause);
                match (self.again)(&again) {
                    Ok((prepared, said)) => {
                        (self.warn)(said.as_str());
                        break prepared;
                    }
                    Err(Error::Device(what) | Error::OutOfMemory { what, .. }) => failed = what,
                    Err(error) => return Err(error),
                }
            };
        }
    }
}
