//! An exported generator for sampling.

use crate::exec::{Engine, write_f32};
use crate::kernels::rng::Stream;
use crate::model::{Architecture, NamedTensors, NetworkBank, Sampler, import, infer_generator};
use crate::report::safetensors;
use crate::{Error, Result};
use std::path::Path;

/// A generator read from a safetensors file, in PyTorch's layout and names.
#[derive(Debug)]
pub struct Generator {
    /// Its architecture, inferred from names and shapes.
    pub architecture: Architecture,
    /// The file, for messages.
    pub source: String,
    weights: NamedTensors,
}

impl Generator {
    /// Reads a generator as `fedgan run` writes it. PyTorch's integer batch counters are ignored.
    ///
    /// # Errors
    /// A file that cannot be read or does not contain a generator of this project.
    pub fn load(path: &Path) -> Result<Generator> {
        let file = safetensors::load(path)?;
        let names = file.tensors.keys().filter(|name| !name.ends_with("num_batches_tracked"));
        let weights = names.map(|name| Ok((name.clone(), file.f32_any(name)?))).collect::<Result<NamedTensors>>()?;
        let source = path.display().to_string();
        Ok(Generator { architecture: infer_generator(&weights, &source)?, source, weights })
    }

    /// Uploads the weights; (seed, stream) determines the latents.
    ///
    /// # Errors
    /// Tensors whose shapes differ from the architecture's; too little device memory.
    pub fn sampler(&self, engine: &mut dyn Engine, (seed, stream): (u64, Stream)) -> Result<Sampler> {
        let net = self.architecture.generator();
        let (weights, running) = import(&net, &self.weights, &self.source)?;
        let bank = NetworkBank::alloc(engine, &net, 1, false)?;
        write_f32(engine, bank.weights, &weights)?;
        write_f32(engine, bank.running, &running)?;
        Sampler::new(engine, &net, &bank, seed, stream)
    }

    /// Height (= width) and channels of its images.
    pub fn shape(&self) -> (usize, usize) {
        (self.architecture.image_size as usize, self.architecture.channels as usize)
    }

    /// Rejects image shapes other than (size, channels) of the plan; `plan` names it in the error.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file.
    pub(super) fn expect(&self, shape: (usize, usize), plan: &str) -> Result<()> {
        let (size, channels) = self.shape();
        match (size, channels) == shape {
            true => Ok(()),
            false => {
                let (s, c) = shape;
                let what = format!("makes {size} x {size} x {channels} images; {plan} says {s} x {s} x {c}");
                Err(Error::file(Path::new(&self.source), what))
            }
        }
    }
}
