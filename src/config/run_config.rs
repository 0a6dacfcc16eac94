//! The experiment as written in its file. The rows in [`keys`] define defaults, types and ranges; [`RunConfig::read`] reads a
//! file and gives absent keys their defaults.

use super::{Problems, keys};
use crate::data::DataConfig;
use crate::fed::attack::{OnImages, OnUpdate};
use crate::fed::detector::{Detector, LossReport};
use crate::fed::{Local, OnNonfinite, Partition, Pre, Rule, Shared, Statistics, Weights};
use crate::metric::{BUILTIN, ExtractorOptions, Filter, Layout, Metric, Order};
use crate::model::{Convolution, Interpolation, Norm, Objective, Optimizer, Training};
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
    /// Source of the images.
    pub data: DataSection,
    /// Malicious clients and their trigger.
    pub attack: AttackConfig,
    /// The detector, which reduces the weights of suspicious clients.
    pub detection: Detector,
    /// Sample grids and metrics.
    pub evaluation: EvaluationConfig,
    /// Checkpoints, for resuming a run.
    pub checkpoint: CheckpointConfig,
    /// The environment that a run adds to its plan (version, adapter, driver); ignored on reading.
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
    /// Images per batch.
    pub batch: u32,
    /// The loss.
    pub loss: LossKind,
    /// Norm of the discriminator; absent: batch with bce, instance with wgan-gp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub norm: Option<Norm>,
    /// Critic steps before each generator step (wgan-gp).
    pub n_critic: u32,
    /// Weight of the gradient penalty; absent: 10 with wgan-gp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lambda: Option<f64>,
    /// Distribution of the interpolation weights between real and generated images (wgan-gp).
    pub interpolation: Interpolation,
    /// The optimizer of both networks.
    pub optimizer: OptimizerKind,
    /// Learning rate.
    pub lr: f64,
    /// Adam's decay of the first moment.
    pub beta1: f64,
    /// Adam's decay of the second moment.
    pub beta2: f64,
    /// RMSprop's decay.
    pub alpha: f64,
    /// The optimizer's epsilon.
    pub eps: f64,
    /// The form of the convolutions.
    pub convolution: Convolution,
    /// Passes over a client's images per round; excludes `local_steps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_epochs: Option<u32>,
    /// Steps of every client per round; excludes `local_epochs`.
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

/// The optimizers.
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
    /// Reads a file's tree. Absent keys take their defaults; violations of the rows are added to `problems`, and an unreadable
    /// key takes its default, so that the others can be checked.
    pub fn read(mut tree: toml::Table, problems: &mut Problems) -> Option<RunConfig> {
        keys::sift(&mut tree, problems);
        keys::fill(&mut tree);
        match tree.try_into() {
            Ok(config) => Some(config),
            // The rows allow only values that the types can hold; a test checks this.
            Err(error) => {
                problems.push(toml::de::Error::message(&error).to_string());
                None
            }
        }
    }
}

impl TrainConfig {
    /// Norm, objective, optimizer and form of the convolutions; absent keys take their defaults.
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
        let optimizer = match self.optimizer {
            OptimizerKind::Adam => Optimizer::Adam,
            OptimizerKind::Rmsprop => Optimizer::RmsProp { lr: self.lr, alpha: self.alpha },
        };
        Training { norm: self.norm.unwrap_or(norm), objective, optimizer, convolution: self.convolution }
    }

    /// Steps if `local_steps` is given, otherwise epochs (1 by default).
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
    /// What it does with them before.
    pub pre_aggregation: Pre,
    /// Images on which the server trains itself, if the rule needs its own update.
    pub server_images: u32,
    /// Where the running statistics of the aggregated networks come from.
    pub statistics: Statistics,
    /// Decay of the momentum of their updates that clients send; 0: they send the updates.
    pub client_momentum: f64,
    /// The clients' weights in the mean.
    pub weights: Weights,
    /// Clients trained in one launch; absent: as many as memory allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients_per_launch: Option<u32>,
    /// The response to non-finite values of a client.
    pub nonfinite: OnNonfinite,
}

/// `[data]`: a source with its keys, and the share held out of training.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSection {
    /// Share of the images that no client trains on, the reference of the metrics.
    pub held_out: f64,
    /// Source of the images.
    pub source: DataConfig,
}

/// `[attack]` as written; absent options of the attack on images follow from the image size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttackConfig {
    /// Client ids or names, or a number N for the first N.
    pub malicious: Malicious,
    /// The attack on their images.
    pub image: OnImages,
    /// Share of a malicious client's real images that carry the trigger.
    pub fraction: f64,
    /// First round of the attack.
    pub start_round: u32,
    /// The attack on the updates of malicious clients.
    pub update: OnUpdate,
    /// The losses that malicious clients report.
    pub report: LossReport,
}

/// The malicious clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Malicious {
    /// The first N clients.
    Count(u32),
    /// These clients.
    Ids(Vec<u32>),
    /// These clients, some by folder name.
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

/// `[evaluation]`. Keys that begin with `extractor_` belong to an ONNX file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Rounds between evaluations; the start and the end are always evaluated. 0: only those.
    pub every: u32,
    /// Number of generated images for the metrics.
    pub samples: u32,
    /// Metrics of evaluation rounds; absent: see [`EvaluationConfig::metrics`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Vec<Metric>>,
    /// The network whose features metrics compare: [`BUILTIN`], or the path of an ONNX file.
    pub extractor: String,
    /// Inputs for black and white.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extractor_range: Option<[f64; 2]>,
    /// Subtracted from the inputs; absent: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extractor_mean: Option<Vec<f64>>,
    /// Divisor of the inputs; absent: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extractor_std: Option<Vec<f64>>,
    /// Height and width of the input; absent: the file's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extractor_side: Option<u32>,
    /// How images are resized; absent: Catmull-Rom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extractor_filter: Option<Filter>,
    /// Order of the input's dimensions; absent: the file's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extractor_layout: Option<Layout>,
    /// Order of the colours; absent: RGB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extractor_order: Option<Order>,
    /// The output with the features; absent: the only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extractor_output: Option<String>,
    /// Whether the file is the Inception network of the FID; absent: no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extractor_is_fid: Option<bool>,
    /// Rows and columns of a sample grid.
    pub grid: u32,
}

/// `[checkpoint]`; none of its keys changes results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Rounds between checkpoints; 0: only before the first round and when the run is interrupted.
    pub every: u32,
    /// Number of latest checkpoints to keep.
    pub keep: u32,
    /// Whether to keep the state after the last round; absent: yes in runs, no in sweeps.
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
    /// Whether an evaluation is due after `done` rounds; the end of a run always has one.
    pub fn is_due(&self, done: u32) -> bool {
        self.every > 0 && done.is_multiple_of(self.every)
    }

    /// The ONNX file in place of the built-in extractor, if there is one.
    pub fn own_extractor(&self) -> Option<ExtractorOptions> {
        let range = self.extractor_range.filter(|_| self.extractor != BUILTIN)?;
        Some(ExtractorOptions {
            path: self.extractor.clone().into(),
            side: self.extractor_side,
            filter: self.extractor_filter.unwrap_or_default(),
            range,
            mean: self.extractor_mean.clone(),
            std: self.extractor_std.clone(),
            layout: self.extractor_layout,
            order: self.extractor_order.unwrap_or_default(),
            output: self.extractor_output.clone(),
            is_fid: self.extractor_is_fid.unwrap_or_default(),
        })
    }

    /// The requested metrics; by default the sliced Wasserstein distance, and leakage in an attacked run.
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
