//! Clients that send the momentum of their updates (`federation.client_momentum`).
//!
//! Centred clipping and other rules that bound the variance among honest clients assume that a client sends
//! m = beta m + (1 - beta) (w - server), not its last update (Karimireddy et al. 2021). Malicious clients follow the protocol too;
//! an attack on updates rewrites what they would send.

use super::aggregate::{Memory, Network};
use super::rows::Rows;
use crate::Result;
use crate::exec::{Engine, Recording, Tensor};
use crate::kernels::fed::client_momentum::{ClientMomentum, ClientMomentumParams};
use crate::kernels::util::fill::{Fill, FillParams};

/// The momentum of all clients on the shared networks' weights; running statistics are sent as they are.
pub(super) struct Momentum {
    networks: Vec<OnNetwork>,
    send: Recording,
}

struct OnNetwork {
    name: &'static str,
    words: usize,
    clients: usize,
    /// `[clients][words]`.
    momentum: Tensor,
    /// One recording per client.
    forget: Vec<Recording>,
}

impl Momentum {
    /// Allocates and records the momentum of decay `beta`; nothing for 0.
    ///
    /// # Errors
    /// As [`Engine::alloc`].
    pub fn new(engine: &mut dyn Engine, networks: &[Network], beta: f64) -> Result<Momentum> {
        let (mut send, mut built) = (Recording::new(), Vec::new());
        for network in networks.iter().filter(|_| beta > 0.0) {
            built.push(OnNetwork::new(engine, network.name, &network.weights, beta, &mut send)?);
        }
        Ok(Momentum { networks: built, send })
    }

    /// Replaces what every client sends.
    ///
    /// # Errors
    /// If the device fails.
    pub fn run(&self, engine: &mut dyn Engine) -> Result<()> {
        if self.networks.is_empty() { Ok(()) } else { engine.run(&self.send, 1) }
    }

    /// Sets a client's momentum to 0, so that its non-finite values end with the round.
    ///
    /// # Errors
    /// If the device fails.
    pub fn forget(&self, engine: &mut dyn Engine, client: usize) -> Result<()> {
        self.networks.iter().try_for_each(|network| engine.run(&network.forget[client], 1))
    }

    /// All recordings.
    pub fn recordings(&self) -> impl Iterator<Item = &Recording> {
        let used = self.networks.first().map(|_| &self.send);
        used.into_iter().chain(self.networks.iter().flat_map(|network| &network.forget))
    }

    /// What clients keep from round to round, for checkpoints.
    pub fn memory(&self) -> Vec<Memory> {
        let of = |n: &OnNetwork| Memory {
            name: format!("clients.{}.momentum of updates", n.name),
            rows: n.clients,
            words: n.words,
            tensor: n.momentum,
        };
        self.networks.iter().map(of).collect()
    }
}

impl OnNetwork {
    fn new(
        engine: &mut dyn Engine,
        name: &'static str,
        rows: &Rows,
        beta: f64,
        send: &mut Recording,
    ) -> Result<OnNetwork> {
        let (clients, words) = (rows.clients() as usize, rows.words);
        let momentum = engine.alloc("momentum of updates", clients * words)?;
        let (n, server) = (words as u32, rows.server.slice(0, words));
        for piece in &rows.pieces {
            let m = momentum.slice(piece.first as usize * words, piece.clients as usize * words);
            let p = ClientMomentumParams {
                clients: piece.clients,
                n,
                w_stride: n,
                m_stride: n,
                ..ClientMomentumParams::new(beta)
            };
            send.launch(&ClientMomentum, &p, &[piece.rows, server, m], format!("momentum of {}", rows.name))?;
        }
        let forget = |client| {
            let mut rec = Recording::new();
            let p = FillParams { clients: 1, n, y_stride: n, value: 0.0 };
            let label = format!("no momentum of client {client}");
            rec.launch(&Fill, &p, &[momentum.slice(client * words, words)], label)?;
            Ok(rec)
        };
        let forget = (0..clients).map(forget).collect::<Result<_>>()?;
        Ok(OnNetwork { name, words, clients, momentum, forget })
    }
}
