//! A round in six steps: broadcast, train locally, collect, screen, measure, aggregate. Screening is in `screen`.

use super::aggregate::{Candidates, Combination, NetworkDecision, Shared};
use super::chunk::Chunk;
use super::drop::{left_out, without};
use super::federation::{Federation, order_row};
use super::moments::UpdateMoments;
use super::nonfinite::fault;
use super::stages::{Measured, RoundReport, Trained, Weighted};
use super::{Pre, Rule};
use crate::exec::{Engine, Purpose, write_f32};
use crate::kernels::optim::adam::adam_table;
use crate::model::RoundStats;
use crate::{Error, Result};

impl Federation {
    /// Runs one round.
    ///
    /// # Errors
    /// If the device fails; [`Error::NotFinite`] according to [`super::OnNonfinite`], before anything
    /// is averaged.
    pub fn run_round(&mut self) -> Result<RoundReport> {
        let before = self.engine.exchanged();
        self.broadcast()?;
        self.train_locally()?;
        let trained = self.collect()?;
        let dropped = self.screen(&trained)?;
        let measured = self.measure(&dropped)?;
        let (weighted, networks) = self.aggregate(&trained, &measured, &dropped)?;
        let report = RoundReport::new(self.round, trained, measured, weighted, networks);
        self.round += 1;
        self.exchanged.bytes += self.engine.exchanged() - before;
        Ok(report)
    }

    /// Sends the server's networks to the clients and this round's tables to the device.
    fn broadcast(&mut self) -> Result<()> {
        self.spread(self.settings.shared)?;
        for i in 0..self.chunks.len() {
            let (first, clients) = (self.chunks[i].first as usize, self.chunks[i].buffers.clients as usize);
            let member = |client: usize| Member {
                client,
                holding: &self.holdings[client],
                poisoned: &self.poisoned[client],
                steps: self.steps[client],
                since: self.dropped.since[client],
            };
            let tables = self.tables(&self.chunks[i], (first..first + clients).map(member).collect());
            send(self.engine.as_mut(), &self.chunks[i], &tables, self.settings.shared)?;
        }
        if let Some(trainer) = &self.trainer {
            let clean = vec![false; trainer.holding.len()];
            let (client, holding, steps) = (self.holdings.len(), &trainer.holding[..], trainer.steps);
            let tables =
                self.tables(&trainer.chunk, vec![Member { client, holding, poisoned: &clean, steps, since: 0 }]);
            send(self.engine.as_mut(), &trainer.chunk, &tables, self.settings.shared)?;
        }
        Ok(())
    }

    /// This round's tables of a chunk's members.
    fn tables(&self, chunk: &Chunk, members: Vec<Member>) -> RoundTables {
        let (max_steps, critic_steps) = (self.round_steps(), self.gan.training.critic_steps());
        let (order_stride, adam_stride) =
            (chunk.order.words / members.len(), chunk.buffers.tables.adam_stride as usize);
        let mut tables = RoundTables {
            order: Vec::new(),
            adam: Vec::new(),
            critic_adam: vec![Vec::new(); critic_steps as usize],
            steps: members.iter().map(|member| member.steps).collect(),
            state: [0, self.round, self.round * max_steps, 0],
        };
        for Member { client, holding, poisoned, steps, since } in members {
            // Clients with fewer steps idle at the end of the round; their rows are filled nevertheless.
            let mut row = order_row(self, client, holding, poisoned, max_steps);
            row.resize(order_stride, 0);
            tables.order.extend(row);
            let done = (self.round - since) * steps;
            let mut row = adam_table(self.settings.lr, self.gan.beta1, self.gan.beta2, done + 1, max_steps);
            row.resize(adam_stride, 0.0);
            tables.adam.extend(row);
            for (k, table) in tables.critic_adam.iter_mut().enumerate() {
                table.extend(self.critic_row(done, k as u32, max_steps, adam_stride));
            }
        }
        tables
    }

    /// Adam's table for critic step `k` of every step of the round, after `done` steps: the critic takes `critic_steps` updates
    /// per step.
    fn critic_row(&self, done: u32, k: u32, steps: u32, words: usize) -> Vec<f32> {
        let times = self.gan.training.critic_steps();
        let all = adam_table(self.settings.lr, self.gan.beta1, self.gan.beta2, done * times + 1, steps * times);
        let mut row: Vec<f32> = all.chunks(2).skip(k as usize).step_by(times as usize).flatten().copied().collect();
        row.resize(words, 0.0);
        row
    }

    fn round_steps(&self) -> u32 {
        let own = self.trainer.iter().map(|trainer| trainer.steps);
        self.steps.iter().copied().chain(own).max().unwrap_or(0)
    }

    /// Local training, the momentum of the updates, then the attack on what clients send. Each chunk is scanned for non-finite values before the next one trains,
    /// because chunks may share memory; the tensors that clients send are scanned after the attack.
    fn train_locally(&mut self) -> Result<()> {
        let steps = self.round_steps();
        // The other ranks begin first, so that they train while this one does.
        let (own, others): (Vec<_>, Vec<_>) = self.chunks.iter().partition(|chunk| chunk.rank == 0);
        for chunk in others.into_iter().chain(own) {
            self.engine.run(&chunk.step, steps)?;
            self.engine.run(&chunk.local_scan, 1)?;
        }
        if let Some(trainer) = &self.trainer {
            self.engine.run(&trainer.chunk.step, steps)?;
            self.engine.run(&trainer.chunk.local_scan, 1)?;
            self.engine.run(&trainer.chunk.update_scan, 1)?;
        }
        self.receive()?;
        self.momentum.run(self.engine.as_mut())?;
        let active = self.round >= self.settings.attack.start_round;
        self.attack.run(self.engine.as_mut(), self.round, active)?;
        self.chunks.iter().try_for_each(|chunk| self.engine.run(&chunk.update_scan, 1))
    }

    /// The first of the round's two reads: loss statistics, including the outcomes of the scans.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if the server's own training diverged: no rule can do without it.
    fn collect(&mut self) -> Result<Vec<Trained>> {
        let (mut clients, last) = (Vec::new(), self.round_steps());
        if let Some(trainer) = &self.trainer {
            let stats = self.engine.read(trainer.chunk.buffers.stats, Purpose::RoundScalars)?;
            let row = RoundStats::rows(&stats).first();
            let found = row.and_then(|s| fault(&self.gan, &trainer.chunk.buffers, s, trainer.steps < last));
            if let Some(fault) = found {
                let (round, lr) = (self.round + 1, self.settings.lr);
                return Err(Error::NotFinite(format!(
                    "round {round}: in the server's own training (federation.server_images) {fault} is not finite, and the rule needs \
                     it; a smaller train.lr (now {lr:?}) helps most often"
                )));
            }
        }
        for chunk in &self.chunks {
            let stats = self.engine.read(chunk.sent.stats, Purpose::RoundScalars)?;
            for s in RoundStats::rows(&stats) {
                clients.push(Trained {
                    steps: s.steps as u32,
                    mean: s.sum.map(|sum| s.mean(sum)),
                    penalty: s.mean(s.penalty),
                    last: s.last.map(f64::from),
                    nonfinite: fault(&self.gan, &chunk.buffers, s, self.steps[clients.len()] < last),
                });
            }
        }
        Ok(clients)
    }

    /// The second read of a round, the server's measurements of the updates: norm, direction and the outcome of its probe.
    /// Dropped clients do not affect the values of the others.
    fn measure(&mut self, dropped: &[bool]) -> Result<Vec<Measured>> {
        for chunk in &self.chunks {
            self.engine.run(&chunk.probe, 1)?;
        }
        if let Some(probe) = &self.probe {
            left_out(dropped).into_iter().try_for_each(|client| probe.leave_out(self.engine.as_mut(), client))?;
        }
        self.engine.run(&self.deviate, 1)?;
        let last = without(&self.weights, &self.base_weights(), dropped);
        let weights = of_sum_1(&last);
        if dropped.contains(&true) || weights != last {
            self.weighted.send(self.engine.as_mut(), &weights)?;
        }
        // The mean needs every chunk before the first inner product with it.
        for chunk in &self.chunks {
            self.engine.run(&chunk.mean_update, 1)?;
        }
        let (mut squares, mut dots, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
        for chunk in &self.chunks {
            self.engine.run(&chunk.measure, 1)?;
            self.engine.run(&chunk.peaks, 1)?;
            let moments = self.engine.read(chunk.moments, Purpose::RoundScalars)?;
            for m in UpdateMoments::rows(&moments) {
                squares.push(f64::from(m.square));
                dots.push(f64::from(m.dot));
                peaks.push(if self.probe.is_some() { f64::from(m.peak) } else { f64::NAN });
            }
        }
        let cosines = cosines(&weights, &squares, &dots);
        let clients = squares.iter().zip(cosines).zip(peaks).map(|((square, update_cosine), probe_deviation)| {
            Measured { update_norm: square.sqrt(), update_cosine, probe_deviation }
        });
        Ok(clients.collect())
    }

    /// The clients' weights without suspicion.
    fn base_weights(&self) -> Vec<f64> {
        let counts: Vec<usize> = self.holdings.iter().map(Vec::len).collect();
        self.settings.weights.of(&counts)
    }

    /// The detector and the rule decide the weights on the host; the sums stay on the device. If all clients were dropped, the
    /// server's networks do not change, and the detector has no observations.
    fn aggregate(
        &mut self,
        trained: &[Trained],
        measured: &[Measured],
        dropped: &[bool],
    ) -> Result<(Vec<Weighted>, Vec<NetworkDecision>)> {
        let mut weighted = vec![Weighted::NONE; trained.len()];
        let mut networks = Vec::new();
        if dropped.contains(&false) {
            let active = self.round >= self.settings.attack.start_round;
            let malicious: &[u32] = if active { &self.settings.attack.malicious } else { &[] };
            let observed = self.settings.report.observe(trained, measured, malicious, dropped);
            let detected = self.detection.detect(self.round, &observed, dropped);
            // Rules other than the mean never see non-finite values, even if such clients are only recorded.
            let screened = !matches!(self.settings.rule, Rule::Mean(_)) || !matches!(self.settings.pre, Pre::None(_));
            let faulty = |i: usize| dropped[i] || (screened && trained[i].nonfinite.is_some());
            let absent: Vec<bool> = (0..trained.len()).map(faulty).collect();
            let present: Vec<bool> = absent.iter().map(|absent| !absent).collect();
            if !present.contains(&true) {
                return Err(self.not_finite(trained, "no client is left to aggregate"));
            }
            let weights = without(&detected.weights, &self.base_weights(), &absent);
            let candidates = Candidates { round: self.round, present: &present, weights: &weights };
            let decision = self.rule.decide(self.engine.as_mut(), &candidates)?;
            (self.weights, networks) = (decision.weights, decision.networks);
            for (i, client) in weighted.iter_mut().enumerate() {
                let (flagged, score) = (detected.flagged[i], detected.scores[i]);
                *client = Weighted { weight: self.weights[i], flagged, score };
            }
            self.weighted.send(self.engine.as_mut(), &self.weights)?;
            if decision.result == Combination::WeightedSum {
                self.weighted.run(self.engine.as_mut())?;
            }
            self.statistics.run(self.engine.as_mut(), &self.weights)?;
        } else {
            // The next round's proposal uses the last aggregation's weights, not this round's zeros.
            self.weighted.send(self.engine.as_mut(), &self.weights)?;
        }
        self.restart(&left_out(dropped))?;
        for (client, _) in trained.iter().enumerate().filter(|(_, trained)| trained.nonfinite.is_some()) {
            self.momentum.forget(self.engine.as_mut(), client)?;
        }
        Ok((weighted, networks))
    }
}

/// Weights for a mean. Those of a rule that clips do not sum to 1: the rest is the server's own part, which would enter the mean as its
/// direction.
fn of_sum_1(weights: &[f64]) -> Vec<f64> {
    let sum: f64 = weights.iter().sum();
    // Sums of rounded weights are 1 but for their last bits, and stay as they are.
    if sum <= 0.0 || (sum - 1.0).abs() < 1e-9 { weights.to_vec() } else { weights.iter().map(|w| w / sum).collect() }
}

/// A client of a chunk in a round.
struct Member<'a> {
    client: usize,
    holding: &'a [u32],
    poisoned: &'a [bool],
    steps: u32,
    /// The round since which its moments accumulate.
    since: u32,
}

/// The tables of a chunk for a round.
struct RoundTables {
    order: Vec<u32>,
    adam: Vec<f32>,
    critic_adam: Vec<Vec<f32>>,
    steps: Vec<u32>,
    state: [u32; 4],
}

/// Sends a chunk's tables to the device, and the server's networks to its clients.
fn send(engine: &mut dyn Engine, chunk: &Chunk, round: &RoundTables, shared: Shared) -> Result<()> {
    let (tables, stats) = (chunk.buffers.tables, chunk.buffers.stats);
    engine.write(chunk.order, &round.order)?;
    write_f32(engine, tables.adam, &round.adam)?;
    if let Some(critic) = tables.critic_adam {
        write_f32(engine, critic, &round.critic_adam.concat())?;
    }
    engine.write(tables.client_steps, &round.steps)?;
    engine.write(tables.state, &round.state)?;
    engine.write(stats, &vec![0; stats.words])?;
    engine.run(&chunk.broadcast_g, 1)?;
    if shared == Shared::Both {
        engine.run(&chunk.broadcast_d, 1)?;
    }
    Ok(())
}

/// cos(u_i, m - w_i u_i) with the mean update m = sum_j w_j u_j, from `squares` ||u_i||^2 and `dots` u_i . m alone: the
/// direction of each client relative to that of all others. NaN if a vector is zero (a single client) or non-finite.
fn cosines(weights: &[f64], squares: &[f64], dots: &[f64]) -> Vec<f64> {
    // A client of weight 0 is not part of the mean, even if its values are non-finite.
    let terms = weights.iter().zip(dots).filter(|(w, _)| **w != 0.0);
    let mean_square: f64 = terms.map(|(w, d)| w * d).sum();
    let cosine = |((w, s), d): ((&f64, &f64), &f64)| {
        let others = mean_square - 2.0 * w * d + w * w * s;
        let value = (d - w * s) / (s * others).sqrt();
        // Below this the remainder is rounding error of the sums.
        if others > 1e-6 * mean_square { value.clamp(-1.0, 1.0) } else { f64::NAN }
    };
    weights.iter().zip(squares).zip(dots).map(cosine).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_are_those_against_the_others() {
        let updates = [[1.0, 0.0, 2.0], [-1.0, 1.0, 0.0], [0.5, 3.0, 1.0]];
        let weights = [0.5, 0.25, 0.25];
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let mean: Vec<f64> = (0..3).map(|k| (0..3).map(|i| weights[i] * updates[i][k]).sum()).collect();
        let squares: Vec<f64> = updates.iter().map(|u| dot(u, u)).collect();
        let dots: Vec<f64> = updates.iter().map(|u| dot(u, &mean)).collect();
        for (i, cosine) in cosines(&weights, &squares, &dots).into_iter().enumerate() {
            let others: Vec<f64> = (0..3).map(|k| mean[k] - weights[i] * updates[i][k]).collect();
            let expected = dot(&updates[i], &others) / (squares[i] * dot(&others, &others)).sqrt();
            assert!((cosine - expected).abs() < 1e-12, "{i}: {cosine} {expected}");
        }
        assert!(cosines(&[1.0], &[4.0], &[4.0])[0].is_nan(), "nobody to compare with");
        let suppressed = cosines(&[0.5, 0.5, 0.0], &[1.0, 1.0, f64::NAN], &[0.5, 0.5, f64::NAN]);
        assert!(suppressed[0].abs() < 1e-12 && suppressed[2].is_nan(), "{suppressed:?}");
    }
}
