//! A round as four visible steps: send, train, report, aggregate.

use super::Aggregate;
use super::federation::{Federation, order_row};
use crate::Result;
use crate::exec::{Purpose, align, read_f32, write_f32};
use crate::kernels::optim::adam::adam_table;
use crate::model::STAT_WORDS;

/// What the server learns of a client in a round: a few scalars.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClientReport {
    /// Steps taken.
    pub steps: u32,
    /// Mean losses over the round: D on real, D on fake, G.
    pub mean: [f64; 3],
    /// Losses of the last batch.
    pub last: [f64; 3],
    /// ||w_i - w||_2 of the generator's weights before aggregation.
    pub update_norm: f64,
    /// Weight in the mean.
    pub weight: f64,
}

/// A finished round.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundReport {
    /// The round, counted from 0.
    pub round: u32,
    /// One report a client.
    pub clients: Vec<ClientReport>,
}

impl RoundReport {
    /// Clients whose losses or update are not finite.
    pub fn diverged(&self) -> Vec<usize> {
        let bad = |c: &ClientReport| !c.mean.iter().chain([&c.update_norm]).all(|v| v.is_finite());
        self.clients.iter().enumerate().filter(|(_, c)| bad(c)).map(|(i, _)| i).collect()
    }
}

impl Federation {
    /// Runs one round.
    ///
    /// # Errors
    /// When the device fails.
    pub fn run_round(&mut self) -> Result<RoundReport> {
        self.send()?;
        self.train()?;
        let mut clients = self.report()?;
        self.aggregate(&mut clients)?;
        let report = RoundReport { round: self.round, clients };
        self.round += 1;
        Ok(report)
    }

    /// The server's networks to the clients; this round's tables to the device.
    fn send(&mut self) -> Result<()> {
        let max_steps = self.round_steps();
        for i in 0..self.chunks.len() {
            let (first, clients) = (self.chunks[i].first as usize, self.chunks[i].buffers.clients as usize);
            let mut orders = Vec::new();
            let mut adam = Vec::new();
            let critic_steps = self.gan.training.critic_steps();
            let mut critic_adam = vec![Vec::new(); critic_steps as usize];
            let tables = self.chunks[i].buffers.tables;
            let order_stride = self.chunks[i].order.words / clients;
            for client in first..first + clients {
                // Clients with fewer steps idle at the end of the round; their rows are filled all the same.
                let mut row = order_row(self, client, max_steps);
                row.resize(order_stride, 0);
                orders.extend(row);
                let done = self.round * self.steps[client];
                let mut row = adam_table(self.settings.lr, self.gan.beta1, self.gan.beta2, done + 1, max_steps);
                row.resize(tables.adam_stride as usize, 0.0);
                adam.extend(row);
                for (k, table) in critic_adam.iter_mut().enumerate() {
                    table.extend(self.critic_row(done, k as u32, max_steps, tables.adam_stride as usize));
                }
            }
            let total = self.round * max_steps;
            let steps = self.steps[first..first + clients].to_vec();
            let chunk = &self.chunks[i];
            let stats = chunk.buffers.stats;
            self.engine.write(chunk.order, &orders)?;
            write_f32(self.engine.as_mut(), tables.adam, &adam)?;
            if let Some(critic) = tables.critic_adam {
                write_f32(self.engine.as_mut(), critic, &critic_adam.concat())?;
            }
            self.engine.write(tables.client_steps, &steps)?;
            self.engine.write(tables.state, &[0, self.round, total, 0])?;
            self.engine.write(stats, &vec![0; stats.words])?;
            self.engine.run(&chunk.send_g, 1)?;
            if self.settings.aggregate == Aggregate::Both {
                self.engine.run(&chunk.send_d, 1)?;
            }
        }
        Ok(())
    }

    /// Adam's table of critic step `k` of every step of the round, after `done` steps: the critic has taken `critic_steps`
    /// updates a step.
    fn critic_row(&self, done: u32, k: u32, steps: u32, words: usize) -> Vec<f32> {
        let times = self.gan.training.critic_steps();
        let all = adam_table(self.settings.lr, self.gan.beta1, self.gan.beta2, done * times + 1, steps * times);
        let mut row: Vec<f32> = all.chunks(2).skip(k as usize).step_by(times as usize).flatten().copied().collect();
        row.resize(words, 0.0);
        row
    }

    fn round_steps(&self) -> u32 {
        self.steps.iter().copied().max().unwrap_or(0)
    }

    fn train(&mut self) -> Result<()> {
        let steps = self.round_steps();
        for chunk in &self.chunks {
            self.engine.run(&chunk.step, steps)?;
        }
        Ok(())
    }

    /// The only reads of a round: loss statistics and update norms.
    fn report(&mut self) -> Result<Vec<ClientReport>> {
        let mut reports = Vec::new();
        for chunk in &self.chunks {
            self.engine.run(&chunk.report, 1)?;
            let stats = read_f32(self.engine.as_mut(), chunk.buffers.stats, Purpose::RoundScalars)?;
            let norms = read_f32(self.engine.as_mut(), chunk.norms, Purpose::RoundScalars)?;
            for (s, n) in stats.chunks(STAT_WORDS).zip(norms.chunks(align(1))) {
                let count = s[3] as f64;
                reports.push(ClientReport {
                    steps: s[3] as u32,
                    mean: [0, 1, 2].map(|i| if count > 0.0 { s[i] as f64 / count } else { 0.0 }),
                    last: [4, 5, 6].map(|i| s[i] as f64),
                    update_norm: (n[0] as f64).sqrt(),
                    weight: 0.0,
                });
            }
        }
        Ok(reports)
    }

    /// The host decides the weights; the sums stay on the device. Chunks add in client order.
    fn aggregate(&mut self, reports: &mut [ClientReport]) -> Result<()> {
        let counts: Vec<usize> = self.holdings.iter().map(Vec::len).collect();
        let weights = self.settings.weights.of(&counts);
        for (report, weight) in reports.iter_mut().zip(&weights) {
            report.weight = *weight;
        }
        let weights: Vec<f32> = weights.iter().map(|w| *w as f32).collect();
        write_f32(self.engine.as_mut(), self.mean_weights, &weights)?;
        for chunk in &self.chunks {
            self.engine.run(&chunk.aggregate, 1)?;
        }
        Ok(())
    }
}
