//! Counter-based random numbers. Element i of client c is a function of (seed, stream, client, step, round, i) alone, so
//! launch order, device and client chunks do not matter:
//! key = (seed_lo, seed_hi, stream, client_base + c), counter = (i / 4, steps in all, round, 0), word i % 4 of the block.

mod params;
pub mod rng_bits;
pub mod rng_normal;
pub mod rng_uniform;
pub mod threefry;
#[cfg(test)]
pub(crate) mod witness;

pub use params::RngParams;
pub use threefry::{HostRng, Stream, seed_words, threefry4x32};
