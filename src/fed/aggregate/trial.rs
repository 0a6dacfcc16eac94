//! A rule on given updates, as golden cases and tests need it: the same launches and decisions as in a federation.

use super::pre::{self, Pre};
use super::{Candidates, Combination, Decision, Draws, Network, Rule, WeightedSum, suits};
use crate::exec::{Engine, align, write_f32};
use crate::fed::Given;
use crate::fed::drop::without;
use crate::fed::finite::Finite;
use crate::{Error, Result};

/// Updates of clients for a rule.
#[derive(Clone, Debug)]
pub struct Trial<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// What comes before.
    pub pre: &'a Pre,
    /// The updates.
    pub given: Given<'a>,
    /// The clients' weights, of any sum.
    pub weights: Option<&'a [f64]>,
    /// The server's own update, if it holds data.
    pub root: Option<&'a [f32]>,
    /// What the rule remembers, `[rows][words]`; zeros if absent.
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

impl Trial<'_> {
    /// Aggregates once, as in a first round.
    ///
    /// # Errors
    /// [`Error::Input`] with the sentences of rules that do not suit the number of clients; if no update is finite, or too few for
    /// the rule; device errors.
    pub fn run(&self, engine: &mut dyn Engine) -> Result<Outcome> {
        let given = &self.given;
        suits(self.pre, self.rule, given.clients as u32).map_err(|all| Error::Input(all.join("; ")))?;
        let root = self.root.map(|root| given.moved(engine, root)).transpose()?;
        let network = Network { root, ..given.network(engine)? };
        let finite = Finite::new(engine, std::slice::from_ref(&network))?.clients(engine)?;
        let present: Vec<bool> = (0..given.clients).map(|client| finite.contains(&client)).collect();
        if finite.is_empty() {
            return Err(Error::input("no update is finite"));
        }
        let rows = network.weights.clone();
        let mut rule = pre::build(engine, self.pre, self.rule, &[network], &self.draws)?;
        if let (Some(memory), Some(kept)) = (self.memory, rule.memory().first()) {
            for (row, values) in memory.chunks(given.words()).enumerate() {
                write_f32(engine, kept.tensor.slice(row * kept.words, kept.words), values)?;
            }
        }
        let weights = self.shares(&present);
        let decision = rule.decide(engine, &Candidates { round: 0, present: &present, weights: &weights })?;
        if decision.result == Combination::WeightedSum {
            let weights = engine.alloc("client weights", align(given.clients))?;
            let sum = WeightedSum::new(weights, std::slice::from_ref(&rows))?;
            sum.send(engine, &decision.weights)?;
            sum.run(engine)?;
        }
        let server = given.row(engine, rows.server)?;
        let mixed = rule.mixed().into_iter().map(|row| given.row(engine, row)).collect::<Result<_>>()?;
        let mut memory = Vec::new();
        for kept in rule.memory() {
            for at in 0..kept.rows {
                memory.extend(given.row(engine, kept.tensor.slice(at * kept.words, kept.words))?);
            }
        }
        Ok(Outcome { server, mixed, decision, memory, present })
    }

    /// The clients' weights as shares, those of absent clients shared by the others.
    fn shares(&self, present: &[bool]) -> Vec<f64> {
        let clients = self.given.clients;
        let given = self.weights.map_or_else(|| vec![1.0; clients], <[f64]>::to_vec);
        let total: f64 = given.iter().sum();
        let given: Vec<f64> = given.iter().map(|w| w / total).collect();
        let absent: Vec<bool> = present.iter().map(|present| !present).collect();
        without(&given, &vec![1.0 / clients as f64; clients], &absent)
    }
}
