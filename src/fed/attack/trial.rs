//! An attack on given updates, as golden cases and tests need it: the same launches and decisions as in a federation.

use super::OnUpdate;
use super::crew::Attack;
use crate::Result;
use crate::exec::{Engine, Purpose, Tensor, align, read_f32, write_f32};
use crate::fed::aggregate::Draws;
use crate::fed::aggregate::device::Network;
use crate::fed::rows::{Piece, Rows};

/// Updates of clients, some of them malicious.
#[derive(Clone, Debug)]
pub struct Trial<'a> {
    /// The attack.
    pub update: &'a OnUpdate,
    /// `[clients][words]`.
    pub updates: &'a [f32],
    /// Number of clients.
    pub clients: usize,
    /// Clients per chunk.
    pub chunk: usize,
    /// The malicious clients, ascending.
    pub malicious: &'a [u32],
    /// The server's row before; zeros if absent.
    pub server: Option<&'a [f32]>,
    /// The last aggregate, `[words]`; without it the round is the first.
    pub last: Option<&'a [f32]>,
    /// Random choices.
    pub draws: Draws,
}

/// The outcome of an attack.
#[derive(Clone, Debug)]
pub struct Forgery {
    /// All clients' rows less the server's, `[clients][words]`.
    pub updates: Vec<Vec<f32>>,
    /// The number that the attack has chosen, see [`super::Attacker::chosen`].
    pub chosen: Option<f64>,
}

impl Trial<'_> {
    /// Runs the attack once.
    ///
    /// # Errors
    /// [`crate::Error::Input`] with the attack's sentence if it does not suit the numbers of clients; device errors.
    pub fn run(&self, engine: &mut dyn Engine) -> Result<Forgery> {
        let words = self.updates.len() / self.clients;
        let stride = align(words);
        let upload = |engine: &mut dyn Engine, rows: &[f32]| -> Result<Tensor> {
            let mut padded = vec![0f32; rows.len() / words * stride];
            padded.chunks_mut(stride).zip(rows.chunks(words)).for_each(|(to, row)| to[..words].copy_from_slice(row));
            let tensor = engine.alloc("updates", padded.len())?;
            write_f32(engine, tensor, &padded)?;
            Ok(tensor)
        };
        let base = self.server.map_or_else(|| vec![0.0; words], <[f32]>::to_vec);
        let server = upload(engine, &base)?;
        let moved: Vec<f32> = self.updates.iter().enumerate().map(|(i, u)| base[i % words] + u).collect();
        let mut pieces = Vec::new();
        for (at, chunk) in moved.chunks(self.chunk * words).enumerate() {
            let (first, clients) = ((at * self.chunk) as u32, (chunk.len() / words) as u32);
            pieces.push(Piece { first, clients, rows: upload(engine, chunk)? });
        }
        let rows = Rows { name: "G weights".into(), trainable: true, words: stride, server, pieces };
        let network = Network { name: "G", weights: rows.clone(), statistics: None, root: None };
        let mut attack = Attack::new(engine, self.update, &[network], &[words], self.malicious, &self.draws)?;
        if let (Some(last), Some(kept)) = (self.last, attack.memory().first()) {
            let before: Vec<f32> = base.iter().zip(last).map(|(w, u)| w - u).collect();
            write_f32(engine, kept.tensor.slice(0, kept.words), &before)?;
        }
        attack.run(engine, u32::from(self.last.is_some()), true)?;
        let mut updates = Vec::new();
        for client in 0..self.clients as u32 {
            let row = read_f32(engine, rows.row(client)?.slice(0, words), Purpose::Check)?;
            updates.push(row.iter().zip(&base).map(|(x, w)| x - w).collect());
        }
        Ok(Forgery { updates, chosen: attack.chosen() })
    }
}
