//! Requests to stop. The first Ctrl-C or SIGTERM asks a run to stop after its current round, a second one ends the process.
//! Hangups and the warning signals of batch systems (USR1, USR2, XCPU) are requests too, however often they arrive: a closed
//! terminal sends two hangups, an exhausted CPU limit sends one XCPU per second, and Slurm's SIGTERM may follow the signal that
//! a job requested.

use crate::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The exit code of an interrupted program, by convention 128 + SIGINT.
pub const EXIT_CODE: u8 = 130;
/// Interval at which the console checks for an interrupt to acknowledge; the round may take long.
const ANSWER: Duration = Duration::from_millis(50);

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Handles hangups and the signals of batch systems for the rest of the process, so that they do not end it during preparation.
/// Ctrl-C still does, until [`listen`] is called.
///
/// # Errors
/// If the handlers cannot be installed.
pub fn listen_for_batch_systems() -> Result<()> {
    let Some(asked) = patient()? else { return Ok(()) };
    // A handler may not write to the console.
    let answer = move || {
        while !asked.load(Ordering::SeqCst) {
            std::thread::sleep(ANSWER);
        }
        super::tell("interrupted: stopping after this round; press Ctrl-C again to stop at once");
    };
    std::thread::Builder::new().name("interrupts".into()).spawn(answer).map(|_| ()).map_err(bad)
}

/// Installs the handlers of hangups and batch systems; `None` if they are there.
fn patient() -> Result<Option<Arc<AtomicBool>>> {
    let asked = Arc::new(AtomicBool::new(false));
    if ASKED.set(asked.clone()).is_err() {
        return Ok(None);
    }
    for signal in system::patient() {
        flag::register(signal, asked.clone()).map_err(bad)?;
    }
    Ok(Some(asked))
}

/// Handles all requests from now on.
///
/// # Errors
/// If the handlers cannot be installed.
pub fn listen() -> Result<()> {
    listen_for_batch_systems()?;
    listen_to_the_user()
}

/// [`listen`] for a process that ends at once when it is asked to, and says nothing of a round.
///
/// # Errors
/// If the handlers cannot be installed.
pub fn listen_silently() -> Result<()> {
    patient()?;
    listen_to_the_user()
}

fn listen_to_the_user() -> Result<()> {
    static INSISTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    let insisted = Arc::new(AtomicBool::new(false));
    let (Some(asked), Ok(())) = (ASKED.get(), INSISTED.set(insisted.clone())) else { return Ok(()) };
    for signal in [SIGINT, SIGTERM] {
        // In this order, so that the second signal sees the flag that the first one set.
        flag::register_conditional_shutdown(signal, EXIT_CODE.into(), insisted.clone()).map_err(bad)?;
        flag::register(signal, insisted.clone()).map_err(bad)?;
        flag::register(signal, asked.clone()).map_err(bad)?;
    }
    Ok(())
}

fn bad(error: std::io::Error) -> Error {
    Error::internal(format!("listening for interrupts: {error}"))
}

/// Whether the user, or the system, has asked to stop.
pub fn asked() -> bool {
    ASKED.get().is_some_and(|asked| asked.load(Ordering::SeqCst))
}

#[cfg(unix)]
mod system {
    use signal_hook::consts::{SIGHUP, SIGUSR1, SIGUSR2};

    /// Signals that remain requests however often they arrive. An ignored hangup stays ignored, so that `nohup` works.
    pub fn patient() -> Vec<i32> {
        let mut signals = vec![SIGUSR1, SIGUSR2, libc::SIGXCPU];
        if !ignored(SIGHUP) {
            signals.push(SIGHUP);
        }
        signals
    }

    fn ignored(signal: i32) -> bool {
        // SAFETY: all zeros is a valid `sigaction`, and with a null pointer for the new action the call only fills it in.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, std::ptr::null(), &mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
        }
    }
}

#[cfg(not(unix))]
mod system {
    /// Other systems have no such signals.
    pub fn patient() -> Vec<i32> {
        Vec::new()
    }
}
