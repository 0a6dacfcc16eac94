//! The experiment as its file says it. Defaults, types and ranges are those of the rows in [`keys`]: a file is read by
//! [`RunConfig::read`], which gives absent keys their defaults.

use super::{Problems, keys};
use crate::data::DataConfig;
use crate::fed::attack::{OnUpdate, Place, Range, Trigger};
use crate::fed::detector::{Detector, LossReport};
use crate::fed::{Local, OnNonfinite, Partition, Rule, Shared, Weights};
use crate::metric::Metric;
use crate::model::{Interpolation, Norm, Objective, Optimiser, Training};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A whole experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Names the run directory.
    pub name: String,
    /// Seeds everything random.
    pub seed: u64,
    /// Rounds of local training and aggregation.
    pub rounds: u32,
    /// `auto`, `gpu`, `gpu:N`, `cpu`, `reference` or part of an adapter's name.
    pub device: String,
    /// The two networks.
    pub model: ModelConfig,
    /// Local training.
    pub train: TrainConfig,
    /// Clients, partition, aggregation.
    pub federation: FederationConfig,
    /// Where images come from.
    pub data: DataSection,
    /// Malicious clients and their trigger.
    pub attack: AttackConfig,
    /// Which clients lose weight.
    pub detection: Detector,
    /// Sample grids and the distance to real images.
    pub evaluation: EvaluationConfig,
    /// How a run can go on after it was stopped.
    pub checkpoint: CheckpointConfig,
    /// What a finished run adds to its plan (version, adapter, driver); ignored when read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved: Option<toml::Table>,
}

/// `[model]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Height and width: a power of two, 16 to 256.
    pub image_size: u32,
    /// 1 or 3.
    pub channels: u32,
    /// Channels of the narrowest level; each further level doubles them.
    pub width: u32,
    /// Length of the generator's input.
    pub latent: u32,
}

/// `[train]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Images of a step.
    pub batch: u32,
    /// What the networks are trained for.
    pub loss: LossKind,
    /// Norm of the discriminator; absent: batch with bce, instance with wgan-gp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub norm: Option<Norm>,
    /// Critic steps before each generator step (wgan-gp).
    pub n_critic: u32,
    /// Weight of the gradient penalty; absent: 10 with wgan-gp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lambda: Option<f64>,
    /// Distribution of the weights between real and generated images (wgan-gp).
    pub interpolation: Interpolation,
    /// The optimiser of both networks.
    pub optimizer: OptimizerKind,
    /// Learning rate.
    pub lr: f64,
    /// Adam's decay of the first moment.
    pub beta1: f64,
    /// Adam's decay of the second moment.
    pub beta2: f64,
    /// RMSprop's decay.
    pub alpha: f64,
    /// The optimiser's epsilon.
    pub eps: f64,
    /// Passes over a client's images in a round; or `local_steps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_epochs: Option<u32>,
    /// Steps of every client in a round; or `local_epochs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_steps: Option<u32>,
}

/// The losses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossKind {
    /// Binary cross entropy of the logits.
    #[default]
    Bce,
    /// Wasserstein distance with gradient penalty.
    WganGp,
}

/// The optimisers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Adam.
    #[default]
    Adam,
    /// RMSprop.
    Rmsprop,
}

impl RunConfig {
    /// Reads a file's tree. Absent keys take their defaults; whatever the rows do not allow is added to `problems`, and the
    /// key falls back to its default where it cannot be read, so that the others can be checked.
    pub fn read(mut tree: toml::Table, problems: &mut Problems) -> Option<RunConfig> {
        keys::sift(&mut tree, problems);
        keys::fill(&mut tree);
        match tree.try_into() {
            Ok(config) => Some(config),
            // The rows admit only what the types hold; a test keeps them together.
            Err(error) => {
                problems.push(toml::de::Error::message(&error).to_string());
                None
            }
        }
    }
}

impl TrainConfig {
    /// Norm, objective and optimiser; absent keys take their defaults.
    pub fn training(&self) -> Training {
        let (norm, objective) = match self.loss {
            LossKind::Bce => (Norm::Batch, Objective::Bce),
            LossKind::WganGp => (
                Norm::Instance,
                Objective::WganGp {
                    lambda: self.lambda.unwrap_or(keys::LAMBDA),
                    n_critic: self.n_critic,
                    interpolation: self.interpolation,
                },
            ),
        };
        let optimiser = match self.optimizer {
            OptimizerKind::Adam => Optimiser::Adam,
            OptimizerKind::Rmsprop => Optimiser::RmsProp { lr: self.lr, alpha: self.alpha },
        };
        Training { norm: self.norm.unwrap_or(norm), objective, optimiser }
    }

    /// Steps where `local_steps` is given, otherwise epochs (1 where nothing is given).
    pub fn local(&self) -> Local {
        self.local_steps.map_or(Local::Epochs(self.local_epochs.unwrap_or(keys::LOCAL_EPOCHS)), Local::Steps)
    }
}

/// `[federation]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FederationConfig {
    /// Number of clients.
    pub clients: u32,
    /// How images are dealt to clients.
    pub partition: Partition,
    /// The networks that clients share.
    pub shared: Shared,
    /// How the server aggregates them.
    pub aggregation: Rule,
    /// The clients' weights in the mean.
    pub weights: Weights,
    /// Clients trained in one launch; absent: as many as memory allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients_per_launch: Option<u32>,
    /// What follows when something of a client is not finite.
    pub nonfinite: OnNonfinite,
}

/// `[data]`: a source, with the share held out of training beside its keys.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSection {
    /// Share of the images that no client sees; the distance to real images is measured on them.
    pub held_out: f64,
    /// Where images come from.
    pub source: DataConfig,
}

/// `[attack]` as written: side and margin follow the image size where absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttackConfig {
    /// Client ids or names, or how many (the first ones).
    pub malicious: Malicious,
    /// What they paste.
    pub trigger: Trigger,
    /// Side of the trigger in pixels; absent: image size / 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side: Option<u32>,
    /// Pixels from the edges; absent: 5 at 256 pixels, in proportion, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<u32>,
    /// Where the trigger lies.
    pub place: Place,
    /// Share of a malicious client's real images with the trigger.
    pub fraction: f64,
    /// 1 replaces pixels, below 1 blends.
    pub opacity: f64,
    /// Values of the pasted pixels.
    pub range: Range,
    /// First round of the attack.
    pub start_round: u32,
    /// What malicious clients do to their updates.
    pub update: OnUpdate,
    /// What malicious clients report of their losses.
    pub report: LossReport,
}

/// Who is malicious.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Malicious {
    /// The first so many clients.
    Count(u32),
    /// These clients.
    Ids(Vec<u32>),
    /// These clients, some by the names of their folders.
    Mixed(Vec<ClientRef>),
    /// The client of this name.
    Name(String),
}

/// A client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ClientRef {
    /// By its number, from 0.
    Id(u32),
    /// By the name of its folder.
    Name(String),
}

/// `[evaluation]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Rounds between evaluations; the start and the end are always evaluated. 0: only those.
    pub every: u32,
    /// Generated images for the distance.
    pub samples: u32,
    /// What evaluation rounds measure; absent: see [`EvaluationConfig::metrics`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Vec<Metric>>,
    /// Rows and columns of a sample grid.
    pub grid: u32,
}

/// `[checkpoint]`: no key of it changes a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Rounds between checkpoints; 0: only before the first round and when the run is interrupted.
    pub every: u32,
    /// How many are kept, the latest ones.
    pub keep: u32,
    /// Whether the state after the last round is kept; absent: yes, and no in sweeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<bool>,
}

impl CheckpointConfig {
    /// Whether the state after the last round is kept.
    pub fn keeps_last(&self) -> bool {
        self.last.unwrap_or(true)
    }
}

impl EvaluationConfig {
    /// Whether an evaluation is due after `done` rounds; the end of a run asks for one besides.
    pub fn is_due(&self, done: u32) -> bool {
        self.every > 0 && done.is_multiple_of(self.every)
    }

    /// The metrics asked for; where none are named, the sliced Wasserstein distance, and leakage in an attacked run.
    pub fn metrics(&self, attacked: bool) -> Vec<Metric> {
        let default = || [Metric::SlicedWasserstein].into_iter().chain(attacked.then_some(Metric::Leakage)).collect();
        self.metrics.clone().unwrap_or_else(default)
    }
}

// The source is a tagged enum and refuses unknown keys, which serde cannot combine with a flattened neighbour.
impl<'de> Deserialize<'de> for DataSection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let mut table = toml::Table::deserialize(deserializer)?;
        let held_out = table.remove("held_out").ok_or_else(|| D::Error::missing_field("held_out"))?;
        let held_out = held_out.try_into().map_err(D::Error::custom)?;
        Ok(DataSection { held_out, source: table.try_into().map_err(D::Error::custom)? })
    }
}

impl Serialize for DataSection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error;
        let mut table = toml::Table::try_from(&self.source).map_err(S::Error::custom)?;
        table.insert("held_out".into(), self.held_out.into());
        table.serialize(serializer)
    }
}
