//! Local training in a round: the number of steps of each client, and the order of its images.

use crate::kernels::rng::{HostRng, Stream};
use crate::{Error, Result};

/// Bit of an order table entry: the image gets the trigger.
pub const POISONED: u32 = 1 << 31;

/// The amount of local training in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// Passes over its images; an incomplete last batch is dropped.
    Epochs(u32),
    /// A fixed number of steps.
    Steps(u32),
}

impl Local {
    /// Steps per round for a client with `images` images; a step takes `batches` batches (one per critic step of WGAN-GP), an
    /// epoch at least one step.
    ///
    /// # Errors
    /// If the batch is larger than the client's data, or the number of steps exceeds u32.
    pub fn steps(self, client: usize, images: usize, batch: u32, batches: u32) -> Result<u32> {
        if images < batch as usize {
            return Err(Error::input(format!(
                "train.batch {batch}: client {client} holds {images} images to train with; the batch must not be larger"
            )));
        }
        match self {
            Local::Epochs(epochs) => {
                let steps = u64::from(epochs) * (images as u64 / u64::from(batch)) / u64::from(batches);
                u32::try_from(steps.max(1)).map_err(|_| {
                    Error::input(format!(
                        "train.local_epochs = {epochs}: {steps} steps per round for client {client}, which holds {images} \
                         images; at most {} are possible",
                        u32::MAX
                    ))
                })
            }
            Local::Steps(steps) => Ok(steps),
        }
    }
}

/// The images of `steps` batches: successive shuffles of `images`, each without its incomplete last batch, from the stream
/// (seed, client, round).
pub fn order(images: &[u32], steps: u32, batch: u32, seed: u64, client: u32, round: u32) -> Vec<u32> {
    let mut rng = HostRng::new(seed, Stream::ORDER, client, round);
    let need = steps as usize * batch as usize;
    let whole = images.len() / batch as usize * batch as usize;
    let mut out = Vec::with_capacity(need + whole);
    let mut epoch = images.to_vec();
    while out.len() < need {
        rng.shuffle(&mut epoch);
        out.extend_from_slice(&epoch[..whole]);
    }
    out.truncate(need);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_shows_every_image_once() {
        let images: Vec<u32> = (100..132).collect();
        let mut first = order(&images, 4, 8, 1, 0, 0);
        assert_ne!(first, images);
        assert_ne!(first, order(&images, 4, 8, 1, 0, 1));
        first.sort_unstable();
        assert_eq!(first, images);
        assert_eq!(order(&images, 5, 8, 1, 0, 0).len(), 40);
        assert_eq!(Local::Epochs(2).steps(0, 33, 8, 1).unwrap(), 8);
        // Three critic batches per step: 8 batches give 2 steps; an epoch shorter than a step still gives one.
        assert_eq!(Local::Epochs(2).steps(0, 33, 8, 3).unwrap(), 2);
        assert_eq!(Local::Epochs(1).steps(0, 8, 8, 5).unwrap(), 1);
        assert!(Local::Steps(3).steps(7, 5, 8, 1).unwrap_err().to_string().contains("client 7"));
    }
}
