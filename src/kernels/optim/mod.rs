//! The `optim` family.
