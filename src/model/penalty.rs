//! The gradient penalty without autodiff (Gulrajani et al. 2017): penalty = lambda mean_i (||g_i|| - 1)^2, where g_i is
//! the critic's gradient with respect to image i.
//!
//! Let v_i be the penalty's derivative with respect to g_i, held constant. The parameter gradient of the penalty is
//! that of sum_i v_i . g_i, the critic's tangent along v. This gives four passes: forward at x^; backward with seed 1
//! per image, storing every delta u, down to g; tangent forward along v; and the adjoint. The adjoint of a tangent is
//! the delta u at the same place. Convolutions and LeakyReLU masks are linear: a weight's gradient is that of (tangent,
//! u). Instance norm's Jacobian depends on x: below the topmost norm a second delta w, that of the activations
//! themselves, follows the ordinary backward pass and adds its gradients.

use super::bank::instance_params;
use super::{Activations, LayerKind, Mode, Network, Pass, Scratch};
use crate::exec::{Engine, Pool, Recording, Tensor, align};
use crate::kernels::nn::gradient_penalty::{GradientPenalty, GradientPenaltyParams};
use crate::kernels::nn::gradient_penalty_seed::{GradientPenaltySeed, GradientPenaltySeedParams};
use crate::kernels::nn::image_square_sum::{ImageSquareSum, ImageSquareSumParams};
use crate::kernels::nn::instance::{InstanceParams, place};
use crate::kernels::nn::instance_norm_param_grad::InstanceNormParamGrad;
use crate::kernels::nn::instance_norm_second_apply::InstanceNormSecondApply;
use crate::kernels::nn::instance_norm_second_param_grad::InstanceNormSecondParamGrad;
use crate::kernels::nn::instance_norm_second_reduce::InstanceNormSecondReduce;
use crate::kernels::util::fill::{Fill, FillParams};
use crate::{Error, Result};

/// Buffers of the penalty besides the critic's activations at x^.
#[derive(Clone, Debug)]
pub struct PenaltyBuffers {
    /// Tangent of every layer's output, with the layout of [`Activations::outputs`].
    pub tangents: Vec<Tensor>,
    /// Delta u of every layer's output.
    pub deltas: Vec<Tensor>,
    /// The five moments of every instance norm layer, `[clients][batch][5][c]`.
    pub moments: Vec<Option<Tensor>>,
    /// g: the critic's gradient with respect to its input, `[clients][batch][h][w][c]`.
    pub gradient: Tensor,
    /// v: the direction, with the layout of `gradient`.
    pub direction: Tensor,
    /// ||g||^2, `[clients][batch]`.
    pub squares: Tensor,
}

impl PenaltyBuffers {
    /// Takes from `pool` the buffers of a critic's penalty for `clients` clients with `batch` images each.
    ///
    /// # Errors
    /// As [`Pool::alloc`].
    pub fn alloc(engine: &mut dyn Engine, pool: &mut Pool, net: &Network, clients: u32, batch: u32) -> Result<Self> {
        let mut take = |label: &str, words| pool.alloc(engine, label, words);
        let rows = clients as usize;
        let image = Activations::stride(net.layers[0].input, batch) as usize;
        let (mut tangents, mut deltas, mut moments) = (vec![], vec![], vec![]);
        for layer in &net.layers {
            let words = rows * Activations::stride(layer.output, batch) as usize;
            tangents.push(take(&format!("penalty main.{} tangent", layer.index), words)?);
            deltas.push(take(&format!("penalty main.{} delta", layer.index), words)?);
            moments.push(match instance_params(layer, clients, batch).map(with_all) {
                Some(p) => Some(take("penalty moments", rows * p.moment_stride as usize)?),
                None => None,
            });
        }
        Ok(PenaltyBuffers {
            tangents,
            deltas,
            moments,
            gradient: take("critic gradient", rows * image)?,
            direction: take("penalty direction", rows * image)?,
            squares: take("squared gradient norms", rows * align(batch as usize))?,
        })
    }
}

/// The geometry with room for all five moments.
fn with_all(p: InstanceParams) -> InstanceParams {
    let moment_stride = align((place::ALL * p.n * p.c) as usize) as u32;
    InstanceParams { places: place::ALL, moment_stride, ..p }
}

/// A penalty to record: a pass of the critic, whose activations it overwrites, and the buffers.
#[derive(Clone, Copy, Debug)]
pub struct Penalty<'a> {
    /// The critic, without batch norm.
    pub pass: Pass<'a>,
    /// The penalty's buffers.
    pub buffers: &'a PenaltyBuffers,
    /// Scratch of backward passes.
    pub scratch: &'a Scratch,
    /// Weight, at least 0.
    pub lambda: f32,
}

impl Penalty<'_> {
    /// Records the penalty at `x_hat` `[clients][batch][h][w][c]`: writes its value to element `slot` of `losses`
    /// (client stride 64) and adds its parameter gradients to those of the bank.
    ///
    /// # Errors
    /// When the critic has batch norm: one image's gradient then depends on the other images.
    pub fn record(&self, rec: &mut Recording, x_hat: Tensor, losses: Tensor, slot: u32) -> Result<()> {
        let net = self.pass.net;
        if net.layers.iter().any(|l| l.kind == LayerKind::BatchNorm) {
            return Err(Error::input(
                "gradient penalty: the critic has batch norm, by which one image's gradient depends on the others; \
                 use norm instance or none",
            ));
        }
        self.pass.forward(rec, x_hat, Mode::Eval)?;
        self.deltas(rec, x_hat)?;
        self.direction(rec, losses, slot)?;
        self.tangents(rec, x_hat)?;
        self.adjoint(rec, x_hat)
    }

    fn moments(&self, i: usize) -> Tensor {
        self.buffers.moments[i].expect("an instance norm has moments")
    }

    /// Input of layer `i` in `of` (activations, tangents or deltas); `first` for the first layer.
    fn before(of: &[Tensor], first: Tensor, i: usize) -> Tensor {
        if i == 0 { first } else { of[i - 1] }
    }

    /// u: the ordinary backward pass with seed 1 per image down to the gradient with respect to the image; every delta
    /// is stored.
    fn deltas(&self, rec: &mut Recording, x_hat: Tensor) -> Result<()> {
        let (pass, b) = (&self.pass, self.buffers);
        let last = pass.net.layers.len() - 1;
        let (clients, batch) = (pass.clients(), pass.acts.batch);
        let p = FillParams { clients, n: batch, y_stride: align(batch as usize) as u32, value: 1.0 };
        rec.launch(&Fill, &p, &[b.deltas[last]], format!("{} seed", pass.label))?;
        for (i, layer) in pass.net.layers.iter().enumerate().rev() {
            let x = Self::before(&pass.acts.outputs, x_hat, i);
            let (dy, dx) = (b.deltas[i], Self::before(&b.deltas, b.gradient, i));
            match layer.kind {
                LayerKind::Activation(kind, slope) => {
                    pass.activation_backward(rec, layer, (kind, slope), dy, dx)?;
                }
                LayerKind::InstanceNorm => {
                    let p = InstanceParams { place: place::DELTA, ..with_all(pass.instance(layer)) };
                    pass.instance_jacobian(rec, layer, &p, [x, dy, self.moments(i), dx])?;
                }
                _ => pass.data_gradient(rec, layer, dy, dx)?,
            }
        }
        Ok(())
    }

    /// The penalty's value, and v.
    fn direction(&self, rec: &mut Recording, losses: Tensor, slot: u32) -> Result<()> {
        let (pass, b, lambda) = (&self.pass, self.buffers, self.lambda);
        let (clients, n, side) = (pass.clients(), pass.acts.batch, pass.net.layers[0].input);
        let (len, x_stride) = (side.iter().product(), pass.stride(side));
        let (square_stride, loss_stride) = (align(n as usize) as u32, align(1) as u32);
        let label = |what: &str| format!("{} {what}", pass.label);
        let p = ImageSquareSumParams { clients, n, len, x_stride, y_stride: square_stride };
        rec.launch(&ImageSquareSum, &p, &[b.gradient, b.squares], label("gradient norms"))?;
        let p = GradientPenaltyParams { clients, n, square_stride, loss_stride, slot, lambda };
        rec.launch(&GradientPenalty, &p, &[b.squares, losses], label("value"))?;
        let p = GradientPenaltySeedParams { clients, n, len, x_stride, square_stride, lambda };
        rec.launch(&GradientPenaltySeed, &p, &[b.gradient, b.squares, b.direction], label("direction"))
    }

    /// The tangent of every layer along v. The linear part of a layer is applied to the tangent as it was to the input.
    fn tangents(&self, rec: &mut Recording, x_hat: Tensor) -> Result<()> {
        let (pass, b) = (&self.pass, self.buffers);
        for (i, layer) in pass.net.layers.iter().enumerate() {
            let x = Self::before(&pass.acts.outputs, x_hat, i);
            let (t, y) = (Self::before(&b.tangents, b.direction, i), b.tangents[i]);
            match layer.kind {
                LayerKind::Activation(kind, slope) => pass.activation_backward(rec, layer, (kind, slope), t, y)?,
                LayerKind::InstanceNorm => {
                    let p = InstanceParams { place: place::TANGENT, ..with_all(pass.instance(layer)) };
                    pass.instance_jacobian(rec, layer, &p, [x, t, self.moments(i), y])?;
                }
                _ => pass.conv_forward(rec, layer, t, y)?,
            }
        }
        Ok(())
    }

    /// Parameter gradients, from the last layer to the first; w is the delta of the activations, which does not exist
    /// above the topmost norm.
    fn adjoint(&self, rec: &mut Recording, x_hat: Tensor) -> Result<()> {
        let (pass, b) = (&self.pass, self.buffers);
        let mut w: Option<Tensor> = None;
        for (i, layer) in pass.net.layers.iter().enumerate().rev() {
            let x = Self::before(&pass.acts.outputs, x_hat, i);
            let t = Self::before(&b.tangents, b.direction, i);
            let free = self.scratch.deltas.iter().find(|d| w.is_none_or(|w| d.buffer != w.buffer));
            let dx = pass.fit(*free.expect("two scratch deltas"), layer.input);
            match (layer.kind, w) {
                (LayerKind::InstanceNorm, _) => {
                    self.norm_adjoint(rec, i, [x, t, b.deltas[i], dx], w)?;
                    w = Some(dx);
                }
                (LayerKind::Activation(..), None) => {}
                (LayerKind::Activation(kind, slope), Some(dy)) => {
                    pass.activation_backward(rec, layer, (kind, slope), dy, dx)?;
                    w = Some(dx);
                }
                (_, dy) => {
                    pass.weight_gradient(rec, layer, t, b.deltas[i], self.scratch, true)?;
                    if let Some(dy) = dy {
                        pass.weight_gradient(rec, layer, x, dy, self.scratch, true)?;
                        if i > 0 {
                            pass.data_gradient(rec, layer, dy, dx)?;
                        }
                        w = Some(dx);
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes a norm's second-order part to `dx`, in addition to the part of w that passes through the norm.
    fn norm_adjoint(&self, rec: &mut Recording, i: usize, [x, t, u, dx]: [Tensor; 4], w: Option<Tensor>) -> Result<()> {
        let (pass, layer) = (&self.pass, &self.pass.net.layers[i]);
        let (plain, moments, stats) = (pass.instance(layer), self.moments(i), pass.image_stats(layer));
        let grad = |index: usize| pass.bank.param(pass.bank.grads, pass.net, layer.params[index]);
        let all = with_all(plain);
        rec.launch(&InstanceNormSecondReduce, &all, &[u, t, moments], pass.name(layer, "covariance"))?;
        let p = InstanceParams { accumulate: 1, ..all };
        let args = [stats, moments, grad(0)];
        rec.launch(&InstanceNormSecondParamGrad, &p, &args, pass.name(layer, "second norm gradient"))?;
        if let Some(w) = w {
            pass.instance_jacobian(rec, layer, &plain, [x, w, self.scratch.sums, dx])?;
            let p = InstanceParams { accumulate: 1, ..plain };
            let args = [self.scratch.sums, grad(0), grad(1)];
            rec.launch(&InstanceNormParamGrad, &p, &args, pass.name(layer, "norm gradients"))?;
        }
        let p = InstanceParams { accumulate: u32::from(w.is_some()), ..all };
        let args = [x, t, u, stats, pass.gamma(layer), moments, dx];
        rec.launch(&InstanceNormSecondApply, &p, &args, pass.name(layer, "second norm Jacobian"))
    }
}
