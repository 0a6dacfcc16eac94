//! Names in a run's directory that several modules use.

/// The experiment as it runs; written first, so a directory without it contains no run.
pub const PLAN: &str = "plan.toml";
/// The outcome; written last, so a directory with it contains a finished run.
pub const SUMMARY: &str = "summary.json";
/// The folder of the checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";
/// The lock file of the process that works in the directory.
pub const LOCK: &str = ".lock";
