//! The validated experiment, and its file in the run directory.

use super::{
    AttackConfig, CheckpointConfig, DataSection, EvaluationConfig, FederationConfig, Malicious, ModelConfig, RunConfig,
    TrainConfig,
};
use crate::exec::Descriptor;
use crate::fed::Attack;
use crate::fed::detector::{Detector, LossReport};
use crate::metric::Metric;
use crate::{Error, Result};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// An experiment with every value present and in range.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Names the run directory.
    pub name: String,
    /// Seeds everything random.
    pub seed: u64,
    /// Rounds, at least 1.
    pub rounds: u32,
    /// The requested device.
    pub device: String,
    /// The two networks.
    pub model: ModelConfig,
    /// Local training; exactly one of `local_epochs` and `local_steps` is present.
    pub train: TrainConfig,
    /// Clients, partition, aggregation.
    pub federation: FederationConfig,
    /// Source of the images and held-out share.
    pub data: DataSection,
    /// The attack; the run is honest if no client is malicious.
    pub attack: Attack,
    /// The losses that malicious clients report.
    pub report: LossReport,
    /// The detector, which reduces the weights of suspicious clients.
    pub detection: Detector,
    /// Sample grids and metrics.
    pub evaluation: EvaluationConfig,
    /// Checkpoints, for resuming the run.
    pub checkpoint: CheckpointConfig,
    /// Remarks on the file, such as former names of keys.
    pub notes: Notes,
}

/// Remarks on a file. They are not part of the experiment: plans that differ only in notes are equal.
#[derive(Clone, Debug, Default)]
pub struct Notes(pub Vec<String>);

impl Notes {
    /// The notes as lines for the user.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|note| format!("note: {note}"))
    }
}

impl PartialEq for Notes {
    fn eq(&self, _: &Notes) -> bool {
        true
    }
}

/// The environment of a run, added to its plan as a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resolved {
    /// This program's version.
    pub version: String,
    /// Engine, adapter, backend, driver, shader variant.
    pub device: Descriptor,
    /// Why this device was chosen.
    pub reason: String,
    /// The tuning file whose choices of shader variants were used, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tuning: Option<String>,
    /// Warnings about the images.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Names of the clients by id, if their folders name them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<String>,
}

impl Resolved {
    /// A record with this program's version, without tuning.
    pub fn new(device: &Descriptor, reason: &str) -> Self {
        let version = env!("CARGO_PKG_VERSION").into();
        Resolved {
            version,
            device: device.clone(),
            reason: reason.into(),
            tuning: None,
            warnings: Vec::new(),
            clients: Vec::new(),
        }
    }
}

impl Plan {
    /// Whether any client is malicious.
    pub fn is_attacked(&self) -> bool {
        !self.attack.malicious.is_empty()
    }

    /// The metrics of evaluation rounds.
    pub fn metrics(&self) -> Vec<Metric> {
        self.evaluation.metrics(self.is_attacked())
    }

    /// The experiment as a configuration with every key present.
    pub fn to_config(&self) -> RunConfig {
        let attack = &self.attack;
        RunConfig {
            name: self.name.clone(),
            seed: self.seed,
            rounds: self.rounds,
            device: self.device.clone(),
            model: self.model.clone(),
            train: self.train.clone(),
            federation: self.federation.clone(),
            data: self.data.clone(),
            attack: AttackConfig {
                malicious: Malicious::Ids(attack.malicious.clone()),
                image: attack.image.clone(),
                fraction: attack.fraction,
                start_round: attack.start_round,
                update: attack.update.clone(),
                report: self.report,
            },
            detection: self.detection.clone(),
            evaluation: self.evaluation.clone(),
            checkpoint: self.checkpoint.clone(),
            resolved: None,
        }
    }

    /// The keys in which `self` and `now` differ, each with both values: "train.lr = 0.1, now 0.2". Keys of `[checkpoint]` and
    /// `free` keys are ignored.
    ///
    /// # Errors
    /// If a value has no TOML form.
    pub fn differences(&self, now: &Plan, free: &[&str]) -> Result<Vec<String>> {
        let leaves = |plan: &Plan| -> Result<BTreeMap<String, String>> {
            let tree =
                toml::Table::try_from(plan.to_config()).map_err(|e| Error::internal(format!("plan as TOML: {e}")))?;
            let mut leaves = BTreeMap::new();
            collect("", &tree, &mut leaves);
            Ok(leaves)
        };
        let (was, now) = (leaves(self)?, leaves(now)?);
        let absent = "absent".to_string();
        let keys: BTreeSet<&String> = was.keys().chain(now.keys()).collect();
        let pairs = keys.into_iter().map(|key| (key, was.get(key), now.get(key))).filter(|(_, was, now)| was != now);
        let pairs = pairs.filter(|(key, ..)| !key.starts_with("checkpoint.") && !free.contains(&key.as_str()));
        let line = |(key, was, now): (&String, Option<&String>, Option<&String>)| {
            format!("{key} = {}, now {}", was.unwrap_or(&absent), now.unwrap_or(&absent))
        };
        Ok(pairs.map(line).collect())
    }

    /// The plan as TOML with a `[resolved]` section; `fedgan run` accepts it again and runs the same experiment.
    ///
    /// # Errors
    /// If a value has no TOML form.
    pub fn to_toml(&self, resolved: &Resolved) -> Result<String> {
        let fail = |e: toml::ser::Error| Error::internal(format!("plan as TOML: {e}"));
        let mut config = self.to_config();
        config.resolved = Some(toml::Table::try_from(resolved).map_err(fail)?);
        toml::to_string(&config).map_err(fail)
    }
}

/// Every value of `table` by its dotted path.
fn collect(prefix: &str, table: &toml::Table, leaves: &mut BTreeMap<String, String>) {
    for (name, value) in table {
        match value {
            toml::Value::Table(inner) => collect(&format!("{prefix}{name}."), inner, leaves),
            _ => {
                leaves.insert(format!("{prefix}{name}"), value.to_string());
            }
        }
    }
}
