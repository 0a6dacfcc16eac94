//! A rule on given updates, as golden cases and benchmarks need it: the same launches and decisions as in a federation.

use super::device::Network;
use super::pre::{self, Pre};
use super::{Aggregation, Candidates, Combination, Decision, Draws, Rule, WeightedSum};
use crate::exec::{Engine, Purpose, Recording, Tensor, align, read_f32, write_f32};
use crate::fed::drop::without;
use crate::fed::rows::{Piece, Rows};
use crate::kernels::util::first_nonfinite::{FirstNonfinite, FirstNonfiniteParams};
use crate::{Error, Result};

/// Updates of clients for a rule.
#[derive(Clone, Debug)]
pub struct Trial<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// What comes before.
    pub pre: &'a Pre,
    /// `[clients][words]`.
    pub updates: &'a [f32],
    /// Number of clients.
    pub clients: usize,
    /// Clients per chunk.
    pub chunk: usize,
    /// The clients' weights, of any sum.
    pub weights: Option<&'a [f64]>,
    /// The server's row before; zeros if absent.
    pub server: Option<&'a [f32]>,
    /// The server's own update, if it holds data.
    pub root: Option<&'a [f32]>,
    /// What the rule remembers, in the order of its tensors; zeros if absent.
    pub memory: Option<&'a [f32]>,
    /// Random choices.
    pub draws: Draws,
}

/// The outcome of a round.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The server's row, `[words]`.
    pub server: Vec<f32>,
    /// The rows that the rule got from a pre-aggregator, `[rows][words]`; empty without one.
    pub mixed: Vec<Vec<f32>>,
    /// The rule's decision.
    pub decision: Decision,
    /// What the rule remembers, `[rows][words]`.
    pub memory: Vec<f32>,
    /// Clients whose updates are finite.
    pub present: Vec<bool>,
}

/// A [`Trial`] on a device.
pub struct Bench {
    rule: Box<dyn Aggregation>,
    sum: WeightedSum,
    rows: Rows,
    weights: Vec<f64>,
    present: Vec<bool>,
}

impl Trial<'_> {
    /// Words of an update.
    fn words(&self) -> usize {
        self.updates.len() / self.clients
    }

    /// Uploads the updates and builds the rule.
    ///
    /// # Errors
    /// [`Error::Input`] with the rule's sentence if it does not suit the number of clients; if no update is finite; device errors.
    pub fn build(&self, engine: &mut dyn Engine) -> Result<Bench> {
        let clients = self.clients as u32;
        self.pre.check(clients).map_err(Error::Input)?;
        self.rule.check(self.pre.outputs(clients)).map_err(Error::Input)?;
        let (words, stride) = (self.words(), align(self.words()));
        let upload = |engine: &mut dyn Engine, rows: &[f32]| -> Result<Tensor> {
            let mut padded = vec![0f32; rows.len() / words * stride];
            padded.chunks_mut(stride).zip(rows.chunks(words)).for_each(|(to, row)| to[..words].copy_from_slice(row));
            let tensor = engine.alloc("updates", padded.len())?;
            write_f32(engine, tensor, &padded)?;
            Ok(tensor)
        };
        // Updates count from the server's row.
        let base = self.server.map_or_else(|| vec![0.0; words], <[f32]>::to_vec);
        let server = upload(engine, &base)?;
        let moved =
            |updates: &[f32]| -> Vec<f32> { updates.iter().enumerate().map(|(i, u)| base[i % words] + u).collect() };
        let mut pieces = Vec::new();
        for (at, chunk) in self.updates.chunks(self.chunk * words).enumerate() {
            let (first, clients) = ((at * self.chunk) as u32, (chunk.len() / words) as u32);
            pieces.push(Piece { first, clients, rows: upload(engine, &moved(chunk))? });
        }
        let root = self.root.map(|root| upload(engine, &moved(root))).transpose()?;
        let rows = Rows { name: "generator weights".into(), trainable: true, words: stride, server, pieces };
        let network = Network { name: "generator", weights: rows.clone(), statistics: None, root };
        let present = finite(engine, &rows)?;
        if !present.contains(&true) {
            return Err(Error::input("no update is finite"));
        }
        let rule = pre::build(engine, self.pre, self.rule, &[network], &self.draws)?;
        if let (Some(memory), Some(kept)) = (self.memory, rule.memory().first()) {
            for (row, values) in memory.chunks(words).enumerate() {
                write_f32(engine, kept.tensor.slice(row * kept.words, kept.words), values)?;
            }
        }
        let weights = engine.alloc("client weights", align(self.clients))?;
        let sum = WeightedSum::new(weights, std::slice::from_ref(&rows))?;
        let given = self.weights.map_or_else(|| vec![1.0; self.clients], <[f64]>::to_vec);
        let total: f64 = given.iter().sum();
        let given: Vec<f64> = given.iter().map(|w| w / total).collect();
        let absent: Vec<bool> = present.iter().map(|present| !present).collect();
        let weights = without(&given, &vec![1.0 / self.clients as f64; self.clients], &absent);
        Ok(Bench { rule, sum, rows, weights, present })
    }

    /// Aggregates once.
    ///
    /// # Errors
    /// As [`Trial::build`]; if too few updates are finite for the rule.
    pub fn run(&self, engine: &mut dyn Engine) -> Result<Outcome> {
        let mut bench = self.build(engine)?;
        let decision = bench.round(engine, 0)?;
        let words = self.words();
        let row = |engine: &mut dyn Engine, tensor: Tensor| read_f32(engine, tensor.slice(0, words), Purpose::Check);
        let server = row(engine, bench.rows.server)?;
        let mut mixed = Vec::new();
        for tensor in bench.rule.mixed() {
            mixed.push(row(engine, tensor)?);
        }
        let mut memory = Vec::new();
        for kept in bench.rule.memory() {
            for at in 0..kept.rows {
                memory.extend(row(engine, kept.tensor.slice(at * kept.words, kept.words))?);
            }
        }
        Ok(Outcome { server, mixed, decision, memory, present: bench.present })
    }
}

impl Bench {
    /// Aggregates as in round `round` (from 0): the server's row becomes the result.
    ///
    /// # Errors
    /// If the device fails; if too few updates are finite for the rule.
    pub fn round(&mut self, engine: &mut dyn Engine, round: u32) -> Result<Decision> {
        let candidates = Candidates { round, present: &self.present, weights: &self.weights };
        let decision = self.rule.decide(engine, &candidates)?;
        if decision.result == Combination::WeightedSum {
            self.sum.send(engine, &decision.weights)?;
            self.sum.run(engine)?;
        }
        Ok(decision)
    }
}

/// Which clients have finite rows only.
fn finite(engine: &mut dyn Engine, rows: &Rows) -> Result<Vec<bool>> {
    let mut present = Vec::new();
    for piece in &rows.pieces {
        let stride = align(1);
        let found = engine.alloc("non-finite updates", piece.clients as usize * stride)?;
        let (n, y_stride) = (rows.words as u32, stride as u32);
        let p = FirstNonfiniteParams { clients: piece.clients, n, x_stride: n, y_stride, y_at: 0 };
        let mut rec = Recording::new();
        rec.launch(&FirstNonfinite, &p, &[piece.rows, found], "finite updates")?;
        engine.run(&rec, 1)?;
        let words = engine.read(found, Purpose::Check)?;
        present.extend(words.chunks(stride).map(|client| client[0] == 0));
    }
    Ok(present)
}
