//! The directed attack on the median and the trimmed mean (Fang et al. 2020).

use super::device::{Copies, Moments};
use super::{Attacker, Knowledge, Sight, Target, UPDATE, UpdateAttack};
use crate::Result;
use crate::exec::{Engine, Recording, Tensor, align};
use crate::fed::aggregate::Draws;
use crate::fed::aggregate::device::{Matrix, row_like};
use crate::kernels::attack::beyond_extreme::{BeyondExtreme, BeyondExtremeParams};
use crate::kernels::rng::{RngParams, Stream, rng_uniform::RngUniform, seed_words};
use crate::key::{Bound, DefaultValue, Key, ValueKind};
use serde::{Deserialize, Serialize};

/// In each coordinate the update is a random value just beyond the benign clients' least value where their mean is positive or 0, and
/// just beyond their largest where it is negative.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FangMedian {
    /// b, above 1: the value lies between an extreme e and b e or e / b, whichever is further out.
    pub spread: f64,
}

pub(super) const OPTIONS: &[Key] = &[Key::new(
    "attack.update.spread",
    ValueKind::Real(Bound::Open(1.0), Bound::Free),
    DefaultValue::Real(2.0),
    "values lie between an extreme of the benign updates and this multiple, or fraction where that is further out",
)
.of(UPDATE, &["fang-median"])];

impl UpdateAttack for FangMedian {
    fn knowledge(&self) -> Knowledge {
        Knowledge::Benign
    }

    fn check(&self, clients: u32, malicious: &[u32]) -> Result<(), String> {
        super::Reach::All.check(clients, malicious, 1, "an extreme")
    }

    fn growth(&self) -> (&'static str, f64) {
        ("spread", self.spread)
    }

    fn build(&self, engine: &mut dyn Engine, on: &Target) -> Result<Box<dyn Attacker>> {
        let rows = &on.network.weights;
        let (moments, copies) = (Moments::new(engine, rows, 0)?, Copies::new(engine, on)?);
        let state = engine.alloc("counters of an attack", align(4))?;
        let r = row_like(engine, rows, "distances beyond extremes")?;
        let (matrix, mut recording) = (Matrix::new(engine, rows)?, Recording::new());
        let ((seed_lo, seed_hi), n) = (seed_words(seed(on.draws)), rows.words as u32);
        let (client_base, stream) = (on.number, Stream::BEYOND.0);
        let p = RngParams { clients: 1, n, y_stride: n, client_base, seed_lo, seed_hi, stream, a: 0.0, b: 1.0 };
        recording.launch(&RngUniform, &p, &[r, state.slice(0, 4)], "distances beyond extremes")?;
        let (outward, inward) = ((self.spread - 1.0) as f32, (1.0 - 1.0 / self.spread) as f32);
        matrix.record(&mut recording, |rec, slice| {
            let (clients, n, x_stride) = (rows.clients(), slice.range.len() as u32, slice.stride);
            let [base, mean, r, y] =
                [rows.server, moments.mean, r, copies.row].map(|row| row.slice(slice.range.start, slice.range.len()));
            let p = BeyondExtremeParams { clients, n, x_stride, outward, inward };
            let operands = [slice.rows, moments.taken(), base, mean, r, y];
            rec.launch(&BeyondExtreme, &p, &operands, format!("malicious {}", rows.name))
        })?;
        Ok(Box::new(Beyond { moments, state, recording, copies }))
    }
}

/// The seed of random numbers; golden cases have none for this attack.
fn seed(draws: &Draws) -> u64 {
    match draws {
        Draws::Seeded(seed) => *seed,
        Draws::Given { .. } => 0,
    }
}

struct Beyond {
    moments: Moments,
    /// The counters of the random numbers.
    state: Tensor,
    recording: Recording,
    copies: Copies,
}

impl Attacker for Beyond {
    fn recordings(&self) -> Vec<&Recording> {
        vec![self.moments.recording(), &self.recording, self.copies.recording()]
    }

    fn rewrite(&mut self, engine: &mut dyn Engine, round: &Sight) -> Result<()> {
        if round.clients.is_empty() {
            return Ok(());
        }
        self.moments.run(engine, &round.clients)?;
        engine.write(self.state, &[0, round.round, 0, 0])?;
        engine.run(&self.recording, 1)?;
        self.copies.run(engine)
    }
}
