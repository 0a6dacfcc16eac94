//! The attack of a run on the updates of its malicious clients: what they see of a round, and the rewriting of all networks.

use super::{Attacker, OnUpdate, Sight, Target};
use crate::exec::{Engine, Recording};
use crate::fed::aggregate::device::Network;
use crate::fed::aggregate::{Draws, Memory};
use crate::fed::finite::Finite;
use crate::{Error, Result};

/// The attack of a run, built on a device.
pub(in crate::fed) struct Crew {
    networks: Vec<(&'static str, Box<dyn Attacker>)>,
    malicious: Vec<u32>,
    /// Whether malicious rows are read, or benign ones; with what finds the finite ones among them.
    reads: Option<(bool, Finite)>,
}

impl Crew {
    /// Builds the attack on every network; `values` are their numbers of trainable values. Without malicious clients it does
    /// nothing.
    ///
    /// # Errors
    /// [`Error::Input`] with the attack's sentence if it does not suit the numbers of clients; device errors.
    pub fn new(
        engine: &mut dyn Engine,
        update: &OnUpdate,
        networks: &[Network],
        values: &[usize],
        malicious: &[u32],
        draws: &Draws,
    ) -> Result<Crew> {
        let mut built = Vec::new();
        if malicious.is_empty() {
            return Ok(Crew { networks: built, malicious: Vec::new(), reads: None });
        }
        let clients = networks.first().map_or(0, Network::clients) as u32;
        update.suits(clients, malicious).map_err(Error::Input)?;
        for (number, (network, values)) in (0..).zip(networks.iter().zip(values)) {
            let target = Target { network, number, values: *values, malicious, draws };
            built.push((network.name, update.build(engine, &target)?));
        }
        let reads = update.knowledge().reads();
        let reads = reads.map(|own| Ok::<_, Error>((own, Finite::new(engine, networks)?))).transpose()?;
        Ok(Crew { networks: built, malicious: malicious.to_vec(), reads })
    }

    /// All recordings.
    pub fn recordings(&self) -> impl Iterator<Item = &Recording> {
        let finite = self.reads.iter().map(|(_, finite)| finite.recording());
        self.networks.iter().flat_map(|(_, attacker)| attacker.recordings()).chain(finite)
    }

    /// Rewrites the malicious clients' rows if the attack is `active` in the round.
    pub fn run(&mut self, engine: &mut dyn Engine, round: u32, active: bool) -> Result<()> {
        if active {
            let clients = match &self.reads {
                Some((own, finite)) => {
                    let is_read = |client: &usize| self.malicious.contains(&(*client as u32)) == *own;
                    finite.clients(engine)?.into_iter().filter(is_read).collect()
                }
                None => Vec::new(),
            };
            let sight = Sight { round, clients };
            self.networks.iter_mut().try_for_each(|(_, attacker)| attacker.rewrite(engine, &sight))?;
        }
        self.networks.iter_mut().try_for_each(|(_, attacker)| attacker.remember(engine))
    }

    /// What it chose on the first network.
    pub fn chosen(&self) -> Option<f64> {
        self.networks.first().and_then(|(_, attacker)| attacker.chosen())
    }

    /// What it remembers, for checkpoints.
    pub fn memory(&self) -> Vec<Memory> {
        let named = |(name, attacker): &(&'static str, Box<dyn Attacker>)| {
            let named = |m: Memory| Memory { name: format!("attack.{name}.{}", m.name), ..m };
            attacker.memory().into_iter().map(named).collect::<Vec<_>>()
        };
        self.networks.iter().flat_map(named).collect()
    }
}
