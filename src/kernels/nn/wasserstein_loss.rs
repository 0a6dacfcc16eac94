//! The critic's and the generator's loss: a mean of logits.

use super::rows::{TINY, depth, locate, stride};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, gamma, strided};

crate::params! {
    /// Parameters of [`WassersteinLoss`].
    pub struct WassersteinLossParams {
        /// Clients.
        clients: u32 in Count,
        /// Logits of a client.
        n: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Client stride of `dx`.
        dx_stride: u32 in Stride,
        /// Client stride of `loss`.
        loss_stride: u32 in Stride,
        /// The element of a client's losses to write.
        slot: u32 in Range(0, 70),
        /// 1 or -1: the sign of the term in the loss.
        scale: f32 in Real(-2.0, 2.0),
    }
}

const DX: usize = 1;

/// `loss[slot] = scale mean(x)` and its gradient `dx = scale / n`, where x are the critic's outputs.
pub struct WassersteinLoss;

impl Kernel for WassersteinLoss {
    type Params = WassersteinLossParams;
    type Operands = Arity<3>;
    const STEM: &'static str = "nn/wasserstein_loss";
    const FORMULA: &'static str = "loss[slot] = scale mean(x), dx = scale / n";
    const BINDINGS: &'static [Binding; 3] = &[
        Binding::read("x", "[clients][n], client stride x_stride"),
        Binding::write("dx", "[clients][n], client stride dx_stride"),
        Binding::write("loss", "[clients][more than slot], client stride loss_stride"),
    ];
    fn extents(&self, p: &WassersteinLossParams) -> Result<[usize; 3], String> {
        if !p.scale.is_finite() {
            return Err(format!("scale {}: must be finite", p.scale));
        }
        let losses = p.slot.checked_add(1).ok_or("slot: out of range")?;
        Ok([
            strided(p.clients, p.x_stride, p.n)?,
            strided(p.clients, p.dx_stride, p.n)?,
            strided(p.clients, p.loss_stride, losses)?,
        ])
    }
    fn build(&self, p: &WassersteinLossParams, _class: Class) -> Build {
        Build::plain("nn/wasserstein_loss.wgsl", [1, 1, p.clients])
    }
    fn cost(&self, p: &WassersteinLossParams) -> Cost {
        let (clients, n) = (p.clients as f64, p.n as f64);
        Cost { flops: clients * n, bytes: 4.0 * clients * (2.0 * n + 1.0) }
    }
    fn at(&self, p: &WassersteinLossParams, inputs: &Inputs, slot: usize, index: usize) -> Option<Eval> {
        let (n, scale) = (p.n as f64, f64::from(p.scale));
        if slot == DX {
            locate(index, p.clients, p.dx_stride, p.n)?;
            return Some(Eval::within(scale / n, gamma(6) * (scale / n).abs() + TINY));
        }
        let (client, i) = locate(index, p.clients, p.loss_stride, p.slot + 1)?;
        if i != p.slot as usize {
            return None;
        }
        let x = |i: usize| inputs.f(0, client * p.x_stride as usize + i);
        let sum: f64 = (0..p.n as usize).map(x).sum();
        let size: f64 = (0..p.n as usize).map(|i| x(i).abs()).sum();
        Some(Eval::within(scale * sum / n, gamma(depth(p.n) + 8) * scale.abs() * size / n + TINY).over(depth(p.n) + 8))
    }
    fn cases(&self) -> Vec<WassersteinLossParams> {
        [(1, 1, 0, 1.0), (2, 37, 2, -1.0), (3, 257, 1, 1.0)]
            .map(|(clients, n, slot, scale)| {
                let (x_stride, dx_stride, loss_stride) = (stride(n, 0), stride(n, 1), 64);
                WassersteinLossParams { clients, n, x_stride, dx_stride, loss_stride, slot, scale }
            })
            .to_vec()
    }
    fn contents(&self, _: &WassersteinLossParams) -> [Contents; 3] {
        [Contents::Real { scale: 3.0, shift: 0.0 }, Contents::Nan, Contents::Nan]
    }
}
