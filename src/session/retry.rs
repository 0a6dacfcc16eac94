//! Training that outlives its device.

use super::{Observer, Prepared, Trained};
use crate::report::RunDir;
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
    /// Opens it and continues in the run's directory; with a line on where.
    pub again: &'a Again<'a>,
}

/// A run prepared anew in its directory, with a line on where it continues.
type Again<'a> = dyn Fn(&RunDir, &mut dyn Observer) -> Result<(Prepared, String)> + 'a;

impl Retries<'_> {
    /// [`Prepared::train`], again from the latest checkpoint when the device fails.
    ///
    /// # Errors
    /// Those of the last try, and at once any that is not the device's.
    pub fn train(mut self, mut prepared: Prepared, dir: &RunDir, observer: &mut dyn Observer) -> Result<Trained> {
        // What a try left in the directory is the next one's to replace.
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
                observer.warning(&format!("device: {failed}; opening it anew ({} more tries)", self.left));
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
