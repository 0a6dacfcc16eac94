//! The `rng` family.
