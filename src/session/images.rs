//! The images of a run: loaded, split, dealt to clients.

use crate::config::Plan;
use crate::data::random::SplitMix64;
use crate::data::{DataConfig, Groups, Loaded, SIZES, Split, holdout};
use crate::fed::attack::image::Motif;
use crate::fed::{Origin, Partition, every_client_has_a_batch};
use crate::metric::{Evaluator, Extractor, FEATURES, ImageSet, Metric, extractor_digest};
use crate::report::checkpoint;
use crate::report::summary::Digests;
use crate::{Error, Result};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// RNG stream that selects the images to show.
const SHOWN: u64 = 0x5348_4f57; // "SHOW"

/// RNG stream that selects the server's images.
const SERVER: u64 = 0x5345_5256; // "SERV"

/// Training and held-out images, the images of each client, and the network whose features metrics compare.
pub struct Images {
    /// Names of skipped images, with the reasons.
    pub skipped: Vec<String>,
    /// Lines for the console: classes or clients, ignored files, conversion of colours.
    pub notes: Vec<String>,
    /// Possible mistakes in the images.
    pub warnings: Vec<String>,
    /// Names of the clients by id, if the data name them.
    pub names: Vec<String>,
    /// Height, width and channels.
    pub(super) shape: (usize, usize),
    /// Training images, `[n][size][size][channels]`.
    pub(super) train: Vec<u8>,
    /// Held-out images (or the training images if none are held out) in [-1, 1].
    pub(super) reference: Vec<f32>,
    /// Number of images held out.
    pub held_out: usize,
    /// Number of images next to held-out ones that are neither held out nor used for training.
    apart: usize,
    total: usize,
    /// Digest of the images before they are split.
    whole: String,
    /// The network of the plan's ONNX file, if it names one.
    extractor: Option<Arc<Extractor>>,
    pub(super) holdings: Vec<Vec<u32>>,
    /// The server's images, of which no client has any.
    pub(super) server: Vec<u32>,
}

impl Images {
    /// Loads, splits and deals the plan's images.
    pub fn load(plan: &Plan) -> Result<Images> {
        data_exists(plan)?;
        let (size, channels) = (plan.model.image_size as usize, plan.model.channels as usize);
        Images::of(plan, plan.data.source.load(size, channels)?)
    }

    /// Splits and deals images that the plan's source has converted to the model's size and channels.
    pub(super) fn of(plan: &Plan, loaded: Loaded) -> Result<Images> {
        let (size, channels) = (plan.model.image_size as usize, plan.model.channels as usize);
        classes_known(plan, &loaded)?;
        let (set, whole) = (&loaded.dataset, digest(&loaded));
        let (split, holdings, server) = dealt(plan, &loaded)?;
        let pick =
            |indices: &[u32]| -> Vec<u8> { indices.iter().flat_map(|i| set.image(*i as usize)).copied().collect() };
        let train = pick(&split.train);
        let reference = if split.held_out.is_empty() { train.clone() } else { pick(&split.held_out) };
        let reference = reference.into_iter().map(|b| b as f32 / 127.5 - 1.0).collect();
        // With another partition the clients of the data are not those of the federation.
        let named = plan.federation.partition == Partition::Sites;
        let (held_out, apart, total) = (split.held_out.len(), split.apart.len(), set.len());
        Ok(Images {
            skipped: loaded.skipped,
            notes: loaded.notes,
            warnings: loaded.warnings,
            names: named.then_some(loaded.clients).flatten().map(|c| c.names).unwrap_or_default(),
            shape: (size, channels),
            train,
            reference,
            held_out,
            apart,
            total,
            whole,
            extractor: plan.evaluation.own_extractor().map(|own| Extractor::open(&own)).transpose()?.map(Arc::new),
            holdings,
            server,
        })
    }

    /// Warnings: an evaluation against training images.
    pub fn warning(&self, plan: &Plan) -> Option<String> {
        (self.held_out == 0).then(|| {
            format!(
                "data.held_out = {}: no image of {} is held out; metrics compare with the training images",
                plan.data.held_out, self.total
            )
        })
    }

    /// At most `n` of the reference images, drawn with the experiment's seed: they are sorted by class, so the first ones would
    /// show only one class.
    pub(super) fn shown(&self, n: usize, seed: u64) -> Vec<f32> {
        let (size, channels) = self.shape;
        let words = size * size * channels;
        let mut order: Vec<usize> = (0..self.reference.len() / words).collect();
        SplitMix64::new(seed, SHOWN, 0).shuffle(&mut order);
        let images = order.into_iter().take(n).flat_map(|i| &self.reference[i * words..(i + 1) * words]);
        images.copied().collect()
    }

    /// Number of reference images.
    pub fn references(&self) -> usize {
        let (size, channels) = self.shape;
        self.reference.len() / (size * size * channels)
    }

    /// Number of training images.
    pub(super) fn trained(&self) -> usize {
        let (size, channels) = self.shape;
        self.train.len() / (size * size * channels)
    }

    /// The `metrics` of `samples` generated images against the reference images. The training images, which carry no trigger
    /// here, calibrate the search for the trigger.
    pub fn evaluator(&self, plan: &Plan, metrics: &[Metric], samples: usize) -> Result<Evaluator> {
        let (size, channels) = self.shape;
        let references = ImageSet::new(self.reference.clone(), size, channels);
        let clean = metrics.contains(&Metric::Leakage).then(|| ImageSet::from_bytes(&self.train, size, channels));
        let trigger = clean.as_ref().map(|clean| (&plan.attack, clean));
        Evaluator::new(metrics, references, trigger, plan.seed, samples, self.extractor.as_ref())
    }

    /// Digests of the images and of the trigger's picture.
    ///
    /// # Errors
    /// If the picture of an attack's trigger cannot be read.
    pub fn digests(&self, plan: &Plan) -> Result<Digests> {
        let extractor = self.extractor.as_ref().and_then(|own| own.digest()).map(String::from);
        Ok(Digests { images: self.whole.clone(), split: self.split(), trigger: trigger(plan)?, extractor })
    }

    /// Features per image of the network that metrics use.
    pub(super) fn features(&self) -> usize {
        self.extractor.as_ref().map_or(FEATURES, |own| own.features())
    }

    /// SHA-256 of the training images, the reference images and the partition.
    fn split(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(&self.train);
        self.reference.iter().for_each(|v| digest.update(v.to_le_bytes()));
        for holding in &self.holdings {
            digest.update((holding.len() as u64).to_le_bytes());
            holding.iter().for_each(|i| digest.update(i.to_le_bytes()));
        }
        // Nothing without them: digests of earlier runs stay the same.
        self.server.iter().for_each(|i| digest.update(i.to_le_bytes()));
        checkpoint::hex(digest)
    }

    /// One line for the console.
    pub fn describe(&self, plan: &Plan) -> String {
        let counts: Vec<String> = self.holdings.iter().map(|h| h.len().to_string()).collect();
        let shown = if counts.len() > 12 { format!("{} ...", counts[..12].join(" ")) } else { counts.join(" ") };
        let apart = match self.apart {
            0 => String::new(),
            n => format!(", {n} neighbours of these left out"),
        };
        format!(
            "images    {} of {}x{}x{}, {} held out{apart}; clients hold {shown}",
            self.total, plan.model.image_size, plan.model.image_size, plan.model.channels, self.held_out
        )
    }
}

/// The split of the plan's images; each client's and the server's training images as indices into the split's training images.
fn dealt(plan: &Plan, loaded: &Loaded) -> Result<(Split, Vec<Vec<u32>>, Vec<u32>)> {
    let labels = &loaded.dataset.labels;
    let series = plan.data.source.series();
    let clients = loaded.clients.as_ref().map(|clients| &clients.of_image[..]);
    let groups = match (clients, &loaded.patients, &series) {
        (clients, Some(patients), _) => Groups::Patients(patients, clients),
        (Some(clients), None, _) => Groups::Clients(clients),
        (None, None, Some(series)) => Groups::Series(series),
        (None, None, None) => Groups::None,
    };
    let split = holdout(labels, groups, plan.data.held_out, plan.seed)?;
    let (server, dealt) = servers(plan, split.train.len())?;
    let pick = |of: &[u32]| -> Vec<u32> { dealt.iter().map(|i| of[split.train[*i as usize] as usize]).collect() };
    let (client_of, patient_of) = (clients.map(pick), loaded.patients.as_deref().map(pick));
    let origin = Origin { clients: client_of.as_deref(), patients: patient_of.as_deref() };
    let (clients, batch) = (plan.federation.clients as usize, plan.train.batch as usize);
    let partition = &plan.federation.partition;
    let mut holdings = partition.assign(&pick(labels), clients, plan.seed, origin, batch)?;
    holdings.iter_mut().flatten().for_each(|i| *i = dealt[*i as usize]);
    Ok((split, holdings, server))
}

/// The server's images, drawn from the training images with the experiment's seed, and the others; both ascending.
fn servers(plan: &Plan, all: usize) -> Result<(Vec<u32>, Vec<u32>)> {
    let count = plan.federation.server_images as usize;
    if count >= all {
        return Err(Error::input(format!(
            "federation.server_images = {count}: there are {all} training images, and the clients need some"
        )));
    }
    let mut order: Vec<u32> = (0..all as u32).collect();
    if count > 0 {
        SplitMix64::new(plan.seed, SERVER, 0).shuffle(&mut order);
    }
    let (mut server, mut dealt) = (order[..count].to_vec(), order[count..].to_vec());
    server.sort_unstable();
    dealt.sort_unstable();
    Ok((server, dealt))
}

/// Finds the errors of dealing a plan's images without training; loads images once for all plans that share them.
#[derive(Default)]
pub struct Rehearsal {
    loaded: Vec<(DataConfig, Loaded)>,
}

impl Rehearsal {
    /// Loads the plan's images, splits and deals them.
    ///
    /// # Errors
    /// Images that cannot be read; a client without a batch.
    pub fn deal(&mut self, plan: &Plan) -> Result<()> {
        data_exists(plan)?;
        let source = &plan.data.source;
        let at = match self.loaded.iter().position(|(known, _)| known == source) {
            Some(at) => at,
            None => {
                // The partition does not depend on the image size: the smallest takes the least memory.
                self.loaded.push((source.clone(), source.load(SIZES[0], plan.model.channels as usize)?));
                self.loaded.len() - 1
            }
        };
        classes_known(plan, &self.loaded[at].1)?;
        let (_, holdings, _) = dealt(plan, &self.loaded[at].1)?;
        every_client_has_a_batch(&holdings, plan.train.batch)
    }
}

/// Rejects a partition by class for images without classes, and one by sites for a manifest without clients.
fn classes_known(plan: &Plan, loaded: &Loaded) -> Result<()> {
    let (path, absent) = match &plan.data.source {
        DataConfig::Npz { path, .. } => (path, "array `train_labels`"),
        DataConfig::Manifest { path, .. } => (path, "column `label`"),
        _ => return Ok(()),
    };
    match plan.federation.partition {
        Partition::Dirichlet { .. } if !loaded.labelled => {
            let need = "whose classes federation.partition = \"dirichlet\" deals; \"iid\" and \"shared\" need none";
            Err(Error::file(path, format!("no {absent}, {need}")))
        }
        Partition::Sites if loaded.clients.is_none() => {
            let need = "no column `client`, which names the client of each image for federation.partition = \"sites\"";
            Err(Error::file(path, need))
        }
        _ => Ok(()),
    }
}

/// Digest of the plan's images as loaded, before they are split.
///
/// # Errors
/// Those of the loader.
pub fn digest_of(plan: &Plan) -> Result<String> {
    let (size, channels) = (plan.model.image_size as usize, plan.model.channels as usize);
    plan.data.source.load(size, channels).map(|loaded| digest(&loaded))
}

fn digest(loaded: &Loaded) -> String {
    let (set, mut digest) = (&loaded.dataset, Sha256::new());
    let clients = loaded.clients.as_ref().map_or(&[][..], |c| &c.of_image);
    for numbers in [&[set.size as u32, set.channels as u32, set.len() as u32], &set.labels[..], clients] {
        numbers.iter().for_each(|n| digest.update(n.to_le_bytes()));
    }
    digest.update(&set.pixels);
    checkpoint::hex(digest)
}

/// Digest of the picture of the plan's trigger, if there is one. Honest runs need none.
///
/// # Errors
/// If the picture of an attack's trigger cannot be read.
pub fn trigger(plan: &Plan) -> Result<Option<String>> {
    let motif = plan.attack.image.motif(plan.model.image_size);
    let Some((file @ Motif::File(_), sides)) = motif else { return Ok(None) };
    match file.picture(sides) {
        Ok(picture) => Ok(Some(checkpoint::hex(Sha256::new_with_prefix(picture.as_raw())))),
        Err(error) if plan.is_attacked() => Err(error),
        Err(_) => Ok(None),
    }
}

/// Digest of the plan's extractor, if it names a file.
///
/// # Errors
/// If the file cannot be read.
pub fn extractor(plan: &Plan) -> Result<Option<String>> {
    plan.evaluation.own_extractor().map(|own| extractor_digest(&own.path)).transpose()
}

/// Rejects a plan whose images do not exist, before anything is loaded.
///
/// # Errors
/// Names `data.path`.
pub fn data_exists(plan: &Plan) -> Result<()> {
    let (path, what) = match &plan.data.source {
        DataConfig::Folder { path, .. } => (path, "folder of images"),
        DataConfig::Npz { path, .. } | DataConfig::Manifest { path, .. } => (path, "file"),
        DataConfig::Builtin {} | DataConfig::Dermoscopy { .. } => return Ok(()),
    };
    match path.exists() {
        true => Ok(()),
        false => Err(Error::input(format!(
            "data.path = {path:?}: no such {what}; set it in the experiment file or with --set data.path=PATH (relative \
             paths start at the working directory)"
        ))),
    }
}
