//! All clients' rows of the tensors that the server aggregates, independent of the division into chunks.

use crate::exec::{ALIGN, Recording, Tensor};
use crate::kernels::util::copy::{Copy, CopyParams};
use crate::{Error, Result};
use std::ops::Range;

/// Largest number of words in a slice of all clients' rows: 128 MiB, which every device can bind. Tests have several slices.
const SLICE: usize = if cfg!(test) { 1 << 12 } else { 1 << 25 };

/// A tensor of every client, `[clients][words]`, and the server's row from which the clients started the round.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Such as `G weights`.
    pub name: String,
    /// `true` for trainable values, whose differences are updates; `false` for running statistics.
    pub trainable: bool,
    /// Words per row.
    pub words: usize,
    /// The server's row, `[words]`.
    pub server: Tensor,
    /// One piece per chunk, in the clients' order.
    pub pieces: Vec<Piece>,
}

/// The rows of the clients of one chunk.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// The first client.
    pub first: u32,
    /// Number of clients.
    pub clients: u32,
    /// `[clients][words]`.
    pub rows: Tensor,
}

impl Rows {
    /// Number of clients.
    pub fn clients(&self) -> u32 {
        self.pieces.iter().map(|piece| piece.clients).sum()
    }

    /// The row of a client.
    ///
    /// # Errors
    /// If there is no such client (a bug in the caller).
    pub fn row(&self, client: u32) -> Result<Tensor> {
        let of = |piece: &&Piece| (piece.first..piece.first + piece.clients).contains(&client);
        let piece = self.pieces.iter().find(of);
        let piece = piece.ok_or_else(|| Error::internal(format!("{}: no client {client}", self.name)))?;
        Ok(piece.rows.slice((client - piece.first) as usize * self.words, self.words))
    }

    /// Ranges of coordinates short enough that one tensor holds all clients' values. They depend only on the numbers of words
    /// and clients, so that sums over slices have the same order on every device and with every division into chunks.
    pub fn slices(&self) -> Vec<Range<usize>> {
        let most = (SLICE / self.clients().max(1) as usize / ALIGN * ALIGN).max(ALIGN);
        (0..self.words).step_by(most).map(|from| from..(from + most).min(self.words)).collect()
    }

    /// Records a copy of a range of coordinates of all clients into the matrix `to`, `[clients][stride]`.
    ///
    /// # Errors
    /// If the range or the stride does not fit (a bug in the calling rule).
    pub fn gather(&self, rec: &mut Recording, range: Range<usize>, to: Tensor, stride: usize) -> Result<()> {
        for piece in &self.pieces {
            let (rows, n) = (piece.clients as usize, range.len());
            let from = piece.rows.slice(range.start, (rows - 1) * self.words + n);
            let to = to.slice(piece.first as usize * stride, (rows - 1) * stride + n);
            let p = CopyParams {
                clients: piece.clients,
                n: n as u32,
                x_stride: self.words as u32,
                y_stride: stride as u32,
            };
            rec.launch(&Copy, &p, &[from, to], format!("{} of all clients", self.name))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::{CpuEngine, Engine, Purpose, read_f32, write_f32};

    /// Rows of 3 clients in two chunks; value 100 c + i.
    fn rows(engine: &mut CpuEngine, words: usize) -> Rows {
        let mut piece = |first: u32, clients: u32| {
            let rows = engine.alloc("rows", clients as usize * words).unwrap();
            let value = |at: usize| (100 * (first as usize + at / words) + at % words) as f32;
            let values: Vec<f32> = (0..clients as usize * words).map(value).collect();
            write_f32(engine, rows, &values).unwrap();
            Piece { first, clients, rows }
        };
        let pieces = vec![piece(0, 2), piece(2, 1)];
        let server = engine.alloc("server", words).unwrap();
        Rows { name: "G weights".into(), trainable: true, words, server, pieces }
    }

    #[test]
    fn a_matrix_holds_all_clients_whatever_the_chunks() {
        let mut engine = CpuEngine::new();
        let rows = rows(&mut engine, 192);
        let matrix = engine.alloc("matrix", 3 * 64).unwrap();
        let mut rec = Recording::new();
        rows.gather(&mut rec, 64..128, matrix, 64).unwrap();
        engine.run(&rec, 1).unwrap();
        let values = read_f32(&mut engine, matrix, Purpose::Check).unwrap();
        for (at, value) in values.into_iter().enumerate() {
            assert_eq!(value, (100 * (at / 64) + 64 + at % 64) as f32, "client {}, coordinate {}", at / 64, at % 64);
        }
    }

    #[test]
    fn slices_cover_every_coordinate_once() {
        let mut engine = CpuEngine::new();
        let mut rows = rows(&mut engine, 192);
        assert_eq!(rows.slices(), vec![0..192; 1]);
        rows.words = SLICE;
        let slices = rows.slices();
        assert_eq!(slices.len(), 4, "three clients of {SLICE} words, rounded down to whole alignments");
        assert!(slices.windows(2).all(|w| w[0].end == w[1].start) && slices[3].end == SLICE);
        assert!(slices.iter().all(|s| s.start.is_multiple_of(ALIGN) && 3 * s.len() <= SLICE));
    }
}
