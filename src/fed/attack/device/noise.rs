//! Rows of malicious clients with Gaussian noise, each client its own.

use crate::Result;
use crate::exec::{ALIGN, Engine, Recording, Tensor, align, write_f32};
use crate::fed::aggregate::device::{row_like, send};
use crate::fed::aggregate::{Draws, record_weighted};
use crate::fed::attack::Target;
use crate::fed::rows::Piece;
use crate::kernels::rng::{RngParams, Stream, rng_normal::RngNormal, seed_words};

/// What the noise is added to.
#[derive(Clone, Copy, Debug)]
pub(in crate::fed::attack) enum Terms {
    /// The client's own row as it is.
    Own,
    /// The server's row and a multiple of an update, set by [`Noise::run`].
    Server(Tensor),
}

/// sigma z, z standard normal, for every malicious client: added to its row, or to w + a u.
#[derive(Debug)]
pub(in crate::fed::attack) struct Noise {
    recording: Recording,
    /// The counters of the random numbers.
    state: Tensor,
    /// The coefficients of z, u and w, each where a tensor may start.
    coefficients: [Tensor; 3],
}

impl Noise {
    /// Records the noise, added to the sum of the `terms`.
    pub fn new(engine: &mut dyn Engine, on: &Target, terms: Terms) -> Result<Noise> {
        let rows = &on.network.weights;
        let state = engine.alloc("noise counters", align(4))?;
        let all = engine.alloc("noise coefficients", 3 * ALIGN)?;
        let coefficients = [0, 1, 2].map(|at| all.slice(at * ALIGN, 1));
        let shared = row_like(engine, rows, "noise")?.slice(0, rows.words);
        let mut recording = Recording::new();
        for (at, client) in on.malicious.iter().enumerate() {
            let z = match on.draws {
                Draws::Given { noise, .. } => {
                    let own = row_like(engine, rows, "noise")?.slice(0, rows.words);
                    write_f32(engine, own, &noise[at * on.values..(at + 1) * on.values])?;
                    own
                }
                Draws::Seeded(seed) => {
                    let ((seed_lo, seed_hi), n) = (seed_words(*seed), rows.words as u32);
                    // A word of the key for both the client and the network.
                    let (client_base, stream) = (2 * client + on.number, Stream::ATTACK.0);
                    let p =
                        RngParams { clients: 1, n, y_stride: n, client_base, seed_lo, seed_hi, stream, a: 0.0, b: 1.0 };
                    recording.launch(&RngNormal, &p, &[shared, state.slice(0, 4)], "noise of a malicious client")?;
                    shared
                }
            };
            let row = rows.row(*client)?;
            let mut add = |at: usize, term: Tensor, accumulate: bool| {
                let piece = Piece { first: 0, clients: 1, rows: term.slice(0, rows.words) };
                let label = format!("noise on malicious {}", rows.name);
                record_weighted(&mut recording, coefficients[at], &piece, rows.words, row, label, accumulate)
            };
            match terms {
                Terms::Own => add(0, z, true)?,
                Terms::Server(update) => {
                    add(0, z, false)?;
                    add(1, update, true)?;
                    add(2, rows.server, true)?;
                }
            }
        }
        Ok(Noise { recording, state, coefficients })
    }

    /// Its recording.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Writes the rows with noise of standard deviation `sigma` and `a` times the update; each round has its own numbers.
    pub fn run(&self, engine: &mut dyn Engine, round: u32, sigma: f64, a: f64) -> Result<()> {
        engine.write(self.state, &[0, round, 0, 0])?;
        for (coefficient, value) in self.coefficients.into_iter().zip([sigma, a, 1.0]) {
            send(engine, coefficient, [value])?;
        }
        engine.run(&self.recording, 1)
    }
}
