//! Bucketing (Karimireddy et al. 2022).

use super::{Mixed, Mixing, PRE, PreAggregation};
use crate::Result;
use crate::exec::{Engine, Recording};
use crate::fed::aggregate::device::Network;
use crate::fed::aggregate::{Candidates, Draws};
use crate::key::{DefaultValue, Key, U32, ValueKind};
use serde::{Deserialize, Serialize};

/// Clients in random order, every s of them one row: their mean. The last bucket may be smaller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucketing {
    /// Clients of a bucket.
    pub s: u32,
}

pub(super) const OPTIONS: &[Key] = &[Key::new(
    "federation.pre_aggregation.s",
    ValueKind::Int(1, U32),
    DefaultValue::Int(2),
    "clients of a bucket; the rule's condition is on the number of buckets, with the same f",
)
.of(PRE, &["bucketing"])];

impl PreAggregation for Bucketing {
    fn check(&self, clients: u32) -> Result<(), String> {
        match self.s <= clients {
            true => Ok(()),
            false => Err(format!("s = {}: a bucket has at most n = {clients} clients", self.s)),
        }
    }

    fn outputs(&self, clients: u32) -> u32 {
        // The range of `s` is checked elsewhere.
        clients.div_ceil(self.s.max(1))
    }

    fn build(
        &self,
        _engine: &mut dyn Engine,
        _network: &Network,
        draws: &Draws,
        _number: u32,
    ) -> Result<Option<Box<dyn Mixing>>> {
        // All networks have the same buckets.
        Ok(Some(Box::new(OnNetwork { s: self.s as usize, draws: draws.clone() })))
    }
}

struct OnNetwork {
    s: usize,
    draws: Draws,
}

impl Mixing for OnNetwork {
    fn recordings(&self) -> Vec<&Recording> {
        Vec::new()
    }

    fn mix(&mut self, _engine: &mut dyn Engine, round: &Candidates) -> Result<Mixed> {
        let clients = round.present.len();
        let order = self.draws.order(clients, 0, round.round);
        let present: Vec<usize> = order.into_iter().filter(|c| round.present[*c]).collect();
        let bucket = |bucket: &[usize]| {
            let mut row = vec![0.0; clients];
            bucket.iter().for_each(|c| row[*c] = 1.0 / bucket.len() as f64);
            row
        };
        let mut rows: Vec<Vec<f64>> = present.chunks(self.s).map(bucket).collect();
        rows.resize(clients.div_ceil(self.s), Vec::new());
        Ok(Mixed { rows, margin: f64::INFINITY })
    }
}
