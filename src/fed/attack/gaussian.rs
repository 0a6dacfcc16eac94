//! Gaussian noise instead of an update, or on top of it.

use super::device::{Noise, Terms};
use super::{Attacker, Knowledge, Sight, Target, UPDATE, UpdateAttack};
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::key::{Bound, DefaultValue, Key, ValueKind};
use serde::{Deserialize, Serialize};

/// The update is sigma N(0, I), or the trained one with that noise; each malicious client has its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gaussian {
    /// Standard deviation of the noise, above 0.
    pub sigma: f64,
    /// What the noise is added to.
    pub around: Around,
}

/// What the noise is added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Around {
    /// Nothing.
    Zero,
    /// The trained update.
    Own,
}

pub(super) const OPTIONS: &[Key] = &[
    Key::new(
        "attack.update.sigma",
        ValueKind::Real(Bound::Open(0.0), Bound::Free),
        DefaultValue::Required,
        "standard deviation of the noise in every weight",
    )
    .of(UPDATE, &["gaussian"]),
    Key::new(
        "attack.update.around",
        ValueKind::Choice(&["zero", "own"]),
        DefaultValue::Text("zero"),
        "what the noise is added to: an update of 0, or the malicious client's own",
    )
    .of(UPDATE, &["gaussian"]),
];

impl UpdateAttack for Gaussian {
    fn knowledge(&self) -> Knowledge {
        Knowledge::Own
    }

    fn build(&self, engine: &mut dyn Engine, on: &Target) -> Result<Box<dyn Attacker>> {
        let terms = match self.around {
            Around::Own => Terms::Own,
            // With a coefficient of 0 the update is not read.
            Around::Zero => Terms::Server(on.network.weights.server),
        };
        Ok(Box::new(Noisy { sigma: self.sigma, noise: Noise::new(engine, on, terms)? }))
    }
}

struct Noisy {
    sigma: f64,
    noise: Noise,
}

impl Attacker for Noisy {
    fn recordings(&self) -> Vec<&Recording> {
        vec![self.noise.recording()]
    }

    fn rewrite(&mut self, engine: &mut dyn Engine, round: &Sight) -> Result<()> {
        self.noise.run(engine, round.round, self.sigma, 0.0)
    }
}
