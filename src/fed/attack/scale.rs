//! Model replacement (Bagdasaryan et al. 2020): a malicious client scales up its own update. It needs no knowledge of the
//! others.

use super::{UPDATE, UpdateAttack};
use crate::Result;
use crate::exec::{Engine, Recording, align, write_f32};
use crate::fed::rows::Rows;
use crate::kernels::attack::scale_update::{ScaleUpdate, ScaleUpdateParams};
use crate::key::{Bound, DefaultValue, Key, ValueKind};
use serde::{Deserialize, Serialize};

/// w_i becomes w + factor (w_i - w). A factor of N, the number of clients, replaces the global model under equal weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// The factor, above 0; 1 leaves updates unchanged.
    pub factor: f64,
}

pub(super) const OPTIONS: &[Key] = &[Key::new(
    "attack.update.factor",
    ValueKind::Real(Bound::Open(0.0), Bound::Free),
    DefaultValue::Required,
    "factor of the update that a malicious client sends: 1 sends it unchanged, the number of clients replaces the global model",
)
.of(UPDATE, &["scale"])];

impl UpdateAttack for Scale {
    /// Running statistics are not scaled: scaled variances could become negative.
    fn record(&self, engine: &mut dyn Engine, rows: &[Rows], malicious: &[u32]) -> Result<Recording> {
        let mut rec = Recording::new();
        let factor = |c: u32| if malicious.contains(&c) { self.factor as f32 } else { 1.0 };
        let chunks = rows.first().map_or(&[][..], |r| &r.pieces);
        for (chunk, piece) in chunks.iter().enumerate() {
            let factors: Vec<f32> = (piece.first..piece.first + piece.clients).map(factor).collect();
            if factors.iter().all(|f| *f == 1.0) {
                continue;
            }
            let scales = engine.alloc("update scales", align(factors.len()))?;
            write_f32(engine, scales, &factors)?;
            for r in rows.iter().filter(|r| r.trainable) {
                let (clients, n) = (piece.clients, r.words as u32);
                let p = ScaleUpdateParams { clients, n, stride: n };
                let label = format!("malicious {}", r.name);
                rec.launch(&ScaleUpdate, &p, &[r.pieces[chunk].rows, r.server, scales], label)?;
            }
        }
        Ok(rec)
    }

    fn growth(&self) -> f64 {
        self.factor
    }
}
