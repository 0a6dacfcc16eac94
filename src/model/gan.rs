//! The GAN training step (see docs/golden-format.md, `gan_step`): discriminator on real and fake, Adam; generator
//! through the updated discriminator, Adam.

use super::{Activations, Architecture, Backward, Mode, Network, NetworkBank, Pass, Scratch};
use crate::Result;
use crate::exec::{Engine, Recording, Tensor, align};
use crate::kernels::nn::bce_with_logits::{BceParams, BceWithLogits};
use crate::kernels::optim::adam::{Adam, AdamParams};
use crate::kernels::util::step_advance::{StepAdvance, StepAdvanceParams};

/// Client stride of the loss statistics: sums of [`Loss`] in 0..3, active steps in 3, last losses in 4..7, then padding.
pub const STAT_WORDS: usize = crate::exec::ALIGN;

/// Position of a loss in the loss and statistics rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// BCE of D on real images, target 1.
    DReal = 0,
    /// BCE of D on generated images, target 0.
    DFake = 1,
    /// Non-saturating loss of G: BCE of D on generated images, target 1.
    G = 2,
}

/// Both networks and Adam's constants.
#[derive(Clone, Debug)]
pub struct Gan {
    /// Sizes.
    pub arch: Architecture,
    /// The generator.
    pub g: Network,
    /// The discriminator.
    pub d: Network,
    /// Adam's beta1.
    pub beta1: f64,
    /// Adam's beta2.
    pub beta2: f64,
    /// Adam's epsilon.
    pub eps: f64,
}

/// What changes from step to step, in small device buffers indexed by the device's step counter.
#[derive(Clone, Copy, Debug)]
pub struct StepTables {
    /// u32 [4]: step within the round, round, steps in all, free.
    pub state: Tensor,
    /// u32 [clients]: active steps of each client in this round.
    pub client_steps: Tensor,
    /// f32 [clients][steps][2]: Adam's lr / (1 - beta1^t) and 1 / sqrt(1 - beta2^t).
    pub adam: Tensor,
    /// Client stride of `adam`.
    pub adam_stride: u32,
}

/// The mutable state of a chunk of clients.
#[derive(Clone, Debug)]
pub struct GanBuffers {
    /// Clients in the chunk.
    pub clients: u32,
    /// Images of a client's batch.
    pub batch: u32,
    /// Generators.
    pub g: NetworkBank,
    /// Discriminators.
    pub d: NetworkBank,
    /// Generator activations.
    pub g_acts: Activations,
    /// Discriminator activations.
    pub d_acts: Activations,
    /// Backward scratch.
    pub scratch: Scratch,
    /// Delta of the logits, [clients][batch].
    pub dlogits: Tensor,
    /// The step's losses, [clients][3], client stride 64.
    pub losses: Tensor,
    /// Loss statistics of the round, [clients][STAT_WORDS].
    pub stats: Tensor,
    /// Step tables.
    pub tables: StepTables,
}

impl Gan {
    /// A GAN of the given sizes.
    ///
    /// # Errors
    /// As [`Architecture::check`].
    pub fn new(arch: Architecture, beta1: f64, beta2: f64, eps: f64) -> Result<Self> {
        arch.check()?;
        Ok(Gan { arch, g: arch.generator(), d: arch.discriminator(), beta1, beta2, eps })
    }

    /// Allocates the state of `clients` of `total_clients` clients; `max_steps` bounds the steps of a round.
    ///
    /// # Errors
    /// As [`Engine::alloc`].
    pub fn alloc(
        &self,
        engine: &mut dyn Engine,
        clients: u32,
        total_clients: u32,
        batch: u32,
        max_steps: u32,
    ) -> Result<GanBuffers> {
        let rows = clients as usize;
        let adam_stride = align(2 * max_steps as usize) as u32;
        Ok(GanBuffers {
            clients,
            batch,
            g: NetworkBank::alloc(engine, &self.g, clients, true)?,
            d: NetworkBank::alloc(engine, &self.d, clients, true)?,
            g_acts: Activations::alloc(engine, &self.g, clients, total_clients, batch)?,
            d_acts: Activations::alloc(engine, &self.d, clients, total_clients, batch)?,
            scratch: Scratch::alloc(engine, &[&self.g, &self.d], clients, total_clients, batch)?,
            dlogits: engine.alloc("logit deltas", rows * align(batch as usize))?,
            losses: engine.alloc("losses", rows * align(1))?,
            stats: engine.alloc("loss statistics", rows * STAT_WORDS)?,
            tables: StepTables {
                state: engine.alloc("step state", align(4))?,
                client_steps: engine.alloc("client steps", align(rows))?,
                adam: engine.alloc("Adam table", rows * adam_stride as usize)?,
                adam_stride,
            },
        })
    }

    /// Records one training step on batches `real` [clients][batch][S][S][C] and latents `z_d`, `z_g` [clients][batch][latent]
    /// (client strides rounded up to 64 words).
    ///
    /// # Errors
    /// If a layout does not fit its buffers (a bug).
    pub fn record_step(
        &self,
        rec: &mut Recording,
        b: &GanBuffers,
        real: Tensor,
        z_d: Tensor,
        z_g: Tensor,
    ) -> Result<()> {
        let mode = Mode::Train { state: b.tables.state, client_steps: b.tables.client_steps };
        let d = |label| Pass { net: &self.d, bank: &b.d, acts: &b.d_acts, label };
        let g = |label| Pass { net: &self.g, bank: &b.g, acts: &b.g_acts, label };

        let pass = d("D(real)");
        let logits = pass.forward(rec, real, mode)?;
        self.loss(rec, b, logits, Loss::DReal, 1.0)?;
        pass.backward(rec, real, b.dlogits, &b.scratch, Backward::Fresh)?;

        let fake = g("G(z_d)").forward(rec, z_d, mode)?;
        let pass = d("D(fake)");
        let logits = pass.forward(rec, fake, mode)?;
        self.loss(rec, b, logits, Loss::DFake, 0.0)?;
        pass.backward(rec, fake, b.dlogits, &b.scratch, Backward::Accumulate)?;
        self.adam(rec, &self.d, &b.d, b, "D Adam")?;

        let pass = g("G(z_g)");
        let fake = pass.forward(rec, z_g, mode)?;
        let judge = d("D(G step)");
        let logits = judge.forward(rec, fake, mode)?;
        self.loss(rec, b, logits, Loss::G, 1.0)?;
        // D's own gradients of this pass are discarded, so they are not computed.
        let delta = judge.backward(rec, fake, b.dlogits, &b.scratch, Backward::InputOnly)?;
        let delta = delta.expect("InputOnly returns the input's delta");
        pass.backward(rec, z_g, delta, &b.scratch, Backward::Fresh)?;
        self.adam(rec, &self.g, &b.g, b, "G Adam")
    }

    /// Records the end of a step: losses of active clients into the statistics, the step counter on by one.
    ///
    /// # Errors
    /// If a layout does not fit its buffers (a bug).
    pub fn record_advance(&self, rec: &mut Recording, b: &GanBuffers) -> Result<()> {
        let p = StepAdvanceParams { clients: b.clients, loss_stride: align(1) as u32, stat_stride: STAT_WORDS as u32 };
        rec.launch(&StepAdvance, &p, &[b.losses, b.tables.client_steps, b.stats, b.tables.state], "step advance")
    }

    fn loss(&self, rec: &mut Recording, b: &GanBuffers, logits: Tensor, loss: Loss, target: f32) -> Result<()> {
        let stride = align(b.batch as usize) as u32;
        let p = BceParams {
            clients: b.clients,
            n: b.batch,
            x_stride: stride,
            dx_stride: stride,
            loss_stride: align(1) as u32,
            slot: loss as u32,
            target,
        };
        rec.launch(&BceWithLogits, &p, &[logits, b.dlogits, b.losses], format!("loss {loss:?}"))
    }

    fn adam(&self, rec: &mut Recording, net: &Network, bank: &NetworkBank, b: &GanBuffers, label: &str) -> Result<()> {
        let t = &b.tables;
        let p = AdamParams {
            clients: b.clients,
            n: net.stride as u32,
            stride: net.stride as u32,
            table_stride: t.adam_stride,
            beta1: self.beta1 as f32,
            beta2: self.beta2 as f32,
            eps: self.eps as f32,
            one_minus_beta1: (1.0 - self.beta1) as f32,
            one_minus_beta2: (1.0 - self.beta2) as f32,
        };
        let args = [bank.weights, bank.grads, bank.m, bank.v, t.adam, t.state, t.client_steps];
        rec.launch(&Adam, &p, &args, label)
    }
}
