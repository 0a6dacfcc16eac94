//! The `attack` family.
