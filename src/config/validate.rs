//! The ranges of every value; what is absent is resolved here.

use super::malicious::malicious;
use super::{LossKind, ModelConfig, Plan, Problems, RunConfig, TrainConfig};
use crate::data::{DataConfig, Window};
use crate::fed::Local;
use crate::fed::detector::{Detector, MIN_CLIENTS};
use crate::fed::{Partition, Patch};
use crate::model::{Norm, Objective};

/// Largest image side.
const MOST_SIZE: u32 = 256;
/// Most clients: they are a dimension of the dispatch grid, which ends there.
const MOST_CLIENTS: u32 = 65535;

/// The plan of `config`; `None` when anything was or is wrong, all of it in `problems`.
pub fn plan(config: RunConfig, problems: &mut Problems) -> Option<Plan> {
    let name_ok = !config.name.is_empty()
        && !config.name.starts_with('.')
        && config.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    problems.require(name_ok, "name", quoted(&config.name), "letters, digits, `-`, `_` or `.`, not starting with `.`");
    problems.require(config.rounds >= 1, "rounds", config.rounds, "at least 1");
    problems.require(
        !config.device.trim().is_empty(),
        "device",
        quoted(&config.device),
        "auto, gpu, gpu:N, cpu, reference or part of an adapter's name",
    );
    model(&config.model, problems);
    let train = train(&config.train, problems);
    federation(&config, problems);
    let held_out = config.data.held_out;
    real(problems, "data.held_out", held_out, "in [0, 1)", |v| (0.0..1.0).contains(&v));
    source(&config.data.source, problems);
    let evaluation = &config.evaluation;
    problems.require(
        (2..=65536).contains(&evaluation.samples),
        "evaluation.samples",
        evaluation.samples,
        "from 2 to 65536",
    );
    problems.require((1..=32).contains(&evaluation.grid), "evaluation.grid", evaluation.grid, "from 1 to 32");
    problems.require(config.checkpoint.keep >= 1, "checkpoint.keep", config.checkpoint.keep, "at least 1");
    for metric in evaluation.metrics.iter().flatten().filter(|m| (evaluation.samples as usize) < m.least()) {
        let allowed = format!("at least {} for the metric {}", metric.least(), metric.name());
        problems.refuse("evaluation.samples", evaluation.samples, &allowed);
    }
    let attack = attack(&config, problems);
    detection(&config, problems);
    problems.is_empty().then_some(Plan {
        name: config.name,
        seed: config.seed,
        rounds: config.rounds,
        device: config.device,
        model: config.model,
        train,
        federation: config.federation,
        data: config.data,
        attack,
        report: config.attack.report,
        detection: config.detection,
        evaluation: config.evaluation,
        checkpoint: config.checkpoint,
    })
}

fn detection(config: &RunConfig, problems: &mut Problems) {
    let unit = |v: f64| v > 0.0 && v < 1.0;
    let (kind, warmup) = match &config.detection {
        Detector::None {} => return,
        Detector::IsolationForestPublished(rule) => {
            real(problems, "detection.decay", rule.decay, "above 0 and below 1", unit);
            ("isolation-forest-published", rule.warmup)
        }
        Detector::IsolationForest(rule) => {
            real(problems, "detection.memory", rule.memory, "at least 1", |v| v >= 1.0);
            real(problems, "detection.margin", rule.margin, "above 0", |v| v > 0.0);
            problems.require(rule.patience >= 1, "detection.patience", rule.patience, "at least 1");
            real(problems, "detection.decay", rule.decay, "above 0 and below 1", unit);
            real(problems, "detection.floor", rule.floor, "above 0, at most 1", |v| v > 0.0 && v <= 1.0);
            ("isolation-forest", rule.warmup)
        }
    };
    let late = format!("below rounds - 1 ({}), or there is never a verdict", config.rounds.saturating_sub(1));
    problems.require(warmup < config.rounds.saturating_sub(1), "detection.warmup", warmup, &late);
    let clients = config.federation.clients;
    let (least, found) = (config.detection.least_clients(), format!("{kind:?} with federation.clients = {clients}"));
    if clients < MIN_CLIENTS {
        problems.refuse("detection.kind", found, "none with fewer than 3 clients: among two, neither stands out");
    } else if clients < least {
        let why =
            "the published rule acts where fewer than floor(clients / 2) clients are flagged, which among 3 is never";
        problems.refuse("detection.kind", found, &format!("another with fewer than {least} clients: {why}"));
    }
}

/// Requires a range of a number, as written and as f32 rounds it, which is what devices compute with: no infinity, and nothing
/// but 0 that f32 has no normal number for.
fn real(problems: &mut Problems, path: &str, value: f64, range: &str, holds: impl Fn(f64) -> bool) {
    let narrow = value as f32;
    let short = value == 0.0 || (1e-5..1e15).contains(&value.abs());
    let found = if short { value.to_string() } else { format!("{value:?}") };
    if !holds(value) {
        problems.refuse(path, found, range);
    } else if !(narrow.is_normal() || value == 0.0) || !holds(f64::from(narrow)) {
        problems.refuse(path, found, &format!("{range}, and a number that f32 holds"));
    }
}

fn source(source: &DataConfig, problems: &mut Problems) {
    let (window, axis) = match source {
        DataConfig::Folder { window, .. } => (*window, None),
        DataConfig::Npz { window, axis, .. } => (*window, *axis),
        DataConfig::Builtin {} | DataConfig::Dermoscopy { .. } => return,
    };
    if let Some(Window::Range([low, high])) = window {
        let ok = low.is_finite() && high.is_finite() && low < high;
        problems.require(ok, "data.window", format!("[{low}, {high}]"), "[low, high], finite, low below high");
    }
    problems.require(axis.is_none_or(|a| (1..=3).contains(&a)), "data.axis", axis.unwrap_or(0), "from 1 to 3");
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

fn model(model: &ModelConfig, problems: &mut Problems) {
    let size = model.image_size;
    let size_ok = size.is_power_of_two() && (16..=MOST_SIZE).contains(&size);
    problems.require(size_ok, "model.image_size", size, "16, 32, 64, 128 or 256");
    problems.require(matches!(model.channels, 1 | 3), "model.channels", model.channels, "1 or 3");
    problems.require((1..=1024).contains(&model.width), "model.width", model.width, "from 1 to 1024");
    problems.require((1..=4096).contains(&model.latent), "model.latent", model.latent, "from 1 to 4096");
}

fn train(train: &TrainConfig, problems: &mut Problems) -> TrainConfig {
    let (positive, decay) = (|v: f64| v > 0.0, |v: f64| (0.0..1.0).contains(&v));
    problems.require((1..=4096).contains(&train.batch), "train.batch", train.batch, "from 1 to 4096");
    real(problems, "train.lr", train.lr, "above 0", positive);
    real(problems, "train.beta1", train.beta1, "in [0, 1)", decay);
    real(problems, "train.beta2", train.beta2, "in [0, 1)", decay);
    real(problems, "train.eps", train.eps, "above 0", positive);
    real(problems, "train.alpha", train.alpha, "in [0, 1)", decay);
    regularisation(train, problems);
    if let (Some(epochs), Some(steps)) = (train.local_epochs, train.local_steps) {
        let both = format!("{epochs} and train.local_steps = {steps}");
        problems.refuse("train.local_epochs", both, "one of the two, not both");
    }
    for (path, value) in [("train.local_epochs", train.local_epochs), ("train.local_steps", train.local_steps)] {
        problems.require(value != Some(0), path, 0, "at least 1");
    }
    let local_epochs = match train.local() {
        Local::Epochs(epochs) => Some(epochs),
        Local::Steps(_) => None,
    };
    let lambda = match train.training().objective {
        Objective::WganGp { lambda, .. } => Some(lambda),
        Objective::Bce => train.lambda,
    };
    TrainConfig { local_epochs, norm: Some(train.training().norm), lambda, ..train.clone() }
}

/// Loss, norm, penalty and critic steps belong together.
fn regularisation(train: &TrainConfig, problems: &mut Problems) {
    let lambda = train.lambda.unwrap_or_default();
    real(problems, "train.lambda", lambda, "at least 0", |v| v >= 0.0);
    problems.require((1..=100).contains(&train.n_critic), "train.n_critic", train.n_critic, "from 1 to 100");
    let reason = match train.loss {
        LossKind::WganGp if train.training().norm == Norm::Batch => {
            "train.norm = \"batch\": must be \"instance\" or \"none\" with train.loss = \"wgan-gp\", for batch norm makes \
             the gradient of one image depend on the others"
                .into()
        }
        LossKind::Bce if lambda > 0.0 => format!(
            "train.lambda = {lambda}: the gradient penalty needs train.loss = \"wgan-gp\", a critic without sigmoid"
        ),
        LossKind::Bce if train.n_critic > 1 => {
            format!("train.n_critic = {}: critic steps need train.loss = \"wgan-gp\"", train.n_critic)
        }
        _ => return,
    };
    problems.push(reason);
}

fn federation(config: &RunConfig, problems: &mut Problems) {
    let federation = &config.federation;
    let folder = matches!(config.data.source, DataConfig::Folder { .. });
    if federation.partition == Partition::ClientFolders && !folder {
        problems.push("federation.partition = \"client-folders\": needs data.kind = \"folder\"".into());
    }
    let clients = federation.clients;
    let range = 1..=MOST_CLIENTS;
    problems.require(range.contains(&clients), "federation.clients", clients, "from 1 to 65535");
    if let Partition::Dirichlet { alpha, minimum } = federation.partition {
        real(problems, "federation.partition.alpha", alpha, "above 0", |v| v > 0.0);
        problems.require(minimum != Some(0), "federation.partition.minimum", 0, "at least 1");
    }
    problems.require(federation.clients_per_launch != Some(0), "federation.clients_per_launch", 0, "at least 1");
}

fn attack(config: &RunConfig, problems: &mut Problems) -> Patch {
    let (attack, size) = (&config.attack, config.model.image_size);
    let unit = |v: f64| (0.0..=1.0).contains(&v);
    real(problems, "attack.fraction", attack.fraction, "in [0, 1]", unit);
    real(problems, "attack.opacity", attack.opacity, "in [0, 1]", unit);
    real(problems, "attack.scale", attack.scale, "above 0", |v| v > 0.0);
    problems.require(attack.side != Some(0), "attack.side", 0, "at least 1");
    let patch = Patch {
        malicious: malicious(config, MOST_CLIENTS, problems),
        trigger: attack.trigger.clone(),
        side: attack.side.unwrap_or((size / 16).max(1)),
        margin: attack.margin.unwrap_or(((5.0 * size as f64 / 256.0).round() as u32).max(1)),
        place: attack.place,
        fraction: attack.fraction,
        opacity: attack.opacity,
        range: attack.range,
        start_round: attack.start_round,
        scale: attack.scale,
    };
    if !patch.fits(size) {
        let found = format!("{} with attack.margin = {}", patch.side, patch.margin);
        problems.refuse("attack.side", found, &format!("such that the trigger lies inside the {size} x {size} image"));
    } else if !patch.malicious.is_empty() && size <= MOST_SIZE {
        // Beside a refused image size the trigger could take all memory.
        let late = patch.start_round >= config.rounds;
        problems.require(!late, "attack.start_round", patch.start_round, "below rounds, or the attack never starts");
        if let Err(error) = patch.pixels(config.model.channels) {
            problems.push(format!("attack.trigger.image: {error}"));
        }
    }
    patch
}
