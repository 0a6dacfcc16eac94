//! What goes between the ranks in a round.
//!
//! Rank 0 has the server: it sends its networks to the other ranks, whose clients train there, and receives what these send. Everything
//! that follows (attacks on updates, screening, probe, aggregation) is executed on rank 0 by the same recordings as with one rank, so
//! the number of ranks changes no bit.

use super::aggregate::Shared;
use super::federation::Federation;
use crate::Result;
use crate::exec::{Purpose, Tensor};
use crate::model::{Network, NetworkBank};
use std::time::Instant;

impl Federation {
    /// Copies the server's networks to the other ranks.
    pub(super) fn spread(&mut self, which: Shared) -> Result<()> {
        if self.ranks.len() == 1 {
            return Ok(());
        }
        let start = Instant::now();
        let pick: &[fn(&super::chunk::OnRank) -> &NetworkBank] = match which {
            Shared::Generator => &[|on| &on.server_g],
            Shared::Both => &[|on| &on.server_g, |on| &on.server_d],
        };
        for pick in pick {
            for tensor in [|bank: &NetworkBank| bank.weights, |bank: &NetworkBank| bank.running] {
                if tensor(pick(&self.ranks[0])).words == 0 {
                    // A network without batch norms has no running statistics.
                    continue;
                }
                let words = self.engine.read(tensor(pick(&self.ranks[0])), Purpose::Exchange)?;
                for on in &self.ranks[1..] {
                    self.engine.write(tensor(pick(on)), &words)?;
                }
            }
        }
        self.exchanged.seconds += start.elapsed().as_secs_f64();
        Ok(())
    }

    /// What the server has of clients on other ranks before the first round: its own networks, which they start from.
    pub(super) fn begin_sent(&mut self) -> Result<()> {
        let server = &self.ranks[0];
        for chunk in self.chunks.iter().filter(|chunk| chunk.rank > 0) {
            let mut networks = vec![(&self.gan.g, &server.server_g, &chunk.sent.g)];
            if self.settings.shared == Shared::Both {
                networks.push((&self.gan.d, &server.server_d, &chunk.sent.d));
            }
            for (from, to, words) in networks.into_iter().flat_map(|(net, from, to)| sent(net, from, to)) {
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
            let mut networks = vec![(&self.gan.g, &chunk.buffers.g, &chunk.sent.g)];
            if self.settings.shared == Shared::Both {
                networks.push((&self.gan.d, &chunk.buffers.d, &chunk.sent.d));
            }
            // Row by row, so that the host never has more than a few clients' networks.
            statistics.push((chunk.buffers.stats, chunk.sent.stats));
            for client in 0..chunk.buffers.clients as usize {
                let row = |tensor: Tensor, words: usize| tensor.slice(client * words, words);
                for (net, from, to) in &networks {
                    rows.extend(sent(net, from, to).map(|(from, to, words)| (row(from, words), row(to, words))));
                }
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

/// The tensors that clients send of a network, and their words per client.
fn sent(net: &Network, from: &NetworkBank, to: &NetworkBank) -> impl Iterator<Item = (Tensor, Tensor, usize)> {
    let statistics = (from.running, to.running, net.running_stride);
    [(from.weights, to.weights, net.stride), statistics].into_iter().filter(|(_, _, words)| *words > 0)
}
