//! Names in a run's directory that several modules look for.

/// The experiment as it runs; written first, so that a directory without it holds no run.
pub const PLAN: &str = "plan.toml";
/// The outcome; written last, so that a directory with it holds a finished run.
pub const SUMMARY: &str = "summary.json";
/// The folder of the checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";
/// The file that holds the lock of the process that works in the directory.
pub const LOCK: &str = ".lock";
