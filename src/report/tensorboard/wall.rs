//! The date, for the wall times of events. Nothing else in this crate reads it, and nothing depends on it: TensorBoard orders
//! events by file name and step.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970; 0 where the clock is before that.
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
