//! Multiples of the malicious clients' own updates.

use crate::Result;
use crate::exec::{Engine, Recording, Tensor, align, write_f32};
use crate::fed::attack::{Attacker, Sight, Target};
use crate::fed::rows::Rows;
use crate::kernels::attack::scale_update::{ScaleUpdate, ScaleUpdateParams};

/// w_i = w + a (w_i - w) for the malicious clients; others are neither read nor written.
pub(in crate::fed::attack) struct Factors {
    recording: Recording,
    /// For each chunk with malicious clients its first client and the factors, `[clients]`.
    chunks: Vec<(u32, u32, Tensor)>,
}

impl Factors {
    /// Records the products with `factor`, which [`Factors::send`] can replace.
    pub fn new(engine: &mut dyn Engine, on: &Target, factor: f64) -> Result<Factors> {
        let mut recording = Recording::new();
        let (rows, mut chunks) = (&on.network.weights, Vec::new());
        for piece in &rows.pieces {
            let clients = piece.first..piece.first + piece.clients;
            if !on.malicious.iter().any(|client| clients.contains(client)) {
                continue;
            }
            let scales = engine.alloc("update scales", align(piece.clients as usize))?;
            let n = rows.words as u32;
            let p = ScaleUpdateParams { clients: piece.clients, n, stride: n };
            let label = format!("malicious {}", rows.name);
            recording.launch(&ScaleUpdate, &p, &[piece.rows, server(rows), scales], label)?;
            chunks.push((piece.first, piece.clients, scales));
        }
        let factors = Factors { recording, chunks };
        factors.send(engine, |client| if on.malicious.contains(&client) { factor } else { 1.0 })?;
        Ok(factors)
    }

    /// Sends the factor of every client; 1 leaves its row as it is.
    pub fn send(&self, engine: &mut dyn Engine, factor: impl Fn(u32) -> f64) -> Result<()> {
        self.chunks.iter().try_for_each(|(first, clients, scales)| {
            let factors: Vec<f32> = (*first..first + clients).map(|client| factor(client) as f32).collect();
            write_f32(engine, *scales, &factors)
        })
    }

    /// Its recording.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }
}

fn server(rows: &Rows) -> Tensor {
    rows.server.slice(0, rows.words)
}

impl Attacker for Factors {
    fn recordings(&self) -> Vec<&Recording> {
        vec![&self.recording]
    }

    fn rewrite(&mut self, engine: &mut dyn Engine, _round: &Sight) -> Result<()> {
        engine.run(&self.recording, 1)
    }
}
