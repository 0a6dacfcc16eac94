//! The processes of an MPI job.

use crate::exec::{BufferId, Engine, Link, Open, serve};
use crate::session::Workers;
use crate::{Error, Result};
use ::mpi::Threading;
use ::mpi::environment::Universe;
use ::mpi::topology::SimpleCommunicator;
use ::mpi::traits::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// Tag of every message: links need no other, as messages of two ranks stay in order.
const TAG: i32 = 1;
/// Polls without a pause while another rank is expected to answer soon.
const EAGER: u32 = 2000;
/// Pause between later polls: a waiting rank leaves its core to others.
const PAUSE: Duration = Duration::from_micros(100);

/// The processes of the job; one of them is this. MPI is finalised when it is dropped.
pub struct World {
    universe: Universe,
    rank: usize,
    size: usize,
    /// The number of this process among those of its node, and how many there are.
    local: [usize; 2],
}

/// What every rank tells rank 0 first.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Hello {
    version: String,
    /// Of the program's file.
    sha256: String,
    /// Why this rank cannot take part.
    error: Option<String>,
}

impl World {
    /// Joins the processes that a launcher has started; `None` without one. Divides the cores of a node among its ranks if the
    /// launcher has not.
    ///
    /// # Errors
    /// [`Error::Input`] on rank 0 if another rank runs another program, after ending all; if MPI cannot be used from a thread of a
    /// program with several.
    pub fn join() -> Result<Option<World>> {
        let Some(launched) = super::launched() else { return Ok(None) };
        let joined = ::mpi::initialize_with_threading(Threading::Funneled);
        let (universe, threading) = joined.ok_or_else(|| Error::internal("MPI is initialised twice"))?;
        if threading < Threading::Funneled {
            return Err(Error::input("this MPI library does not allow threads (MPI_THREAD_FUNNELED)"));
        }
        let all = universe.world();
        let (rank, size) = (all.rank() as usize, all.size() as usize);
        if size == 1 && launched > 0 {
            return Err(Error::input(format!(
                "the launcher gave this process the number {launched}, but the MPI library finds no other process: use the launcher of \
                 the library that the program was built with (srun: --mpi=pmix)"
            )));
        }
        let local = {
            // Freed at once: after MPI is finalised it must not be.
            let node = all.split_shared(rank as i32);
            [node.rank() as usize, node.size() as usize]
        };
        let world = World { universe, rank, size, local };
        share_cores(local[1]);
        world.greet()?;
        Ok(Some(world))
    }

    /// The number of this process.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The other ranks, on rank 0.
    pub fn workers(&self) -> Arc<dyn Workers> {
        Arc::new(Peers { size: self.size, local: self.local[1] })
    }

    /// Executes what rank 0 asks for until it ends. `open` opens a device, with the number of this process on its node. If rank 0 sends
    /// what is no request, the job is aborted.
    pub fn serve(&self, mut open: impl FnMut(&Open, usize) -> Result<Box<dyn Engine>>) {
        if let Err(error) = serve(&mut Peer { rank: 0 }, |asked| open(asked, self.local[0])) {
            // Rank 0 waits for an answer that cannot come.
            eprintln!("error: rank {}: {error}", self.rank);
            self.universe.world().abort(error.exit_code().into());
        }
    }

    /// Ends the other ranks, on rank 0.
    pub fn end(&self) {
        for mut link in self.workers().links() {
            // MPI ends all processes itself if one cannot be reached.
            let _ = link.send(&crate::exec::end());
        }
    }

    /// Every rank must run the same program: rank 0 asks the others.
    fn greet(&self) -> Result<()> {
        let (sha256, error) = own_digest().map_or_else(|e| (String::new(), Some(e)), |sha256| (sha256, None));
        let own = Hello { version: env!("CARGO_PKG_VERSION").into(), sha256, error };
        if self.rank > 0 {
            let text = serde_json::to_vec(&own).map_err(|e| Error::internal(e.to_string()))?;
            return Peer { rank: 0 }.send(&text);
        }
        let answer = self.compare(&own);
        if answer.is_err() {
            self.end();
        }
        answer
    }

    fn compare(&self, own: &Hello) -> Result<()> {
        if self.size > BufferId::MOST_RANKS {
            return Err(Error::input(format!("{} ranks: at most {} are possible", self.size, BufferId::MOST_RANKS)));
        }
        let mut wrong: Vec<String> =
            own.error.iter().map(|error| format!("rank 0 cannot be compared: {error}")).collect();
        for rank in 1..self.size {
            let hello = serde_json::from_slice::<Hello>(&Peer { rank }.receive()?);
            match hello {
                Ok(Hello { error: Some(error), .. }) => wrong.push(format!("rank {rank} cannot be compared: {error}")),
                Ok(hello) if hello == *own => {}
                Ok(hello) if hello.version == own.version => {
                    wrong.push(format!("rank {rank} runs another build of it"))
                }
                Ok(hello) => wrong.push(format!("rank {rank} runs fedgan {}", hello.version)),
                Err(_) => wrong.push(format!("rank {rank} runs another program")),
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Error::input(format!(
            "rank 0 runs fedgan {}, but {}: start the same program file on all ranks",
            own.version,
            wrong.join(", ")
        )))
    }
}

impl Drop for World {
    /// A panic must not wait in `MPI_Finalize` for ranks that wait for this one.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.universe.world().abort(1);
        }
    }
}

/// SHA-256 of this program's file, or why it cannot be read.
fn own_digest() -> Result<String, String> {
    // Linux still has a file that was replaced since.
    let bytes = std::fs::read("/proc/self/exe").or_else(|_| std::fs::read(std::env::current_exe()?));
    let bytes = bytes.map_err(|e| format!("its program's file cannot be read: {e}"))?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Gives each of `ranks` processes of a node its part of the cores for threads, unless the launcher has bound them or the user has
/// chosen. Results do not depend on threads.
fn share_cores(ranks: usize) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let bound = online().is_some_and(|online| cores < online);
    if ranks > 1 && !bound && std::env::var_os("RAYON_NUM_THREADS").is_none() {
        // Fails only if the pool exists, and then nothing is to be divided.
        let _ = rayon::ThreadPoolBuilder::new().num_threads((cores / ranks).max(1)).build_global();
    }
}

/// The node's cores.
#[cfg(unix)]
fn online() -> Option<usize> {
    // SAFETY: a query without pointers.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }).ok()
}

#[cfg(not(unix))]
fn online() -> Option<usize> {
    None
}

/// The other ranks of a job of `size`.
#[derive(Debug)]
struct Peers {
    size: usize,
    /// Of this node.
    local: usize,
}

impl Workers for Peers {
    fn links(&self) -> Vec<Box<dyn Link>> {
        (1..self.size).map(|rank| Box::new(Peer { rank }) as Box<dyn Link>).collect()
    }

    fn on_node(&self) -> usize {
        self.local
    }
}

/// A link to another rank.
struct Peer {
    rank: usize,
}

impl Link for Peer {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        SimpleCommunicator::world().process_at_rank(self.rank as i32).send_with_tag(message, TAG);
        Ok(())
    }

    fn receive(&mut self) -> Result<Vec<u8>> {
        let world = SimpleCommunicator::world();
        let peer = world.process_at_rank(self.rank as i32);
        let mut polls = 0u32;
        // `MPI_Probe` would keep a core busy.
        while peer.immediate_probe_with_tag(TAG).is_none() {
            match polls < EAGER {
                true => std::thread::yield_now(),
                false => std::thread::sleep(PAUSE),
            }
            polls = polls.saturating_add(1);
        }
        Ok(peer.receive_vec_with_tag::<u8>(TAG).0)
    }
}
