//! The experiment: TOML as written ([`RunConfig`]) to the validated [`Plan`]. Every mistake of a file is reported at once,
//! one line each: key path, value found, what is allowed.

pub mod keys;
mod plan;
mod problems;
mod run_config;
mod set;
mod validate;

pub use plan::{Plan, Resolved};
pub use problems::Problems;
pub use run_config::{
    AttackConfig, DataSection, EvaluationConfig, FederationConfig, LossKind, Malicious, ModelConfig, OptimizerKind,
    RunConfig, TrainConfig,
};

use crate::{Error, Result};
use std::path::Path;
use toml::{Table, Value};

/// The experiments that the binary carries, by name.
pub static BUILTIN: [(&str, &str); 2] = [
    ("default", include_str!("../../assets/experiments/default.toml")),
    ("attacked", include_str!("../../assets/experiments/attacked.toml")),
];

/// What the command line says over the file.
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

/// Reads and validates an experiment: a file, the name of a built-in experiment where no such file exists, or the
/// default one.
///
/// # Errors
/// Every mistake in one message: unreadable file, TOML syntax, unknown keys, wrong types, values out of range.
pub fn load(config: Option<&Path>, overrides: &Overrides) -> Result<Plan> {
    let (origin, text) = read(config)?;
    let mut tree: Table = text.parse().map_err(|e| Error::input(format!("{origin}: {e}")))?;
    expand(&mut tree);
    for assignment in &overrides.set {
        set::set(&mut tree, assignment)?;
        expand(&mut tree);
    }
    if let Some(device) = &overrides.device {
        tree.insert("device".into(), Value::String(device.clone()));
    }
    if let Some(seed) = overrides.seed {
        let seed = i64::try_from(seed)
            .map_err(|_| Error::input(format!("--seed {seed}: must be a whole number from 0 to {}", i64::MAX)))?;
        tree.insert("seed".into(), Value::Integer(seed));
    }
    let mut problems = Problems::default();
    imply(&mut tree, overrides.skip_bad);
    keys::sift(&mut tree, &mut problems);
    let config = deserialise(tree, &mut problems);
    validate::plan(config, &mut problems).ok_or_else(|| problems.into_error(&origin))
}

/// Every key with its default and range, as a Markdown table.
///
/// # Errors
/// When the default experiment has no TOML form.
pub fn keys_table() -> Result<String> {
    let defaults = load(None, &Overrides::default())?.to_config();
    let defaults = Table::try_from(&defaults).map_err(|e| Error::internal(format!("defaults: {e}")))?;
    Ok(keys::markdown(&defaults))
}

fn read(config: Option<&Path>) -> Result<(String, String)> {
    let builtin = |name: &str| BUILTIN.iter().find(|b| b.0 == name).map(|b| b.1.to_string());
    let Some(path) = config else { return Ok(("built-in experiment".into(), BUILTIN[0].1.into())) };
    match std::fs::read_to_string(path) {
        Ok(text) => Ok((path.display().to_string(), text)),
        Err(error) => match path.to_str().and_then(builtin) {
            Some(text) if error.kind() == std::io::ErrorKind::NotFound => {
                Ok((format!("built-in `{}`", path.display()), text))
            }
            _ => Err(Error::file(path, error)),
        },
    }
}

/// `partition = "iid"` becomes `partition = { kind = "iid" }`, `attack.report = true` the string that it means (so does
/// `--set attack.report=true`).
fn expand(tree: &mut Table) {
    if let Some(Value::Table(attack)) = tree.get_mut("attack")
        && let Some(value @ Value::Boolean(true)) = attack.get_mut("report")
    {
        *value = Value::String("true".into());
    }
    if let Some(Value::Table(federation)) = tree.get_mut("federation")
        && let Some(value @ Value::String(_)) = federation.get_mut("partition")
    {
        *value = Value::Table(Table::from_iter([("kind".to_string(), value.clone())]));
    }
}

/// What a folder of images takes from elsewhere: `--skip-bad`, and client folders from the partition of that name.
fn imply(tree: &mut Table, skip_bad: bool) {
    let kind = |section: Option<&Value>| Some(section?.as_table()?.get("kind")?.as_str()?.to_string());
    let partition = kind(tree.get("federation").and_then(|f| f.as_table()?.get("partition")));
    if kind(tree.get("data")).as_deref() != Some("folder") {
        return;
    }
    if let Some(Value::Table(data)) = tree.get_mut("data") {
        if skip_bad {
            data.insert("skip_bad".into(), Value::Boolean(true));
        }
        if partition.as_deref() == Some("client-folders") {
            data.insert("client_folders".into(), Value::Boolean(true));
        }
    }
}

/// Reads the tree section by section, so that a section that serde refuses does not hide mistakes in the others.
fn deserialise(mut tree: Table, problems: &mut Problems) -> RunConfig {
    tree.retain(|name, value| {
        let alone = Table::from_iter([(name.to_string(), value.clone())]);
        match alone.try_into::<RunConfig>() {
            Ok(_) => true,
            Err(error) => problems.push(format!("{name}: {}", error.message().trim())),
        }
    });
    tree.try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests;
