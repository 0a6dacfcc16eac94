//! What rules compute on the device: distances and inner products of all clients' updates, norms, coordinate rules, sums. Rows stay
//! there; the host reads a few scalars per client. The order of every sum depends on the numbers of clients and coordinates only.

mod combine;
mod coordinates;
mod matrix;
mod noise;
mod norms;
mod pairs;

pub(in crate::fed) use combine::{Combine, Sum};
pub(in crate::fed) use coordinates::{Coordinates, Kind};
pub(in crate::fed) use matrix::{Matrix, Slice};
pub(in crate::fed) use noise::Noise;
pub(in crate::fed) use norms::Norms;
pub(in crate::fed) use pairs::{Distances, Dots, Square};

use crate::Result;
use crate::exec::{Engine, Recording, Tensor, align};
use crate::fed::rows::Rows;
use crate::kernels::util::copy::{Copy, CopyParams};

/// A shared network of all clients.
#[derive(Clone, Debug)]
pub struct Network {
    /// `generator` or `discriminator`.
    pub name: &'static str,
    /// The trainable values, from which rules decide.
    pub weights: Rows,
    /// The running statistics of batch norms, if the network has any.
    pub statistics: Option<Rows>,
    /// Weights that the server has trained itself from the same start, `[words]`, if it holds data.
    pub root: Option<Tensor>,
}

impl Network {
    /// Weights before running statistics.
    pub fn rows(&self) -> impl Iterator<Item = &Rows> {
        std::iter::once(&self.weights).chain(&self.statistics)
    }

    /// Number of clients.
    pub fn clients(&self) -> usize {
        self.weights.clients() as usize
    }
}

/// Records a copy of a row of `words` words.
pub(in crate::fed) fn record_copy(
    rec: &mut Recording,
    from: Tensor,
    to: Tensor,
    words: usize,
    label: &str,
) -> Result<()> {
    let n = words as u32;
    rec.launch(&Copy, &CopyParams { clients: 1, n, x_stride: n, y_stride: n }, &[from, to], label.to_string())
}

/// A row like the server's, of zeros.
pub(in crate::fed) fn row_like(engine: &mut dyn Engine, rows: &Rows, label: &str) -> Result<Tensor> {
    engine.alloc(label, align(rows.words))
}

/// `values` as f32 in the clients' places of a tensor.
pub(in crate::fed) fn send(engine: &mut dyn Engine, to: Tensor, values: impl IntoIterator<Item = f64>) -> Result<()> {
    let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
    crate::exec::write_f32(engine, to, &values)
}

/// 1 for clients that are present, 0 for the others.
pub(in crate::fed) fn mask(present: &[bool]) -> Vec<f64> {
    present.iter().map(|present| f64::from(u8::from(*present))).collect()
}
