//! An attack on given updates, as golden cases and tests need it: the same launches and decisions as in a federation.

use super::OnUpdate;
use super::crew::Crew;
use crate::Result;
use crate::exec::{Engine, write_f32};
use crate::fed::Given;
use crate::fed::aggregate::Draws;

/// Updates of clients, some of them malicious.
#[derive(Clone, Debug)]
pub struct Trial<'a> {
    /// The attack.
    pub update: &'a OnUpdate,
    /// The updates.
    pub given: Given<'a>,
    /// The malicious clients, ascending.
    pub malicious: &'a [u32],
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
        let (given, base) = (&self.given, self.given.base());
        let network = given.network(engine)?;
        let rows = network.weights.clone();
        let mut attack = Crew::new(engine, self.update, &[network], &[given.words()], self.malicious, &self.draws)?;
        if let (Some(last), Some(kept)) = (self.last, attack.memory().first()) {
            let before: Vec<f32> = base.iter().zip(last).map(|(w, u)| w - u).collect();
            write_f32(engine, kept.tensor.slice(0, kept.words), &before)?;
        }
        attack.run(engine, u32::from(self.last.is_some()), true)?;
        let mut updates = Vec::new();
        for client in 0..given.clients as u32 {
            let row = given.row(engine, rows.row(client)?)?;
            updates.push(row.iter().zip(&base).map(|(x, w)| x - w).collect());
        }
        Ok(Forgery { updates, chosen: attack.chosen() })
    }
}
