//! The running statistics of the aggregated networks.

use super::aggregate::Network as SharedNetwork;
use crate::Result;
use crate::exec::{Engine, Pool, Recording, Tensor, align, write_f32};
use crate::kernels::fed::pooled_variance::{PooledVariance, PooledVarianceParams};
use crate::kernels::rng::{RngParams, Stream, rng_normal::RngNormal, seed_words};
use crate::kernels::util::copy::{Copy, CopyParams};
use crate::model::{Activations, Gan, Mode, Network, NetworkBank, Pass};
use serde::{Deserialize, Serialize};

/// How the server gets the running statistics of batch norms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statistics {
    /// As the rule says: the clients' parts of its result, or the rule itself coordinate by coordinate.
    #[default]
    Average,
    /// As before, but the variance is that of the clients' pooled data: it counts the spread of their means.
    Pooled,
    /// The generator's are measured on the server's own latents; no client's statistics are used.
    Recompute,
}

/// Images that statistics are measured on, rounded up to whole batches.
const IMAGES: u32 = 256;

/// What replaces the statistics that a rule has written.
pub(super) enum Replaced {
    /// Nothing.
    Kept,
    /// Pooled variances: the clients' weights on the device, and the launches.
    Pooled(Tensor, Recording),
    /// The generator's passes.
    Measured(Recording),
}

impl Replaced {
    /// Allocates and records what `statistics` needs; `server_g` is the server's generator.
    ///
    /// # Errors
    /// As [`Engine::alloc`].
    pub fn new(
        engine: &mut dyn Engine,
        gan: &Gan,
        statistics: Statistics,
        networks: &[SharedNetwork],
        server_g: &NetworkBank,
        batch: u32,
        seed: u64,
    ) -> Result<Replaced> {
        match statistics {
            Statistics::Average => Ok(Replaced::Kept),
            Statistics::Pooled => {
                let clients = networks.first().map_or(0, |network| network.weights.clients());
                let weights = engine.alloc("weights of statistics", align(clients as usize))?;
                let mut rec = Recording::new();
                for (network, net) in networks.iter().zip([&gan.g, &gan.d]) {
                    record_pooled(engine, &mut rec, network, net, weights)?;
                }
                Ok(Replaced::Pooled(weights, rec))
            }
            Statistics::Recompute => Ok(Replaced::Measured(record_measured(engine, gan, server_g, batch, seed)?)),
        }
    }

    /// The recordings that it executes.
    pub fn recordings(&self) -> Option<&Recording> {
        match self {
            Replaced::Kept => None,
            Replaced::Pooled(_, rec) | Replaced::Measured(rec) => Some(rec),
        }
    }

    /// Replaces the statistics, after the rule with these weights of the clients.
    ///
    /// # Errors
    /// If the device fails.
    pub fn run(&self, engine: &mut dyn Engine, weights: &[f64]) -> Result<()> {
        if let Replaced::Pooled(to, _) = self {
            // Clipped updates have weights below 1/n; the variance needs shares.
            let sum: f64 = weights.iter().sum();
            if sum <= 0.0 {
                return Ok(());
            }
            let shares: Vec<f32> = weights.iter().map(|w| (w / sum) as f32).collect();
            write_f32(engine, *to, &shares)?;
        }
        self.recordings().map_or(Ok(()), |rec| engine.run(rec, 1))
    }
}

/// Records the pooled variance of every batch norm of a network around the server's new mean.
fn record_pooled(
    engine: &mut dyn Engine,
    rec: &mut Recording,
    network: &SharedNetwork,
    net: &Network,
    weights: Tensor,
) -> Result<()> {
    let Some(rows) = &network.statistics else { return Ok(()) };
    // Means and variances of the server are in one buffer, of which the variances are written.
    let centres = engine.alloc("means of statistics", rows.words)?;
    let n = rows.words as u32;
    let p = CopyParams { clients: 1, n, x_stride: n, y_stride: n };
    rec.launch(&Copy, &p, &[rows.server, centres], format!("means of {}", network.name))?;
    for mean in net.layers.iter().filter_map(|layer| layer.running) {
        let (mean, variance) = (&net.running[mean], &net.running[mean + 1]);
        let (centre, y) =
            (centres.slice(mean.offset, mean.words()), rows.server.slice(variance.offset, variance.words()));
        for piece in &rows.pieces {
            let words = (piece.clients as usize - 1) * rows.words + mean.words();
            let p = PooledVarianceParams {
                clients: piece.clients,
                n: mean.words() as u32,
                x_stride: n,
                first: piece.first,
                accumulate: u32::from(piece.first > 0),
            };
            let x = [piece.rows.slice(mean.offset, words), piece.rows.slice(variance.offset, words)];
            let label = format!("pooled {} {}", network.name, variance.name);
            rec.launch(&PooledVariance, &p, &[x[0], x[1], weights, centre, y], label)?;
        }
    }
    Ok(())
}

/// Records passes of the server's generator over the same latents in every round: the running statistics become the averages of the
/// batches'.
fn record_measured(
    engine: &mut dyn Engine,
    gan: &Gan,
    server_g: &NetworkBank,
    batch: u32,
    seed: u64,
) -> Result<Recording> {
    let (mut rec, net) = (Recording::new(), &gan.g);
    let acts = Activations::alloc(engine, &mut Pool::default(), net, 1, 1, batch)?;
    let (passes, n) = (IMAGES.div_ceil(batch), batch * gan.arch.latent);
    let z = engine.alloc("latents of statistics", align(n as usize))?;
    let (state, steps) =
        (engine.alloc("counters of statistics", align(4))?, engine.alloc("steps of statistics", align(1))?);
    engine.write(steps, &[1])?;
    let (state, client_steps) = (state.slice(0, 4), steps.slice(0, 1));
    let (seed_lo, seed_hi) = seed_words(seed);
    for pass in 0..passes {
        // Each pass has its own numbers as if it were a client; they do not depend on the round.
        let stream = Stream::STATISTICS.0;
        let p = RngParams { clients: 1, n, y_stride: n, client_base: pass, seed_lo, seed_hi, stream, a: 0.0, b: 1.0 };
        rec.launch(&RngNormal, &p, &[z.slice(0, n as usize), state], "latents of statistics")?;
        // 1, 1/2, 1/3, ...: the running values are the averages so far, whatever they were.
        let momentum = 1.0 / (pass + 1) as f32;
        let pass = Pass { net, bank: server_g, acts: &acts, transformed: None, label: "G(statistics)" };
        pass.forward(&mut rec, z, Mode::Train { state, client_steps, momentum })?;
    }
    Ok(rec)
}
