//! Integration tests, one binary: what holds over the whole catalogue and the whole source tree.

mod catalogue;
mod federation;
mod golden;
mod golden_support;
mod layers;
mod metrics;
mod reflection;
