//! The last aggregate, from the networks that the server broadcasts.

use crate::Result;
use crate::exec::{ALIGN, Engine, Recording, Tensor};
use crate::fed::aggregate::device::{record_copy, row_like, send};
use crate::fed::aggregate::{Memory, record_weighted};
use crate::fed::rows::{Piece, Rows};

/// What the server added to its row in the last round.
#[derive(Debug)]
pub(in crate::fed::attack) struct Last {
    difference: Recording,
    keep: Recording,
    /// The server's row of the last round.
    before: Tensor,
    /// The last aggregate, `[words]`.
    pub update: Tensor,
    words: usize,
}

impl Last {
    /// Records the difference between the server's row and that of the round before.
    pub fn new(engine: &mut dyn Engine, rows: &Rows) -> Result<Last> {
        let (before, update) = (row_like(engine, rows, "last broadcast")?, row_like(engine, rows, "last aggregate")?);
        let signs = engine.alloc("signs", 2 * ALIGN)?;
        let (mut difference, mut keep) = (Recording::new(), Recording::new());
        for (at, (sign, row)) in [(1.0, rows.server), (-1.0, before)].into_iter().enumerate() {
            let weight = signs.slice(at * ALIGN, 1);
            send(engine, weight, [sign])?;
            let piece = Piece { first: 0, clients: 1, rows: row.slice(0, rows.words) };
            let label = format!("last aggregate of {}", rows.name);
            record_weighted(&mut difference, weight, &piece, rows.words, update, label, at > 0)?;
        }
        record_copy(&mut keep, rows.server, before, rows.words, "last broadcast")?;
        Ok(Last { difference, keep, before, update, words: rows.words })
    }

    /// Its recordings.
    pub fn recordings(&self) -> [&Recording; 2] {
        [&self.difference, &self.keep]
    }

    /// Computes the last aggregate in [`Last::update`]. In the first round there is none.
    pub fn run(&self, engine: &mut dyn Engine) -> Result<()> {
        engine.run(&self.difference, 1)
    }

    /// Keeps the server's row for the next round.
    pub fn remember(&self, engine: &mut dyn Engine) -> Result<()> {
        engine.run(&self.keep, 1)
    }

    /// What it remembers.
    pub fn memory(&self) -> Memory {
        Memory { name: "last broadcast".into(), rows: 1, words: self.words, tensor: self.before }
    }
}
