//! Norms of all clients' updates.

use crate::Result;
use crate::exec::{Engine, Purpose, Recording, Tensor, align, read_f32};
use crate::fed::rows::Rows;
use crate::kernels::fed::norm_join::{NormJoin, NormJoinParams};
use crate::kernels::fed::pairs::slices;
use crate::kernels::fed::update_norm::{UpdateNorm, UpdateNormParams};

/// A norm as the device computes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::fed) struct Norm {
    /// The power of two by which the update was multiplied.
    pub power: f64,
    /// The squared norm of the product.
    pub square: f64,
}

impl Norm {
    /// The norm: finite for every finite update, whatever its size.
    pub fn value(self) -> f64 {
        self.square.sqrt() / self.power
    }
}

/// `||x_c - base||` of all clients.
#[derive(Debug)]
pub(in crate::fed) struct Norms {
    recording: Recording,
    /// `[2][clients]`: powers, squares.
    joined: Tensor,
    /// The powers alone.
    powers: Tensor,
    clients: usize,
}

impl Norms {
    /// Records the norms of `rows` less `base`, `[words]`.
    pub fn new(engine: &mut dyn Engine, rows: &Rows, base: Tensor) -> Result<Norms> {
        let (clients, n) = (rows.clients(), rows.words as u32);
        let parts = slices(n);
        let words = 2 * (parts * clients) as usize;
        let partial = engine.alloc("norms of slices", align(words))?.slice(0, words);
        let joined = engine.alloc("norms", align(2 * clients as usize))?.slice(0, 2 * clients as usize);
        let powers = joined.slice(0, clients as usize);
        let mut recording = Recording::new();
        let base = base.slice(0, rows.words);
        for piece in &rows.pieces {
            let p = UpdateNormParams { clients: piece.clients, n, x_stride: n, first: piece.first, all: clients };
            recording.launch(&UpdateNorm, &p, &[piece.rows, base, partial], format!("norms of {}", rows.name))?;
        }
        let p = NormJoinParams { clients, slices: parts };
        recording.launch(&NormJoin, &p, &[partial, joined], format!("norms of {}", rows.name))?;
        Ok(Norms { recording, joined, powers, clients: clients as usize })
    }

    /// Its recording.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// The clients' powers of two on the device.
    pub fn powers(&self) -> Tensor {
        self.powers
    }

    /// Computes the norms.
    pub fn read(&self, engine: &mut dyn Engine) -> Result<Vec<Norm>> {
        engine.run(&self.recording, 1)?;
        let words = read_f32(engine, self.joined, Purpose::RoundScalars)?;
        let (powers, squares) = words.split_at(self.clients);
        let norm = |(power, square): (&f32, &f32)| Norm { power: f64::from(*power), square: f64::from(*square) };
        Ok(powers.iter().zip(squares).map(norm).collect())
    }
}
