//! Inner product manipulation (Xie et al. 2020).

use super::device::{Craft, Moments};
use super::knowledge::reach;
use super::{Attacker, Knowledge, Reach, Sight, Target, UPDATE, UpdateAttack};
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::key::{Bound, DefaultValue, Key, ValueKind};
use serde::{Deserialize, Serialize};

/// The update is -epsilon times the mean of the known ones. A small epsilon gets past distance rules, a large one reverses the mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ipm {
    /// The factor, above 0.
    pub epsilon: f64,
    /// Whose updates are known.
    pub knowledge: Reach,
}

pub(super) const OPTIONS: &[Key] = &[
    Key::new(
        "attack.update.epsilon",
        ValueKind::Real(Bound::Open(0.0), Bound::Free),
        DefaultValue::Real(0.5),
        "length of the update against the mean that malicious clients send, relative to the mean",
    )
    .of(UPDATE, &["ipm"]),
    reach(&["ipm"]),
];

impl UpdateAttack for Ipm {
    fn knowledge(&self) -> Knowledge {
        self.knowledge.knowledge()
    }

    fn check(&self, clients: u32, malicious: &[u32]) -> Result<(), String> {
        self.knowledge.check(clients, malicious, 1, "the mean")
    }

    fn growth(&self) -> (&'static str, f64) {
        ("epsilon", self.epsilon)
    }

    fn build(&self, engine: &mut dyn Engine, on: &Target) -> Result<Box<dyn Attacker>> {
        Ok(Box::new(FromMoments::new(engine, on, 0, [-self.epsilon, 0.0], 1)?))
    }
}

/// An update a m + b s from the mean m and the deviation s of the updates in sight, with coefficients that are known beforehand.
pub(super) struct FromMoments {
    moments: Moments,
    craft: Craft,
    coefficients: [f64; 2],
    least: usize,
    chosen: Option<f64>,
}

impl FromMoments {
    /// Needs the updates of `least` clients.
    pub fn new(
        engine: &mut dyn Engine,
        on: &Target,
        ddof: u32,
        coefficients: [f64; 2],
        least: usize,
    ) -> Result<FromMoments> {
        let moments = Moments::new(engine, &on.network.weights, ddof)?;
        let craft = Craft::new(engine, on, [moments.mean, moments.deviation])?;
        Ok(FromMoments { moments, craft, coefficients, least, chosen: None })
    }

    /// With a number for [`Attacker::chosen`].
    pub fn choosing(self, chosen: f64) -> FromMoments {
        FromMoments { chosen: Some(chosen), ..self }
    }
}

impl Attacker for FromMoments {
    fn recordings(&self) -> Vec<&Recording> {
        std::iter::once(self.moments.recording()).chain(self.craft.recordings()).collect()
    }

    fn rewrite(&mut self, engine: &mut dyn Engine, round: &Sight) -> Result<()> {
        if round.clients.len() < self.least {
            return Ok(());
        }
        self.moments.run(engine, &round.clients)?;
        let [a, b] = self.coefficients;
        self.craft.run(engine, a, b)
    }

    fn chosen(&self) -> Option<f64> {
        self.chosen
    }
}
