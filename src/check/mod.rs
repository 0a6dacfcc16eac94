//! Checking kernels and engines: deterministic inputs, guarded runs, verdicts, one-line repros and golden cases.
//!
//! `fedgan validate` and the tests share everything here. Comparators are written as `!(err <= bound)`, so that NaN
//! fails, and tests check that they fail.

// `!(err <= bound)` is deliberate: `err > bound` would let a NaN pass.
#![allow(clippy::neg_cmp_op_on_partial_ord)]

pub mod fill;
pub mod golden;
mod health;
pub mod mutant;
pub mod portable;
pub mod random;
pub mod repro;
pub mod run;
pub mod suite;
#[cfg(test)]
mod tests;
pub mod watch;

pub use fill::{Pass, Style};
pub use health::Health;
pub use repro::{Repro, params_by_name};
pub use run::{CaseResult, Checker, Failure, Options, PreparedCase, Verdict, Worst, check_case};
