//! Linear combinations of rows.

use super::{Network, record_copy, row_like, send};
use crate::Result;
use crate::exec::{Engine, Recording, Tensor, align};
use crate::fed::aggregate::record_weighted;
use crate::fed::rows::{Piece, Rows};

/// y = b row + sum_c a_c x_c over the clients' rows of one tensor. A client of coefficient 0 is not read.
#[derive(Debug)]
pub(in crate::fed) struct Sum {
    recording: Recording,
    /// `[clients]`, then b behind it.
    coefficients: Tensor,
    clients: usize,
}

impl Sum {
    /// Records the sum into `y`, a tensor other than `row`.
    pub fn new(engine: &mut dyn Engine, rows: &Rows, row: Tensor, y: Tensor) -> Result<Sum> {
        let clients = rows.clients() as usize;
        let coefficients = engine.alloc("coefficients", align(clients + 1))?;
        let mut recording = Recording::new();
        record_sum(&mut recording, coefficients, rows, row, y)?;
        Ok(Sum { recording, coefficients, clients })
    }

    /// Its recording.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Computes the sum.
    pub fn run(&self, engine: &mut dyn Engine, row: f64, clients: &[f64]) -> Result<()> {
        debug_assert_eq!(clients.len(), self.clients);
        send(engine, self.coefficients, clients.iter().copied().chain([row]))?;
        engine.run(&self.recording, 1)
    }
}

/// Records y = b row + sum_c a_c x_c, with b behind the clients' coefficients.
fn record_sum(rec: &mut Recording, coefficients: Tensor, rows: &Rows, row: Tensor, y: Tensor) -> Result<()> {
    let last = Piece { first: rows.clients(), clients: 1, rows: row.slice(0, rows.words) };
    let label = || format!("sum of {}", rows.name);
    record_weighted(rec, coefficients, &last, rows.words, y, label(), false)?;
    rows.pieces.iter().try_for_each(|piece| record_weighted(rec, coefficients, piece, rows.words, y, label(), true))
}

/// Server's rows of a network = b times themselves + sum_c a_c x_c, running statistics with coefficients of their own.
#[derive(Debug)]
pub(in crate::fed) struct Combine {
    recordings: Vec<(bool, Recording)>,
    /// Of the trainable values and of the statistics: `[clients]`, then b.
    coefficients: [Tensor; 2],
}

impl Combine {
    /// Records the sums of all rows of the network.
    pub fn new(engine: &mut dyn Engine, network: &Network) -> Result<Combine> {
        let words = align(network.clients() + 1);
        let coefficients = [engine.alloc("coefficients", words)?, engine.alloc("coefficients of statistics", words)?];
        let mut recordings = Vec::new();
        for rows in network.rows() {
            let mut rec = Recording::new();
            let before = row_like(engine, rows, "server's row before aggregation")?;
            record_copy(&mut rec, rows.server, before, rows.words, "server's row")?;
            record_sum(&mut rec, coefficients[usize::from(!rows.trainable)], rows, before, rows.server)?;
            recordings.push((rows.trainable, rec));
        }
        Ok(Combine { recordings, coefficients })
    }

    /// Its recordings.
    pub fn recordings(&self) -> impl Iterator<Item = &Recording> {
        self.recordings.iter().map(|(_, rec)| rec)
    }

    /// w + sum_c a_c (x_c - w) for all rows: the server's coefficient is 1 - sum_c a_c. With coefficients that sum to one (to
    /// rounding) the server's old row has no part.
    pub fn run(&self, engine: &mut dyn Engine, clients: &[f64]) -> Result<()> {
        let rest = 1.0 - clients.iter().sum::<f64>();
        let server = if rest.abs() < 1e-12 { 0.0 } else { rest };
        self.run_weights(engine, server, clients)?;
        self.run_statistics(engine, server, clients)
    }

    /// The trainable values alone.
    pub fn run_weights(&self, engine: &mut dyn Engine, server: f64, clients: &[f64]) -> Result<()> {
        self.run_of(engine, true, server, clients)
    }

    /// The running statistics alone.
    pub fn run_statistics(&self, engine: &mut dyn Engine, server: f64, clients: &[f64]) -> Result<()> {
        self.run_of(engine, false, server, clients)
    }

    fn run_of(&self, engine: &mut dyn Engine, trainable: bool, server: f64, clients: &[f64]) -> Result<()> {
        send(engine, self.coefficients[usize::from(!trainable)], clients.iter().copied().chain([server]))?;
        let chosen = self.recordings.iter().filter(|(of, _)| *of == trainable);
        chosen.into_iter().try_for_each(|(_, rec)| engine.run(rec, 1))
    }
}
