//! The state of a federation between rounds: sufficient to continue bit for bit as if it had never stopped.
//!
//! A round starts with the server's networks and ends with the next ones; a client's state is its discriminator, the moments of
//! its optimizers and its running statistics; the detector's is its memory and the averaged deviations of the probe. Batch
//! order, latents and Adam's tables follow from the seed and the round number.

use super::aggregate::Memory;
use super::detector;
use super::drop::Dropped;
use super::exact;
use super::federation::Federation;
use crate::exec::{Purpose, Tensor};
use crate::model::NetworkBank;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// The host's part of the state.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedState {
    /// Completed rounds.
    pub round: u32,
    /// The clients' weights in the last mean.
    #[serde(with = "exact")]
    pub weights: Vec<f64>,
    /// The record of dropped clients.
    pub dropped: Dropped,
    /// The detector's memory.
    pub detection: detector::DetectorState,
}

/// A tensor on the device, `[rows][words]`, of the server (one row) or of all clients in their order, whatever their chunks.
#[derive(Clone, Debug)]
pub struct Part {
    /// The name, such as `clients.generator.first moments`.
    pub name: String,
    /// Number of rows: clients, or one.
    pub rows: usize,
    /// Words per row.
    pub words: usize,
    /// One piece per chunk.
    pieces: Vec<Tensor>,
}

impl Part {
    /// A row as a tensor. The callers' loops keep rows in range; `None` beyond the end.
    fn row(&self, row: usize) -> Option<Tensor> {
        let mut row = row;
        for piece in &self.pieces {
            let rows = piece.words / self.words;
            if row < rows {
                return Some(piece.slice(row * self.words, self.words));
            }
            row -= rows;
        }
        None
    }
}

impl Federation {
    /// The host's part of the state.
    pub fn memory(&self) -> SavedState {
        SavedState {
            round: self.round,
            weights: self.weights.clone(),
            dropped: self.dropped.clone(),
            detection: self.detection.memory(),
        }
    }

    /// The tensors of the state, by name.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        let on = &self.ranks[0];
        for (net, server) in [(&self.gan.g, &on.server_g), (&self.gan.d, &on.server_d)] {
            let of = |chunk: &super::chunk::Chunk| {
                if net.name == self.gan.g.name { chunk.sent.g } else { chunk.sent.d }
            };
            let clients =
                |pick: fn(&NetworkBank) -> Tensor| self.chunks.iter().map(|c| pick(&of(c))).collect::<Vec<_>>();
            let rows = self.holdings.len();
            let mut part = |who: &str, what: &str, rows, words, pieces| {
                parts.push(Part { name: format!("{who}.{}.{what}", net.name), rows, words, pieces });
            };
            part("server", "weights", 1, net.stride, vec![server.weights]);
            part("server", "running statistics", 1, net.running_stride, vec![server.running]);
            part("clients", "weights", rows, net.stride, clients(|b| b.weights));
            part("clients", "first moments", rows, net.stride, clients(|b| b.m));
            part("clients", "second moments", rows, net.stride, clients(|b| b.v));
            part("clients", "running statistics", rows, net.running_stride, clients(|b| b.running));
        }
        if let Some(trainer) = &self.trainer {
            let b = &trainer.chunk.buffers;
            for (net, bank) in [(&self.gan.g, &b.g), (&self.gan.d, &b.d)] {
                let mut part = |what: &str, words, tensor| {
                    let name = format!("server's training.{}.{what}", net.name);
                    parts.push(Part { name, rows: 1, words, pieces: vec![tensor] });
                };
                part("weights", net.stride, bank.weights);
                part("first moments", net.stride, bank.m);
                part("second moments", net.stride, bank.v);
                part("running statistics", net.running_stride, bank.running);
            }
        }
        if let Some(probe) = &self.probe {
            let (rows, deviations) = (self.holdings.len(), probe.deviations());
            let words = deviations.words / rows;
            parts.push(Part { name: "probe deviations".into(), rows, words, pieces: vec![deviations] });
        }
        let kept = self.rule.memory().into_iter().chain(self.attack.memory()).chain(self.momentum.memory());
        for memory in kept {
            let Memory { name, rows, words, tensor } = memory;
            parts.push(Part { name, rows, words, pieces: vec![tensor] });
        }
        // A network without batch norms has no running statistics.
        parts.retain(|p| p.words > 0);
        parts.sort_by(|a, b| a.name.cmp(&b.name));
        parts
    }

    /// Reads a row of a part as words.
    ///
    /// # Errors
    /// If the device fails.
    pub fn read_row(&mut self, part: &Part, row: usize) -> Result<Vec<u32>> {
        let tensor = part.row(row).ok_or_else(|| Error::internal(format!("{}: no row {row}", part.name)))?;
        self.engine.read(tensor, Purpose::Checkpoint)
    }

    /// Restores a row of a part.
    ///
    /// # Errors
    /// If the device fails.
    pub fn write_row(&mut self, part: &Part, row: usize, words: &[u32]) -> Result<()> {
        let tensor = part.row(row).filter(|t| t.words == words.len());
        let tensor = tensor.ok_or_else(|| Error::internal(format!("{}: row {row} of {}", part.name, words.len())))?;
        self.engine.write(tensor, words)
    }

    /// Restores the host's part; the tensors of [`Federation::parts`] must be restored as well.
    ///
    /// # Errors
    /// [`Error::Input`] with the reason alone, if it belongs to another federation; device errors.
    pub fn recall(&mut self, memory: SavedState) -> Result<()> {
        let clients = self.holdings.len();
        if memory.weights.len() != clients {
            return Err(Error::input(format!("weights of {} clients, this run has {clients}", memory.weights.len())));
        }
        let since = &memory.dropped.since;
        if since.len() != clients || since.iter().any(|round| *round > memory.round) {
            return Err(Error::input("its record of dropped clients is not of this run"));
        }
        self.detection.recall(memory.detection)?;
        (self.round, self.weights, self.dropped) = (memory.round, memory.weights, memory.dropped);
        // The next round's proposal uses the weights of this one.
        self.weighted.send(self.engine.as_mut(), &self.weights)
    }
}
