//! Screening: selects the clients that take part in the round after local training, and restarts the others.

use super::OnNonfinite;
use super::aggregate::Shared;
use super::attack::Attack;
use super::chunk::OnRank;
use super::federation::Federation;
use super::stages::Trained;
use crate::exec::Recording;
use crate::kernels::util::copy::{Copy, CopyParams};
use crate::kernels::util::fill::{Fill, FillParams};
use crate::model::{Gan, GanBuffers, Network, NetworkBank};
use crate::{Error, Result};

/// Number of consecutive rounds in which every client may be dropped; the next such round ends the run. A round without clients
/// leaves the server's networks unchanged and restarts the clients with other batches, which may help once or twice. After
/// three failures further attempts are unlikely to succeed.
const EMPTY_ROUNDS: u32 = 2;

impl Federation {
    /// Which clients are dropped from this round.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if the run must end: at any fault with [`OnNonfinite::Stop`], at the third consecutive round
    /// without clients with [`OnNonfinite::Drop`].
    pub(super) fn screen(&mut self, clients: &[Trained]) -> Result<Vec<bool>> {
        let faults: Vec<bool> = clients.iter().map(|r| r.nonfinite.is_some()).collect();
        if self.settings.nonfinite == OnNonfinite::Record || !faults.contains(&true) {
            self.dropped.empty = 0;
            return Ok(vec![false; faults.len()]);
        }
        if self.settings.nonfinite == OnNonfinite::Stop {
            return Err(self.not_finite(
                clients,
                "federation.nonfinite = \"drop\" leaves such a client out of the round, \"record\" only records it",
            ));
        }
        if faults.contains(&false) {
            self.dropped.empty = 0;
        } else if self.dropped.empty == EMPTY_ROUNDS {
            let rounds = EMPTY_ROUNDS + 1;
            return Err(self.not_finite(clients, &format!("no client was left in the last {rounds} rounds")));
        } else {
            self.dropped.empty += 1;
        }
        Ok(faults)
    }

    pub(super) fn not_finite(&self, clients: &[Trained], more: &str) -> Error {
        let mut faults = clients.iter().enumerate().filter_map(|(i, r)| Some((i, r.nonfinite.as_ref()?)));
        let named = |i: usize| self.names.get(i).map_or_else(|| i.to_string(), |name| format!("{i} {name}"));
        let first =
            faults.next().map_or(String::new(), |(i, fault)| format!("client {}: {fault} is not finite", named(i)));
        let others = match faults.count() {
            0 => String::new(),
            1 => ", as in 1 more client".into(),
            n => format!(", as in {n} more clients"),
        };
        let faulty: Vec<bool> = clients.iter().map(|r| r.nonfinite.is_some()).collect();
        let (round, help) = (self.round + 1, hint(self.settings.lr, &self.settings.attack, self.round, &faulty));
        Error::NotFinite(format!("round {round}: {first}{others}; {help}; {more}"))
    }

    /// Gives dropped clients the server's networks and moments of 0, so that they can take part in the next round.
    pub(super) fn restart(&mut self, clients: &[u32]) -> Result<()> {
        if clients.is_empty() {
            return Ok(());
        }
        self.spread(Shared::Both)?;
        for client in clients {
            for rec in self.record_restart(*client)? {
                self.engine.run(&rec, 1)?;
                self.engine.forget(&rec);
            }
            self.dropped.since[*client as usize] = self.round + 1;
        }
        Ok(())
    }

    /// The recordings of a client's restart: on its rank, and in what the server has of it.
    fn record_restart(&self, client: u32) -> Result<Vec<Recording>> {
        let chunk = self.chunk_of(client)?;
        let at = (client - chunk.first) as usize;
        let mut recordings = vec![restarted(&self.gan, client, at, &chunk.buffers, &self.ranks[chunk.rank])?];
        if chunk.rank > 0 {
            let both = self.settings.shared == Shared::Both;
            let (mut rec, server) = (Recording::new(), &self.ranks[0]);
            copied(&mut rec, &self.gan.g, client, at, &chunk.sent.g, &server.server_g)?;
            if both {
                copied(&mut rec, &self.gan.d, client, at, &chunk.sent.d, &server.server_d)?;
            }
            recordings.push(rec);
        }
        Ok(recordings)
    }
}

/// Copies the networks of a rank's server, and fills the moments with 0.
fn restarted(gan: &Gan, client: u32, at: usize, b: &GanBuffers, server: &OnRank) -> Result<Recording> {
    let mut rec = Recording::new();
    for (net, bank, from) in [(&gan.g, &b.g, &server.server_g), (&gan.d, &b.d, &server.server_d)] {
        copied(&mut rec, net, client, at, bank, from)?;
        for moments in [bank.m, bank.v] {
            let p = FillParams { clients: 1, n: net.stride as u32, y_stride: net.stride as u32, value: 0.0 };
            let label = format!("restart {} moments of client {client}", net.name);
            rec.launch(&Fill, &p, &[moments.slice(at * net.stride, net.stride)], label)?;
        }
    }
    Ok(rec)
}

/// Copies a network of the server to row `at` of `to`.
fn copied(
    rec: &mut Recording,
    net: &Network,
    client: u32,
    at: usize,
    to: &NetworkBank,
    from: &NetworkBank,
) -> Result<()> {
    for (from, to, words) in [(from.weights, to.weights, net.stride), (from.running, to.running, net.running_stride)] {
        let n = words as u32;
        let p = CopyParams { clients: 1, n, x_stride: n, y_stride: n };
        let label = format!("restart {} of client {client}", net.name);
        rec.launch(&Copy, &p, &[from, to.slice(at * words, words)], label)?;
    }
    Ok(())
}

/// Advice after non-finite values in the `faulty` clients of a round. Enlarged updates are the cause if only malicious clients
/// are faulty; once the server has averaged such an update, any client can be the first, and a factor above the number of
/// clients, which replaces the model, is the likelier cause.
fn hint(lr: f64, attack: &Attack, round: u32, faulty: &[bool]) -> String {
    let (option, scale) = attack.update.growth();
    let malicious = |client: usize| attack.malicious.contains(&(client as u32));
    let enlarged = scale > 1.0 && !attack.malicious.is_empty() && round >= attack.start_round;
    let alone = faulty.iter().enumerate().all(|(client, faulty)| !faulty || malicious(client));
    let spread = round > attack.start_round;
    match enlarged {
        true if alone || (spread && scale > faulty.len() as f64) => {
            format!("a smaller attack.update.{option} (now {scale:?}) helps most often")
        }
        true if spread => {
            format!("a smaller train.lr (now {lr:?}) or attack.update.{option} (now {scale:?}) helps most often")
        }
        _ => format!("a smaller train.lr (now {lr:?}) helps most often"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::attack::{Attack, OnUpdate, Scale};
    use super::hint;

    #[test]
    fn the_hint_names_what_made_the_fault() {
        let update = |factor: f64| OnUpdate::Scale(Scale { factor });
        let attack = |factor: f64| Attack { start_round: 3, update: update(factor), ..Attack::checker(vec![0]) };
        let (first, second, all) = ([true, false, false], [false, true, false], [true; 3]);
        let said = |scale: f64, round: u32, faulty: &[bool]| {
            let text = hint(0.5, &attack(scale), round, faulty);
            (text.contains("attack.update"), text.contains("train.lr"))
        };
        // The malicious client's own update, in its first round.
        assert_eq!(said(1e30, 3, &first), (true, false));
        // Before any enlarged update was averaged, honest clients diverge on their own.
        assert_eq!(said(1e30, 3, &second), (false, true));
        assert_eq!(said(1e30, 2, &first), (false, true));
        // Afterwards any client may diverge because of it.
        assert_eq!(said(1e30, 4, &all), (true, false));
        assert_eq!(said(1.5, 4, &all), (true, true));
        // An update sent unchanged or reduced causes no overflow.
        assert_eq!(said(1.0, 4, &first), (false, true));
        assert_eq!(said(0.5, 4, &first), (false, true));
    }
}
