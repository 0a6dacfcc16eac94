//! Training that continues after device failures.

use super::{Observer, Prepared, Trained};
use crate::report::RunDir;
use crate::{Error, Result};
use std::time::Duration;

/// A driver needs some time after a reset.
pub(super) const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// The response to a device that fails.
pub(super) struct Retries<'a> {
    /// How often it is reopened.
    pub left: u32,
    /// The wait before each attempt.
    pub pause: Duration,
    /// Opens it and continues in the run's directory; also returns a line about where.
    pub again: &'a Again<'a>,
}

/// A run prepared again in its directory, with a line about where it continues.
type Again<'a> = dyn Fn(&RunDir, &mut dyn Observer) -> Result<(Prepared, String)> + 'a;

impl Retries<'_> {
    /// [`Prepared::train`], continued from the latest checkpoint if the device fails.
    ///
    /// # Errors
    /// Those of the last attempt; errors other than device errors at once.
    pub fn train(mut self, mut prepared: Prepared, dir: &RunDir, observer: &mut dyn Observer) -> Result<Trained> {
        // The next attempt replaces the files of a failed one.
        let again = dir.clone().again();
        let mut of_try = dir;
        loop {
            let mut failed = match prepared.train(of_try, observer) {
                Err(Error::Device(what) | Error::OutOfMemory { what, .. }) => what,
                answer => return answer,
            };
            of_try = &again;
            prepared = loop {
                if self.left == 0 || observer.stop() {
                    return Err(Error::Device(failed));
                }
                self.left -= 1;
                observer.warning(&format!("device: {failed}; reopening it ({} more attempts)", self.left));
                std::thread::sleep(self.pause);
                match (self.again)(&again, observer) {
                    Ok((prepared, said)) => {
                        observer.warning(&said);
                        break prepared;
                    }
                    Err(Error::Device(what) | Error::OutOfMemory { what, .. }) => failed = what,
                    Err(error) => return Err(error),
                }
            };
        }
    }
}
