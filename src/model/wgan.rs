//! The WGAN-GP training step: critic steps with a gradient penalty, then a generator step.

use super::arch::BN_MOMENTUM;
use super::stats::Loss;
use super::{Activations, Backward, Gan, GanBuffers, Mode, Objective, Penalty, PenaltyBuffers};
use crate::exec::{Engine, Pool, Recording, Tensor, align};
use crate::kernels::nn::interpolate::{Interpolate, InterpolateParams};
use crate::kernels::nn::wasserstein_loss::{WassersteinLoss, WassersteinLossParams};
use crate::{Error, Result};

/// Additional buffers of WGAN-GP.
#[derive(Clone, Debug)]
pub struct WganBuffers {
    /// Buffers of the penalty.
    pub penalty: PenaltyBuffers,
    /// x^ between real and generated images, `[clients][batch][S][S][C]`.
    pub x_hat: Tensor,
}

/// Inputs of a critic step; client strides are rounded up to 64 words.
#[derive(Clone, Copy, Debug)]
pub struct CriticBatch {
    /// Real images, `[clients][batch][S][S][C]`.
    pub real: Tensor,
    /// Latents, `[clients][batch][latent]`.
    pub z: Tensor,
    /// Interpolation weights, `[clients][batch]`.
    pub weights: Tensor,
}

impl WganBuffers {
    /// Takes from `pool` the buffers for `clients` clients with `batch` images each.
    ///
    /// # Errors
    /// As [`Pool::alloc`].
    pub fn alloc(engine: &mut dyn Engine, pool: &mut Pool, gan: &Gan, clients: u32, batch: u32) -> Result<Self> {
        let image = Activations::stride(gan.d.layers[0].input, batch) as usize;
        Ok(WganBuffers {
            penalty: PenaltyBuffers::alloc(engine, pool, &gan.d, clients, batch)?,
            x_hat: pool.alloc(engine, "interpolated images", clients as usize * image)?,
        })
    }
}

impl Gan {
    fn wgan<'b>(&self, b: &'b GanBuffers) -> Result<(&'b WganBuffers, f32)> {
        match (&b.wgan, self.training.objective) {
            (Some(wgan), Objective::WganGp { lambda, .. }) => Ok((wgan, lambda as f32)),
            _ => Err(Error::internal("a WGAN-GP step of a GAN with another objective")),
        }
    }

    fn mode(b: &GanBuffers) -> Mode {
        Mode::Train { state: b.tables.state, client_steps: b.tables.client_steps, momentum: BN_MOMENTUM }
    }

    /// Records critic step `k` of a training step: gradients of mean D(fake) - mean D(real) + penalty, one update of D.
    ///
    /// # Errors
    /// If the GAN has another objective, or a layout does not fit its buffers (bugs).
    pub fn record_critic_step(&self, rec: &mut Recording, b: &GanBuffers, k: u32, batch: CriticBatch) -> Result<()> {
        let (wgan, lambda) = self.wgan(b)?;
        let d = |label| self.d_pass(b, label);
        b.d_transformed.record(rec, &self.d, &b.d)?;
        if k == 0 {
            // Critic steps do not change G.
            b.g_transformed.record(rec, &self.g, &b.g)?;
        }
        let pass = d("D(real)");
        let logits = pass.forward(rec, batch.real, Self::mode(b))?;
        self.wasserstein(rec, b, logits, Loss::DReal, -1.0)?;
        pass.backward(rec, batch.real, b.dlogits, &b.scratch, Backward::Fresh)?;

        let g = self.g_pass(b, "G(z_d)");
        let fake = g.forward(rec, batch.z, Self::mode(b))?;
        let pass = d("D(fake)");
        let logits = pass.forward(rec, fake, Self::mode(b))?;
        self.wasserstein(rec, b, logits, Loss::DFake, 1.0)?;
        pass.backward(rec, fake, b.dlogits, &b.scratch, Backward::Accumulate)?;

        if lambda > 0.0 {
            let side = self.d.layers[0].input;
            let p = InterpolateParams {
                clients: b.clients,
                n: b.batch,
                len: side.iter().product(),
                x_stride: Activations::stride(side, b.batch),
                a_stride: align(b.batch as usize) as u32,
            };
            rec.launch(&Interpolate, &p, &[batch.real, fake, batch.weights, wgan.x_hat], "interpolated images")?;
            let pass = d("penalty");
            let penalty = Penalty { pass, buffers: &wgan.penalty, scratch: &b.scratch, lambda };
            penalty.record(rec, wgan.x_hat, b.losses, Loss::Penalty as u32)?;
        }
        self.update(rec, &self.d, &b.d, b, b.tables.critic_table(k, b.clients), "D")
    }

    /// Records the generator step: gradients of -mean D(G(z)), one update of G.
    ///
    /// # Errors
    /// If a layout does not fit its buffers (a bug).
    pub fn record_generator_step(&self, rec: &mut Recording, b: &GanBuffers, z: Tensor) -> Result<()> {
        b.d_transformed.record(rec, &self.d, &b.d)?;
        let pass = self.g_pass(b, "G(z_g)");
        let fake = pass.forward(rec, z, Self::mode(b))?;
        let critic = self.d_pass(b, "D(G step)");
        let logits = critic.forward(rec, fake, Self::mode(b))?;
        self.wasserstein(rec, b, logits, Loss::G, -1.0)?;
        let delta = critic.backward(rec, fake, b.dlogits, &b.scratch, Backward::InputOnly)?;
        let delta = delta.expect("InputOnly returns the input's delta");
        pass.backward(rec, z, delta, &b.scratch, Backward::Fresh)?;
        self.update(rec, &self.g, &b.g, b, b.tables.adam, "G")
    }

    fn wasserstein(&self, rec: &mut Recording, b: &GanBuffers, logits: Tensor, loss: Loss, scale: f32) -> Result<()> {
        let stride = align(b.batch as usize) as u32;
        let p = WassersteinLossParams {
            clients: b.clients,
            n: b.batch,
            x_stride: stride,
            dx_stride: stride,
            loss_stride: align(1) as u32,
            slot: loss as u32,
            scale,
        };
        rec.launch(&WassersteinLoss, &p, &[logits, b.dlogits, b.losses], format!("loss {loss:?}"))
    }
}
