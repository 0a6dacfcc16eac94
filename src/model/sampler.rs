//! Images from a generator in inference mode.

use super::{Activations, Mode, Network, NetworkBank, Pass};
use crate::exec::{Engine, Pool, Purpose, Recording, Tensor, align, most_words, read_f32, write_f32};
use crate::kernels::rng::{RngParams, Stream, rng_normal::RngNormal, seed_words};
use crate::{Error, Result};

/// Latents per draw. Fixed, so that image i of a seed does not depend on how many images are requested.
const BATCH: u32 = 64;

/// Generates images from row 0 of a bank, normalised by its running statistics.
#[derive(Debug)]
pub struct Sampler {
    latent: usize,
    image: usize,
    /// Images per launch of the network: as many of a batch as fit one binding.
    launch: usize,
    z: Tensor,
    /// Latents of a launch; `z` itself if a launch is a whole batch.
    input: Tensor,
    state: Tensor,
    output: Tensor,
    draw: Recording,
    generate: Recording,
}

impl Sampler {
    /// A sampler for `bank` with latents from (seed, stream).
    ///
    /// # Errors
    /// As [`Engine::alloc`]; when a single image needs more than one binding holds.
    pub fn new(engine: &mut dyn Engine, net: &Network, bank: &NetworkBank, seed: u64, stream: Stream) -> Result<Self> {
        let launch = launch(engine, net)?;
        let acts = Activations::alloc(engine, &mut Pool::default(), net, 1, 1, launch)?;
        let latent = net.layers[0].input[2] as usize;
        let words = BATCH as usize * latent;
        let z = engine.alloc("sample latents", align(words))?;
        let input = match launch {
            BATCH => z,
            few => engine.alloc("sample latents of a launch", align(few as usize * latent))?,
        };
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
        let pass = Pass { net, bank: &one, acts: &acts, transformed: None, label: "G(sample)" };
        let output = pass.forward(&mut generate, input, Mode::Eval)?;
        let image = net.layers.last().map_or(0, |l| l.output.iter().product::<u32>()) as usize;
        Ok(Sampler { latent, image, launch: launch as usize, z, input, state, output, draw, generate })
    }

    /// The recordings that it runs.
    pub fn recordings(&self) -> [&Recording; 2] {
        [&self.draw, &self.generate]
    }

    /// `n` images as `[n][h][w][c]` in [-1, 1], from the seed's latents.
    ///
    /// # Errors
    /// When the device fails.
    pub fn seeded(&self, engine: &mut dyn Engine, n: usize, purpose: Purpose) -> Result<Vec<f32>> {
        let mut images = Vec::with_capacity(n * self.image);
        self.seeded_batches(engine, n, purpose, |batch| {
            images.extend(batch);
            Ok(())
        })?;
        Ok(images)
    }

    /// [`seeded`](Self::seeded), one launch of images at a time, in order.
    ///
    /// # Errors
    /// When the device or `take` fails.
    pub fn seeded_batches(
        &self,
        engine: &mut dyn Engine,
        n: usize,
        purpose: Purpose,
        mut take: impl FnMut(Vec<f32>) -> Result<()>,
    ) -> Result<()> {
        for batch in 0..n.div_ceil(BATCH as usize) {
            self.draw(engine, batch)?;
            let here = (n - batch * BATCH as usize).min(BATCH as usize);
            // If the engine's own latents are the network's input, nothing is uploaded.
            let latents = match self.launch == BATCH as usize {
                true => None,
                false => Some(read_f32(engine, self.z.slice(0, here * self.latent), purpose)?),
            };
            for from in (0..here).step_by(self.launch) {
                let count = self.launch.min(here - from);
                let part = latents.as_ref().map(|z| &z[from * self.latent..(from + count) * self.latent]);
                take(self.generate(engine, part, count, purpose)?)?;
            }
        }
        Ok(())
    }

    /// The first `n` latents of the seed, `[n][latent]`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn latents(&self, engine: &mut dyn Engine, n: usize, purpose: Purpose) -> Result<Vec<f32>> {
        let mut all = Vec::with_capacity(n * self.latent);
        for batch in 0..n.div_ceil(BATCH as usize) {
            self.draw(engine, batch)?;
            all.extend(read_f32(engine, self.z.slice(0, BATCH as usize * self.latent), purpose)?);
        }
        all.truncate(n * self.latent);
        Ok(all)
    }

    /// Images from given latents `[n][latent]`, one launch at a time, in order.
    ///
    /// # Errors
    /// When the latents are not a multiple of the latent size, or the device or `take` fails.
    pub fn given_batches(
        &self,
        engine: &mut dyn Engine,
        latents: &[f32],
        purpose: Purpose,
        mut take: impl FnMut(Vec<f32>) -> Result<()>,
    ) -> Result<()> {
        if latents.is_empty() || !latents.len().is_multiple_of(self.latent) {
            let found = latents.len();
            return Err(Error::input(format!(
                "{found} latent values: not a multiple of the latent size {}",
                self.latent
            )));
        }
        for part in latents.chunks(self.launch * self.latent) {
            take(self.generate(engine, Some(part), part.len() / self.latent, purpose)?)?;
        }
        Ok(())
    }

    fn draw(&self, engine: &mut dyn Engine, batch: usize) -> Result<()> {
        engine.write(self.state, &[0, 0, batch as u32, 0])?;
        engine.run(&self.draw, 1)
    }

    /// One launch: `count` images from these latents, or from the current input.
    fn generate(
        &self,
        engine: &mut dyn Engine,
        latents: Option<&[f32]>,
        count: usize,
        purpose: Purpose,
    ) -> Result<Vec<f32>> {
        if let Some(latents) = latents {
            write_f32(engine, self.input, latents)?;
        }
        engine.run(&self.generate, 1)?;
        read_f32(engine, self.output.slice(0, count * self.image), purpose)
    }
}

/// Images per launch: the largest power of 2, at most a batch, whose tensors fit one binding.
fn launch(engine: &dyn Engine, net: &Network) -> Result<u32> {
    let most = most_words(engine);
    let sides = || net.layers.iter().flat_map(|l| [l.input, l.output]);
    let words = |images: u32| {
        let of = |side: [u32; 3]| side.iter().map(|v| u64::from(*v)).product::<u64>() * u64::from(images);
        sides().map(of).max().unwrap_or(0)
    };
    let fits = std::iter::successors(Some(BATCH), |b| Some(b / 2)).take_while(|b| *b > 0).find(|b| {
        // Strides are multiples of 64 words.
        words(*b).next_multiple_of(64) <= most as u64
    });
    fits.ok_or_else(|| {
        Error::input(format!(
            "sampling one image needs a tensor of {} MiB, one binding of this device holds {} MiB: choose a smaller \
             model.width or model.image_size",
            (words(1) >> 18).max(1),
            most >> 18
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::CpuEngine;
    use crate::model::Architecture;

    /// The cpu engine with small bindings.
    struct Tight(CpuEngine, usize);

    impl Engine for Tight {
        fn descriptor(&self) -> &crate::exec::Descriptor {
            self.0.descriptor()
        }
        fn alloc(&mut self, label: &str, words: usize) -> Result<Tensor> {
            assert!(words <= self.1, "{label}: {words} words in a binding of {}", self.1);
            self.0.alloc(label, words)
        }
        fn write(&mut self, to: Tensor, words: &[u32]) -> Result<()> {
            self.0.write(to, words)
        }
        fn read(&mut self, from: Tensor, purpose: Purpose) -> Result<Vec<u32>> {
            self.0.read(from, purpose)
        }
        fn run(&mut self, recording: &Recording, times: u32) -> Result<()> {
            self.0.run(recording, times)
        }
        fn finish(&mut self) -> Result<()> {
            self.0.finish()
        }
        fn traffic(&self) -> &crate::exec::Traffic {
            self.0.traffic()
        }
        fn max_binding_words(&self) -> usize {
            self.1
        }
    }

    /// Launches depend on the binding; the bits of the images do not depend on the launches.
    #[test]
    fn images_are_made_in_launches_that_fit_a_binding() {
        let net = Architecture { image_size: 16, channels: 3, width: 4, latent: 5 }.generator();
        let images = |words: usize| {
            let mut engine = Tight(CpuEngine::new(), words);
            let bank = NetworkBank::alloc(&mut engine, &net, 1, false)?;
            let weights: Vec<f32> = (0..net.stride).map(|i| 0.3 * ((i as f32) * 0.37).sin()).collect();
            write_f32(&mut engine, bank.weights, &weights)?;
            write_f32(&mut engine, bank.running, &vec![1.0; net.running_stride])?;
            let sampler = Sampler::new(&mut engine, &net, &bank, 3, Stream::SAMPLE)?;
            let seeded = sampler.seeded(&mut engine, 70, Purpose::Check)?;
            let latents = sampler.latents(&mut engine, 70, Purpose::Check)?;
            let mut given = Vec::new();
            sampler.given_batches(&mut engine, &latents, Purpose::Check, |batch| {
                given.extend(batch);
                Ok(())
            })?;
            assert_eq!(seeded, given);
            Ok::<_, Error>((sampler.launch, seeded))
        };
        let (launch, whole) = images(1 << 24).unwrap();
        assert_eq!((launch, whole.len()), (64, 70 * 768));
        let largest = net.layers.iter().map(|l| l.output.iter().product::<u32>() as usize).max().unwrap();
        for few in [1, 2, 8, 32] {
            let (launch, images) = images((few * largest).max(net.stride).next_multiple_of(64)).unwrap();
            assert!(launch < 64 && launch >= few, "{launch} for room of {few}");
            assert!(images == whole, "{launch}");
        }
        let tight = launch_error(&net, largest / 2);
        assert!(tight.contains("sampling one image") && tight.contains("model.width"), "{tight}");
    }

    fn launch_error(net: &Network, words: usize) -> String {
        launch(&Tight(CpuEngine::new(), words), net).unwrap_err().to_string()
    }
}
