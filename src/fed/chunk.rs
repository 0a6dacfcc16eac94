//! A chunk of clients: its buffers and recordings.

use super::aggregate::{Shared, record_weighted};
use super::attack::image::{RealBatch, Trigger};
use super::moments::UpdateMoments;
use super::nonfinite::{record_local_scan, record_update_scan};
use super::probe::Probe;
use super::rows::Piece;
use super::settings::Settings;
use crate::error::sizes;
use crate::exec::{Engine, Pool, Recording, TallyEngine, Tensor, align, most_words};
use crate::kernels::MAX_GROUPS;
use crate::kernels::fed::broadcast::{Broadcast, BroadcastParams};
use crate::kernels::rng::{RngParams, Stream, rng_normal::RngNormal, rng_uniform::RngUniform, seed_words};
use crate::kernels::util::copy::{Copy, CopyParams};
use crate::kernels::util::difference_dot::{DifferenceDot, DifferenceDotParams};
use crate::kernels::util::gather_batch::{GatherBatch, GatherBatchParams};
use crate::model::{Activations, CriticBatch, Gan, GanBuffers, Interpolation, Network, NetworkBank, Objective};
use crate::{Error, Result};

/// A chunk of clients that train in the same launches.
#[derive(Debug)]
pub(super) struct Chunk {
    pub first: u32,
    /// The rank on whose device the clients train.
    pub rank: usize,
    /// In the memory of `rank`.
    pub buffers: GanBuffers,
    /// What the server has of it: the shared networks that the clients send, the loss statistics and what the probe writes are in
    /// rank 0's memory. On rank 0 all is as in `buffers`.
    pub sent: GanBuffers,
    pub order: Tensor,
    /// `[clients]` rows of [`UpdateMoments`].
    pub moments: Tensor,
    pub broadcast_g: Recording,
    pub broadcast_d: Recording,
    pub step: Recording,
    /// Writes the first non-finite gradients and moments into the loss statistics.
    pub local_scan: Recording,
    /// Writes the norm of the updates into `moments`, and the first non-finite values that clients send into the loss
    /// statistics.
    pub update_scan: Recording,
    /// Runs the server's probe and writes its outcome into `moments`; empty without a probe.
    pub probe: Recording,
    pub peaks: Recording,
    pub mean_update: Recording,
    pub measure: Recording,
}

impl Chunk {
    /// All recordings.
    pub fn recordings(&self) -> [&Recording; 9] {
        let Chunk {
            broadcast_g, broadcast_d, step, local_scan, update_scan, probe, peaks, mean_update, measure, ..
        } = self;
        [broadcast_g, broadcast_d, step, local_scan, update_scan, probe, peaks, mean_update, measure]
    }
}

/// Largest number of clients per chunk: transposed convolutions of stride 2 have four phases per client in one dimension of
/// their grid.
const MOST_CLIENTS: u32 = MAX_GROUPS / 4;

/// Clients per chunk: the requested number, or as many as the largest per-client tensor, those of `trigger` included, and the grids
/// allow in one launch.
///
/// # Errors
/// If the tensors of a single client are too large, naming the cause.
pub(super) fn chunk_size(
    engine: &dyn Engine,
    gan: &Gan,
    settings: &Settings,
    trigger: Option<&dyn Trigger>,
    clients: u32,
    max_steps: u32,
) -> Result<u32> {
    let most = most_words(engine);
    let (batch, critic) = (settings.batch as usize, gan.training.critic_steps() as usize);
    let steps = max_steps as usize;
    // First the sizes that follow from the settings alone, so that nothing below overflows.
    let round = [("batch order", align(steps * critic * batch)), ("Adam table", critic * align(2 * steps))];
    if let Some((what, words)) = round.into_iter().find(|(_, words)| *words > most) {
        let [needs, has] = sizes(4 * words as u64, 4 * most as u64);
        return Err(Error::input(format!(
            "the {what} of one client's {steps} steps per round takes {needs}, one launch holds {has}: choose a smaller \
             train.local_steps or train.local_epochs"
        )));
    }
    let sides = [&gan.g, &gan.d].into_iter().flat_map(|net| &net.layers).flat_map(|l| [l.input, l.output]);
    let sides = sides.map(|side| Activations::words(side, batch));
    let of_batches =
        [gan.d.layers[0].input, [1, 1, gan.arch.latent]].map(|side| critic * Activations::words(side, batch));
    let planned = sides.chain(of_batches).chain([gan.g.stride, gan.d.stride]).max().unwrap_or(1);
    // The allocations of training for one client, including the parts of split weight gradients and the critic's tables.
    let largest = match planned <= most {
        true => largest_of_one(engine, gan, trigger, clients, settings.batch, max_steps)?.max(planned).max(round[0].1),
        false => planned,
    };
    let fit = (most / largest).min(MOST_CLIENTS as usize) as u32;
    if fit == 0 {
        let [needs, has] = sizes(4 * largest as u64, 4 * most as u64);
        return Err(Error::input(format!(
            "one client needs a tensor of {needs}, one launch on this device holds {has}: choose a smaller \
             model.width, model.image_size, train.batch or train.n_critic"
        )));
    }
    Ok(settings.clients_per_launch.unwrap_or(clients).min(fit).clamp(1, clients))
}

/// Words of the largest training buffer of one of `clients` clients.
fn largest_of_one(
    engine: &dyn Engine,
    gan: &Gan,
    trigger: Option<&dyn Trigger>,
    clients: u32,
    batch: u32,
    max_steps: u32,
) -> Result<usize> {
    let (mut stand_in, tally) = TallyEngine::of(engine);
    let mut pool = Pool::default();
    let b = gan.alloc(&mut stand_in, &mut pool, 1, clients, batch, max_steps)?;
    let training = tally.allocations().len();
    let mut tables = 0;
    if let Some(trigger) = trigger {
        let uploaded = trigger.upload(&mut stand_in)?;
        tables = uploaded.len();
        let (size, channels, batch) = (gan.arch.image_size, gan.arch.channels, batch * gan.training.critic_steps());
        let stride = Activations::stride([size, size, channels], batch);
        let order = stand_in.alloc("batch order", align((max_steps * batch) as usize))?;
        let real = RealBatch {
            images: stand_in.alloc("real batch", stride as usize)?,
            order,
            state: b.tables.state,
            first: 0,
            clients: 1,
            batch,
            size,
            channels,
            order_stride: order.words as u32,
            stride,
            malicious: &[],
        };
        trigger.record(&uploaded, &real, &mut stand_in, &mut pool, &mut Recording::new())?;
    }
    // All chunks share the trigger's tables.
    let of_client = |at: &usize| !(training..training + tables).contains(at);
    let all = tally.allocations();
    let words = all.iter().enumerate().filter(|(at, _)| of_client(at)).map(|(_, a)| (a.bytes / 4) as usize);
    Ok(words.max().unwrap_or(1))
}

/// What all chunks of a rank read, in its memory.
pub(super) struct OnRank {
    /// The training images.
    pub pixels: Tensor,
    /// The tables of the trigger.
    pub trigger: Vec<Tensor>,
    /// The server's networks; copies on other ranks than 0.
    pub server_g: NetworkBank,
    pub server_d: NetworkBank,
}

/// Buffers that chunks share.
pub(super) struct Pools {
    /// Of training, on every rank.
    pub training: Vec<Pool>,
    /// Of the probe of clients on other ranks, in rank 0's memory.
    pub probing: Pool,
}

impl Pools {
    pub fn new(ranks: usize) -> Pools {
        Pools { training: (0..ranks).map(|_| Pool::default()).collect(), probing: Pool::default() }
    }
}

pub(super) struct ChunkBuilder<'a> {
    pub gan: &'a Gan,
    pub settings: &'a Settings,
    pub clients: u32,
    pub max_steps: u32,
    pub trigger: Option<&'a dyn Trigger>,
    pub ranks: &'a [OnRank],
    pub mean_weights: Tensor,
    pub proposal: Tensor,
    pub probe: Option<&'a Probe>,
}

impl ChunkBuilder<'_> {
    /// Builds the chunk of `clients` clients from `first` on, which train on `rank`. Chunks of a rank train one after the other:
    /// step-local buffers come from its pool, which contains those of the largest chunk, the first.
    pub fn build(
        &self,
        engine: &mut dyn Engine,
        pools: &mut Pools,
        rank: usize,
        first: u32,
        clients: u32,
    ) -> Result<Chunk> {
        engine.place(rank);
        let (gan, batch, shared) = (self.gan, self.settings.batch, self.settings.shared);
        let (on, pool) = (&self.ranks[rank], &mut pools.training[rank]);
        let server_g = &self.ranks[0].server_g;
        let buffers = gan.alloc(engine, pool, clients, self.clients, batch, self.max_steps)?;
        let rows = clients as usize;
        let order_stride = align(self.max_steps as usize * (gan.training.critic_steps() * batch) as usize);
        let order = engine.alloc("batch order", rows * order_stride)?;
        let step = self.record_step(engine, pool, on, &buffers, first, order, order_stride as u32)?;
        let local_scan = record_local_scan(gan, &buffers, shared)?;
        let [mut broadcast_g, mut broadcast_d, mut mean_update, mut measure] =
            std::array::from_fn(|_| Recording::new());
        self.record_broadcast(&mut broadcast_g, &gan.g, &on.server_g, &buffers.g)?;
        self.record_broadcast(&mut broadcast_d, &gan.d, &on.server_d, &buffers.d)?;
        engine.place(0);
        let sent = match rank {
            0 => buffers.clone(),
            _ => self.sent(engine, &mut pools.probing, &buffers)?,
        };
        let moments = engine.alloc("update moments", rows * UpdateMoments::WORDS)?;
        let update_scan = record_update_scan(gan, &sent, shared, server_g.weights, moments)?;
        let stride = gan.g.stride as u32;
        let piece = Piece { first, clients, rows: sent.g.weights };
        let (words, y, label) = (gan.g.stride, self.proposal, "mean of G weights".into());
        record_weighted(&mut mean_update, self.mean_weights, &piece, words, y, label, first > 0)?;
        let (y_stride, y_at) = (UpdateMoments::WORDS as u32, UpdateMoments::DOT_AT);
        let p = DifferenceDotParams { clients, n: stride, x_stride: stride, y_stride, y_at };
        let tensors = [sent.g.weights, server_g.weights, self.proposal, moments];
        measure.launch(&DifferenceDot, &p, &tensors, "G update along the mean update")?;
        let (mut probe, mut peaks) = (Recording::new(), Recording::new());
        if let Some(by) = self.probe {
            let pool = if rank == 0 { &mut pools.training[0] } else { &mut pools.probing };
            by.record(engine, pool, &mut probe, gan, &sent, first)?;
            by.record_peaks(&mut peaks, moments, first, clients)?;
        }
        pools.training[rank].next_user()?;
        if rank > 0 {
            pools.probing.next_user()?;
        }
        Ok(Chunk {
            first,
            rank,
            buffers,
            sent,
            order,
            moments,
            broadcast_g,
            broadcast_d,
            step,
            local_scan,
            update_scan,
            probe,
            peaks,
            mean_update,
            measure,
        })
    }

    /// The buffers of clients on another rank as the server has them, in rank 0's memory.
    fn sent(&self, engine: &mut dyn Engine, pool: &mut Pool, b: &GanBuffers) -> Result<GanBuffers> {
        let (gan, mut sent) = (self.gan, b.clone());
        let shared: &mut [(&Network, &mut NetworkBank)] = match self.settings.shared {
            Shared::Generator => &mut [(&gan.g, &mut sent.g)],
            Shared::Both => &mut [(&gan.g, &mut sent.g), (&gan.d, &mut sent.d)],
        };
        for (net, bank) in shared {
            for (what, tensor) in [("weights", &mut bank.weights), ("running statistics", &mut bank.running)] {
                *tensor = engine.alloc(&format!("{} {what}", net.name), tensor.words)?;
            }
        }
        sent.stats = engine.alloc("loss statistics", b.stats.words)?;
        if self.probe.is_some() {
            sent.g_acts = Activations::alloc(engine, pool, &gan.g, b.clients, self.clients, b.batch)?;
        }
        Ok(sent)
    }

    /// A step of every client in the chunk: batch, trigger, latents, GAN step, counters.
    fn record_step(
        &self,
        engine: &mut dyn Engine,
        pool: &mut Pool,
        on: &OnRank,
        b: &GanBuffers,
        first: u32,
        order: Tensor,
        order_stride: u32,
    ) -> Result<Recording> {
        let mut rec = Recording::new();
        let real = self.record_real(&mut rec, engine, pool, on, b, first, order, order_stride)?;
        let z = self.latents(engine, pool, b, 1)?;
        let latents = b.batch * self.gan.arch.latent;
        match self.gan.training.objective {
            Objective::Bce => {
                let z_d = self.latents(engine, pool, b, 1)?;
                self.record_normals(&mut rec, b, first, z_d, latents, Stream::LATENT_D)?;
                self.record_normals(&mut rec, b, first, z, latents, Stream::LATENT_G)?;
                self.gan.record_step(&mut rec, b, real, z_d, z)?;
            }
            Objective::WganGp { interpolation, .. } => {
                self.record_critic(&mut rec, engine, pool, b, first, real, interpolation)?;
                self.record_normals(&mut rec, b, first, z, latents, Stream::LATENT_G)?;
                self.gan.record_generator_step(&mut rec, b, z)?;
            }
        }
        self.gan.record_advance(&mut rec, b)?;
        Ok(rec)
    }

    /// The step's real images with their triggers, one batch after the other for each critic step.
    fn record_real(
        &self,
        rec: &mut Recording,
        engine: &mut dyn Engine,
        pool: &mut Pool,
        on: &OnRank,
        b: &GanBuffers,
        first: u32,
        order: Tensor,
        order_stride: u32,
    ) -> Result<Tensor> {
        let (arch, clients) = (self.gan.arch, b.clients);
        let (image, size) = (arch.image(), arch.image_size);
        let batch = b.batch * self.gan.training.critic_steps();
        let y_stride = Activations::stride([size, size, arch.channels], batch);
        let real = pool.alloc(engine, "real batch", clients as usize * y_stride as usize)?;
        let p = GatherBatchParams { clients, batch, image, order_stride, y_stride };
        rec.launch(&GatherBatch, &p, &[on.pixels, order, b.tables.state, real], "real batch")?;
        let Some(trigger) = self.trigger else { return Ok(real) };
        let real = RealBatch {
            images: real,
            order,
            state: b.tables.state,
            first,
            clients,
            batch,
            size,
            channels: arch.channels,
            order_stride,
            stride: y_stride,
            malicious: &self.settings.attack.malicious,
        };
        trigger.record(&on.trigger, &real, engine, pool, rec)
    }

    /// A buffer for the latents of `times` batches, each aligned.
    fn latents(&self, engine: &mut dyn Engine, pool: &mut Pool, b: &GanBuffers, times: u32) -> Result<Tensor> {
        let stride = times * Activations::stride([1, 1, self.gan.arch.latent], b.batch);
        pool.alloc(engine, "latents", b.clients as usize * stride as usize)
    }

    fn rng(&self, b: &GanBuffers, first: u32, to: Tensor, n: u32, stream: Stream) -> RngParams {
        let (seed_lo, seed_hi) = seed_words(self.settings.seed);
        let (clients, y_stride) = (b.clients, (to.words / b.clients as usize) as u32);
        RngParams { clients, n, y_stride, client_base: first, seed_lo, seed_hi, stream: stream.0, a: 0.0, b: 1.0 }
    }

    /// `n` standard normals for every client from `stream`.
    fn record_normals(
        &self,
        rec: &mut Recording,
        b: &GanBuffers,
        first: u32,
        to: Tensor,
        n: u32,
        stream: Stream,
    ) -> Result<()> {
        let label = match stream {
            Stream::LATENT_D => "latents of the D step",
            Stream::LATENT_G => "latents of the G step",
            _ => "interpolation weights",
        };
        rec.launch(&RngNormal, &self.rng(b, first, to, n, stream), &[to, b.tables.state], label)
    }

    /// The critic steps. Each takes its own part of the step's real images, latents and interpolation weights; with a single
    /// critic step, its part is the whole.
    fn record_critic(
        &self,
        rec: &mut Recording,
        engine: &mut dyn Engine,
        pool: &mut Pool,
        b: &GanBuffers,
        first: u32,
        real: Tensor,
        interpolation: Interpolation,
    ) -> Result<()> {
        let arch = self.gan.arch;
        let (times, rows) = (self.gan.training.critic_steps(), b.clients as usize);
        let weight_stride = align(b.batch as usize);
        let all_z = self.latents(engine, pool, b, times)?;
        let all_weights = pool.alloc(engine, "interpolation weights", rows * times as usize * weight_stride)?;
        let words = |t: Tensor| (t.words / rows) as u32;
        self.record_normals(rec, b, first, all_z, words(all_z), Stream::LATENT_D)?;
        let (n, stream) = (words(all_weights), Stream::INTERPOLATION);
        match interpolation {
            Interpolation::Normal => self.record_normals(rec, b, first, all_weights, n, stream)?,
            Interpolation::Uniform => {
                let p = self.rng(b, first, all_weights, n, stream);
                rec.launch(&RngUniform, &p, &[all_weights, b.tables.state], "interpolation weights")?;
            }
        }
        if times == 1 {
            let batch = CriticBatch { real, z: all_z, weights: all_weights };
            return self.gan.record_critic_step(rec, b, 0, batch);
        }
        let image_stride = Activations::stride([arch.image_size, arch.image_size, arch.channels], b.batch) as usize;
        let batch = CriticBatch {
            real: pool.alloc(engine, "critic's real batch", rows * image_stride)?,
            z: self.latents(engine, pool, b, 1)?,
            weights: pool.alloc(engine, "critic's interpolation weights", rows * weight_stride)?,
        };
        for k in 0..times {
            for (from, to) in [(real, batch.real), (all_z, batch.z), (all_weights, batch.weights)] {
                let (x_stride, n) = (words(from), words(to));
                let part = from.slice((k * n) as usize, (rows - 1) * x_stride as usize + n as usize);
                let p = CopyParams { clients: b.clients, n, x_stride, y_stride: n };
                rec.launch(&Copy, &p, &[part, to], format!("part of critic step {k}"))?;
            }
            self.gan.record_critic_step(rec, b, k, batch)?;
        }
        Ok(())
    }

    fn record_broadcast(&self, rec: &mut Recording, net: &Network, from: &NetworkBank, to: &NetworkBank) -> Result<()> {
        let clients = to.clients;
        for (x, y, words, what) in [
            (from.weights, to.weights, net.stride, "weights"),
            (from.running, to.running, net.running_stride, "running statistics"),
        ] {
            let p = BroadcastParams { clients, n: words as u32, y_stride: words as u32 };
            rec.launch(&Broadcast, &p, &[x, y], format!("broadcast {} {what}", net.name))?;
        }
        Ok(())
    }
}
