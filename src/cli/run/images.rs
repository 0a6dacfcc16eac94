//! The images of a run: loaded, split, dealt to clients.

use crate::config::Plan;
use crate::data::{DataConfig, holdout};
use crate::metric::{ImageSet, Judge, Metric};
use crate::report::run_state;
use crate::{Error, Result};
use sha2::{Digest, Sha256};

/// Training and held-out images, and who holds which.
pub(in crate::cli) struct Images {
    /// Names of images that were left out, with the reasons.
    pub skipped: Vec<String>,
    /// Height, width and channels.
    pub(super) shape: (usize, usize),
    /// Training images, [n][size][size][channels].
    pub(super) train: Vec<u8>,
    /// Held-out images (or the training images where none are held out) in [-1, 1].
    pub(super) reference: Vec<f32>,
    /// Number of images held out.
    pub held_out: usize,
    total: usize,
    pub(super) holdings: Vec<Vec<u32>>,
}

impl Images {
    /// Loads, splits and deals the plan's images.
    pub fn load(plan: &Plan) -> Result<Images> {
        data_exists(plan)?;
        let (size, channels) = (plan.model.image_size as usize, plan.model.channels as usize);
        let loaded = plan.data.source.load(size, channels)?;
        let set = &loaded.dataset;
        let split = holdout(&set.labels, plan.data.held_out, plan.seed)?;
        let pick =
            |indices: &[u32]| -> Vec<u8> { indices.iter().flat_map(|i| set.image(*i as usize)).copied().collect() };
        let labels: Vec<u32> = split.train.iter().map(|i| set.labels[*i as usize]).collect();
        let client_of: Option<Vec<u32>> =
            loaded.clients.as_ref().map(|c| split.train.iter().map(|i| c.of_image[*i as usize]).collect());
        let clients = plan.federation.clients as usize;
        let holdings = plan.federation.partition.assign(&labels, clients, plan.seed, client_of.as_deref())?;
        let train = pick(&split.train);
        let reference = if split.held_out.is_empty() { train.clone() } else { pick(&split.held_out) };
        let reference = reference.into_iter().map(|b| b as f32 / 127.5 - 1.0).collect();
        let (held_out, total) = (split.held_out.len(), set.len());
        Ok(Images {
            skipped: loaded.skipped.clone(),
            shape: (size, channels),
            train,
            reference,
            held_out,
            total,
            holdings,
        })
    }

    /// Number of reference images.
    pub fn references(&self) -> usize {
        let (size, channels) = self.shape;
        self.reference.len() / (size * size * channels)
    }

    /// `metrics` of `samples` generated images against the reference images. The training images, which are clean here, calibrate
    /// the search for the trigger.
    pub fn judge(&self, plan: &Plan, metrics: &[Metric], samples: usize) -> Result<Judge> {
        let (size, channels) = self.shape;
        let references = ImageSet::new(self.reference.clone(), size, channels);
        let clean = metrics.contains(&Metric::Leakage).then(|| ImageSet::from_bytes(&self.train, size, channels));
        Judge::new(metrics, references, clean.as_ref().map(|clean| (&plan.attack, clean)), plan.seed, samples)
    }

    /// SHA-256 of the training images, the reference images and of who holds which.
    pub(super) fn digest(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(&self.train);
        self.reference.iter().for_each(|v| digest.update(v.to_le_bytes()));
        for holding in &self.holdings {
            digest.update((holding.len() as u64).to_le_bytes());
            holding.iter().for_each(|i| digest.update(i.to_le_bytes()));
        }
        run_state::hex(digest)
    }

    /// One line for the console.
    pub fn describe(&self, plan: &Plan) -> String {
        let counts: Vec<String> = self.holdings.iter().map(|h| h.len().to_string()).collect();
        let shown = if counts.len() > 12 { format!("{} ...", counts[..12].join(" ")) } else { counts.join(" ") };
        format!(
            "images    {} of {}x{}x{}, {} held out; clients hold {shown}",
            self.total, plan.model.image_size, plan.model.image_size, plan.model.channels, self.held_out
        )
    }
}

/// Refuses a plan whose images are not there, before anything is loaded.
///
/// # Errors
/// Names `data.path`.
pub(in crate::cli) fn data_exists(plan: &Plan) -> Result<()> {
    let (path, what) = match &plan.data.source {
        DataConfig::Folder { path, .. } => (path, "folder of images"),
        DataConfig::Npz { path } => (path, "file"),
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
