//! Components of all clients' updates along a direction.

use crate::Result;
use crate::exec::{Engine, Purpose, Recording, Tensor, align, read_f32};
use crate::fed::rows::Rows;
use crate::kernels::attack::update_along::{UpdateAlong, UpdateAlongParams};
use crate::kernels::fed::pairs::slices;
use crate::kernels::nn::split_sum::{SplitSum, SplitSumParams};

/// <x_c - w, p> of all clients.
#[derive(Debug)]
pub(in crate::fed::attack) struct Along {
    recording: Recording,
    totals: Tensor,
}

impl Along {
    /// Records the products of `rows` less the server's row with `direction`, `[words]`.
    pub fn new(engine: &mut dyn Engine, rows: &Rows, direction: Tensor) -> Result<Along> {
        let (all, n) = (rows.clients(), rows.words as u32);
        let splits = slices(n);
        let words = (splits * all) as usize;
        let partial = engine.alloc("products of slices", align(words))?.slice(0, words);
        let totals = engine.alloc("products with a direction", align(all as usize))?.slice(0, all as usize);
        let mut recording = Recording::new();
        let [base, direction] = [rows.server, direction].map(|row| row.slice(0, rows.words));
        for piece in &rows.pieces {
            let p = UpdateAlongParams { clients: piece.clients, n, x_stride: n, first: piece.first, all };
            let label = format!("{} along a direction", rows.name);
            recording.launch(&UpdateAlong, &p, &[piece.rows, base, direction, partial], label)?;
        }
        let p = SplitSumParams { clients: 1, splits, n: all, x_stride: all * splits, y_stride: all, accumulate: 0 };
        recording.launch(&SplitSum, &p, &[partial, totals], format!("{} along a direction", rows.name))?;
        Ok(Along { recording, totals })
    }

    /// Its recording.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Computes the products, one per client.
    pub fn read(&self, engine: &mut dyn Engine) -> Result<Vec<f64>> {
        engine.run(&self.recording, 1)?;
        Ok(read_f32(engine, self.totals, Purpose::RoundScalars)?.into_iter().map(f64::from).collect())
    }
}
