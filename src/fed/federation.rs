//! All mutable state of a run: the server's row, the clients in chunks, and what is recorded over them.

use super::detector::{Detection, Detector, LossReport, MIN_CLIENTS};
use super::local::{self, Local, POISONED};
use super::{Aggregate, Patch, Weights};
use crate::exec::{Engine, Purpose, Recording, Tensor, align, read_f32, write_f32};
use crate::kernels::attack::paste_trigger::{PasteTrigger, PasteTriggerParams};
use crate::kernels::fed::broadcast::{Broadcast, BroadcastParams};
use crate::kernels::fed::weighted_mean::{WeightedMean, WeightedMeanParams};
use crate::kernels::rng::{HostRng, RngParams, Stream, rng_normal::RngNormal, rng_uniform::RngUniform, seed_words};
use crate::kernels::util::copy::{Copy, CopyParams};
use crate::kernels::util::difference_dot::{DifferenceDot, DifferenceDotParams};
use crate::kernels::util::difference_norm::{DifferenceNorm, DifferenceNormParams};
use crate::kernels::util::gather_batch::{GatherBatch, GatherBatchParams};
use crate::model::{
    Activations, CriticBatch, Gan, GanBuffers, Interpolation, NamedTensors, Network, NetworkBank, Objective, export,
    record_init,
};
use crate::{Error, Result};

/// What a federation does beside the networks themselves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Seeds weights, latents and batch order.
    pub seed: u64,
    /// Images of a step.
    pub batch: u32,
    /// Adam's learning rate.
    pub lr: f64,
    /// Local training of a round.
    pub local: Local,
    /// What the server averages.
    pub aggregate: Aggregate,
    /// The clients' weights.
    pub weights: Weights,
    /// Clients trained in one launch; `None`: as many as the device's bindings hold.
    pub clients_per_launch: Option<u32>,
    /// The attack; nobody malicious in an honest run.
    pub attack: Patch,
    /// What malicious clients report of their losses.
    pub report: LossReport,
    /// Which clients lose weight.
    pub detector: Detector,
}

/// The training images and who holds which.
#[derive(Clone, Debug)]
pub struct ClientData<'a> {
    /// [images][size][size][channels] bytes.
    pub pixels: &'a [u8],
    /// Image indices of each client.
    pub holdings: Vec<Vec<u32>>,
}

/// A chunk of clients that train in the same launches.
#[derive(Debug)]
pub(super) struct Chunk {
    pub first: u32,
    pub buffers: GanBuffers,
    pub order: Tensor,
    /// [clients][64]: squared norm of the generator's update, its inner product with the mean update.
    pub moments: Tensor,
    pub send_g: Recording,
    pub send_d: Recording,
    pub step: Recording,
    pub propose: Recording,
    pub report: Recording,
    pub aggregate: Recording,
}

/// A federation: the server's networks, the clients, their data.
pub struct Federation {
    pub(super) engine: Box<dyn Engine>,
    pub(super) gan: Gan,
    pub(super) settings: Settings,
    pub(super) holdings: Vec<Vec<u32>>,
    pub(super) poisoned: Vec<Vec<bool>>,
    pub(super) steps: Vec<u32>,
    pub(super) server_g: NetworkBank,
    pub(super) server_d: NetworkBank,
    pub(super) mean_weights: Tensor,
    /// The clients' weights in the last mean; at first those of the settings.
    pub(super) weights: Vec<f64>,
    pub(super) detection: Detection,
    pub(super) chunks: Vec<Chunk>,
    pub(super) round: u32,
}

impl Federation {
    /// Builds the state, uploads data and trigger, initialises the server's networks and sends both to every client.
    ///
    /// # Errors
    /// When a client holds less than a batch, or the device's limits are exceeded.
    pub fn new(mut engine: Box<dyn Engine>, gan: Gan, settings: Settings, data: ClientData) -> Result<Self> {
        let clients = data.holdings.len() as u32;
        if clients == 0 {
            return Err(Error::input("federation.clients 0: at least 1 client is needed"));
        }
        if settings.detector.warmup().is_some() && clients < MIN_CLIENTS {
            return Err(Error::input(format!(
                "detection among {clients} clients: at least {MIN_CLIENTS} are needed for one to stand out"
            )));
        }
        let counts = data.holdings.iter().enumerate();
        let critic_steps = gan.training.critic_steps();
        let steps: Vec<u32> = counts
            .map(|(c, h)| settings.local.steps(c, h.len(), settings.batch, critic_steps))
            .collect::<Result<_>>()?;
        let max_steps = steps.iter().copied().max().unwrap_or(1).max(1);
        let e = engine.as_mut();
        let pixels = upload_pixels(e, data.pixels)?;
        let trigger = settings.attack.pixels(gan.arch.channels)?;
        let trigger_tensor = e.alloc("trigger", align(trigger.len()))?;
        write_f32(e, trigger_tensor, &trigger)?;
        let server_g = NetworkBank::alloc(e, &gan.g, 1, false)?;
        let server_d = NetworkBank::alloc(e, &gan.d, 1, false)?;
        let mean_weights = e.alloc("client weights", align(clients as usize))?;
        let proposal = e.alloc("G mean of last round's weights", gan.g.stride)?;
        let chunk_size = chunk_size(e, &gan, &settings, clients, max_steps)?;
        let builder = ChunkBuilder {
            gan: &gan,
            settings: &settings,
            clients,
            max_steps,
            pixels,
            trigger: trigger_tensor,
            server_g,
            server_d,
            mean_weights,
            proposal,
        };
        let mut chunks = Vec::new();
        let mut first = 0;
        while first < clients {
            let size = chunk_size.min(clients - first);
            chunks.push(builder.build(e, first, size)?);
            first += size;
        }
        let poisoned = data.holdings.iter().enumerate();
        let poisoned = poisoned.map(|(c, h)| poisoned_images(&settings, c as u32, h)).collect();
        let holdings = data.holdings;
        let counts: Vec<usize> = holdings.iter().map(Vec::len).collect();
        let weights = settings.weights.of(&counts);
        let detection = Detection::new(&settings.detector, weights.clone(), settings.seed);
        let mut federation = Federation {
            engine,
            gan,
            settings,
            holdings,
            poisoned,
            steps,
            server_g,
            server_d,
            mean_weights,
            weights,
            detection,
            chunks,
            round: 0,
        };
        federation.initialise()?;
        Ok(federation)
    }

    fn initialise(&mut self) -> Result<()> {
        let state = self.chunks[0].buffers.tables.state;
        self.engine.write(state, &[0; 4])?;
        let mut rec = Recording::new();
        for (net, bank, which) in [(&self.gan.g, &self.server_g, 0), (&self.gan.d, &self.server_d, 1)] {
            record_init(&mut rec, net, bank, self.settings.seed, Stream::init(which, 0).0, state)?;
        }
        self.engine.run(&rec, 1)?;
        self.engine.forget(&rec);
        for chunk in &self.chunks {
            self.engine.run(&chunk.send_g, 1)?;
            self.engine.run(&chunk.send_d, 1)?;
        }
        let weights: Vec<f32> = self.weights.iter().map(|w| *w as f32).collect();
        write_f32(self.engine.as_mut(), self.mean_weights, &weights)
    }

    /// The engine, for samplers and traffic counts.
    pub fn engine(&mut self) -> &mut dyn Engine {
        self.engine.as_mut()
    }

    /// The networks.
    pub fn gan(&self) -> &Gan {
        &self.gan
    }

    /// The server's generator.
    pub fn server_generator(&self) -> &NetworkBank {
        &self.server_g
    }

    /// Number of clients.
    pub fn clients(&self) -> u32 {
        self.holdings.len() as u32
    }

    /// Clients trained in one launch.
    pub fn clients_per_launch(&self) -> u32 {
        self.chunks[0].buffers.clients
    }

    /// Steps of each client in a round.
    pub fn steps(&self) -> &[u32] {
        &self.steps
    }

    /// Rounds done.
    pub fn rounds_done(&self) -> u32 {
        self.round
    }

    fn chunk_of(&self, client: u32) -> Result<&Chunk> {
        if client >= self.clients() {
            return Err(Error::input(format!(
                "client {client}: this federation has clients 0 to {}",
                self.clients() - 1
            )));
        }
        let chunk = self.chunks.iter().rev().find(|c| c.first <= client);
        chunk.ok_or_else(|| Error::internal("chunks start at client 0"))
    }

    /// The server's generator as named PyTorch tensors.
    ///
    /// # Errors
    /// When the device fails.
    pub fn export_generator(&mut self) -> Result<NamedTensors> {
        let bank = self.server_g;
        row(self.engine.as_mut(), &self.gan.g, &bank, 0)
    }

    /// Client `client`'s discriminator as named PyTorch tensors.
    ///
    /// # Errors
    /// When the device fails.
    pub fn export_discriminator(&mut self, client: u32) -> Result<NamedTensors> {
        let chunk = self.chunk_of(client)?;
        let (bank, local) = (chunk.buffers.d, client - chunk.first);
        row(self.engine.as_mut(), &self.gan.d, &bank, local)
    }

    /// The gradients that Adam took in client `client`'s last step, of generator and discriminator, as named PyTorch
    /// tensors: for differential tests.
    ///
    /// # Errors
    /// When the device fails.
    pub fn export_gradients(&mut self, client: u32) -> Result<[NamedTensors; 2]> {
        let chunk = self.chunk_of(client)?;
        let at = (client - chunk.first) as usize;
        let rows = [(&self.gan.g, chunk.buffers.g.grads), (&self.gan.d, chunk.buffers.d.grads)];
        let mut out = Vec::new();
        for (net, grads) in rows {
            let row = read_f32(self.engine.as_mut(), grads.slice(at * net.stride, net.stride), Purpose::Check)?;
            let mut named = export(net, &row, &vec![0.0; net.running_stride]);
            named.retain(|name, _| net.params.iter().any(|p| p.name == *name));
            out.push(named);
        }
        Ok([out.remove(0), out.remove(0)])
    }

    /// Client `client`'s generator as named PyTorch tensors.
    ///
    /// # Errors
    /// When the device fails.
    pub fn export_client_generator(&mut self, client: u32) -> Result<NamedTensors> {
        let chunk = self.chunk_of(client)?;
        let (bank, local) = (chunk.buffers.g, client - chunk.first);
        row(self.engine.as_mut(), &self.gan.g, &bank, local)
    }
}

fn row(engine: &mut dyn Engine, net: &Network, bank: &NetworkBank, client: u32) -> Result<NamedTensors> {
    let at = client as usize;
    let weights = read_f32(engine, bank.weights.slice(at * net.stride, net.stride), Purpose::Checkpoint)?;
    let running = bank.running.slice(at * net.running_stride, net.running_stride);
    let running = read_f32(engine, running, Purpose::Checkpoint)?;
    Ok(export(net, &weights, &running))
}

/// Which of a malicious client's images carry the trigger: a fixed subset, drawn image by image.
fn poisoned_images(settings: &Settings, client: u32, holding: &[u32]) -> Vec<bool> {
    let attack = &settings.attack;
    if !attack.malicious.contains(&client) {
        return vec![false; holding.len()];
    }
    let mut rng = HostRng::new(settings.seed, Stream::POISON, client, 0);
    holding.iter().map(|_| rng.uniform() < attack.fraction).collect()
}

fn upload_pixels(engine: &mut dyn Engine, pixels: &[u8]) -> Result<Tensor> {
    let words: Vec<u32> = pixels.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    if words.len() > engine.max_binding_words() {
        return Err(Error::input(format!(
            "the training images take {} MiB on the device, one binding holds {} MiB: use fewer or smaller images",
            words.len() >> 18,
            engine.max_binding_words() >> 18
        )));
    }
    let tensor = engine.alloc("training images", align(words.len()))?;
    engine.write(tensor, &words)?;
    Ok(tensor)
}

/// Clients of a chunk: what was asked for, or as many as the largest per-client tensor allows in one binding.
fn chunk_size(engine: &dyn Engine, gan: &Gan, settings: &Settings, clients: u32, max_steps: u32) -> Result<u32> {
    let sides = |net: &Network| net.layers.iter().map(|l| Activations::stride(l.output, settings.batch)).max();
    let batches = gan.training.critic_steps() as usize;
    let sides_of_images = Activations::stride(gan.d.layers[0].input, settings.batch) as usize;
    let candidates = [
        gan.g.stride,
        gan.d.stride,
        sides(&gan.g).unwrap_or(0) as usize,
        sides(&gan.d).unwrap_or(0) as usize,
        align(max_steps as usize * batches * settings.batch as usize),
        batches * sides_of_images,
    ];
    let largest = candidates.into_iter().max().unwrap_or(1);
    let fit = (engine.max_binding_words() / largest).min(u32::MAX as usize) as u32;
    if fit == 0 {
        return Err(Error::input(format!(
            "one client needs a tensor of {} MiB, one binding of this device holds {} MiB: choose a smaller \
             model.width, model.image_size or train.batch",
            largest >> 18,
            engine.max_binding_words() >> 18
        )));
    }
    Ok(settings.clients_per_launch.unwrap_or(clients).min(fit).clamp(1, clients))
}

struct ChunkBuilder<'a> {
    gan: &'a Gan,
    settings: &'a Settings,
    clients: u32,
    max_steps: u32,
    pixels: Tensor,
    trigger: Tensor,
    server_g: NetworkBank,
    server_d: NetworkBank,
    mean_weights: Tensor,
    proposal: Tensor,
}

impl ChunkBuilder<'_> {
    fn build(&self, engine: &mut dyn Engine, first: u32, clients: u32) -> Result<Chunk> {
        let (gan, batch) = (self.gan, self.settings.batch);
        let buffers = gan.alloc(engine, clients, self.clients, batch, self.max_steps)?;
        let rows = clients as usize;
        let order_stride = align(self.max_steps as usize * (gan.training.critic_steps() * batch) as usize);
        let order = engine.alloc("batch order", rows * order_stride)?;
        let moments = engine.alloc("update moments", rows * align(1))?;
        let step = self.record_step(engine, &buffers, first, order, order_stride as u32)?;
        let [mut send_g, mut send_d, mut propose, mut report, mut aggregate] =
            std::array::from_fn(|_| Recording::new());
        self.record_send(&mut send_g, &gan.g, &self.server_g, &buffers.g)?;
        self.record_send(&mut send_d, &gan.d, &self.server_d, &buffers.d)?;
        let stride = gan.g.stride as u32;
        let p = DifferenceNormParams { clients, n: stride, x_stride: stride, y_stride: align(1) as u32 };
        report.launch(&DifferenceNorm, &p, &[buffers.g.weights, self.server_g.weights, moments], "G update norm")?;
        let (x, y) = ((buffers.g.weights, gan.g.stride), self.proposal);
        self.record_weighted(&mut propose, x, y, clients, first, "mean of G weights".into())?;
        let p = DifferenceDotParams { clients, n: stride, x_stride: stride, y_stride: align(1) as u32, y_at: 1 };
        let tensors = [buffers.g.weights, self.server_g.weights, self.proposal, moments];
        report.launch(&DifferenceDot, &p, &tensors, "G update along the mean update")?;
        self.record_mean(&mut aggregate, &gan.g, &self.server_g, &buffers.g, first)?;
        if self.settings.aggregate == Aggregate::Both {
            self.record_mean(&mut aggregate, &gan.d, &self.server_d, &buffers.d, first)?;
        }
        Ok(Chunk { first, buffers, order, moments, send_g, send_d, step, propose, report, aggregate })
    }

    /// A step of every client of the chunk: batch, trigger, latents, GAN step, counters.
    fn record_step(
        &self,
        engine: &mut dyn Engine,
        b: &GanBuffers,
        first: u32,
        order: Tensor,
        order_stride: u32,
    ) -> Result<Recording> {
        let mut rec = Recording::new();
        let real = self.record_real(&mut rec, engine, b, order, order_stride)?;
        let z = self.latents(engine, b, 1)?;
        let latents = b.batch * self.gan.arch.latent;
        match self.gan.training.objective {
            Objective::Bce => {
                let z_d = self.latents(engine, b, 1)?;
                self.record_normals(&mut rec, b, first, z_d, latents, Stream::LATENT_D)?;
                self.record_normals(&mut rec, b, first, z, latents, Stream::LATENT_G)?;
                self.gan.record_step(&mut rec, b, real, z_d, z)?;
            }
            Objective::WganGp { interpolation, .. } => {
                self.record_critic(&mut rec, engine, b, first, real, interpolation)?;
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
        b: &GanBuffers,
        order: Tensor,
        order_stride: u32,
    ) -> Result<Tensor> {
        let (arch, clients) = (self.gan.arch, b.clients);
        let (image, size) = (arch.image(), arch.image_size);
        let batch = b.batch * self.gan.training.critic_steps();
        let y_stride = Activations::stride([size, size, arch.channels], batch);
        let real = engine.alloc("real batch", clients as usize * y_stride as usize)?;
        let p = GatherBatchParams { clients, batch, image, order_stride, y_stride };
        rec.launch(&GatherBatch, &p, &[self.pixels, order, b.tables.state, real], "real batch")?;
        let attack = &self.settings.attack;
        if !attack.malicious.is_empty() {
            let (top, left) = attack.corner(size);
            let p = PasteTriggerParams {
                clients,
                batch,
                h: size,
                w: size,
                c: arch.channels,
                th: attack.side,
                tw: attack.side,
                top,
                left,
                order_stride,
                x_stride: y_stride,
                opacity: attack.opacity as f32,
            };
            rec.launch(&PasteTrigger, &p, &[real, self.trigger, order, b.tables.state], "trigger")?;
        }
        Ok(real)
    }

    /// Room for the latents of `times` batches, each aligned.
    fn latents(&self, engine: &mut dyn Engine, b: &GanBuffers, times: u32) -> Result<Tensor> {
        let stride = times * Activations::stride([1, 1, self.gan.arch.latent], b.batch);
        engine.alloc("latents", b.clients as usize * stride as usize)
    }

    fn rng(&self, b: &GanBuffers, first: u32, to: Tensor, n: u32, stream: Stream) -> RngParams {
        let (seed_lo, seed_hi) = seed_words(self.settings.seed);
        let (clients, y_stride) = (b.clients, (to.words / b.clients as usize) as u32);
        RngParams { clients, n, y_stride, client_base: first, seed_lo, seed_hi, stream: stream.0, a: 0.0, b: 1.0 }
    }

    /// `n` standard normals of every client from `stream`.
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

    /// The critic steps. Each takes its own part of the step's real images, latents and interpolation weights; where there is
    /// one critic step, the whole is its part.
    fn record_critic(
        &self,
        rec: &mut Recording,
        engine: &mut dyn Engine,
        b: &GanBuffers,
        first: u32,
        real: Tensor,
        interpolation: Interpolation,
    ) -> Result<()> {
        let arch = self.gan.arch;
        let (times, rows) = (self.gan.training.critic_steps(), b.clients as usize);
        let weight_stride = align(b.batch as usize);
        let all_z = self.latents(engine, b, times)?;
        let all_weights = engine.alloc("interpolation weights", rows * times as usize * weight_stride)?;
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
            real: engine.alloc("critic's real batch", rows * image_stride)?,
            z: self.latents(engine, b, 1)?,
            weights: engine.alloc("critic's interpolation weights", rows * weight_stride)?,
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

    fn record_send(&self, rec: &mut Recording, net: &Network, from: &NetworkBank, to: &NetworkBank) -> Result<()> {
        let clients = to.clients;
        for (x, y, words, what) in [
            (from.weights, to.weights, net.stride, "weights"),
            (from.running, to.running, net.running_stride, "running statistics"),
        ] {
            let p = BroadcastParams { clients, n: words as u32, y_stride: words as u32 };
            rec.launch(&Broadcast, &p, &[x, y], format!("send {} {what}", net.name))?;
        }
        Ok(())
    }

    fn record_mean(
        &self,
        rec: &mut Recording,
        net: &Network,
        server: &NetworkBank,
        clients: &NetworkBank,
        first: u32,
    ) -> Result<()> {
        for (x, y, words, what) in [
            (clients.weights, server.weights, net.stride, "weights"),
            (clients.running, server.running, net.running_stride, "running statistics"),
        ] {
            let label = format!("mean of {} {what}", net.name);
            self.record_weighted(rec, (x, words), y, clients.clients, first, label)?;
        }
        Ok(())
    }

    /// y = the mean of rows of `x` (tensor, words a client) by the weights on the device; chunks after the first add.
    fn record_weighted(
        &self,
        rec: &mut Recording,
        (x, words): (Tensor, usize),
        y: Tensor,
        clients: u32,
        first: u32,
        label: String,
    ) -> Result<()> {
        let n = words as u32;
        let p = WeightedMeanParams { clients, n, x_stride: n, first, accumulate: u32::from(first > 0) };
        rec.launch(&WeightedMean, &p, &[x, self.mean_weights, y], label)
    }
}

/// The order table's row of a client for a round, with the trigger bit where the attack is on.
pub(super) fn order_row(f: &Federation, client: usize, steps: u32) -> Vec<u32> {
    let (s, holding) = (&f.settings, &f.holdings[client]);
    let attacked = f.round >= s.attack.start_round && f.poisoned[client].iter().any(|p| *p);
    let places: Vec<u32> = (0..holding.len() as u32).collect();
    let rows = local::order(&places, steps * f.gan.training.critic_steps(), s.batch, s.seed, client as u32, f.round);
    rows.into_iter()
        .map(|place| {
            let poisoned = attacked && f.poisoned[client][place as usize];
            holding[place as usize] | if poisoned { POISONED } else { 0 }
        })
        .collect()
}
