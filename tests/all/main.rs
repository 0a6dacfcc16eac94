//! Integration tests in one binary: properties of the whole catalogue and the whole source tree.

mod adjoint;
mod attacks;
mod catalogue;
mod documents;
#[cfg(target_os = "linux")]
mod drivers;
mod environment;
mod federation;
mod foreign;
mod gradients;
mod hostile;
mod interrupted;
mod layers;
mod metrics;
mod mishaps;
mod mutants;
mod nonfinite;
mod outputs;
mod penalty;
mod portable;
mod random;
mod ranks;
mod reflection;
mod regularised;
#[cfg(unix)]
mod report_watch;
mod rng;
mod robust;
mod shared_sweep;
mod soak;
mod step_gradients;
mod tiles;
mod validate;
mod watch;
mod winograd;
