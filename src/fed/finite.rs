//! Which clients have finite rows.

use super::aggregate::Network;
use super::rows::Rows;
use crate::Result;
use crate::exec::{Engine, Purpose, Recording, Tensor, align};
use crate::kernels::util::fill::{Fill, FillParams};
use crate::kernels::util::first_nonfinite::{FirstNonfinite, FirstNonfiniteParams};

/// Finds the clients whose weights and running statistics are finite: the server screens the others out.
pub(super) struct Finite {
    recording: Recording,
    /// `[clients][64]`, element 0.
    found: Tensor,
    clients: usize,
}

impl Finite {
    /// Records the scans of all rows of the networks.
    ///
    /// # Errors
    /// As [`Engine::alloc`].
    pub fn new(engine: &mut dyn Engine, networks: &[Network]) -> Result<Finite> {
        let (stride, clients) = (align(1), networks.first().map_or(0, Network::clients));
        let found = engine.alloc("non-finite rows", clients * stride)?;
        let mut recording = Recording::new();
        let n = found.words as u32;
        recording.launch(&Fill, &FillParams { clients: 1, n, y_stride: n, value: 0.0 }, &[found], "non-finite rows")?;
        let all: Vec<&Rows> = networks.iter().flat_map(Network::rows).collect();
        for (rows, piece) in all.into_iter().flat_map(|rows| rows.pieces.iter().map(move |piece| (rows, piece))) {
            let (n, y_stride) = (rows.words as u32, stride as u32);
            let p = FirstNonfiniteParams { clients: piece.clients, n, x_stride: n, y_stride, y_at: 0 };
            let to = found.slice(piece.first as usize * stride, piece.clients as usize * stride);
            recording.launch(&FirstNonfinite, &p, &[piece.rows, to], format!("finite {}", rows.name))?;
        }
        Ok(Finite { recording, found, clients })
    }

    /// Its recording.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Scans; the clients without NaN and infinities, ascending.
    ///
    /// # Errors
    /// If the device fails.
    pub fn clients(&self, engine: &mut dyn Engine) -> Result<Vec<usize>> {
        engine.run(&self.recording, 1)?;
        let words = engine.read(self.found, Purpose::RoundScalars)?;
        let stride = self.found.words / self.clients;
        Ok((0..self.clients).filter(|client| words[client * stride] == 0).collect())
    }
}
