//! What goes between the ranks in a round.
//!
//! Rank 0 has the server: it sends its networks to the other ranks, whose clients train there, and receives what these send. Everything
//! that follows (attacks on updates, screening, probe, aggregation) is executed on rank 0 by the same recordings as with one rank, so
//! the number of ranks changes no bit.

use super::aggregate::Shared;
use super::chunk::OnRank;
use super::federation::Federation;
use crate::Result;
use crate::exec::{Purpose, Tensor};
use crate::model::{Gan, Network, NetworkBank};
use std::time::Instant;

impl Federation {
    /// Copies the server's networks to the other ranks.
    pub(super) fn spread(&mut self, which: Shared) -> Result<()> {
        if self.ranks.len() == 1 {
            return Ok(());
        }
        let (start, server) = (Instant::now(), &self.ranks[0]);
        let copies =
            |on: &OnRank| shared(&self.gan, which, [&server.server_g, &server.server_d], [&on.server_g, &on.server_d]);
        let copies: Vec<_> = self.ranks[1..].iter().map(copies).collect();
        for (number, (from, ..)) in copies[0].iter().enumerate() {
            let words = self.engine.read(*from, Purpose::Exchange)?;
            copies.iter().try_for_each(|of_rank| self.engine.write(of_rank[number].1, &words))?;
        }
        self.exchanged.seconds += start.elapsed().as_secs_f64();
        Ok(())
    }

    /// What the server has of clients on other ranks before the first round: its own networks, which they start from.
    pub(super) fn begin_sent(&mut self) -> Result<()> {
        let server = &self.ranks[0];
        for chunk in self.chunks.iter().filter(|chunk| chunk.rank > 0) {
            let to = [&chunk.sent.g, &chunk.sent.d];
            for (from, to, words) in shared(&self.gan, self.settings.shared, [&server.server_g, &server.server_d], to) {
                let row = self.engine.read(from, Purpose::Exchange)?;
                for client in 0..chunk.sent.clients as usize {
                    self.engine.write(to.slice(client * words, words), &row)?;
                }
            }
        }
        Ok(())
    }

    /// Receives from the other ranks what their clients send, and the loss statistics.
    pub(super) fn receive(&mut self) -> Result<()> {
        // Pairs of a tensor and where it goes.
        let (mut statistics, mut rows) = (Vec::<(Tensor, Tensor)>::new(), Vec::<(Tensor, Tensor)>::new());
        for chunk in self.chunks.iter().filter(|chunk| chunk.rank > 0) {
            statistics.push((chunk.buffers.stats, chunk.sent.stats));
            let (from, to) = ([&chunk.buffers.g, &chunk.buffers.d], [&chunk.sent.g, &chunk.sent.d]);
            // Row by row, so that the host never has more than a few clients' networks.
            for (from, to, words) in shared(&self.gan, self.settings.shared, from, to) {
                let row = |tensor: Tensor, client: usize| tensor.slice(client * words, words);
                rows.extend((0..chunk.buffers.clients as usize).map(|client| (row(from, client), row(to, client))));
            }
        }
        statistics.iter().chain(&rows).try_for_each(|(from, _)| self.engine.prefetch(*from))?;
        let mut arrived = None;
        // The statistics first: a rank answers when it has trained, and only what follows is time of the exchange.
        for (number, (from, to)) in statistics.iter().chain(&rows).enumerate() {
            if number == statistics.len() {
                arrived = Some(Instant::now());
            }
            let words = self.engine.read(*from, Purpose::Exchange)?;
            self.engine.write(*to, &words)?;
        }
        self.exchanged.seconds += arrived.map_or(0.0, |arrived| arrived.elapsed().as_secs_f64());
        Ok(())
    }
}

/// The tensors of the shared networks, generator and discriminator, in two pairs of banks, and their words per client.
fn shared(gan: &Gan, shared: Shared, from: [&NetworkBank; 2], to: [&NetworkBank; 2]) -> Vec<(Tensor, Tensor, usize)> {
    let networks = if shared == Shared::Both { 2 } else { 1 };
    let of = |((net, from), to): ((&Network, &NetworkBank), &NetworkBank)| {
        [(from.weights, to.weights, net.stride), (from.running, to.running, net.running_stride)]
    };
    let tensors = [&gan.g, &gan.d].into_iter().zip(from).zip(to).take(networks).flat_map(of);
    // A network without batch norms has no running statistics.
    tensors.filter(|(_, _, words)| *words > 0).collect()
}
