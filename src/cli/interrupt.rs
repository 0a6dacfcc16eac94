//! Ctrl-C (and a termination request): the first asks a run to stop after its round, the second ends the process.

use crate::{Error, Result};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit code of an interrupted program, by convention 128 + SIGINT.
pub const EXIT_CODE: u8 = 130;

static ASKED: AtomicBool = AtomicBool::new(false);
static LISTENING: OnceLock<()> = OnceLock::new();

/// Listens from now on, for the rest of the process.
///
/// # Errors
/// When the system does not let it.
pub fn listen() -> Result<()> {
    if LISTENING.set(()).is_err() {
        return Ok(());
    }
    let answer = || {
        if ASKED.swap(true, Ordering::SeqCst) {
            std::process::exit(EXIT_CODE.into());
        }
        // Nobody may be reading any more.
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "interrupted: stops after this round; once more to stop at once");
    };
    ctrlc::set_handler(answer).map_err(|e| Error::internal(format!("listening for interrupts: {e}")))
}

/// Whether the user has asked to stop.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}
