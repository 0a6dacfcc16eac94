//! Gaussian noise on a row.

use super::send;
use crate::Result;
use crate::exec::{Engine, Recording, Tensor, align, write_f32};
use crate::fed::aggregate::{Draws, record_weighted};
use crate::fed::rows::{Piece, Rows};
use crate::kernels::rng::{RngParams, Stream, rng_normal::RngNormal, seed_words};

/// row += sigma z with standard normal z: the project's random numbers of the round, or given ones.
#[derive(Debug)]
pub(in crate::fed) struct Noise {
    recording: Recording,
    /// The counters of the random numbers.
    state: Tensor,
    sigma: Tensor,
}

impl Noise {
    /// Records the noise on the server's row of `rows`; `network` tells the streams of several networks apart.
    pub fn new(engine: &mut dyn Engine, rows: &Rows, draws: &Draws, network: u32) -> Result<Noise> {
        let (state, sigma) = (engine.alloc("noise counters", align(4))?, engine.alloc("noise size", align(1))?);
        let z = engine.alloc("noise", align(rows.words))?.slice(0, rows.words);
        let mut recording = Recording::new();
        match draws {
            Draws::Given { noise, .. } => write_f32(engine, z, noise)?,
            Draws::Seeded(seed) => {
                let ((seed_lo, seed_hi), n) = (seed_words(*seed), rows.words as u32);
                let stream = Stream::AGGREGATION.0;
                let p = RngParams {
                    clients: 1,
                    n,
                    y_stride: n,
                    client_base: network,
                    seed_lo,
                    seed_hi,
                    stream,
                    a: 0.0,
                    b: 1.0,
                };
                recording.launch(&RngNormal, &p, &[z, state.slice(0, 4)], "noise")?;
            }
        }
        let piece = Piece { first: 0, clients: 1, rows: z };
        record_weighted(
            &mut recording,
            sigma,
            &piece,
            rows.words,
            rows.server,
            format!("noise on {}", rows.name),
            true,
        )?;
        Ok(Noise { recording, state, sigma })
    }

    /// Its recording.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Adds noise of standard deviation `sigma`; each round has its own numbers.
    pub fn run(&self, engine: &mut dyn Engine, sigma: f64, round: u32) -> Result<()> {
        engine.write(self.state, &[0, round, 0, 0])?;
        send(engine, self.sigma, [sigma])?;
        engine.run(&self.recording, 1)
    }
}
