//! Conditions between keys, and the values of absent keys that depend on others. The rows check the ranges.

use super::malicious::malicious;
use super::{EvaluationConfig, LossKind, Notes, Plan, Problems, RunConfig, TrainConfig};
use crate::data::DataConfig;
use crate::fed::aggregate::{RULE, suits};
use crate::fed::attack::image::Refusal;
use crate::fed::detector::{Detector, MIN_CLIENTS};
use crate::fed::{Attack, Partition, Pre, Weights};
use crate::metric::BUILTIN;
use crate::model::Norm;

/// The plan of `config`; `None` if `problems` has or gets an entry.
pub fn plan(config: RunConfig, problems: &mut Problems) -> Option<Plan> {
    let train = train(&config.train, problems);
    let named = matches!(config.data.source, DataConfig::Folder { .. } | DataConfig::Manifest { .. });
    if config.federation.partition == Partition::Sites && !named {
        problems.push("federation.partition = \"sites\": needs data.kind = \"folder\" or \"manifest\"".into());
    }
    let (metrics, samples) = (&config.evaluation.metrics, config.evaluation.samples);
    for metric in metrics.iter().flatten().filter(|m| (samples as usize) < m.least()) {
        let allowed = format!("at least {} for the metric {}", metric.least(), metric.name());
        problems.refuse("evaluation.samples", samples, &allowed);
    }
    extractor(&config.evaluation, problems);
    let attack = attack(&config, problems);
    detection(&config, problems);
    aggregation(&config, problems);
    if !problems.is_empty() {
        return None;
    }
    let notes = attack.image.notes(config.model.image_size, &attack.malicious);
    let notes =
        notes.into_iter().map(|note| format!("attack.image.kind = {:?}: {note}", attack.image.name())).collect();
    Some(Plan {
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
        notes: Notes(notes),
    })
}

/// The rules must suit the number of clients, and the weights must suit the rules.
fn aggregation(config: &RunConfig, problems: &mut Problems) {
    let federation = &config.federation;
    let (rule, pre) = (&federation.aggregation, &federation.pre_aggregation);
    for problem in suits(pre, rule, federation.clients).err().unwrap_or_default() {
        problems.push(problem);
    }
    let (images, batch) = (federation.server_images, config.train.batch);
    match rule.needs_server_data() {
        true if images < batch => {
            let needs = format!("federation.server_images of at least train.batch ({batch}), found {images}");
            let why = "the server compares clients with its own training";
            problems.push(format!("{RULE} = {:?}: needs {needs}: {why}", rule.name()));
        }
        false if images > 0 => {
            let what = format!("0 with the rule {:?}, which does not use them", rule.name());
            problems.refuse("federation.server_images", images, &what);
        }
        _ => {}
    }
    let named = match (rule.takes_weights(), pre) {
        (true, Pre::None(_)) => return,
        (true, _) => pre.name(),
        (false, _) => rule.name(),
    };
    let why = format!("the rule {named:?} gives every client the same say, because a client can lie about its images");
    if federation.weights == Weights::Data {
        problems.refuse("federation.weights", "\"data\"", &format!("\"equal\": {why}"));
    }
    if !matches!(config.detection, Detector::None {}) {
        problems.push(format!("detection.kind: must be \"none\", as a detector's weights have no effect: {why}"));
    }
}

/// An ONNX file needs its range; the built-in extractor takes no options.
fn extractor(config: &EvaluationConfig, problems: &mut Problems) {
    if config.extractor != BUILTIN {
        if !config.extractor.to_lowercase().ends_with(".onnx") {
            problems.push(format!(
                "evaluation.extractor = {:?}: must be {BUILTIN:?} or the path of an ONNX file (*.onnx)",
                config.extractor
            ));
            return;
        }
        if config.extractor_range.is_none() && !problems.mention("evaluation.extractor_range") {
            let examples = "such as [0, 1], [-1, 1] or [0, 255]";
            problems.push(format!(
                "evaluation.extractor_range: is missing, must be the inputs for black and white with which the network of \
                 evaluation.extractor was trained, {examples}"
            ));
        }
        return;
    }
    // A key that is present has a value in the file's form.
    let Ok(table) = toml::Table::try_from(config) else { return };
    for key in table.keys().filter(|key| key.starts_with("extractor_")) {
        problems.push(format!("evaluation.{key}: belongs to an ONNX file, but evaluation.extractor = {BUILTIN:?}"));
    }
}

fn detection(config: &RunConfig, problems: &mut Problems) {
    let kind = match &config.detection {
        Detector::None {} => return,
        Detector::IsolationForestPublished(_) => "isolation-forest-published",
        Detector::IsolationForest(_) => "isolation-forest",
    };
    let (warmup, last) = (config.detection.warmup().unwrap_or(0), config.rounds.saturating_sub(1));
    let early = format!("below rounds - 1 ({last}), or there is never a verdict");
    problems.require(warmup < last, "detection.warmup", warmup, &early);
    let clients = config.federation.clients;
    let (least, found) = (config.detection.least_clients(), format!("{kind:?} with federation.clients = {clients}"));
    if clients < MIN_CLIENTS {
        let allowed = format!("none with fewer than {MIN_CLIENTS} clients: among two, neither stands out");
        problems.refuse("detection.kind", found, &allowed);
    } else if clients < least {
        let why =
            "the published rule acts if fewer than floor(clients / 2) clients are flagged, which never happens with 3";
        problems.refuse("detection.kind", found, &format!("another rule with fewer than {least} clients: {why}"));
    }
}

/// Resolves the keys that depend on the loss.
fn train(train: &TrainConfig, problems: &mut Problems) -> TrainConfig {
    regularisation(train, problems);
    TrainConfig { norm: Some(train.training().norm), ..train.clone() }
}

/// Norm, penalty and critic steps must suit the loss.
fn regularisation(train: &TrainConfig, problems: &mut Problems) {
    let lambda = train.lambda.unwrap_or_default();
    let reason = match train.loss {
        LossKind::WganGp if train.training().norm == Norm::Batch => {
            "train.norm = \"batch\": must be \"instance\" or \"none\" with train.loss = \"wgan-gp\": batch norm makes the gradient \
             of one image depend on the others"
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

fn attack(config: &RunConfig, problems: &mut Problems) -> Attack {
    let (written, size) = (&config.attack, config.model.image_size);
    let mut attack = Attack {
        malicious: malicious(config, problems),
        image: written.image.clone(),
        fraction: written.fraction,
        start_round: written.start_round,
        update: written.update.clone(),
    };
    // Malicious clients that were refused have no number.
    if !problems.mention("attack.malicious")
        && !attack.malicious.is_empty()
        && let Err(problem) = attack.update.suits(config.federation.clients, &attack.malicious)
    {
        problems.push(problem);
    }
    let attacked = !attack.malicious.is_empty();
    let late = attacked && attack.start_round >= config.rounds;
    problems.require(!late, "attack.start_round", attack.start_round, "below rounds, or the attack never starts");
    // Tables of a trigger with rejected options, or for rejected images, could take all memory.
    if ["attack.image", "model.image_size", "model.channels"].iter().any(|key| problems.mention(key)) {
        return attack;
    }
    attack.image.resolve(size);
    if let Err(Refusal { key, found, allowed }) = attack.image.check(size) {
        problems.refuse(key, found, &allowed);
    } else if attacked && let Err(error) = attack.trigger(size, config.model.channels) {
        problems.push(format!("attack.image.picture: {error}"));
    }
    attack
}
