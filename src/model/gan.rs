//! The GAN training step (see docs/golden-format.md, `gan_step`): discriminator on real and generated images, Adam;
//! generator through the updated discriminator, Adam. `wgan.rs` has the WGAN-GP variant.

use super::arch::BN_MOMENTUM;
use super::{
    Activations, Architecture, Backward, Convolution, Loss, Mode, Network, NetworkBank, Norm, Pass, RoundStats,
    Scratch, TransformedWeights, WganBuffers,
};
use crate::exec::{Engine, Pool, Recording, Tensor, align};
use crate::kernels::nn::bce_with_logits::{BceParams, BceWithLogits};
use crate::kernels::optim::adam::{Adam, AdamParams};
use crate::kernels::optim::rmsprop::{Rmsprop, RmspropParams};
use crate::kernels::util::step_advance::{StepAdvance, StepAdvanceParams};
use crate::{Error, Result};

/// The distribution of the interpolation weights between real and generated images at which the gradient penalty is
/// taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    /// Uniform in [0, 1), as in the WGAN-GP paper.
    #[default]
    Uniform,
    /// Standard normal, as in the attack's public code.
    Normal,
}

/// The training objective of the two networks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Objective {
    /// Binary cross entropy, non-saturating generator.
    #[default]
    Bce,
    /// Wasserstein distance with gradient penalty.
    WganGp {
        /// Weight of the penalty, at least 0.
        lambda: f64,
        /// Critic steps before each generator step, at least 1.
        n_critic: u32,
        /// Weights of the interpolation.
        interpolation: Interpolation,
    },
}

/// The optimizer of both networks; its epsilon is [`Gan::eps`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Optimizer {
    /// Adam with [`Gan::beta1`] and [`Gan::beta2`]; the learning rate is in the step tables.
    #[default]
    Adam,
    /// RMSprop.
    RmsProp {
        /// Learning rate.
        lr: f64,
        /// Decay of the second moment, in [0, 1).
        alpha: f64,
    },
}

/// Local training: norm of the discriminator, objective, optimizer, form of the convolutions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Training {
    /// Norm of the discriminator; the generator always has batch norm.
    pub norm: Norm,
    /// Losses.
    pub objective: Objective,
    /// Optimizer.
    pub optimizer: Optimizer,
    /// Form of the convolutions.
    pub convolution: Convolution,
}

impl Training {
    /// Rejects meaningless combinations.
    ///
    /// # Errors
    /// Names the value and the reason.
    pub fn check(&self) -> Result<()> {
        let Objective::WganGp { lambda, n_critic, .. } = self.objective else { return Ok(()) };
        if self.norm == Norm::Batch {
            return Err(Error::input(
                "norm batch with wgan-gp: the gradient penalty is taken image by image, and batch norm makes one image's \
                 gradient depend on the others; use instance or none",
            ));
        }
        if n_critic == 0 {
            return Err(Error::input("n_critic 0: at least 1 critic step must precede a generator step"));
        }
        if !(lambda >= 0.0 && lambda.is_finite()) {
            return Err(Error::input(format!("lambda {lambda}: must be at least 0")));
        }
        Ok(())
    }

    /// Critic steps per training step, each with its own batch.
    pub fn critic_steps(&self) -> u32 {
        match self.objective {
            Objective::Bce => 1,
            Objective::WganGp { n_critic, .. } => n_critic,
        }
    }
}

/// Both networks and the constants of their training.
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
    /// The optimizer's epsilon.
    pub eps: f64,
    /// Norm, objective, optimizer, form of the convolutions.
    pub training: Training,
}

/// Values that change from step to step, in small device buffers indexed by the device's step counter.
#[derive(Clone, Copy, Debug)]
pub struct StepTables {
    /// u32 `[4]`: step within the round, round, total steps, unused.
    pub state: Tensor,
    /// u32 `[clients]`: active steps of each client in this round.
    pub client_steps: Tensor,
    /// f32 `[clients][steps][2]`: Adam's lr / (1 - beta1^t) and 1 / sqrt(1 - beta2^t).
    pub adam: Tensor,
    /// Client stride of `adam`.
    pub adam_stride: u32,
    /// WGAN-GP with Adam: one table for each critic step of a training step, `[n_critic][clients][steps][2]`. The
    /// critic takes n_critic times as many steps as the generator.
    pub critic_adam: Option<Tensor>,
}

impl StepTables {
    /// The table of critic step `k`.
    pub(super) fn critic_table(&self, k: u32, clients: u32) -> Tensor {
        let words = clients as usize * self.adam_stride as usize;
        self.critic_adam.map_or(self.adam, |t| t.slice(k as usize * words, words))
    }
}

/// The mutable state of a chunk of clients. Networks, statistics and tables belong to this chunk; activations and all
/// other step-local buffers may be shared with other chunks.
#[derive(Clone, Debug)]
pub struct GanBuffers {
    /// Clients in the chunk.
    pub clients: u32,
    /// Images in a client's batch.
    pub batch: u32,
    /// Generators.
    pub g: NetworkBank,
    /// Discriminators.
    pub d: NetworkBank,
    /// Generator activations.
    pub g_acts: Activations,
    /// Discriminator activations.
    pub d_acts: Activations,
    /// Generators' weights in Winograd's form, within a step.
    pub g_transformed: TransformedWeights,
    /// Discriminators' weights in Winograd's form, within a step.
    pub d_transformed: TransformedWeights,
    /// Backward scratch.
    pub scratch: Scratch,
    /// Delta of the logits, `[clients][batch]`.
    pub dlogits: Tensor,
    /// The step's losses, `[clients][4]`, client stride 64.
    pub losses: Tensor,
    /// Loss statistics of the round: one row of [`RoundStats`] per client.
    pub stats: Tensor,
    /// Step tables.
    pub tables: StepTables,
    /// Additional buffers of WGAN-GP.
    pub wgan: Option<WganBuffers>,
}

impl Gan {
    /// A GAN of the given sizes, trained with binary cross entropy and Adam.
    ///
    /// # Errors
    /// As [`Architecture::check`].
    pub fn new(arch: Architecture, beta1: f64, beta2: f64, eps: f64) -> Result<Self> {
        Self::with(arch, beta1, beta2, eps, Training::default())
    }

    /// A GAN with the given sizes and training.
    ///
    /// # Errors
    /// As [`Architecture::check`] and [`Training::check`].
    pub fn with(arch: Architecture, beta1: f64, beta2: f64, eps: f64, training: Training) -> Result<Self> {
        arch.check()?;
        training.check()?;
        Ok(Gan { arch, g: arch.generator(), d: arch.critic(training.norm), beta1, beta2, eps, training })
    }

    /// Allocates the state of `clients` of `total_clients` clients and takes step-local buffers from `pool`.
    /// `max_steps` is the largest number of steps in a round.
    ///
    /// # Errors
    /// As [`Pool::alloc`].
    pub fn alloc(
        &self,
        engine: &mut dyn Engine,
        pool: &mut Pool,
        clients: u32,
        total_clients: u32,
        batch: u32,
        max_steps: u32,
    ) -> Result<GanBuffers> {
        let (rows, convolution) = (clients as usize, self.training.convolution);
        let adam_stride = align(2 * max_steps as usize) as u32;
        let wgan = match self.training.objective {
            Objective::Bce => None,
            Objective::WganGp { .. } => Some(WganBuffers::alloc(engine, pool, self, clients, batch)?),
        };
        let tables = self.training.critic_steps() as usize * rows * adam_stride as usize;
        let critic_adam = match (&wgan, self.training.optimizer) {
            (Some(_), Optimizer::Adam) => Some(engine.alloc("Adam tables of the critic", tables)?),
            _ => None,
        };
        Ok(GanBuffers {
            clients,
            batch,
            g: NetworkBank::alloc(engine, &self.g, clients, true)?,
            d: NetworkBank::alloc(engine, &self.d, clients, true)?,
            g_acts: Activations::alloc(engine, pool, &self.g, clients, total_clients, batch)?,
            d_acts: Activations::alloc(engine, pool, &self.d, clients, total_clients, batch)?,
            g_transformed: TransformedWeights::alloc(engine, pool, &self.g, convolution, clients, batch)?,
            d_transformed: TransformedWeights::alloc(engine, pool, &self.d, convolution, clients, batch)?,
            scratch: Scratch::alloc(engine, pool, &[&self.g, &self.d], clients, total_clients, batch)?,
            dlogits: pool.alloc(engine, "logit deltas", rows * align(batch as usize))?,
            losses: pool.alloc(engine, "losses", rows * align(1))?,
            stats: engine.alloc("loss statistics", rows * RoundStats::WORDS)?,
            tables: StepTables {
                state: engine.alloc("step state", align(4))?,
                client_steps: engine.alloc("client steps", align(rows))?,
                adam: engine.alloc("Adam table", rows * adam_stride as usize)?,
                adam_stride,
                critic_adam,
            },
            wgan,
        })
    }

    /// A pass of the generators in training.
    pub(super) fn g_pass<'b>(&'b self, b: &'b GanBuffers, label: &'b str) -> Pass<'b> {
        let transformed = Some(&b.g_transformed);
        Pass { net: &self.g, bank: &b.g, acts: &b.g_acts, transformed, label }
    }

    /// A pass of the discriminators in training.
    pub(super) fn d_pass<'b>(&'b self, b: &'b GanBuffers, label: &'b str) -> Pass<'b> {
        let transformed = Some(&b.d_transformed);
        Pass { net: &self.d, bank: &b.d, acts: &b.d_acts, transformed, label }
    }

    /// Records one training step of the BCE objective on batches `real` `[clients][batch][S][S][C]` and latents `z_d`,
    /// `z_g` `[clients][batch][latent]` (client strides rounded up to 64 words).
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
        let mode = Mode::Train { state: b.tables.state, client_steps: b.tables.client_steps, momentum: BN_MOMENTUM };
        let d = |label| self.d_pass(b, label);
        let g = |label| self.g_pass(b, label);
        b.d_transformed.record(rec, &self.d, &b.d)?;
        b.g_transformed.record(rec, &self.g, &b.g)?;

        let pass = d("D(real)");
        let logits = pass.forward(rec, real, mode)?;
        self.loss(rec, b, logits, Loss::DReal, 1.0)?;
        pass.backward(rec, real, b.dlogits, &b.scratch, Backward::Fresh)?;

        let fake = g("G(z_d)").forward(rec, z_d, mode)?;
        let pass = d("D(fake)");
        let logits = pass.forward(rec, fake, mode)?;
        self.loss(rec, b, logits, Loss::DFake, 0.0)?;
        pass.backward(rec, fake, b.dlogits, &b.scratch, Backward::Accumulate)?;
        self.update(rec, &self.d, &b.d, b, b.tables.adam, "D")?;
        b.d_transformed.record(rec, &self.d, &b.d)?;

        let pass = g("G(z_g)");
        let fake = pass.forward(rec, z_g, mode)?;
        let critic = d("D(G step)");
        let logits = critic.forward(rec, fake, mode)?;
        self.loss(rec, b, logits, Loss::G, 1.0)?;
        // D's own gradients of this pass are discarded, so they are not computed.
        let delta = critic.backward(rec, fake, b.dlogits, &b.scratch, Backward::InputOnly)?;
        let delta = delta.expect("InputOnly returns the input's delta");
        pass.backward(rec, z_g, delta, &b.scratch, Backward::Fresh)?;
        self.update(rec, &self.g, &b.g, b, b.tables.adam, "G")
    }

    /// Records the end of a step: adds the losses of active clients to the statistics and advances the step counter.
    ///
    /// # Errors
    /// If a layout does not fit its buffers (a bug).
    pub fn record_advance(&self, rec: &mut Recording, b: &GanBuffers) -> Result<()> {
        let p = StepAdvanceParams {
            clients: b.clients,
            loss_stride: align(1) as u32,
            stat_stride: RoundStats::WORDS as u32,
        };
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

    /// An optimizer step of every active client; `table` is for Adam.
    pub(super) fn update(
        &self,
        rec: &mut Recording,
        net: &Network,
        bank: &NetworkBank,
        b: &GanBuffers,
        table: Tensor,
        label: &str,
    ) -> Result<()> {
        let (t, n) = (&b.tables, net.stride as u32);
        if let Optimizer::RmsProp { lr, alpha } = self.training.optimizer {
            let p = RmspropParams { clients: b.clients, n, stride: n, ..RmspropParams::new(lr, alpha, self.eps) };
            let args = [bank.weights, bank.grads, bank.v, t.state, t.client_steps];
            return rec.launch(&Rmsprop, &p, &args, format!("{label} RMSprop"));
        }
        let p = AdamParams {
            clients: b.clients,
            n,
            stride: n,
            table_stride: t.adam_stride,
            ..AdamParams::new(self.beta1, self.beta2, self.eps)
        };
        let args = [bank.weights, bank.grads, bank.m, bank.v, table, t.state, t.client_steps];
        rec.launch(&Adam, &p, &args, format!("{label} Adam"))
    }
}
