//! Neurotoxin (Zhang et al. 2022): an update that leaves out the coordinates which the others move most, so that it lasts.

use super::device::{Factors, Last, Top};
use super::{Attacker, Knowledge, Sight, Target, UPDATE, UpdateAttack};
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::fed::aggregate::Memory;
use crate::fed::aggregate::device::Norms;
use crate::key::{Bound, DefaultValue, Key, ValueKind};
use serde::{Deserialize, Serialize};

/// The update is the trained one with 0 in the floor(top d) of d coordinates in which the last aggregate is largest; then it is scaled
/// down to a norm. In the first round there is no last aggregate, and nothing is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Neurotoxin {
    /// Share of the coordinates that are left out.
    pub top: f64,
    /// Largest norm of what is sent, on each network; `None`: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub norm: Option<f64>,
}

pub(super) const OPTIONS: &[Key] = &[
    Key::new(
        "attack.update.top",
        ValueKind::Real(Bound::Closed(0.0), Bound::Closed(1.0)),
        DefaultValue::Real(0.1),
        "share of the weights, those that the last aggregate moved most, in which malicious clients send no update",
    )
    .of(UPDATE, &["neurotoxin"]),
    Key::new(
        "attack.update.norm",
        ValueKind::Real(Bound::Open(0.0), Bound::Free),
        DefaultValue::Computed("no bound"),
        "largest norm of the update that a malicious client sends, on each network; larger ones are scaled down to it",
    )
    .of(UPDATE, &["neurotoxin"]),
];

impl UpdateAttack for Neurotoxin {
    fn knowledge(&self) -> Knowledge {
        Knowledge::Broadcasts
    }

    fn build(&self, engine: &mut dyn Engine, on: &Target) -> Result<Box<dyn Attacker>> {
        let rows = &on.network.weights;
        let last = Last::new(engine, rows)?;
        let top = Top::new(engine, on, last.update)?;
        let bound = match self.norm {
            Some(most) => Some((most, Norms::new(engine, rows, rows.server)?, Factors::new(engine, on, 1.0)?)),
            None => None,
        };
        let count = (self.top * on.values as f64).floor() as usize;
        Ok(Box::new(Lasting { count, malicious: on.malicious.to_vec(), last, top, bound }))
    }
}

struct Lasting {
    /// Coordinates that are left out.
    count: usize,
    malicious: Vec<u32>,
    last: Last,
    top: Top,
    bound: Option<(f64, Norms, Factors)>,
}

impl Attacker for Lasting {
    fn recordings(&self) -> Vec<&Recording> {
        let bound = self.bound.iter().flat_map(|(_, norms, factors)| [norms.recording(), factors.recording()]);
        self.last.recordings().into_iter().chain([self.top.recording()]).chain(bound).collect()
    }

    fn rewrite(&mut self, engine: &mut dyn Engine, round: &Sight) -> Result<()> {
        if round.round > 0 {
            self.last.run(engine)?;
            self.top.run(engine, self.count)?;
        }
        let Some((most, norms, factors)) = &mut self.bound else { return Ok(()) };
        let norms = norms.read(engine)?;
        let factor = |client: u32| {
            let norm = norms[client as usize].value();
            if self.malicious.contains(&client) && norm > *most { *most / norm } else { 1.0 }
        };
        factors.send(engine, factor)?;
        factors.rewrite(engine, round)
    }

    fn remember(&mut self, engine: &mut dyn Engine) -> Result<()> {
        self.last.remember(engine)
    }

    fn memory(&self) -> Vec<Memory> {
        vec![self.last.memory()]
    }
}
