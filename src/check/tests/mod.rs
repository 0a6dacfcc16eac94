//! Tests that the checks detect faults: a faulty engine, devices that flush subnormal numbers, and wrong results.

pub(super) mod faulty;
mod flushing;
mod wrong_results;
