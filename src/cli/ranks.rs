//! `fedgan run` under an MPI launcher.

use crate::Result;
use crate::session::Workers;
use std::sync::Arc;

/// Runs `alone` without a launcher, and on rank 0 with the other ranks; these train for it. `device` is that of the command line, and
/// `set` its assignments.
///
/// # Errors
/// Those of the run; ranks that run different programs.
#[cfg(feature = "mpi")]
pub fn run(
    device: Option<String>,
    set: &[String],
    alone: impl FnOnce(Option<Arc<dyn Workers>>) -> Result<u8>,
) -> Result<u8> {
    use super::{environment, interrupt};
    use crate::mpi::{self, World};
    use crate::{gpu, session};
    if mpi::is_worker() {
        // Rank 0 decides when to stop.
        interrupt::listen_silently()?;
    }
    let Some(world) = World::join()? else { return alone(None) };
    if world.rank() == 0 {
        let answer = alone(Some(world.workers()));
        world.end();
        return answer;
    }
    world.serve(|open, number| {
        let own = environment::asked(device.clone(), set)?;
        session::open_worker(&gpu::for_process(&own.unwrap_or(open.device.clone()), number), open.tuned)
    });
    Ok(0)
}

/// Runs `alone`: this build joins no other process.
///
/// # Errors
/// Those of the run.
#[cfg(not(feature = "mpi"))]
pub fn run(
    _device: Option<String>,
    _set: &[String],
    alone: impl FnOnce(Option<Arc<dyn Workers>>) -> Result<u8>,
) -> Result<u8> {
    if let Some(processes) = crate::mpi::unused()
        && crate::mpi::launched() == Some(0)
    {
        super::tell(&format!(
            "warning: {processes} processes were started, and each trains a run of its own: to divide the clients among them, build \
             with `cargo build --release --features mpi`"
        ));
    }
    alone(None)
}
