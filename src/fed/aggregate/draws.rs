//! The random choices of rules.

use crate::kernels::rng::{HostRng, Stream};
use std::collections::BTreeSet;

/// Where rules take random numbers from.
#[derive(Clone, Debug)]
pub enum Draws {
    /// The project's generator with this seed: the same on every device, different in every round.
    Seeded(u64),
    /// Given ones, as in golden cases.
    Given {
        /// Standard normal numbers, one per coordinate.
        noise: Vec<f32>,
        /// An order of the clients.
        order: Vec<usize>,
        /// The coordinates of each iteration.
        columns: Vec<Vec<u32>>,
    },
}

impl Draws {
    /// An order of `clients` clients; `network` tells several networks apart.
    pub(super) fn order(&self, clients: usize, network: u32, round: u32) -> Vec<usize> {
        match self {
            Draws::Given { order, .. } => order.clone(),
            Draws::Seeded(seed) => {
                let mut order: Vec<usize> = (0..clients).collect();
                HostRng::new(*seed, Stream::BUCKETS, network, round).shuffle(&mut order);
                order
            }
        }
    }

    /// `count` different coordinates below `words` for every one of `iterations`, ascending.
    pub(super) fn columns(
        &self,
        iterations: usize,
        count: usize,
        words: usize,
        network: u32,
        round: u32,
    ) -> Vec<Vec<u32>> {
        match self {
            Draws::Given { columns, .. } => columns.clone(),
            Draws::Seeded(seed) => {
                let mut rng = HostRng::new(*seed, Stream::COLUMNS, network, round);
                let mut draw = || {
                    let mut chosen = BTreeSet::new();
                    while chosen.len() < count.min(words) {
                        chosen.insert(rng.below(words as u32));
                    }
                    chosen.into_iter().collect()
                };
                (0..iterations).map(|_| draw()).collect()
            }
        }
    }
}
