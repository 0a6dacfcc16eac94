//! Moving words: fill, copy, batches from bytes, reductions, the step counter.
pub mod copy;
pub mod difference_dot;
pub mod difference_norm;
pub mod fill;
pub mod first_nonfinite;
pub mod gather_batch;
pub mod max_abs;
pub mod reduce_sum;
pub mod step_advance;
