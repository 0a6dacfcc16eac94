//! Given updates on a device, as if a federation's clients had trained them: for golden cases and tests of rules and attacks.

use super::aggregate::Network;
use super::rows::{Piece, Rows};
use crate::Result;
use crate::exec::{Engine, Purpose, Tensor, align, read_f32, write_f32};

/// Updates of clients, counted from the server's row.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// `[clients][words]`.
    pub updates: &'a [f32],
    /// Number of clients.
    pub clients: usize,
    /// Clients per chunk.
    pub chunk: usize,
    /// The server's row, `[words]`; zeros if absent.
    pub server: Option<&'a [f32]>,
}

impl Given<'_> {
    /// Words of an update.
    pub(super) fn words(&self) -> usize {
        self.updates.len() / self.clients
    }

    /// The server's row.
    pub(super) fn base(&self) -> Vec<f32> {
        self.server.map_or_else(|| vec![0.0; self.words()], <[f32]>::to_vec)
    }

    /// The network of all clients; rows are padded with zeros to a stride.
    pub(super) fn network(&self, engine: &mut dyn Engine) -> Result<Network> {
        let mut pieces = Vec::new();
        for (at, chunk) in self.updates.chunks(self.chunk * self.words()).enumerate() {
            let (first, clients) = ((at * self.chunk) as u32, (chunk.len() / self.words()) as u32);
            pieces.push(Piece { first, clients, rows: self.moved(engine, chunk)? });
        }
        let server = upload(engine, &self.base(), self.words())?;
        let weights =
            Rows { name: "generator weights".into(), trainable: true, words: align(self.words()), server, pieces };
        Ok(Network { name: "generator", weights, statistics: None, root: None })
    }

    /// Rows that have moved from the server's by these updates.
    pub(super) fn moved(&self, engine: &mut dyn Engine, updates: &[f32]) -> Result<Tensor> {
        let base = self.base();
        let rows: Vec<f32> = updates.iter().enumerate().map(|(i, u)| base[i % base.len()] + u).collect();
        upload(engine, &rows, self.words())
    }

    /// Reads a row without its padding.
    pub(super) fn row(&self, engine: &mut dyn Engine, row: Tensor) -> Result<Vec<f32>> {
        read_f32(engine, row.slice(0, self.words()), Purpose::Check)
    }
}

fn upload(engine: &mut dyn Engine, rows: &[f32], words: usize) -> Result<Tensor> {
    let stride = align(words);
    let mut padded = vec![0f32; rows.len() / words * stride];
    padded.chunks_mut(stride).zip(rows.chunks(words)).for_each(|(to, row)| to[..words].copy_from_slice(row));
    let tensor = engine.alloc("updates", padded.len())?;
    write_f32(engine, tensor, &padded)?;
    Ok(tensor)
}
