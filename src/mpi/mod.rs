//! Ranks that an MPI launcher has started: `mpirun -n 4 fedgan run`.
//!
//! Rank 0 is the program as always; the others execute what it asks for ([`serve`](crate::exec::serve)). The feature `mpi` is off by
//! default, because it needs an MPI library to build and to run.

#[cfg(feature = "mpi")]
mod world;

#[cfg(feature = "mpi")]
pub use world::World;

/// Variables in which launchers tell a process its number: Open MPI, PMIx (Slurm and others), MPICH and Intel MPI.
const RANK: [&str; 3] = ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"];

/// The number that a launcher gave this process; `None` if it was started alone.
pub fn launched() -> Option<usize> {
    RANK.iter().find_map(|name| std::env::var(name).ok()?.parse().ok())
}

/// Whether this process executes what rank 0 asks for, if it trains.
pub fn is_worker() -> bool {
    cfg!(feature = "mpi") && launched().is_some_and(|rank| rank > 0)
}

/// Number of processes that Open MPI or MPICH started, if this build cannot join them.
pub fn unused() -> Option<usize> {
    let size = || ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"].iter().find_map(|name| std::env::var(name).ok()?.parse().ok());
    if cfg!(feature = "mpi") { None } else { size().filter(|size| *size > 1) }
}
