//! Ctrl-C (and SIGTERM, a request to end): the first asks a run to stop after its round, the second ends the process. A hangup
//! keeps its meaning, so that `nohup` does what it says.

use crate::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The exit code of an interrupted program, by convention 128 + SIGINT.
pub const EXIT_CODE: u8 = 130;
/// How soon an interrupt is answered on the console; the round may take long.
const ANSWER: Duration = Duration::from_millis(50);

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Listens from now on, for the rest of the process.
///
/// # Errors
/// When the system does not let it.
pub fn listen() -> Result<()> {
    let asked = Arc::new(AtomicBool::new(false));
    if ASKED.set(asked.clone()).is_err() {
        return Ok(());
    }
    let bad = |e: std::io::Error| Error::internal(format!("listening for interrupts: {e}"));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the second signal finds the first one's mark.
        flag::register_conditional_shutdown(signal, EXIT_CODE.into(), asked.clone()).map_err(bad)?;
        flag::register(signal, asked.clone()).map_err(bad)?;
    }
    // A handler may not write to the console.
    let answer = move || {
        while !asked.load(Ordering::SeqCst) {
            std::thread::sleep(ANSWER);
        }
        super::tell("interrupted: stops after this round; once more to stop at once");
    };
    std::thread::Builder::new().name("interrupts".into()).spawn(answer).map(|_| ()).map_err(bad)
}

/// Whether the user has asked to stop.
pub fn asked() -> bool {
    ASKED.get().is_some_and(|asked| asked.load(Ordering::SeqCst))
}
