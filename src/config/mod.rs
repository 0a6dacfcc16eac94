//! The experiment: TOML as written ([`RunConfig`]) to the validated [`Plan`]. Every mistake of a file is reported at once,
//! one line each: key path, value found, what is allowed.

mod draft;
pub mod keys;
mod malicious;
mod plan;
mod problems;
mod run_config;
mod set;
pub mod sweep;
pub mod text;
mod validate;

pub use draft::Draft;
pub use plan::{Notes, Plan, Resolved};
pub use problems::Problems;
pub use run_config::{
    AttackConfig, CheckpointConfig, ClientRef, DataSection, EvaluationConfig, FederationConfig, LossKind, Malicious,
    ModelConfig, OptimizerKind, RunConfig, TrainConfig,
};
pub use sweep::Sweep;

use crate::{Error, Result};
use std::path::Path;
use toml::Value;

/// The experiments that the binary carries, by name.
pub static BUILTIN: [(&str, &str); 5] = [
    ("default", include_str!("../../assets/experiments/default.toml")),
    ("attacked", include_str!("../../assets/experiments/attacked.toml")),
    ("paper", include_str!("../../assets/experiments/paper.toml")),
    ("paper-64", include_str!("../../assets/experiments/paper-64.toml")),
    ("paper-32", include_str!("../../assets/experiments/paper-32.toml")),
];

/// The sweeps that the binary carries, by name.
pub static SWEEPS: [(&str, &str); 8] = [
    ("demo", include_str!("../../assets/experiments/demo.toml")),
    ("ten-cells", include_str!("../../assets/experiments/ten-cells.toml")),
    ("ten-cells-small", include_str!("../../assets/experiments/ten-cells-small.toml")),
    ("detection", include_str!("../../assets/experiments/detection.toml")),
    ("strong-attack", include_str!("../../assets/experiments/strong-attack.toml")),
    ("robust-matrix", include_str!("../../assets/experiments/robust-matrix.toml")),
    ("robust-matrix-20", include_str!("../../assets/experiments/robust-matrix-20.toml")),
    ("robust-matrix-images", include_str!("../../assets/experiments/robust-matrix-images.toml")),
];

/// The command line's overrides of the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--set` assignments, in order.
    pub set: Vec<String>,
    /// `--device`.
    pub device: Option<String>,
    /// `--seed`.
    pub seed: Option<u64>,
    /// `--skip-bad`.
    pub skip_bad: bool,
}

/// The error about `path`, which is neither a file nor one of the names `own`. A single word is a mistyped name, or one of the
/// `others`, which belong to `verb`.
fn no_such(path: &Path, error: &std::io::Error, own: &[&str], (verb, others): (&str, &[&str])) -> Error {
    let word = path.to_str().filter(|p| !p.contains(['/', '\\', '.']));
    let Some(word) = word.filter(|_| error.kind() == std::io::ErrorKind::NotFound) else {
        return Error::file(path, error);
    };
    if others.contains(&word) {
        return Error::file(path, format!("no such file; it is built in for `fedgan {verb} {word}`"));
    }
    let near = |name: &&&str| strsim::normalized_damerau_levenshtein(word, name);
    let near = own.iter().filter(|name| near(name) > 0.5).max_by(|a, b| near(a).total_cmp(&near(b)));
    let near = near.map_or(String::new(), |name| format!("; the nearest is `{name}`"));
    Error::file(path, format!("no such file, and nothing built in has this name{near}; there are: {}", own.join(", ")))
}

/// Reads and validates an experiment: a file, the name of a built-in experiment where no such file exists, or the default one.
///
/// # Errors
/// Every mistake in one message: unreadable file, TOML syntax, unknown keys, wrong types, values out of range.
pub fn load(config: Option<&Path>, overrides: &Overrides) -> Result<Plan> {
    let mut draft = Draft::read(config)?;
    for assignment in &overrides.set {
        let (path, value) = set::split(assignment)?;
        draft.set(&path, value).map_err(|what| set::refused(assignment, &what))?;
    }
    // Setting a single-word path cannot fail.
    let mut put = |key: &str, value: Value| draft.set(key, value).map_err(|what| set::refused(key, &what));
    if let Some(device) = &overrides.device {
        put("device", Value::String(device.clone()))?;
    }
    if let Some(seed) = overrides.seed {
        let seed = i64::try_from(seed)
            .map_err(|_| Error::input(format!("--seed {seed}: must be a whole number from 0 to {}", i64::MAX)))?;
        put("seed", Value::Integer(seed))?;
    }
    draft.skip_bad = overrides.skip_bad;
    draft.plan()
}

/// The keys with their ranges and defaults, as the Markdown table of `docs/configuration.md`.
pub fn keys_table() -> String {
    keys::markdown()
}

#[cfg(test)]
pub(crate) mod tests;
