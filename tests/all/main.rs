//! Integration tests, one binary: what holds over the whole catalogue and the whole source tree.

mod catalogue;
mod federation;
mod layers;
mod penalty;
mod metrics;
mod reflection;
mod validate;
mod regularised;
