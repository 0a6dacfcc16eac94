//! All mutable state of a run: the server's row, the clients in chunks, and their recordings.

use super::aggregate::{Aggregation, Draws, Network as SharedNetwork, Shared, WeightedSum, pre, suits};
use super::attack::Crew;
use super::attack::image::Trigger;
use super::chunk::{Chunk, ChunkBuilder, OnRank, Pools, chunk_size};
use super::detector::Detection;
use super::division::{Exchanged, shares};
use super::drop::Dropped;
use super::local::{self, POISONED};
use super::momentum::Momentum;
use super::probe::Probe;
use super::rows::{Piece, Rows};
use super::settings::Settings;
use super::statistics::Replaced;
use crate::error::sizes;
use crate::exec::{Engine, Purpose, Recording, Tensor, align, read_f32};
use crate::kernels::rng::{HostRng, Stream};
use crate::model::{Gan, NamedTensors, Network, NetworkBank, ParamSpec, export, record_init};
use crate::{Error, Result};

/// The training images and their partition.
#[derive(Clone, Debug)]
pub struct ClientData<'a> {
    /// `[images][size][size][channels]` bytes.
    pub pixels: &'a [u8],
    /// Image indices of each client.
    pub holdings: Vec<Vec<u32>>,
    /// Image indices of the server, on which it trains itself if the rule needs its own update; empty without.
    pub server: Vec<u32>,
}

/// The server as a client of its own: it starts a round as the clients do, and takes part in no mean.
pub(super) struct Trainer {
    /// A chunk of one client, whose number is that of the clients.
    pub chunk: Chunk,
    pub holding: Vec<u32>,
    pub steps: u32,
}

/// A federation: the server's networks, the clients, their data.
pub struct Federation {
    pub(super) engine: Box<dyn Engine>,
    pub(super) gan: Gan,
    pub(super) settings: Settings,
    /// Names of the clients for messages; empty if they have only ids.
    pub(super) names: Vec<String>,
    pub(super) holdings: Vec<Vec<u32>>,
    pub(super) poisoned: Vec<Vec<bool>>,
    pub(super) steps: Vec<u32>,
    /// What the chunks of every rank read; that of rank 0 has the server's networks, the others copies.
    pub(super) ranks: Vec<OnRank>,
    /// The momentum that clients send.
    pub(super) momentum: Momentum,
    /// The attack on the updates of malicious clients.
    pub(super) attack: Crew,
    pub(super) rule: Box<dyn Aggregation>,
    pub(super) weighted: WeightedSum,
    /// The clients' weights in the last aggregation; initially those of the settings.
    pub(super) weights: Vec<f64>,
    pub(super) detection: Detection,
    pub(super) dropped: Dropped,
    /// The server's probe of the clients' generators, if the detector needs it, and the recording that follows the probes of
    /// all chunks.
    pub(super) probe: Option<Probe>,
    pub(super) deviate: Recording,
    pub(super) chunks: Vec<Chunk>,
    /// What replaces the running statistics that the rule writes.
    pub(super) statistics: Replaced,
    /// The server's own training, if the rule needs its update.
    pub(super) trainer: Option<Trainer>,
    client_bytes: u64,
    launch_bytes: u64,
    pub(super) round: u32,
    /// What rounds of this process have moved between ranks.
    pub(super) exchanged: Exchanged,
}

impl Federation {
    /// Builds the state, uploads data and trigger, initialises the server's networks and sends both to every client.
    ///
    /// # Errors
    /// If a client holds less than a batch, or the device's limits are exceeded.
    pub fn new(mut engine: Box<dyn Engine>, gan: Gan, settings: Settings, data: ClientData) -> Result<Self> {
        let clients = data.holdings.len() as u32;
        if clients == 0 {
            return Err(Error::input("federation.clients 0: at least 1 client is needed"));
        }
        let least = settings.detector.least_clients();
        if clients < least {
            return Err(Error::input(format!("detection among {clients} clients: this rule needs at least {least}")));
        }
        every_client_has_a_batch(&data.holdings, settings.batch)?;
        suits(&settings.pre, &settings.rule, clients).map_err(|all| Error::Input(all.join("; ")))?;
        let counts = data.holdings.iter().enumerate();
        let critic_steps = gan.training.critic_steps();
        let steps: Vec<u32> = counts
            .map(|(c, h)| settings.local.steps(c, h.len(), settings.batch, critic_steps))
            .collect::<Result<_>>()?;
        let own = settings.rule.needs_server_data();
        let own_steps = match own {
            true => settings.local.steps(clients as usize, data.server.len(), settings.batch, critic_steps)?,
            false => 0,
        };
        let max_steps = steps.iter().copied().max().unwrap_or(1).max(own_steps).max(1);
        let e = engine.as_mut();
        // Rejects batches too large for a binding: in f32 they take four times the bytes requested below.
        let attack = &settings.attack;
        let trigger = match attack.malicious.is_empty() {
            true => None,
            false => Some(attack.trigger(gan.arch.image_size, gan.arch.channels)?),
        };
        let chunk_size = chunk_size(e, &gan, &settings, trigger.as_deref(), clients, max_steps)?;
        let a_step = settings.batch as usize * critic_steps as usize * gan.arch.image() as usize;
        let shares = shares(clients, e.ranks());
        let ranks = (0..shares.len()).map(|rank| on_rank(e, rank, &gan, data.pixels, a_step, trigger.as_deref()));
        let ranks = ranks.collect::<Result<Vec<_>>>()?;
        let (server_g, server_d) = (ranks[0].server_g, ranks[0].server_d);
        // The server's own update has weight 0 behind the clients'.
        let mean_weights = e.alloc("client weights", align(clients as usize + 1))?;
        let proposal = e.alloc("G mean of last round's weights", gan.g.stride)?;
        let probe = match settings.detector.probes() {
            true => Some(Probe::new(e, &gan, clients, settings.batch, settings.seed)?),
            false => None,
        };
        let builder = ChunkBuilder {
            gan: &gan,
            settings: &settings,
            clients,
            max_steps,
            trigger: trigger.as_deref(),
            ranks: &ranks,
            mean_weights,
            proposal,
            probe: probe.as_ref(),
        };
        let mut deviate = Recording::new();
        if let Some(probe) = &probe {
            probe.record_deviations(&mut deviate, clients)?;
        }
        let (mut chunks, mut pools) = (Vec::new(), Pools::new(ranks.len()));
        let shared_bytes = e.allocated_bytes();
        for (rank, share) in shares.into_iter().enumerate() {
            for first in share.clone().step_by(chunk_size as usize) {
                let size = chunk_size.min(share.end - first);
                chunks.push(builder.build(e, &mut pools, rank, first, size)?);
            }
        }
        let trainer = match own {
            true => {
                let chunk = ChunkBuilder { probe: None, ..builder }.build(e, &mut pools, 0, clients, 1)?;
                Some(Trainer { chunk, holding: data.server, steps: own_steps })
            }
            false => None,
        };
        let launch_bytes = pools.training[0].bytes() + pools.probing.bytes();
        let client_bytes = (e.allocated_bytes() - shared_bytes).saturating_sub(launch_bytes);
        let poisoned = data.holdings.iter().enumerate();
        let poisoned = poisoned.map(|(c, h)| poisoned_images(&settings, c as u32, h)).collect();
        let holdings = data.holdings;
        let counts: Vec<usize> = holdings.iter().map(Vec::len).collect();
        let weights = settings.weights.of(&counts);
        let networks = shared_networks(&gan, &settings, [&server_g, &server_d], &chunks, trainer.as_ref());
        let rows: Vec<Rows> = networks.iter().flat_map(SharedNetwork::rows).cloned().collect();
        let (kind, seed) = (settings.statistics, settings.seed);
        let statistics = Replaced::new(e, &gan, kind, &networks, &server_g, settings.batch, seed)?;
        let draws = Draws::Seeded(settings.seed);
        let values = [&gan.g, &gan.d].map(|net| net.params.iter().map(ParamSpec::words).sum());
        let momentum = Momentum::new(e, &networks, settings.client_momentum)?;
        let attack = Crew::new(e, &settings.attack.update, &networks, &values, &settings.attack.malicious, &draws)?;
        let rule = pre::build(e, &settings.pre, &settings.rule, &networks, &draws)?;
        let weighted = WeightedSum::new(mean_weights, &rows)?;
        let detection = Detection::new(&settings.detector, weights.clone(), settings.seed);
        let dropped = Dropped::none(clients as usize);
        let mut federation = Federation {
            engine,
            gan,
            settings,
            names: Vec::new(),
            holdings,
            poisoned,
            steps,
            ranks,
            momentum,
            attack,
            rule,
            weighted,
            weights,
            detection,
            dropped,
            probe,
            deviate,
            chunks,
            statistics,
            trainer,
            client_bytes,
            launch_bytes,
            round: 0,
            exchanged: Exchanged::default(),
        };
        federation.initialise()?;
        federation.exchanged = Exchanged::default();
        Ok(federation)
    }

    fn initialise(&mut self) -> Result<()> {
        let state = self.chunks[0].buffers.tables.state;
        self.engine.write(state, &[0; 4])?;
        let mut rec = Recording::new();
        let server = &self.ranks[0];
        for (net, bank, which) in [(&self.gan.g, &server.server_g, 0), (&self.gan.d, &server.server_d, 1)] {
            record_init(&mut rec, net, bank, self.settings.seed, Stream::init(which, 0).0, state)?;
        }
        if let Some(probe) = &self.probe {
            probe.record_latents(&mut rec, state)?;
        }
        self.engine.run(&rec, 1)?;
        self.engine.forget(&rec);
        self.spread(Shared::Both)?;
        self.begin_sent()?;
        for chunk in self.chunks.iter().chain(self.trainer.iter().map(|trainer| &trainer.chunk)) {
            self.engine.run(&chunk.broadcast_g, 1)?;
            self.engine.run(&chunk.broadcast_d, 1)?;
            for recording in [&chunk.step, &chunk.local_scan] {
                self.engine.prepare(recording)?;
            }
        }
        self.weighted.send(self.engine.as_mut(), &self.weights)
    }

    /// Gives the clients names, by their ids, for messages.
    pub fn name_clients(&mut self, names: Vec<String>) {
        self.names = names;
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
        &self.ranks[0].server_g
    }

    /// Number of clients.
    pub fn clients(&self) -> u32 {
        self.holdings.len() as u32
    }

    /// Bytes of the persistent buffers of all clients, from an engine that counts them ([`Engine::allocated_bytes`]).
    pub fn client_bytes(&self) -> u64 {
        self.client_bytes
    }

    /// Bytes of the step-local buffers of the largest launch.
    pub fn launch_bytes(&self) -> u64 {
        self.launch_bytes
    }

    /// The recordings of a round.
    pub fn recordings(&self) -> impl Iterator<Item = &Recording> {
        let own = self.trainer.iter().map(|trainer| &trainer.chunk);
        let of_chunks = self.chunks.iter().chain(own).flat_map(Chunk::recordings);
        let of_rule = self.rule.recordings().into_iter().chain(self.weighted.recordings());
        let rest = [&self.deviate].into_iter().chain(of_rule).chain(self.statistics.recordings());
        of_chunks.chain(self.momentum.recordings()).chain(self.attack.recordings()).chain(rest)
    }

    /// Layers of both networks that train in Winograd's form.
    pub fn winograd_layers(&self) -> usize {
        let buffers = &self.chunks[0].buffers;
        buffers.g_transformed.count() + buffers.d_transformed.count()
    }

    /// Largest number of clients trained in one launch.
    pub fn clients_per_launch(&self) -> u32 {
        self.chunks.iter().map(|chunk| chunk.buffers.clients).max().unwrap_or(0)
    }

    /// What the rounds of this process have moved between ranks.
    pub fn exchanged(&self) -> Exchanged {
        self.exchanged
    }

    /// Number of ranks that train clients.
    pub fn ranks(&self) -> usize {
        self.ranks.len()
    }

    /// Steps of each client in a round.
    pub fn steps(&self) -> &[u32] {
        &self.steps
    }

    /// Completed rounds.
    pub fn rounds_done(&self) -> u32 {
        self.round
    }

    pub(super) fn chunk_of(&self, client: u32) -> Result<&Chunk> {
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
    /// If the device fails.
    pub fn export_generator(&mut self) -> Result<NamedTensors> {
        let bank = self.ranks[0].server_g;
        row(self.engine.as_mut(), &self.gan.g, &bank, 0)
    }

    /// Client `client`'s discriminator as named PyTorch tensors.
    ///
    /// # Errors
    /// If the device fails.
    pub fn export_discriminator(&mut self, client: u32) -> Result<NamedTensors> {
        let chunk = self.chunk_of(client)?;
        let (bank, local) = (chunk.sent.d, client - chunk.first);
        row(self.engine.as_mut(), &self.gan.d, &bank, local)
    }

    /// The gradients of generator and discriminator in client `client`'s last step, as named PyTorch tensors, for differential
    /// tests.
    ///
    /// # Errors
    /// If the device fails.
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
    /// If the device fails.
    pub fn export_client_generator(&mut self, client: u32) -> Result<NamedTensors> {
        let chunk = self.chunk_of(client)?;
        let (bank, local) = (chunk.sent.g, client - chunk.first);
        row(self.engine.as_mut(), &self.gan.g, &bank, local)
    }
}

/// Rejects clients with fewer images than a batch, in one message for all of them.
///
/// # Errors
/// States their number, and the client with the fewest images.
pub fn every_client_has_a_batch(holdings: &[Vec<u32>], batch: u32) -> Result<()> {
    let short = holdings.iter().filter(|h| h.len() < batch as usize).count();
    let Some((client, least)) = holdings.iter().map(Vec::len).enumerate().min_by_key(|(_, n)| *n) else {
        return Ok(());
    };
    match short {
        0 => Ok(()),
        1 => Err(Error::input(format!(
            "train.batch {batch}: client {client} holds {least} images to train with; the batch must not be larger"
        ))),
        _ => Err(Error::input(format!(
            "train.batch {batch}: {short} of {} clients hold fewer images to train with, client {client} the fewest: \
             {least}; the batch must not be larger",
            holdings.len()
        ))),
    }
}

/// The shared networks of all clients, the generator first.
fn shared_networks(
    gan: &Gan,
    settings: &Settings,
    server: [&NetworkBank; 2],
    chunks: &[Chunk],
    trainer: Option<&Trainer>,
) -> Vec<SharedNetwork> {
    let share = |net: &Network, server: &NetworkBank, of: fn(&Chunk) -> &NetworkBank| {
        let rows = |what: &str, words: usize, pick: fn(&NetworkBank) -> Tensor| {
            let piece = |chunk: &Chunk| Piece { first: chunk.first, clients: of(chunk).clients, rows: pick(of(chunk)) };
            let pieces = chunks.iter().map(piece).collect();
            Rows {
                name: format!("{} {what}", net.name),
                trainable: what == WEIGHTS,
                words,
                server: pick(server),
                pieces,
            }
        };
        SharedNetwork {
            name: net.name,
            weights: rows(WEIGHTS, net.stride, |bank| bank.weights),
            // A network without batch norms has none.
            statistics: (net.running_stride > 0)
                .then(|| rows("running statistics", net.running_stride, |bank| bank.running)),
            root: trainer.map(|trainer| of(&trainer.chunk).weights),
        }
    };
    let mut networks = vec![share(&gan.g, server[0], |chunk| &chunk.sent.g)];
    if settings.shared == Shared::Both {
        networks.push(share(&gan.d, server[1], |chunk| &chunk.sent.d));
    }
    networks
}

/// Uploads to the memory of `rank` what its chunks read, and allocates the server's networks there.
fn on_rank(
    engine: &mut dyn Engine,
    rank: usize,
    gan: &Gan,
    pixels: &[u8],
    least: usize,
    trigger: Option<&dyn Trigger>,
) -> Result<OnRank> {
    engine.place(rank);
    let pixels = upload_pixels(engine, pixels, least)?;
    let trigger = trigger.map_or(Ok(Vec::new()), |trigger| trigger.upload(engine))?;
    let [server_g, server_d] =
        [NetworkBank::alloc(engine, &gan.g, 1, false)?, NetworkBank::alloc(engine, &gan.d, 1, false)?];
    engine.place(0);
    Ok(OnRank { pixels, trigger, server_g, server_d })
}

/// The name of trainable values.
const WEIGHTS: &str = "weights";

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

/// Uploads the images into a tensor of at least `least` bytes: the kernel that gathers a batch requires the bytes of a whole
/// batch, and the critic steps of a step may take more images than exist.
fn upload_pixels(engine: &mut dyn Engine, pixels: &[u8], least: usize) -> Result<Tensor> {
    let words: Vec<u32> = pixels.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    if words.len() > engine.max_binding_words() {
        let [needs, has] = sizes(4 * words.len() as u64, 4 * engine.max_binding_words() as u64);
        return Err(Error::input(format!(
            "the training images take {needs} on the device, one binding holds {has}: use fewer or smaller images"
        )));
    }
    let tensor = engine.alloc("training images", align(words.len().max(least / 4)))?;
    engine.write(tensor, &words)?;
    Ok(tensor)
}

/// The order table's row of a client for a round: images of `holding`, those that are `poisoned` with the trigger's bit if the attack
/// is active.
pub(super) fn order_row(f: &Federation, client: usize, holding: &[u32], poisoned: &[bool], steps: u32) -> Vec<u32> {
    let s = &f.settings;
    let attacked = f.round >= s.attack.start_round && poisoned.contains(&true);
    let places: Vec<u32> = (0..holding.len() as u32).collect();
    let rows = local::order(&places, steps * f.gan.training.critic_steps(), s.batch, s.seed, client as u32, f.round);
    rows.into_iter()
        .map(|place| {
            let poisoned = attacked && poisoned[place as usize];
            holding[place as usize] | if poisoned { POISONED } else { 0 }
        })
        .collect()
}
