//! Mean and deviation of the updates in sight.

use crate::Result;
use crate::exec::{Engine, Recording, Tensor, align};
use crate::fed::aggregate::device::{Matrix, row_like, send};
use crate::fed::rows::Rows;
use crate::kernels::attack::benign_moments::{BenignMoments, BenignMomentsParams};
use crate::kernels::fed::sign_majority::{SignMajority, SignMajorityParams};

/// Mean and deviation, coordinate by coordinate.
#[derive(Debug)]
pub(in crate::fed::attack) struct Moments {
    recording: Recording,
    taken: Tensor,
    /// The mean update, `[words]`.
    pub mean: Tensor,
    /// The updates' deviation, `[words]`.
    pub deviation: Tensor,
    clients: usize,
}

impl Moments {
    /// Records the moments of some rows; the variance is divided by their number less `ddof`.
    pub fn new(engine: &mut dyn Engine, rows: &Rows, ddof: u32) -> Result<Moments> {
        let clients = rows.clients() as usize;
        let taken = engine.alloc("clients in sight", align(clients))?;
        let (mean, deviation) =
            (row_like(engine, rows, "mean update")?, row_like(engine, rows, "deviation of updates")?);
        let (matrix, mut recording) = (Matrix::new(engine, rows)?, Recording::new());
        matrix.record(&mut recording, |rec, slice| {
            let (clients, n, x_stride) = (clients as u32, slice.range.len() as u32, slice.stride);
            let [base, mean, deviation] =
                [rows.server, mean, deviation].map(|row| row.slice(slice.range.start, slice.range.len()));
            let p = BenignMomentsParams { clients, n, x_stride, ddof };
            let operands = [slice.rows, taken, base, mean, deviation];
            rec.launch(&BenignMoments, &p, &operands, format!("moments of {}", rows.name))
        })?;
        Ok(Moments { recording, taken, mean, deviation, clients })
    }

    /// Its recording.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Clients that are taken, `[clients]` of 0 and 1, as the last run left them.
    pub fn taken(&self) -> Tensor {
        self.taken
    }

    /// Computes the moments of these clients' updates, at least one.
    pub fn run(&self, engine: &mut dyn Engine, clients: &[usize]) -> Result<()> {
        let taken = (0..self.clients).map(|client| f64::from(u8::from(clients.contains(&client))));
        send(engine, self.taken, taken)?;
        engine.run(&self.recording, 1)
    }
}

/// Records the signs -1, 0, 1 of a row.
pub(in crate::fed::attack) fn record_sign(
    engine: &mut dyn Engine,
    rec: &mut Recording,
    row: Tensor,
    rows: &Rows,
) -> Result<Tensor> {
    let (zero, one) = (row_like(engine, rows, "zeros")?, engine.alloc("one", align(1))?);
    send(engine, one, [1.0])?;
    let signs = row_like(engine, rows, "signs")?;
    let n = rows.words as u32;
    let p = SignMajorityParams { clients: 1, n, x_stride: n, step: 1.0 };
    rec.launch(&SignMajority, &p, &[row, one, zero, signs], format!("signs of {}", rows.name))?;
    Ok(signs)
}
