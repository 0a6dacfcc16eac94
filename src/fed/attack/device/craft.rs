//! Rows made for the malicious clients.

use crate::Result;
use crate::exec::{Engine, Recording, Tensor, align};
use crate::fed::aggregate::device::{record_copy, row_like, send};
use crate::fed::aggregate::record_weighted;
use crate::fed::attack::Target;
use crate::fed::rows::Piece;

/// A row that all malicious clients send.
#[derive(Debug)]
pub(in crate::fed::attack) struct Copies {
    recording: Recording,
    /// The row, `[words]`.
    pub row: Tensor,
}

impl Copies {
    /// Records the copies.
    pub fn new(engine: &mut dyn Engine, on: &Target) -> Result<Copies> {
        let rows = &on.network.weights;
        let row = row_like(engine, rows, "row of malicious clients")?;
        let mut recording = Recording::new();
        for client in on.malicious {
            record_copy(&mut recording, row, rows.row(*client)?, rows.words, &format!("malicious {}", rows.name))?;
        }
        Ok(Copies { recording, row })
    }

    /// Its recording.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Copies the row into the malicious clients' rows.
    pub fn run(&self, engine: &mut dyn Engine) -> Result<()> {
        engine.run(&self.recording, 1)
    }
}

/// w + a m + b p for all malicious clients, with the server's row w and two updates m and p.
#[derive(Debug)]
pub(in crate::fed::attack) struct Craft {
    sum: Recording,
    coefficients: Tensor,
    copies: Copies,
}

impl Craft {
    /// Records the sum, of the updates first: added to the weights one by one they would be rounded like weights each.
    pub fn new(engine: &mut dyn Engine, on: &Target, updates: [Tensor; 2]) -> Result<Craft> {
        let (rows, copies) = (&on.network.weights, Copies::new(engine, on)?);
        let coefficients = engine.alloc("coefficients of an attack", align(3))?;
        let mut sum = Recording::new();
        for (first, row) in (0..).zip(updates.into_iter().chain([rows.server])) {
            let piece = Piece { first, clients: 1, rows: row.slice(0, rows.words) };
            let label = format!("malicious {}", rows.name);
            record_weighted(&mut sum, coefficients, &piece, rows.words, copies.row, label, first > 0)?;
        }
        Ok(Craft { sum, coefficients, copies })
    }

    /// Its recordings.
    pub fn recordings(&self) -> [&Recording; 2] {
        [&self.sum, self.copies.recording()]
    }

    /// Writes the rows. An update of coefficient 0 is not read.
    pub fn run(&self, engine: &mut dyn Engine, a: f64, b: f64) -> Result<()> {
        send(engine, self.coefficients, [a, b, 1.0])?;
        engine.run(&self.sum, 1)?;
        self.copies.run(engine)
    }
}
