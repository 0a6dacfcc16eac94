//! Free riders (Lin et al. 2019, Fraboni et al. 2021): clients that do not train and send what passes for an update.

use super::device::{Last, Noise, Terms};
use super::{Attacker, Knowledge, Sight, Target, UPDATE, UpdateAttack};
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::fed::aggregate::Memory;
use crate::key::{Bound, DefaultValue, Key, ValueKind};
use serde::{Deserialize, Serialize};

/// The update is 0 or the last aggregate, with noise that every malicious client draws for itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreeRider {
    /// What is sent.
    pub send: Sent,
    /// Standard deviation of the noise.
    pub sigma: f64,
}

/// What a free rider sends, without its noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sent {
    /// The last aggregate, 0 in the first round.
    Last,
    /// An update of 0.
    Zero,
}

pub(super) const OPTIONS: &[Key] = &[
    Key::new(
        "attack.update.send",
        ValueKind::Choice(&["last", "zero"]),
        DefaultValue::Text("last"),
        "update that a free rider sends: the last aggregate, or 0",
    )
    .of(UPDATE, &["free-rider"]),
    Key::new(
        "attack.update.sigma",
        ValueKind::Real(Bound::Closed(0.0), Bound::Free),
        DefaultValue::Real(0.0),
        "standard deviation of the noise that a free rider adds to every weight",
    )
    .of(UPDATE, &["free-rider"]),
];

impl UpdateAttack for FreeRider {
    fn knowledge(&self) -> Knowledge {
        Knowledge::Broadcasts
    }

    fn build(&self, engine: &mut dyn Engine, on: &Target) -> Result<Box<dyn Attacker>> {
        let last = Last::new(engine, &on.network.weights)?;
        let noise = Noise::new(engine, on, Terms::Server(last.update))?;
        Ok(Box::new(Riding { options: self.clone(), last, noise }))
    }
}

struct Riding {
    options: FreeRider,
    last: Last,
    noise: Noise,
}

impl Attacker for Riding {
    fn recordings(&self) -> Vec<&Recording> {
        self.last.recordings().into_iter().chain([self.noise.recording()]).collect()
    }

    fn rewrite(&mut self, engine: &mut dyn Engine, round: &Sight) -> Result<()> {
        let repeats = self.options.send == Sent::Last && round.round > 0;
        if repeats {
            self.last.run(engine)?;
        }
        self.noise.run(engine, round.round, self.options.sigma, if repeats { 1.0 } else { 0.0 })
    }

    fn remember(&mut self, engine: &mut dyn Engine) -> Result<()> {
        self.last.remember(engine)
    }

    fn memory(&self) -> Vec<Memory> {
        vec![self.last.memory()]
    }
}
