//! Integration tests, one binary: what holds over the whole catalogue and the whole source tree.

mod catalogue;
mod federation;
mod layers;
mod metrics;
mod mutants;
mod penalty;
mod portable;
mod random;
mod reflection;
mod regularised;
mod rng;
mod validate;
mod watch;
