//! The server's probe: after each round the server draws images from every client's generator with the same latents and tracks,
//! over the rounds, how each mean image deviates from the clients' median.
//!
//! Honest generators deviate at varying places and in varying directions; a generator trained towards a trigger deviates at the
//! trigger's place in every round. The average over rounds preserves the latter and reduces the former. Nothing here is
//! reported by a client: the server has the generators. The latents come from the experiment's seed, which clients do not know.

use super::moments::UpdateMoments;
use crate::error::sizes;
use crate::exec::{Engine, Pool, Recording, Tensor, align, most_words, write_f32};
use crate::kernels::fed::batch_mean::{BatchMean, BatchMeanParams};
use crate::kernels::fed::broadcast::{Broadcast, BroadcastParams};
use crate::kernels::fed::median_deviation::{MedianDeviation, MedianDeviationParams};
use crate::kernels::rng::{RngParams, Stream, rng_normal::RngNormal, seed_words};
use crate::kernels::util::max_abs::{MaxAbs, MaxAbsParams};
use crate::model::{Activations, Gan, GanBuffers, Mode, Pass};
use crate::{Error, Result};

/// Smallest number of images drawn per generator; rounded up to whole training batches, whose buffers it borrows.
const IMAGES: u32 = 64;
/// Rounds over which the deviations are averaged (exponentially).
const MEMORY: f32 = 12.0;

/// Latents, mean images and averaged deviations of all clients.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    /// `[passes][batch][latent]`, each pass rounded up to 64 words.
    latents: Tensor,
    passes: u32,
    /// Words of an image.
    image: u32,
    /// `[clients][image]`, client stride rounded up to 64 words.
    means: Tensor,
    deviations: Tensor,
    seed: u64,
}

impl Probe {
    /// Allocates the probe of all `clients`.
    ///
    /// # Errors
    /// [`Error::Input`] if the mean images of all clients do not fit in one binding.
    pub fn new(engine: &mut dyn Engine, gan: &Gan, clients: u32, batch: u32, seed: u64) -> Result<Probe> {
        let (image, passes) = (gan.arch.image(), IMAGES.div_ceil(batch));
        let words = clients as usize * align(image as usize);
        let most = most_words(engine);
        if words > most {
            let [needs, has] = sizes(4 * words as u64, 4 * most as u64);
            return Err(Error::input(format!(
                "detection.kind isolation-forest: the mean images of {clients} clients take {needs}, one launch on this \
                 device holds {has}: choose fewer clients or a smaller model.image_size"
            )));
        }
        Ok(Probe {
            latents: engine.alloc("probe latents", passes as usize * align((batch * gan.arch.latent) as usize))?,
            passes,
            image,
            means: engine.alloc("probe means", words)?,
            deviations: engine.alloc("probe deviations", words)?,
            seed,
        })
    }

    /// The averaged deviations, `[clients][image]` with a client stride rounded up to 64 words; they persist between rounds.
    pub fn deviations(&self) -> Tensor {
        self.deviations
    }

    fn stride(&self) -> u32 {
        align(self.image as usize) as u32
    }

    /// The rows of clients `first..first + clients`.
    fn rows(&self, of: Tensor, first: u32, clients: u32) -> Tensor {
        let stride = self.stride() as usize;
        of.slice(first as usize * stride, clients as usize * stride)
    }

    /// Records drawing the latents, once per run, with a zeroed step `state`.
    ///
    /// # Errors
    /// If a layout does not fit its buffers (a bug).
    pub fn record_latents(&self, rec: &mut Recording, state: Tensor) -> Result<()> {
        let (seed_lo, seed_hi) = seed_words(self.seed);
        let n = self.latents.words as u32;
        let stream = Stream::PROBE.0;
        let p = RngParams { clients: 1, n, y_stride: n, client_base: 0, seed_lo, seed_hi, stream, a: 0.0, b: 1.0 };
        rec.launch(&RngNormal, &p, &[self.latents, state], "probe latents")
    }

    /// Records the mean images of the chunk's generators, in inference mode. It overwrites their activations.
    ///
    /// # Errors
    /// As [`Pool::alloc`].
    pub fn record(
        &self,
        engine: &mut dyn Engine,
        pool: &mut Pool,
        rec: &mut Recording,
        gan: &Gan,
        b: &GanBuffers,
        first: u32,
    ) -> Result<()> {
        let (clients, batch, arch) = (b.clients, b.batch, gan.arch);
        let n = batch * arch.latent;
        let stride = align(n as usize);
        let z = pool.alloc(engine, "probe latents of every client", clients as usize * stride)?;
        let pass = Pass { net: &gan.g, bank: &b.g, acts: &b.g_acts, transformed: None, label: "G(probe)" };
        for k in 0..self.passes {
            let from = self.latents.slice(k as usize * stride, stride);
            let p = BroadcastParams { clients, n, y_stride: stride as u32 };
            rec.launch(&Broadcast, &p, &[from, z], format!("probe latents {k} to clients"))?;
            let images = pass.forward(rec, z, Mode::Eval)?;
            let p = BatchMeanParams {
                clients,
                batch,
                n: self.image,
                x_stride: Activations::stride([arch.image_size, arch.image_size, arch.channels], batch),
                y_stride: self.stride(),
                accumulate: u32::from(k > 0),
                scale: 1.0 / (self.passes * batch) as f32,
            };
            rec.launch(&BatchMean, &p, &[images, self.rows(self.means, first, clients)], "probe mean")?;
        }
        Ok(())
    }

    /// Marks the mean image of a dropped client as missing: its deviations do not change, and it does not affect those of the
    /// others.
    ///
    /// # Errors
    /// As [`Engine::write`].
    pub fn leave_out(&self, engine: &mut dyn Engine, client: u32) -> Result<()> {
        write_f32(engine, self.rows(self.means, client, 1), &vec![f32::NAN; self.image as usize])
    }

    /// Records the deviations of all clients, after the probes of all chunks.
    ///
    /// # Errors
    /// If a layout does not fit its buffers (a bug).
    pub fn record_deviations(&self, rec: &mut Recording, clients: u32) -> Result<()> {
        let (n, stride) = (self.image, self.stride());
        let p = MedianDeviationParams { clients, n, x_stride: stride, y_stride: stride, rate: 1.0 / MEMORY };
        rec.launch(&MedianDeviation, &p, &[self.means, self.deviations], "probe deviation")
    }

    /// Records each client's largest averaged deviation into its [`UpdateMoments::peak`].
    ///
    /// # Errors
    /// If a layout does not fit its buffers (a bug).
    pub fn record_peaks(&self, rec: &mut Recording, moments: Tensor, first: u32, clients: u32) -> Result<()> {
        let (y_stride, y_at) = (UpdateMoments::WORDS as u32, UpdateMoments::PEAK_AT);
        let p = MaxAbsParams { clients, n: self.image, x_stride: self.stride(), y_stride, y_at };
        let rows = self.rows(self.deviations, first, clients);
        rec.launch(&MaxAbs, &p, &[rows, moments], "largest probe deviation")
    }
}
