//! Moving words: fill, copy, reductions, the step counter.
pub mod fill;
