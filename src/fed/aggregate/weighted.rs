//! The weighted sum over all clients' rows, the last step of most rules.

use crate::Result;
use crate::exec::{Engine, Recording, Tensor, write_f32};
use crate::fed::rows::{Piece, Rows};
use crate::kernels::fed::weighted_mean::{WeightedMean, WeightedMeanParams};

/// Server rows = sum of the clients' rows with weights on the device.
#[derive(Debug)]
pub(in crate::fed) struct WeightedSum {
    /// The weights, `[clients]`.
    weights: Tensor,
    /// One recording per chunk.
    recordings: Vec<Recording>,
}

impl WeightedSum {
    /// Records the sums of `rows` with the weights in `weights`; chunks add in the clients' order.
    ///
    /// # Errors
    /// If a layout does not fit its buffers (a bug).
    pub fn new(weights: Tensor, rows: &[Rows]) -> Result<WeightedSum> {
        let chunks = rows.first().map_or(0, |r| r.pieces.len());
        let mut recordings = Vec::new();
        for chunk in 0..chunks {
            let mut rec = Recording::new();
            for r in rows {
                let (piece, label) = (&r.pieces[chunk], format!("mean of {}", r.name));
                record_weighted(&mut rec, weights, piece, r.words, r.server, label, piece.first > 0)?;
            }
            recordings.push(rec);
        }
        Ok(WeightedSum { weights, recordings })
    }

    pub fn recordings(&self) -> &[Recording] {
        &self.recordings
    }

    /// Sends the clients' weights to the device.
    pub fn send(&self, engine: &mut dyn Engine, weights: &[f64]) -> Result<()> {
        let weights: Vec<f32> = weights.iter().map(|w| *w as f32).collect();
        write_f32(engine, self.weights, &weights)
    }

    /// Replaces the server's rows with the sum.
    pub fn run(&self, engine: &mut dyn Engine) -> Result<()> {
        self.recordings.iter().try_for_each(|rec| engine.run(rec, 1))
    }
}

/// Records y = the sum of a piece's rows with the weights on the device, added to the old y if `accumulate`.
pub(in crate::fed) fn record_weighted(
    rec: &mut Recording,
    weights: Tensor,
    piece: &Piece,
    words: usize,
    y: Tensor,
    label: String,
    accumulate: bool,
) -> Result<()> {
    let n = words as u32;
    let Piece { first, clients, rows } = *piece;
    let p = WeightedMeanParams { clients, n, x_stride: n, first, accumulate: u32::from(accumulate) };
    rec.launch(&WeightedMean, &p, &[rows, weights, y], label)
}
