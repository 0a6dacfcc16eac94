//! The `fed` family.
