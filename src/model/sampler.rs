//! Images from a generator in inference mode.

use super::{Activations, Mode, Network, NetworkBank, Pass};
use crate::exec::{Engine, Pool, Purpose, Recording, Tensor, align, read_f32, write_f32};
use crate::kernels::rng::{RngParams, Stream, rng_normal::RngNormal, seed_words};
use crate::{Error, Result};

/// Images of one launch. Fixed, so that image i of a seed does not depend on how many are asked for.
const BATCH: u32 = 64;

/// Generates images from row 0 of a bank, normalised by its running statistics.
#[derive(Debug)]
pub struct Sampler {
    latent: usize,
    image: usize,
    z: Tensor,
    state: Tensor,
    output: Tensor,
    draw: Recording,
    generate: Recording,
}

impl Sampler {
    /// A sampler over `bank`, whose latents come from (seed, stream).
    ///
    /// # Errors
    /// As [`Engine::alloc`].
    pub fn new(engine: &mut dyn Engine, net: &Network, bank: &NetworkBank, seed: u64, stream: Stream) -> Result<Self> {
        let acts = Activations::alloc(engine, &mut Pool::default(), net, 1, 1, BATCH)?;
        let latent = net.layers[0].input[2] as usize;
        let words = BATCH as usize * latent;
        let z = engine.alloc("sample latents", align(words))?;
        let state = engine.alloc("sample state", align(4))?;
        let (seed_lo, seed_hi) = seed_words(seed);
        let p = RngParams {
            clients: 1,
            n: words as u32,
            y_stride: align(words) as u32,
            client_base: 0,
            seed_lo,
            seed_hi,
            stream: stream.0,
            a: 0.0,
            b: 1.0,
        };
        let mut draw = Recording::new();
        draw.launch(&RngNormal, &p, &[z, state], "sample latents")?;
        let one = NetworkBank { clients: 1, ..*bank };
        let mut generate = Recording::new();
        let pass = Pass { net, bank: &one, acts: &acts, label: "G(sample)" };
        let output = pass.forward(&mut generate, z, Mode::Eval)?;
        let image = net.layers.last().map_or(0, |l| l.output.iter().product::<u32>()) as usize;
        Ok(Sampler { latent, image, z, state, output, draw, generate })
    }

    /// What it runs.
    pub fn recordings(&self) -> [&Recording; 2] {
        [&self.draw, &self.generate]
    }

    /// `n` images as [n][h][w][c] in [-1, 1], from the seed's latents.
    ///
    /// # Errors
    /// When the device fails.
    pub fn seeded(&self, engine: &mut dyn Engine, n: usize, purpose: Purpose) -> Result<Vec<f32>> {
        self.batches(engine, n, purpose, |engine, batch| {
            engine.write(self.state, &[0, 0, batch as u32, 0])?;
            engine.run(&self.draw, 1)
        })
    }

    /// The first `n` latents of the seed, [n][latent].
    ///
    /// # Errors
    /// When the device fails.
    pub fn latents(&self, engine: &mut dyn Engine, n: usize, purpose: Purpose) -> Result<Vec<f32>> {
        let mut all = Vec::with_capacity(n * self.latent);
        for batch in 0..n.div_ceil(BATCH as usize) {
            engine.write(self.state, &[0, 0, batch as u32, 0])?;
            engine.run(&self.draw, 1)?;
            all.extend(read_f32(engine, self.z.slice(0, BATCH as usize * self.latent), purpose)?);
        }
        all.truncate(n * self.latent);
        Ok(all)
    }

    /// Images from given latents [n][latent].
    ///
    /// # Errors
    /// When the latents are no multiple of the latent size, or the device fails.
    pub fn given(&self, engine: &mut dyn Engine, latents: &[f32], purpose: Purpose) -> Result<Vec<f32>> {
        if latents.is_empty() || !latents.len().is_multiple_of(self.latent) {
            let found = latents.len();
            return Err(Error::input(format!(
                "{found} latent values: not a multiple of the latent size {}",
                self.latent
            )));
        }
        self.batches(engine, latents.len() / self.latent, purpose, |engine, batch| {
            let from = batch * BATCH as usize * self.latent;
            let to = latents.len().min(from + BATCH as usize * self.latent);
            write_f32(engine, self.z, &latents[from..to])
        })
    }

    fn batches(
        &self,
        engine: &mut dyn Engine,
        n: usize,
        purpose: Purpose,
        mut fill: impl FnMut(&mut dyn Engine, usize) -> Result<()>,
    ) -> Result<Vec<f32>> {
        let mut images = Vec::with_capacity(n * self.image);
        for batch in 0..n.div_ceil(BATCH as usize) {
            fill(engine, batch)?;
            engine.run(&self.generate, 1)?;
            let here = (n - batch * BATCH as usize).min(BATCH as usize);
            images.extend(read_f32(engine, self.output.slice(0, here * self.image), purpose)?);
        }
        Ok(images)
    }
}
